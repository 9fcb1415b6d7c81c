"""What has become slower, and what cannot be compared, on given figures."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from phonograph.benching.comparison import compare, differences, notes, other_amounts
from phonograph.benching.document import Amounts, Figures, NodeAmounts, NodeFigures, Setting, Spread, Work
from phonograph.metrics import RecordCounts

SETTING = Setting(
    processor="Imagined 9000", cores=4, isa="avx2", versions={"phonograph": "1.0", "python": "3.11.2", "numpy": "2.4.0"}
)
WORK = Work(name="features", params={"corpus": "clips"}, nodes={"mel": "a", "out": "b"}, fingerprint="ab")
RECORDS = RecordCounts(read=5, completed=5, filtered=0, skipped=0, dropped=0, dead_lettered=0, cancelled=0)


AMOUNTS = Amounts(records=RECORDS, bytes_read=4000, nodes={"mel": NodeAmounts(items_in=5, items_out=5, audio_seconds=12.5)})


def spread(median: float, half: float = 1.0) -> Spread:
    return Spread(median, median - half, median + half, median - 2 * half)


def figures(total: Spread | None = None, peak: Spread | None = None, wall: Spread | None = None, **nodes: Spread) -> Figures:
    """Figures whose `total` is processor time, as are those of `nodes`; on the wall the nodes take what they always take."""
    return Figures(
        version=2,
        date="2026-01-01T00:00:00+00:00",
        setting=SETTING,
        work=WORK,
        runs=5,
        amounts=AMOUNTS,
        total_time_ms=wall or spread(2000),
        processor_time_ms=total or spread(1000),
        process_peak_mb=peak or spread(80),
        nodes=tuple(
            NodeFigures(
                id=name,
                type="some.type",
                kind="sink" if name == "out" else "transform",
                execution_time_ms=spread(900),
                processor_time_ms=one,
            )
            for name, one in nodes.items()
        ),
    )


def judged(now: Figures, before: Figures, tolerance: float = 0.1, *, judge_waiting: bool = False) -> dict[str, str]:
    return {row.name: row.judgement for row in compare(now, before, tolerance, judge_waiting=judge_waiting)}


def test_equal_figures_are_the_same() -> None:
    """Nothing is slower than itself, even when nothing is tolerated."""
    one = figures(mel=spread(500), out=spread(300))
    assert set(judged(one, one, 0.0).values()) == {"same"}


@pytest.mark.parametrize(("median", "judgement"), [(1090.0, "same"), (1110.0, "slower"), (915.0, "same"), (900.0, "faster")])
def test_a_difference_beyond_the_tolerance_counts(median: float, judgement: str) -> None:
    """10 % is a tenth of the median that is the smaller, in either direction."""
    assert judged(figures(spread(median)), figures(spread(1000.0)))["processor time"] == judgement


def test_a_difference_within_the_spread_is_noise() -> None:
    """A median far above the baseline's is the same while its lower quartile is not above the upper one and the tolerance."""
    before = figures(Spread(1000, 900, 1300, 800))
    assert judged(figures(Spread(1600, 1420, 1700, 1300)), before)["processor time"] == "same"
    assert judged(figures(Spread(1600, 1440, 1700, 1300)), before)["processor time"] == "slower"


def test_one_run_as_fast_as_the_baseline_shows_that_nothing_is_slower() -> None:
    """What disturbs a run makes it longer: while the fastest run is as fast as it was, the others were disturbed."""
    before = figures(Spread(1000, 990, 1010, 980))
    assert judged(figures(Spread(1400, 1310, 1500, 1070)), before)["processor time"] == "same"
    assert judged(figures(Spread(1400, 1310, 1500, 1090)), before)["processor time"] == "slower"


def test_time_on_the_wall_is_told_unless_it_is_to_be_judged() -> None:
    """Twice the time for the same work of the processor is told; only with `judge_waiting` it is slower."""
    before, now = figures(wall=spread(2000), mel=spread(500)), figures(wall=spread(4000), mel=spread(500))
    assert judged(now, before) == {
        "total time": "longer", "processor time": "same", "peak memory": "same", "mel": "same", "busy time of mel": "same"
    }  # fmt: skip
    assert judged(now, before, judge_waiting=True)["total time"] == "slower"


