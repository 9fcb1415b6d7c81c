"""The gate's decisions, on given figures: what passes, what fails, what cannot be compared, what may be stored."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from places import NEEDS_SOURCE_TREE, TESTS, source_tree

if source_tree() is None:
    pytest.skip(NEEDS_SOURCE_TREE, allow_module_level=True)
sys.path.append(str(TESTS.parent))  # `benchmarks` is no part of what is installed

from benchmarks import record
from benchmarks.gate import __main__ as gate
from benchmarks.gate import floors
from benchmarks.gate.floors import Accepted, Floors, FloorsError, Measured
from benchmarks.gate.subjects import ANY, SUBJECTS
from benchmarks.gate.verdict import FIRST, MOST, in_doubt, judge

from phonograph.benching.setting import processor
from phonograph.isa import AVAILABLE

ALONE = 1.155
BASIS = {"work": "0123", "compiler": "12"}
KEY = ("avx2", "energy VAD")


def measured(*ratios: float, sittings: int = 0, basis: Mapping[str, str] = BASIS) -> Measured:
    return Measured(ratios, sittings or len(ratios), basis)


def accepted(ratio: float, reason: str = "") -> Accepted:
    return Accepted(ratio=ratio, basis=dict(BASIS), reason=reason)


def test_unchanged_code_passes_after_the_first_sittings() -> None:
    """A median of at least 0.95 of the accepted ratio leaves no doubt, whatever the worst sitting was."""
    found = measured(1.90, 1.2, 2.1)
    assert not in_doubt(found, accepted(2.0))
    assert judge(KEY, found, accepted(2.0), "cpu").status == "passed"


def test_a_low_ratio_is_looked_at_again_and_not_judged() -> None:
    """Between one look and the verdict all sittings count, so that neither one bad nor one good one decides."""
    low = [1.7, 1.7, 1.7]
    assert in_doubt(measured(*low), accepted(2.0))
    assert not in_doubt(measured(*low, 1.95, 1.95, 1.95, 1.95), accepted(2.0))
    assert in_doubt(measured(*low, 1.7, 1.7, 1.95), accepted(2.0))


def test_doubt_ends_with_the_last_sitting() -> None:
    """After the last sitting the median is held against the floor, from either side of it."""
    just_above, just_below = measured(*[1.81] * MOST), measured(*[1.79] * MOST)
    assert not in_doubt(just_above, accepted(2.0)) and not in_doubt(just_below, accepted(2.0))
    assert judge(KEY, just_above, accepted(2.0), "cpu").status == "passed"
    assert judge(KEY, just_below, accepted(2.0), "cpu").status == "regressed"


def test_a_regression_is_told_with_figures_and_remedy() -> None:
    """Ratio, floor, by how much, how much longer it takes, how to look closer, and how to accept it."""
    why = judge(KEY, measured(*[2 / 1.15] * MOST), accepted(2.0), "cpu").why
    assert "ratio 1.739 is 3.4% below the floor of 1.8, which is 0.9 of the accepted 2: it takes 15% longer" in why
    assert "--only 'energy VAD' --isa avx2" in why
    assert "--accept --only 'energy VAD' --isa avx2 --reason TEXT" in why


def test_an_unknown_processor_neither_passes_nor_fails() -> None:
    """Without an accepted ratio the verdict names the processor and the remedy; a few sittings are enough for it."""
    found = measured(1.0, 1.0, 1.0)
    assert not in_doubt(found, None)
    verdict = judge(KEY, found, None, "Imagined 9000")
    assert verdict.status == "not comparable"
    assert "no accepted ratio for this processor, Imagined 9000; `python -m benchmarks.gate --accept` stores one" in verdict.why


def test_another_compiler_is_another_ratio() -> None:
    """A ratio to a reference that was made otherwise is not held against the stored one, however low; the difference is told."""
    found = measured(0.1, 0.1, 0.1, basis={"work": "0123", "compiler": "14"})
    assert not in_doubt(found, accepted(2.0))
    verdict = judge(KEY, found, accepted(2.0), "cpu")
    assert verdict.status == "not comparable"
    assert "accepted with compiler 12 instead of 14" in verdict.why


def test_disturbed_sittings_count_for_nothing() -> None:
    """With too few undisturbed sittings more are asked for, and at last it says that it could not measure."""
    assert in_doubt(measured(0.1, sittings=FIRST), accepted(2.0))
    assert in_doubt(Measured([], FIRST, {}), accepted(2.0))
    verdict = judge(KEY, measured(0.1, sittings=MOST), accepted(2.0), "cpu")
    assert verdict.status == "not measured"
    assert "in 12 sittings there were 1 in which other programs left it the core" in verdict.why


def test_a_ratio_that_rose_is_stored_without_a_reason() -> None:
    """What is faster may raise its floor; the old reason goes with the old ratio."""
    (change,) = floors.accept({KEY: accepted(2.0, "old")}, {KEY: measured(2.5)}).values()
    assert (change.kind, change.now) == ("raised", accepted(2.5))


@pytest.mark.parametrize("ratio", [1.95, 2.05])
def test_a_ratio_that_is_nearly_the_same_stays(ratio: float) -> None:
    """Within 3 % the accepted ratio stays, so that floors neither creep up by luck nor sink a little at a time."""
    (change,) = floors.accept({KEY: accepted(2.0, "why")}, {KEY: measured(ratio)}).values()
    assert (change.kind, change.now) == ("kept", accepted(2.0, "why"))


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_floor_does_not_sink_without_a_reason(reason: str) -> None:
    """It is refused with the subject, both ratios and the option; one that rises beside it is not stored either."""
    before = {KEY: accepted(2.0), ("avx2", "other"): accepted(1.0)}
    with pytest.raises(FloorsError, match=r"energy VAD \(avx2\): lowered, from 2 to 1\.5\nnothing is stored.* --reason TEXT"):
        floors.accept(before, {KEY: measured(1.5), ("avx2", "other"): measured(2.0)}, reason=reason)


def test_a_reason_is_stored_beside_the_floor_that_sank() -> None:
    """With a reason the lower ratio is stored, and the reason with it and with no other."""
    before = {KEY: accepted(2.0), ("avx2", "other"): accepted(1.0)}
    changes = floors.accept(before, {KEY: measured(1.5), ("avx2", "other"): measured(2.0)}, reason="NaN is counted now")
    assert changes[KEY].now == accepted(1.5, "NaN is counted now")
    assert changes["avx2", "other"].now == accepted(2.0)


def test_replacing_and_removing_need_a_reason_too() -> None:
    """Neither a changed reference nor a subject that is gone is a way round a floor."""
    with pytest.raises(FloorsError, match="replaced, from 2 to 3"):
        floors.accept({KEY: accepted(2.0)}, {KEY: measured(3.0, basis={"work": "new"})})
    with pytest.raises(FloorsError, match="accepted at 2, and no longer measured"):
        floors.accept({KEY: accepted(2.0)}, {}, gone=[KEY])
    assert floors.accept({KEY: accepted(2.0)}, {}, gone=[KEY], reason="merged with another")[KEY].now is None


def test_stored_floors_come_back(tmp_path: Path) -> None:
    """What is written is read again, other processors' ratios included; a missing file holds none."""
    path = tmp_path / "floors.json"
    assert floors.read(path) == Floors(processors={})
    first = Floors(processors={}).with_those_of("a", {KEY: accepted(2.0, "why"), (ANY, "x"): accepted(0.5)}, 1.155)
    both = first.with_those_of("b", {KEY: accepted(3.0)}, None)
    floors.write(path, both)
    assert floors.read(path) == both
    assert both.of("a") == first.of("a") and both.of("c") == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "truncated"),
        ('{"processors": {"a": {"avx2": {"x": {"ratio": -1, "basis": {}}}}}}', r">= 0|> 0"),
        ('{"processors": {"a": {"avx2": {"x": {"ratio": 1}}}}}', "missing required field `basis`"),
        ('{"floors": 1}', "unknown field `floors`|missing required"),
    ],
)
def test_a_broken_floors_file_is_told(tmp_path: Path, text: str, found: str) -> None:
    """The error has the file, what is wrong in it, what was expected and what to do."""
    path = tmp_path / "floors.json"
    path.write_text(text)
    with pytest.raises(FloorsError, match=rf"floors\.json: .*({found}).*; expected .*`--accept`.*; restore the file"):
        floors.read(path)


