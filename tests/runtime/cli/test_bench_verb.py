"""`run-pipeline bench`: figures of real runs, held against baselines whose times are made up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from command_line import Ended, run_pipeline
from phonograph.benching.document import Figures
from phonograph.errors import OutputError
from phonograph.reference.contracts import _schema
from phonograph.shipped import shipped_root

COMMAND = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]
ONCE = ("--runs", "1", "--warmup", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder below it for everything temporary."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*arguments: str) -> Ended:
    return run_pipeline("bench", "features", *ONCE, *arguments)


def saved(name: str = "baseline.json") -> Any:
    return json.loads(Path(name).read_text("utf-8"))


def rewritten(change: Callable[[Any], None]) -> str:
    """A baseline of a real run, changed; its name."""
    assert bench("--save", "baseline.json").status == 0
    content = saved()
    change(content)
    Path("baseline.json").write_text(json.dumps(content), encoding="utf-8")
    return "baseline.json"


def times(factor: float) -> Callable[[Any], None]:
    """Changes every time and the memory by a factor."""

    def change(content: Any) -> None:
        spreads = [content[name] for name in ("total_time_ms", "processor_time_ms", "process_peak_mb")]
        for name in ("execution_time_ms", "processor_time_ms"):
            spreads += [node[name] for node in content["nodes"]]
        for spread in spreads:
            spread.update({name: value * factor for name, value in spread.items()})

    return change


def test_figures_of_each_node_are_told(folder: Path) -> None:
    """A table with times and memory of the process, and two times of each node; status 0."""
    ended = run_pipeline("bench", "features", "--runs", "3", "--warmup", "1")
    assert (ended.status, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "features: 3 runs of 5 records: 5 read = 5 completed"
    nodes = ["clips", "audio", "mono", "vad", "mel", "matrices", "segments"]
    assert [line.split()[0] for line in lines[4 : lines.index("", 4)]] == (
        ["total", "processor", "peak", "processor", *nodes, "busy", *nodes]
    )


def test_records_that_fail_are_told(folder: Path) -> None:
    """A figure of two clips of which one is set aside says so."""
    samples = Path(str(shipped_root("manifests"))) / "samples"
    (folder / "clips").mkdir()
    (folder / "clips" / "broken.wav").write_bytes(b"no audio")
    shutil.copy(next(samples.glob("*.wav")), folder / "clips")
    assert ": 2 read = 1 completed, 1 dead-lettered\n" in bench("--param", "corpus=clips").stdout


def test_short_runs_are_told_with_what_to_do() -> None:
    """Five clips take milliseconds."""
    assert "note: a run takes " in bench().stdout
    assert "take a larger corpus" in json.loads(bench("--format", "json").stdout)["notes"][0]


def test_nothing_is_left_but_what_is_saved(folder: Path) -> None:
    """Outputs and run directories are gone afterwards, and the manifest's own output folder is not touched."""
    assert bench("--save", "figures.json", "--param", "out=results").status == 0
    assert sorted(path.name for path in folder.iterdir()) == ["figures.json", "temporary"]
    assert list((folder / "temporary").iterdir()) == []


def test_saved_figures_fit_their_contract() -> None:
    """What --save writes says where, with what and of what it was measured, as the published schema has it."""
    bench("--save", "figures.json")
    content = saved("figures.json")
    Draft202012Validator(_schema(Figures)).validate(content)
    assert set(content["setting"]) == {"processor", "cores", "isa", "versions"}
    assert set(content["setting"]["versions"]) == {"phonograph", "python", "numpy"}
    assert content["work"]["params"]["frontend"] == "squeezeformer"
    assert content["amounts"]["records"]["completed"] == 5
    assert content["amounts"]["bytes_read"] == sum(
        path.stat().st_size for path in (Path(str(shipped_root("manifests"))) / "samples").glob("*.wav")
    )
    assert content["amounts"]["nodes"]["mel"]["items_in"] == 5
    assert all(node["execution_time_ms"]["median"] > 0 and node["processor_time_ms"]["median"] > 0 for node in content["nodes"])


def test_a_baseline_that_was_far_faster_fails() -> None:
    """Against times of a thousandth everything is slower: status 1, the rows are marked, a line below says by how much."""
    ended = bench("--baseline", rewritten(times(0.001)))
    assert ended.status == 1
    rows = [line for line in ended.stdout.splitlines() if line.endswith(("SLOWER", "MORE"))]
    assert {"peak", "audio", "mel"} <= {row.split()[0] for row in rows}
    assert "audio takes " in ended.stdout and "; tolerance 10 %" in ended.stdout
    assert "what is marked `longer` is no evidence by itself: on the wall" in ended.stdout


