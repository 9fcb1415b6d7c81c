"""What has become slower, and what cannot be compared, on given figures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from phonograph.benching.comparison import compare, differences, other_records
from phonograph.benching.document import Figures, NodeFigures, Setting, Spread, Work
from phonograph.metrics import RecordCounts

SETTING = Setting(
    processor="Imagined 9000", cores=4, isa="avx2", versions={"phonograph": "1.0", "python": "3.11.2", "numpy": "2.4.0"}
)
WORK = Work(name="features", params={"corpus": "clips"}, nodes={"mel": "a", "out": "b"}, fingerprint="ab")
RECORDS = RecordCounts(read=5, completed=5, filtered=0, skipped=0, dropped=0, dead_lettered=0, cancelled=0)


def spread(median: float, half: float = 1.0) -> Spread:
    return Spread(median, median - half, median + half)


def figures(total: Spread | None = None, peak: Spread | None = None, **nodes: Spread) -> Figures:
    return Figures(
        version=1,
        date="2026-01-01T00:00:00+00:00",
        setting=SETTING,
        work=WORK,
        runs=5,
        records=RECORDS,
        total_time_ms=total or spread(1000),
        process_peak_mb=peak or spread(80),
        nodes=tuple(NodeFigures(id=name, type="some.type", execution_time_ms=one) for name, one in nodes.items()),
    )


def judged(now: Figures, before: Figures, tolerance: float = 0.1) -> dict[str, str]:
    return {row.name: row.judgement for row in compare(now, before, tolerance)}


def test_equal_figures_are_the_same() -> None:
    """Nothing is slower than itself, even when nothing is tolerated."""
    one = figures(mel=spread(500), out=spread(300))
    assert set(judged(one, one, 0.0).values()) == {"same"}


@pytest.mark.parametrize(("median", "judgement"), [(109.0, "same"), (111.0, "slower"), (91.0, "same"), (90.0, "faster")])
def test_a_difference_beyond_the_tolerance_counts(median: float, judgement: str) -> None:
    """10 % is a tenth of the median that is the smaller, in either direction."""
    assert judged(figures(spread(median)), figures(spread(100.0)))["total time"] == judgement


def test_a_difference_within_the_spread_is_noise() -> None:
    """A median far above the baseline's is the same while the middle halves of the runs overlap."""
    before = figures(Spread(100, 90, 130))
    assert judged(figures(Spread(140, 129, 150)), before)["total time"] == "same"
    assert judged(figures(Spread(140, 131, 150)), before)["total time"] == "slower"


def test_a_node_that_hardly_counts_is_no_regression() -> None:
    """A node twice as slow is told only where that costs more than a hundredth of the total time."""
    before = figures(small=spread(9, 0.1), large=spread(11, 0.1))
    found = judged(figures(small=spread(18, 0.1), large=spread(22, 0.1)), before)
    assert (found["small"], found["large"]) == ("same", "slower")


def test_memory_is_judged_too() -> None:
    """A peak of a fifth more is told, although no time has changed."""
    found = compare(figures(peak=spread(96)), figures(), 0.1)
    assert {row.name: row.change for row in found if row.judgement == "slower"} == {"peak memory": pytest.approx(0.2)}


def test_nodes_that_only_one_has_are_told_apart() -> None:
    """A new node and one that is gone are rows without a judgement on their time."""
    found = {row.name: row for row in compare(figures(mel=spread(1), new=spread(2)), figures(mel=spread(1), old=spread(3)), 0.1)}
    assert (found["new"].judgement, found["old"].judgement) == ("new", "gone")
    assert found["new"].before is None and found["old"].now is None and found["new"].change is None


def test_the_same_work_on_the_same_machine_is_comparable() -> None:
    """Another version of phonograph, or a corrected Python, is what one wants to compare."""
    versions = {"phonograph": "2.0", "python": "3.11.9", "numpy": "2.4.0"}
    assert list(differences(msgspec.structs.replace(SETTING, versions=versions), WORK, figures())) == []
    assert list(other_records(figures(), figures())) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"processor": "Other"}, "processor: Other, in the baseline Imagined 9000"),
        ({"cores": 2}, "cores: 2, in the baseline 4"),
        ({"isa": "portable"}, "kernels: portable, in the baseline avx2"),
        ({"versions": {"python": "3.13.0", "numpy": "2.4.0"}}, "Python: 3.13, in the baseline 3.11"),
        ({"versions": {"python": "3.11.2", "numpy": "2.5.0"}}, "NumPy: 2.5.0, in the baseline 2.4.0"),
    ],
)
def test_another_machine_is_named(change: dict[str, Any], words: str) -> None:
    """What differs is said with both values."""
    assert list(differences(msgspec.structs.replace(SETTING, **change), WORK, figures())) == [words]


def test_other_work_is_named() -> None:
    """Parameters that differ, nodes that do something else, that are new, that are gone; the name of another manifest."""
    work = Work(name="other", params={"corpus": "clips", "rate": "8000"}, nodes={"mel": "c", "new": "d"}, fingerprint="cd")
    assert list(differences(SETTING, work, figures())) == [
        "manifest: other, in the baseline features",
        "parameter rate: 8000, in the baseline none",
        "nodes that do something else: mel",
        "nodes that are new: new",
        "nodes that are gone: out",
    ]


def test_a_parameter_that_changes_no_node_is_no_difference() -> None:
    """The folder that a manifest writes to, for one."""
    assert (
        list(differences(SETTING, msgspec.structs.replace(WORK, params={"corpus": "clips", "out": "elsewhere"}), figures())) == []
    )


def test_other_records_are_named() -> None:
    """Times of six records are not held against those of five."""
    records = msgspec.structs.replace(RECORDS, read=6, dead_lettered=1)
    assert list(other_records(msgspec.structs.replace(figures(), records=records), figures())) == [
        "records read: 6, in the baseline 5",
        "records dead lettered: 1, in the baseline 0",
    ]