def test_the_committed_floors_can_be_read() -> None:
    """benchmarks/floors.json is whole, and every floor in it is that of a subject."""
    stored = floors.read(floors.FLOORS)
    names = {one.name for one in SUBJECTS}
    assert {name for kind in stored.processors for _, name in stored.of(kind)} <= names


def test_subjects_have_different_names() -> None:
    """A name stands for one subject, because its floor is stored under it."""
    names = [one.name for one in SUBJECTS]
    assert len(names) == len(set(names))


@pytest.fixture
def asked() -> list[list[str]]:
    """With which arguments sittings were started."""
    return []


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, asked: list[list[str]]) -> dict[tuple[str, str], float | None]:
    """The gate with sittings that give these ratios, by instruction set and subject; 1 for what is not in it."""
    ratios: dict[tuple[str, str], float | None] = {}

    def in_process(arguments: Sequence[str], *, isa: str | None, more: Mapping[str, str]) -> Any:
        names = [name for name in arguments if name in {one.name for one in SUBJECTS}]
        keys = {name: (ANY if not _has_kernels(name) else str(isa), name) for name in names}
        asked.append(list(arguments))
        subjects = {name: {"ratio": ratios.get(key, 1.0), "basis": BASIS} for name, key in keys.items()}
        return {"subjects": subjects, "alone": ALONE, "waited_s": 50.0}

    monkeypatch.setattr(record, "in_process", in_process)
    monkeypatch.setattr(gate, "compiled", lambda isa, folder: folder / "none.so")
    return ratios