def test_waiting_is_judged_when_asked_to() -> None:
    """A baseline whose time on the wall alone was a thousandth: status 0, and 1 with --judge-waiting."""

    def change(content: Any) -> None:
        for spread in (content["total_time_ms"], *(node["execution_time_ms"] for node in content["nodes"])):
            spread.update({name: value * 0.001 for name, value in spread.items()})

    baseline = rewritten(change)
    wide = ("--baseline", baseline, "--tolerance", "400%")  # what the processor takes may be otherwise in runs this short
    assert bench(*wide).status == 0
    ended = bench(*wide, "--judge-waiting")
    assert ended.status == 1 and "total time takes " in ended.stdout and "busy time of audio takes " in ended.stdout


def test_a_baseline_that_was_far_slower_passes() -> None:
    """Against times of a thousandfold everything is faster: status 0."""
    ended = bench("--baseline", rewritten(times(1000.0)))
    assert ended.status == 0
    assert "faster" in ended.stdout
    assert "\nnothing is slower by more than 10 % and more than the spread of the runs\n" in ended.stdout


def test_a_wide_tolerance_lets_pass_what_a_narrow_one_does_not() -> None:
    """The tolerance is what decides between the two."""
    baseline = rewritten(times(0.001))
    assert bench("--baseline", baseline, "--tolerance", "25%").status == 1
    assert bench("--baseline", baseline, "--tolerance", "9999999%").status == 0


def test_json_holds_figures_and_comparison() -> None:
    """Programs get the figures, and with a baseline each quantity with its judgement; the status is the same."""
    alone = json.loads(bench("--format", "json").stdout)
    assert alone["comparison"] is None and alone["figures"]["runs"] == 1
    ended = bench("--format", "json", "--baseline", rewritten(times(0.001)), "--tolerance", "12.5 %")
    found = json.loads(ended.stdout)["comparison"]
    assert (ended.status, found["tolerance"]) == (1, 0.125)
    quantities = {one["name"]: one for one in found["quantities"]}
    assert quantities["audio"]["judgement"] == "slower" and quantities["audio"]["change"] > 100
    assert quantities["total time"]["judgement"] == quantities["processor time"]["judgement"] == "longer"
    assert "audio" in found["slower"] and "total time" not in found["slower"]


def test_another_machine_is_refused_before_anything_runs(folder: Path) -> None:
    """All that differs is named; status 2, nothing ran, nothing is saved."""

    def change(content: Any) -> None:
        content["setting"].update(processor="Imagined 9000", cores=1024)

    ended = bench("--baseline", rewritten(change), "--save", "new.json")
    assert (ended.status, ended.stdout) == (2, "")
    assert "baseline.json: is not comparable; expected a baseline of the same work on the same machine" in ended.stderr
    assert "in the baseline Imagined 9000" in ended.stderr and "in the baseline 1024" in ended.stderr
    assert "--compare-anyway" in ended.stderr
    assert not (folder / "new.json").exists()


def test_another_parameter_is_other_work() -> None:
    """A value that changes what a node does is refused, with the parameter and the node; when told, it is compared."""
    baseline = rewritten(times(1000.0))
    ended = bench("--baseline", baseline, "--param", "frontend=kaldi")
    assert ended.status == 2
    assert "parameter frontend: kaldi, in the baseline squeezeformer\n  nodes that do something else: mel" in ended.stderr
    ended = bench("--baseline", baseline, "--param", "frontend=kaldi", "--compare-anyway")
    assert ended.status == 0
    assert (
        "compared all the same, although these differ:\n  parameter frontend: kaldi, in the baseline squeezeformer"
        in ended.stdout
    )
    ended = bench("--baseline", baseline, "--set", "nodes.mel.workers=1")
    assert ended.status == 2
    assert bench("--baseline", baseline, "--param", "out=elsewhere").status == 0


def other_records(content: Any) -> None:
    content["amounts"]["records"]["read"] = 4


def other_audio(content: Any) -> None:
    content["amounts"]["bytes_read"] += 1


@pytest.mark.parametrize(
    ("change", "words"), [(other_records, "records read: 5, in the baseline 4"), (other_audio, "bytes read: ")]
)
def test_another_corpus_under_the_same_name_is_refused(folder: Path, change: Callable[[Any], None], words: str) -> None:
    """It is noticed when the first run has read it, and nothing is stored; when told, it is compared, with what differs."""
    baseline = rewritten(change)
    ended = run_pipeline("bench", "features", "--runs", "3", "--baseline", baseline, "--save", "new.json")
    assert (ended.status, ended.stdout) == (2, "")
    assert (
        "is not comparable; expected a baseline of the same work on the same machine; store one here with --save" in ended.stderr
    )
    assert words in ended.stderr
    assert not (folder / "new.json").exists()
    ended = bench("--baseline", baseline, "--compare-anyway", "--format", "json")
    assert [one.startswith(words) for one in json.loads(ended.stdout)["comparison"]["differences"]] == [True]


