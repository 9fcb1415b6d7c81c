"""run-pipeline nodes: the list of types, and the page of one type."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from extras import skip_without_extra_of
from phonograph.cli.nodes import command
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.reference.catalogue import entry
from pipeline_nodes import install

THIRD_PARTY = '''
from phonograph.audio import AudioChunk
from phonograph.node import node

NODES = {"third.louder": "third_nodes:louder"}


@node("third.louder")
def louder(audio: AudioChunk, *, gain_db: float = 1.5, label: str) -> AudioChunk:
    """Make audio louder."""
    return audio
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with a node that is a function and has no example; gives its file."""
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[phonograph.nodes]\nthird = third_nodes:NODES\n")
    (tmp_path / "third_nodes.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "third_nodes.py"
    sys.modules.pop("third_nodes", None)


def nodes(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def sections(text: str) -> dict[str, list[str]]:
    """Heading -> the lines below it, of the page of one type."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            heading = line
        elif line:
            found.setdefault(heading, []).append(line.strip())
    return found


def test_types_of_one_room_stand_together() -> None:
    """The list has a line a type, and an empty line between the rooms."""
    listed = nodes().output
    rooms = [{line.partition(".")[0] for line in block.splitlines()} for block in listed.split("\n\n")]
    assert all(len(room) == 1 for room in rooms)
    assert len({*map(frozenset, rooms)}) == len(rooms)


def test_the_page_of_a_type() -> None:
    """It has ports with types, attributes, parameters with type, limits, unit, default and words, behaviour, origin, example."""
    page = nodes("vad.energy").output
    assert page.startswith("vad.energy: transform, version 1\n\nFind the stretches of audio whose level reaches a threshold.\n")
    told = sections(page)
    assert told["inputs"][0].startswith("audio  audio[")
    assert [line.split()[0] for line in told["outputs"]] == ["audio", "segments", "frames"]
    assert "speech_ratio  float" in told["attributes that it sets"]
    assert told["parameters"][:2] == ["frame_ms         number, at least 1, at most 1000; in ms; default 30", "length of a frame"]
    assert told["behaviour"][0] == "items      one out for each that comes in (1:1)"
    assert told["behaviour"][-2].endswith("(causal)")
    assert told["behaviour"][-1].startswith("latency")
    by, target, file = told["declared"]
    assert by == f"by  phonograph {version('phonograph')} (entry point phonograph_nodes = phonograph_nodes.catalogue:NODES)"
    assert target == "as  phonograph_nodes.vad.node:EnergyVadNode"
    path, _, line = file.removeprefix("in  ").rpartition(":")
    assert "class EnergyVadNode" in "".join(
        Path(path).read_text("utf-8").splitlines(keepends=True)[int(line) - 1 : int(line) + 40]
    )


def test_what_a_required_parameter_and_a_choice_look_like() -> None:
    """`required` stands where there is no default; a choice names its values."""
    source = sections(nodes("source.files").output)["parameters"]
    assert source[0].startswith("paths ") and source[0].endswith("; required")
    assert any(
        "default high" in line and "fast, high, best" in line for line in sections(nodes("audio.resample").output)["parameters"]
    )


@pytest.mark.parametrize("type_", Registry.installed().types())
def test_every_type_has_a_page_and_an_example(type_: str) -> None:
    """Each installed type has a page that ends with the example that --example prints alone."""
    page, example = nodes(type_), nodes(type_, "--example")
    assert (page.exit_code, example.exit_code) == (0, 0)
    assert page.output.startswith(f"{type_}: ")
    assert example.output.startswith("version: 1\nname: example\n")
    assert page.output.endswith(f"saves it)\n\n{example.output}")


@pytest.mark.parametrize("type_", Registry.installed().types())
def test_the_example_of_a_type_runs_wherever_it_is_saved(type_: str, folder: Path) -> None:
    """What --example prints is a manifest that runs in an empty folder, on the installed clips."""
    skip_without_extra_of(type_)
    (folder / "example.yaml").write_text(nodes(type_, "--example").output, "utf-8")
    report = Executor(load_manifest("example.yaml"), run_dir=folder / "run").run()
    assert report.status in ("success", "completed_with_errors"), report.error
    assert report.records.read > 0


def test_words_are_wrapped_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal descriptions keep to its width."""
    monkeypatch.setenv("COLUMNS", "60")
    head = nodes("vad.energy").output.partition("\ninputs")[0]
    assert max(map(len, head.splitlines())) <= 60


def test_json_of_one_type_is_the_catalogue() -> None:
    """--format json gives what the contract `nodes.json` has, with where the type is declared."""
    spec = Registry.installed().get("vad.energy")
    assert spec is not None
    told = json.loads(nodes("vad.energy", "--format", "json").output)
    declared = told.pop("declared")
    assert told == {"type": "vad.energy", **json.loads(json.dumps(entry(spec)))}
    assert declared["object"] == "phonograph_nodes.vad.node:EnergyVadNode"
    assert declared["file"].rpartition(":")[0].endswith("vad/node.py")


def test_json_of_all_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TYPE it is all of them, with what is broken beside them."""
    install(tmp_path, monkeypatch, "broken", "raise OSError('libfoo.so is gone')\n")
    install(tmp_path, monkeypatch, "half", "NODES = {'half.bad': 'no_colon'}\n")
    told = json.loads(nodes("--format", "json").output)
    assert {"vad.energy", "sink.npy"} <= told["types"].keys()
    assert [one.get("type") or one.get("entry_point") for one in told["broken"]] == [
        "broken = broken_catalogue:NODES",
        "half.bad",
    ]
    assert "libfoo.so is gone" in told["broken"][0]["reason"]


def test_a_type_of_another_package(third_party: Path) -> None:
    """Its page names the package and the line of a function's code; without an example there is none."""
    page = nodes("third.louder")
    told = sections(page.output)
    assert told["declared"] == [
        "by  third-party 1.0 (entry point third = third_nodes:NODES)",
        "as  third_nodes:louder",
        f"in  {third_party}:8",
    ]
    assert told["parameters"] == ["gain_db  number; default 1.5", "label    text; required"]
    assert "example" not in page.output
    refused = nodes("third.louder", "--example")
    assert refused.exit_code == 2 and "the type 'third.louder' has none" in refused.stderr


def test_a_slip_in_the_type() -> None:
    """It is exit status 2, with the nearest types; part of a name is found too."""
    refused = nodes("vad.enrgy")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "no node type 'vad.enrgy'; expected one that `run-pipeline nodes` lists; did you mean 'vad.energy'" in refused.stderr
    assert "'features.log_mel'" in nodes("log_mel").stderr


def test_a_type_that_is_perhaps_in_a_broken_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point that cannot be read is named, since it may declare the type."""
    install(tmp_path, monkeypatch, "broken", "raise OSError('libfoo.so is gone')\n")
    assert "the entry point broken = broken_catalogue:NODES, which may declare it, cannot be loaded" in nodes("asr.large").stderr


def test_a_type_whose_code_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is exit status 1, with the reason in one line."""
    install(tmp_path, monkeypatch, "half", "NODES = {'half.bad': 'no_such_module_of_half:Bad'}\n")
    failed = CliRunner().invoke(command, ["half.bad"], standalone_mode=False)
    assert (failed.return_value, failed.stdout) == (1, "")
    assert failed.stderr.startswith("node type 'half.bad', no_such_module_of_half:Bad")
    assert len(failed.stderr.splitlines()) == 1


def test_an_example_of_no_type() -> None:
    """--example without TYPE is exit status 2."""
    refused = nodes("--example")
    assert refused.exit_code == 2 and "expected a TYPE" in refused.stderr


def test_a_manifest_that_is_not_there() -> None:
    """--manifest with a slip names the shipped manifests that come near."""
    refused = CliRunner().invoke(command, ["--manifest", "featurse"], standalone_mode=False)
    assert refused.return_value == 2 and "did you mean 'features'?" in refused.stderr


def test_types_are_completed_in_a_shell() -> None:
    """A shell completes the names of installed types."""
    found = ShellComplete(command, {}, "nodes", "_NODES_COMPLETE").get_completions([], "vad.")
    assert [one.value for one in found] == ["vad.energy", "vad.silero"]


PLUGIN = '''
from phonograph.audio import AudioChunk
from phonograph.node import node


@node("mine.quieter")
def quieter(audio: AudioChunk) -> AudioChunk:
    """Make audio quieter."""
    return audio
'''


def test_only_a_converter_that_is_inserted_says_so(folder: Path) -> None:
    """Each family has one; a type of somebody else's is not inserted, though it declares what it converts."""
    code = """
from phonograph.node import Node, Params, node

class OwnParams(Params, frozen=True):
    rate: int

@node("my.resample", inputs="audio", outputs={"audio": "audio[rate={rate}]"}, converts={"rate": "rate"})
class Resample(Node[OwnParams]):
    "Change the rate."
"""
    (folder / "own.py").write_text(code, encoding="utf-8")
    assert "where an edge needs it, to convert rate (sample_rate)" in nodes("audio.resample").output
    own = nodes("my.resample", "--plugin", "own.py")
    assert own.exit_code == 0
    assert "inserted" not in own.output


def test_types_of_a_plugin_file(folder: Path) -> None:
    """With --plugin, or --manifest of one that names the file, its types are listed and have pages with their place."""
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "m.yaml").write_text("version: 1\nname: m\nplugins: [mine.py]\nsteps: [{type: wrong.anyhow}]\n")
    for options in (("--plugin", "mine.py"), ("--manifest", "m.yaml")):
        assert "\nmine.quieter" in nodes(*options).output
        told = sections(nodes("mine.quieter", *options).output)
        assert told["declared"] == [f"as  {folder / 'mine.py'}:quieter", f"in  {folder / 'mine.py'}:6"]
    assert nodes("mine.quieter").exit_code == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "cannot be read: No such file"),
        ("import no_such_module_of_mine\n", "No module named 'no_such_module_of_mine'"),
        ("NOTHING = 1\n", "declares no node"),
        (PLUGIN.replace("mine.quieter", "vad.energy"), "'vad.energy' is declared twice"),
    ],
    ids=["no file", "import fails", "no node", "clash"],
)
def test_a_plugin_file_that_cannot_be_used(folder: Path, code: str | None, words: str) -> None:
    """It is exit status 2, with the reason."""
    if code is not None:
        (folder / "mine.py").write_text(code)
    refused = CliRunner().invoke(command, ["--plugin", "mine.py"], standalone_mode=False)
    assert (refused.return_value, refused.stdout) == (2, "")
    assert refused.stderr.startswith("mine.py:1:1: ") and words in refused.stderr


def test_help_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room beside the names of parameters, their help stands below them, in lines that one can read."""
    monkeypatch.setenv("COLUMNS", "40")
    lines = CliRunner().invoke(command, ["vad.energy"]).output.splitlines()
    assert "    linear RMS from which a frame is" in lines
