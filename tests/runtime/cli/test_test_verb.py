"""run-pipeline test: runs the cases of manifests, tells what came of them, and what is wrong before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from case_runs import registry
from phonograph.cases import read_cases
from phonograph.cases.section import CASE_KEYS, EXPECTED_KEYS, OUTCOME_KEYS
from phonograph.cases.sound import SOURCES
from phonograph.cli.check import command as check_command
from phonograph.cli.test import command
from phonograph.graph.builder import load_graph

MANIFEST = """\
version: 1
name: tested
params: {threshold: {type: float, default: 0.02}}
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio, params: {threshold: "${params.threshold}"}}
  out: {type: sink.jsonl, input: vad.segments, params: {path: out/x.jsonl}}
tests:
  - name: silence has none
    node: vad
    input: {audio: {silence: 1s}}
    expect: [{segments: []}]
  - name: a tone has one
    node: vad
    input: {audio: {tone: 440Hz, level: -26dBFS}}
    expect: [{segments: {count: 1}}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with one manifest."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tested.yaml").write_text(MANIFEST)
    return tmp_path


def run(*arguments: str) -> tuple[int, Result]:
    """The exit status, and what was written."""
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    status = result.return_value
    assert isinstance(status, int)
    return status, result


def test_cases_that_pass_are_a_line_each(folder: Path) -> None:
    """Name and place of each, how many there were, status 0; the corpus need not be there, and nothing is written."""
    status, result = run("tested.yaml")
    assert result.stdout.splitlines() == [
        "ok      silence has none  (tested.yaml:10:5)",
        "ok      a tone has one  (tested.yaml:14:5)",
        "2 passed, 0 failed",
    ]
    assert (status, result.stderr) == (0, "")
    assert [path.name for path in folder.iterdir()] == ["tested.yaml"]


def test_a_case_that_fails_shows_the_difference() -> None:
    """Below its line: the place, what was expected, what came; status 1."""
    status, result = run("tested.yaml", "--param", "threshold=0.5")
    assert result.stdout.splitlines() == [
        "ok      silence has none  (tested.yaml:10:5)",
        "FAILED  a tone has one  (tested.yaml:14:5)",
        "        [0].segments.count: expected 1; got 0",
        "1 passed, 1 failed",
    ]
    assert status == 1


def test_values_are_set_as_for_a_run() -> None:
    """`--set` changes what the nodes under test get."""
    status, _ = run("tested.yaml", "--set", "nodes.vad.params.threshold=0.5")
    assert status == 1


@pytest.mark.parametrize(("only", "names"), [("a tone*", ["a tone has one"]), ("silence has none", ["silence has none"])])
def test_only_some_cases_run(only: str, names: list[str]) -> None:
    """`--only` takes a name, or a glob."""
    status, result = run("tested.yaml", "--only", only, "--format", "json")
    assert status == 0
    assert [case["name"] for case in json.loads(result.stdout)["cases"]] == names


def test_a_name_that_fits_no_case_is_a_mistake() -> None:
    """Nothing runs, the names that there are are told, the nearest among them; status 2."""
    status, result = run("tested.yaml", "--only", "a tone has on")
    assert (status, result.stdout) == (2, "")
    assert result.stderr == (
        "tested.yaml:1:1: unknown_reference no case is called 'a tone has on', which --only names; expected one of "
        "'silence has none', 'a tone has one'; did you mean 'a tone has one' or 'silence has none'?\n"
    )


def test_a_manifest_without_cases_says_so(folder: Path) -> None:
    """Passing without having run anything would be a lie; status 2."""
    (folder / "bare.yaml").write_text(MANIFEST.partition("tests:")[0])
    status, result = run("bare.yaml", "tested.yaml")
    assert (status, result.stdout) == (2, "")
    assert (
        result.stderr
        == "bare.yaml:1:1: missing_key the manifest has no test cases; expected a section 'tests' with at least one case\n"
    )