def test_one_run_has_no_spread() -> None:
    """With a baseline that is told, and what follows from it."""
    ended = bench("--baseline", rewritten(times(1000.0)))
    assert "note: of these runs there is 1, which has no spread: the tolerance alone decides" in ended.stdout


def test_a_median_of_nothing_is_damage() -> None:
    """No run takes no time."""
    ended = bench("--baseline", rewritten(times(0.0)))
    assert ended.status == 2
    assert "baseline.json: is damaged: the median of total_time_ms is 0; expected figures as they were measured" in ended.stderr


def test_figures_are_saved_through_a_symlink(folder: Path) -> None:
    """The link stays, and what it leads to holds them; the folders on the way are made."""
    (folder / "figures.json").symlink_to("deep/figures-of-today.json")
    assert bench("--save", "figures.json").status == 0
    assert (folder / "figures.json").is_symlink()
    assert saved("deep/figures-of-today.json") == saved("figures.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--baseline", "none.json"), "none.json: cannot be read: No such file or directory; expected a baseline"),
        (("--tolerance", "10"), "--tolerance 10: expected a number of per cent, 0 or more, such as 10%; write 10%"),
        (("--tolerance", "-5%"), "--tolerance -5%: expected a number of per cent"),
        (("--tolerance", "much"), "--tolerance much: expected a number of per cent"),
        (("--runs", "0"), "0 is not in the range x>=1"),
        (("--warmup", "-1"), "-1 is not in the range x>=0"),
        (("--set", "nodes.mell.workers=1"), "mell"),
        (("--tolerance", "5%"), "--tolerance without --baseline; expected a baseline to compare with; add --baseline FILE"),
        (("--compare-anyway",), "--compare-anyway without --baseline"),
        (("--judge-waiting",), "--judge-waiting without --baseline"),
        (("--baseline", "x.json", "--save", "./x.json"), "the baseline itself; expected another file, or no --baseline"),
    ],
)
def test_a_wrong_command_line_runs_nothing(arguments: tuple[str, ...], words: str, folder: Path) -> None:
    """Status 2, with what was found and what was expected."""
    ended = bench(*arguments)
    assert (ended.status, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert [path.name for path in folder.iterdir()] == ["temporary"]


def test_a_baseline_that_is_none_is_refused(folder: Path) -> None:
    """A file with something else is told with the place in it."""
    (folder / "odd.json").write_text('{"version": 2, "date": 5}')
    ended = bench("--baseline", "odd.json")
    assert ended.status == 2
    assert "odd.json: is no baseline: Expected `str`, got `int` - at `$.date`" in ended.stderr


def test_figures_that_cannot_be_stored_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up during the runs: the table is printed all the same, the status is 1."""

    def write(path: Path, figures: Figures) -> None:
        raise OutputError(f"{path}: cannot be written: No space left on device; free some")

    monkeypatch.setattr("phonograph.benching.document.write", write)
    ended = bench("--save", "figures.json")
    assert ended.status == 1
    assert "\ntotal time " in ended.stdout
    assert ended.stderr == (
        "error: --save figures.json: cannot be written: No space left on device; free some; the figures above are not stored\n"
    )


def test_a_run_that_fails_is_not_measured(folder: Path) -> None:
    """Status 1, with which run it was and why; its temporary folder is gone all the same."""
    (folder / "clips").mkdir()
    (folder / "clips" / "broken.wav").write_bytes(b"no audio")
    ended = bench("--param", "corpus=clips", "--save", "figures.json")
    assert (ended.status, ended.stdout) == (1, "")
    assert "error: run 1 of 1: failed: " in ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["clips", "temporary"]
    assert list((folder / "temporary").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_measurement_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """It stops at once with status 130; no figures are stored, and what was temporary is gone."""
    process = subprocess.Popen(
        [*COMMAND, "bench", "features", "--runs", "100000", "--save", "figures.json"],
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((folder / "temporary").glob("*/run/plan.json")) and process.poll() is None:
        pass  # a run directory shows that a run is under way
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "interrupted: nothing is stored" in stderr
    assert [path.name for path in folder.iterdir()] == ["temporary"]
    assert list((folder / "temporary").iterdir()) == []


def test_a_wrong_manifest_is_complained_about(folder: Path) -> None:
    """As every verb does it: on standard error, with the place, status 2."""
    (folder / "wrong.yaml").write_text("version: 1\nname: wrong\nnodes:\n  clips: {type: source.filez}\n")
    ended = run_pipeline("bench", "wrong.yaml")
    assert (ended.status, ended.stdout) == (2, "")
    assert "wrong.yaml:4:17: unknown_type" in ended.stderr


def test_help_tells_the_rule() -> None:
    """What counts as slower, and every exit status, is in --help."""
    told = " ".join(run_pipeline("bench", "--help").stdout.split())
    assert "the lower quartile of its processor time is above the baseline's upper one by more than the tolerance" in told
    assert "Exit status: 0 measured, nothing is slower; 1 something is" in told