def _has_kernels(name: str) -> bool:
    (subject,) = [one for one in SUBJECTS if one.name == name]
    return subject.has_kernels


def run(path: Path, *arguments: str) -> int:
    return gate.main(["--floors", str(path), *arguments])


@pytest.mark.usefixtures("given")
def test_the_gate_passes_what_it_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every subject with every instruction set is stored, is in the table, and passes, even strictly."""
    path = tmp_path / "floors.json"
    assert run(path, "--accept") == 0
    assert run(path, "--strict") == 0
    printed = capsys.readouterr().out
    num_rows = sum(len(AVAILABLE) if one.has_kernels else 1 for one in SUBJECTS)
    assert f"\n{num_rows} passed" in printed
    assert {key[0] for key in floors.read(path).of(processor())} == {*AVAILABLE, ANY}


def test_the_gate_fails_on_what_is_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[tuple[str, str], float | None]
) -> None:
    """One kernel below its floor makes the exit status 1, and is named; without a reason it cannot be accepted either."""
    path = tmp_path / "floors.json"
    run(path, "--accept")
    given[AVAILABLE[-1], "log-mel kaldi"] = 0.87
    assert run(path) == 1
    assert f"REGRESSED: log-mel kaldi ({AVAILABLE[-1]}): ratio 0.87 is 3.3% below the floor of 0.9" in capsys.readouterr().out
    before = path.read_bytes()
    assert run(path, "--accept") == 2
    assert "lowered, from 1 to 0.87" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert run(path, "--accept", "--only", "kaldi", "--reason", "dither is on by default") == 0
    assert "dither is on by default" in path.read_text()
    assert run(path, "--strict") == 0


def test_what_could_not_be_compared_fails_strict_runs_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[tuple[str, str], float | None]
) -> None:
    """A processor without ratios, and a subject that was disturbed, are named; the exit status is 0, with --strict 1."""
    path = tmp_path / "floors.json"
    assert run(path) == 0
    assert f"NOT COMPARABLE: log-mel squeezeformer ({AVAILABLE[0]}), " in capsys.readouterr().out
    assert run(path, "--strict") == 1
    run(path, "--accept")
    given[ANY, "scheduler, 5 nodes"] = None
    assert run(path) == 0
    assert "NOT MEASURED: scheduler, 5 nodes (any): in 12 sittings there were 0" in capsys.readouterr().out
    assert run(path, "--strict") == 1


@pytest.mark.usefixtures("given")
def test_a_subject_that_is_gone_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subject cannot be dropped to get past its floor; a run of some subjects does not ask for the others."""
    path = tmp_path / "floors.json"
    run(path, "--accept")
    monkeypatch.setattr(gate, "SUBJECTS", tuple(one for one in SUBJECTS if one.name != "energy VAD"))
    assert run(path) == 1
    assert "MISSING: energy VAD" in capsys.readouterr().out
    assert run(path, "--only", "kaldi") == 0
    assert run(path, "--accept", "--reason", "measured in its stream instead") == 0
    assert run(path, "--strict") == 0


@pytest.mark.usefixtures("given")
def test_a_name_that_fits_no_subject_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names that there are come with the error, and the status is 2; so it is for a floors file that cannot be read."""
    assert run(tmp_path / "floors.json", "--only", "vadd") == 2
    assert "no subject is called like vadd; expected a part of one of\n  log-mel" in capsys.readouterr().err
    (tmp_path / "floors.json").write_text(json.dumps({"processors": 1}))
    assert run(tmp_path / "floors.json") == 2
    assert "Expected `object`, got `int` - at `$.processors`" in capsys.readouterr().err


def test_a_reason_without_accepting_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reason lowers nothing by itself."""
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path / "floors.json", "--reason", "because")
    assert "expected --accept beside it" in capsys.readouterr().err


@pytest.mark.usefixtures("given")
def test_a_run_waits_so_long_for_a_quiet_core_and_no_longer(tmp_path: Path, asked: list[list[str]]) -> None:
    """What accepting learnt of a core alone is stored and handed to later sittings; what one waits, the next ones cannot."""
    path = tmp_path / "floors.json"
    run(path, "--accept", "--only", "decode")
    assert "--alone" not in asked[0] and floors.read(path).alone == {processor(): ALONE}
    asked.clear()
    run(path, "--only", "decode")
    assert [one[one.index("--alone") + 1] for one in asked] == [str(ALONE)] * FIRST
    assert [float(one[one.index("--patience") + 1]) for one in asked] == [180.0, 130.0, 80.0]