def test_a_sink_is_slower_only_where_the_whole_process_is() -> None:
    """What a sink takes of the processor is mostly the file system's, and differs with what else the disk has to do."""
    before = figures(out=spread(300))
    assert judged(figures(out=spread(500)), before)["out"] == "longer"
    assert judged(figures(spread(1300), out=spread(500)), before)["out"] == "slower"


def test_the_whole_of_a_short_run_is_not_judged() -> None:
    """In 150 ms making threads and files weighs too much; a node is judged all the same."""
    before = figures(spread(150), mel=spread(100))
    found = judged(figures(spread(200), mel=spread(150)), before)
    assert (found["processor time"], found["mel"]) == ("longer", "slower")


def test_a_node_whose_processor_time_is_not_known_is_shown_on_the_wall_alone() -> None:
    """A node that gathers has no clock of its own, so it has one row."""
    one = figures(mel=spread(500))
    node = msgspec.structs.replace(one.nodes[0], processor_time_ms=None)
    one = msgspec.structs.replace(one, nodes=(node,))
    assert [row.name for row in compare(one, one, 0.1) if row.node] == ["busy time of mel"]


def test_steady_long_runs_need_no_note() -> None:
    """Runs of two seconds that differ by a thousandth say what they seem to say."""
    assert list(notes(figures(), figures(), 0.1)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"total_time_ms": spread(40)}, "a run takes 40 ms, .* take a larger corpus"),
        ({"processor_time_ms": spread(1000, 60)}, r"these runs spreads over 12\.0% .* the tolerance is 10 %; take more runs"),
        ({"runs": 1}, "of these runs there is 1, which has no spread: the tolerance alone decides"),
    ],
)
def test_figures_that_say_little_get_a_note(change: dict[str, Any], words: str) -> None:
    """Short runs, a spread above the tolerance, a single run: what it means and what to do."""
    found = list(notes(msgspec.structs.replace(figures(), **change), figures(), 0.1))
    assert len(found) == 1 and re.search(words, found[0])


def test_a_baseline_of_one_run_gets_a_note_too() -> None:
    """Its figures are half of the comparison."""
    assert any("the baseline's runs" in note for note in notes(figures(), msgspec.structs.replace(figures(), runs=1), 0.1))


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
    found = {row.name: row for row in compare(figures(mel=spread(9), new=spread(9)), figures(mel=spread(9), old=spread(9)), 0.1)}
    assert (found["new"].judgement, found["old"].judgement) == ("new", "gone")
    assert found["new"].before is None and found["old"].now is None and found["new"].change is None


def test_the_same_work_on_the_same_machine_is_comparable() -> None:
    """Another version of phonograph, or a corrected Python, is what one wants to compare."""
    versions = {"phonograph": "2.0", "python": "3.11.9", "numpy": "2.4.0"}
    assert list(differences(msgspec.structs.replace(SETTING, versions=versions), WORK, figures())) == []
    assert list(other_amounts(AMOUNTS, AMOUNTS)) == []


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
    """Times of six records are not held against those of five; what follows from that is not told besides."""
    records = msgspec.structs.replace(RECORDS, read=6, dead_lettered=1)
    other = Amounts(records=records, bytes_read=4000, nodes={"mel": NodeAmounts(items_in=6, items_out=6, audio_seconds=15.0)})
    assert list(other_amounts(other, AMOUNTS)) == [
        "records read: 6, in the baseline 5",
        "records dead lettered: 1, in the baseline 0",
    ]


def test_as_many_records_of_other_audio_are_named() -> None:
    """Five clips that are longer are other work, although there are five of them."""
    assert list(other_amounts(msgspec.structs.replace(AMOUNTS, bytes_read=9000), AMOUNTS)) == [
        "bytes read: 9000, in the baseline 4000"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items_in": 4}, ["items into mel: 4, in the baseline 5"]),
        ({"items_out": 7}, ["items out of mel: 7, in the baseline 5"]),
        ({"audio_seconds": 12.6}, ["seconds of audio in mel: 12.6, in the baseline 12.5"]),
        ({"audio_seconds": 12.501}, []),
        ({"items_in": None, "items_out": None, "audio_seconds": None}, []),
    ],
)
def test_other_items_of_a_node_are_named(change: dict[str, Any], words: list[str]) -> None:
    """Where records and bytes agree, each node's items and audio are held against each other; what varies is not."""
    node = msgspec.structs.replace(AMOUNTS.nodes["mel"], **change)
    assert list(other_amounts(msgspec.structs.replace(AMOUNTS, nodes={"mel": node}), AMOUNTS)) == words