def test_everything_wrong_is_told_before_anything_runs(folder: Path) -> None:
    """Complaints about a manifest's language, another's graph and the cases of a third come together; status 2."""
    (folder / "language.yaml").write_text(MANIFEST.replace("version: 1", "version: 2"))
    (folder / "graph.yaml").write_text(MANIFEST.replace("audio.decode", "audio.decod"))
    (folder / "cases.yaml").write_text(MANIFEST.replace("tone: 440Hz", "ton: 440Hz").replace("segments: []", "segment: []"))
    status, result = run("tested.yaml", "language.yaml", "graph.yaml", "cases.yaml")
    assert (status, result.stdout) == (2, "")
    found = [line.split(" ")[:2] for line in result.stderr.splitlines()]
    assert found == [
        ["language.yaml:1:10:", "unsupported_version"],
        ["graph.yaml:6:17:", "unknown_type"],
        ["cases.yaml:13:15:", "unknown_key"],
        ["cases.yaml:16:21:", "unknown_key"],
    ]
    status, result = run("cases.yaml", "--format", "json")
    document = json.loads(result.stdout)
    assert (status, [one["line"] for one in document["complaints"]], document["cases"]) == (2, [13, 16], [])


def test_verdicts_are_there_for_programs() -> None:
    """JSON has each case with its place and its differences, and the counts."""
    status, result = run("tested.yaml", "--param", "threshold=0.5", "--format", "json")
    document = json.loads(result.stdout)
    assert (status, document["passed"], document["failed"]) == (1, 1, 1)
    assert document["cases"][1] == {
        "name": "a tone has one",
        "file": "tested.yaml",
        "line": 14,
        "column": 5,
        "passed": False,
        "differences": [{"place": "[0].segments.count", "expected": "1", "got": "0"}],
    }


def test_check_judges_the_cases_too(folder: Path) -> None:
    """What is wrong with a case is an error of `check`, beside what it says about the rest."""
    (folder / "tested.yaml").write_text(MANIFEST.replace("node: vad", "node: vat", 1).replace("nowhere", "."))
    result = CliRunner().invoke(check_command, ["tested.yaml"], standalone_mode=False)
    assert result.return_value == 2
    assert "tested.yaml:11:11: unknown_reference no node 'vat'" in result.stdout


def test_the_console_script_has_the_verb(folder: Path) -> None:
    """A process of its own ends with the status of the verb."""
    script = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]
    arguments = ["test", "tested.yaml", "--set", "nodes.vad.params.threshold=0.5"]
    result = subprocess.run([*script, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.endswith("1 passed, 1 failed\n")


WORDS = (
    *CASE_KEYS,
    *EXPECTED_KEYS,
    *OUTCOME_KEYS,
    *SOURCES,
    "audio",
    "segments",
    "vad",
    "out",
    "near",
    "shape",
    "inputs",
    "zeros",
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text("aé$#*([ \\", max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4), max_leaves=12
)
cases = st.fixed_dictionaries(
    {"name": st.just("x")},
    optional={
        "node": st.sampled_from(("vad", "audio", "out")),
        "from": st.sampled_from(("clips", "audio", "inputs")),
        "to": st.sampled_from(("vad", "audio", "out")),
        "input": values | st.fixed_dictionaries({"audio": values}),
        "expect": values | st.lists(st.fixed_dictionaries({}, optional={"audio": values, "segments": values}), max_size=2),
        "timeout": scalars,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(cases, max_size=3) | values)
def test_no_section_is_a_fault_of_the_reader(folder: Path, section: object) -> None:
    """Whatever stands in `tests`, it is read, or there are complaints; nothing is raised."""
    path = folder / "mutated.yaml"
    tests = json.dumps(section).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")
    path.write_text(MANIFEST.partition("tests:")[0] + f"tests: {tests}\n", encoding="utf-8")
    graph = load_graph(path, registry(), inputs_in_place=False)
    found, complaints = read_cases(graph.manifest, graph)
    assert found or complaints or section is None
