"""Files that a manifest includes or names: what is opened, how often, how much of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from phonograph.errors import ManifestError
from phonograph.graph.builder import load_graph
from phonograph.graph.plugins import PluginError, load_plugin
from phonograph.language.include import MAX_TOTAL_BYTES
from phonograph.language.manifest import load_manifest, read_manifest
from phonograph.language.yaml12 import MAX_BYTES, load
from pipeline_nodes import registry

HEAD = "version: 1\nname: demo\n"
CLIPS = "clips: {type: source.clips, params: {paths: clips}}"
NO_FILE = "cannot be read: it is a pipe or a terminal, and no file"


def complaints(folder: Path, text: str) -> list[str]:
    path = folder / "main.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return [str(one).replace(f"{folder}/", "") for one in read_manifest(path).complaints]


def many(file: str, number: int) -> str:
    return "nodes:\n" + "".join(f"  n{one}: {{include: {file}}}\n" for one in range(number))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that are parsed, in their order."""
    parsed: list[str] = []

    def counted(content: bytes, file: str, note: str = "") -> object:
        parsed.append(Path(file).name)
        return load(content, file, note)

    monkeypatch.setattr("phonograph.language.include.load", counted)
    return parsed


def test_an_included_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody writes to the pipe, and nobody waits for that; each place that names it is told."""
    os.mkfifo(tmp_path / "pipe.yaml")
    lines = complaints(tmp_path, f"include: pipe.yaml\nnodes:\n  {CLIPS}\n  a: {{include: pipe.yaml}}\n")
    assert lines == [
        f"main.yaml:{place}: file_unreadable the included file 'pipe.yaml' {NO_FILE}; expected a YAML file"
        for place in ("3:10", "6:16")
    ]


def test_a_pipe_as_a_plugin_is_refused_at_once(tmp_path: Path) -> None:
    """A plug-in is a file too."""
    os.mkfifo(tmp_path / "nodes.py")
    with pytest.raises(PluginError, match="it is a pipe or a terminal, and no file"):
        load_plugin(str(tmp_path / "nodes.py"))


def test_a_named_pipe_as_the_manifest_is_refused_at_once(tmp_path: Path) -> None:
    """Only a pipe that is open already, as a shell makes it, can be the manifest."""
    os.mkfifo(tmp_path / "main.yaml")
    with pytest.raises(ManifestError, match="the manifest cannot be read: it is a pipe or a terminal, and no file"):
        load_manifest(tmp_path / "main.yaml")


def test_a_pipe_of_the_shell_as_the_manifest(tmp_path: Path) -> None:
    """What a shell makes of `<(...)` is read to its end."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as stream:
            stream.write(f"{HEAD}nodes: {{{CLIPS}}}\n".encode())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert list(load_manifest(f"/dev/fd/{reading}").nodes) == ["clips"]
    finally:
        writer.join()
        os.close(reading)


def test_a_broken_file_is_read_and_complained_of_once(tmp_path: Path, loads: list[str]) -> None:
    """However often it is named, also under another name; the nodes that name it get no complaint besides."""
    (tmp_path / "bad.yaml").write_text("nodes: [\n")
    (tmp_path / "link.yaml").symlink_to("bad.yaml")
    lines = complaints(tmp_path, many("bad.yaml", 20) + "  other: {include: link.yaml}\n  out: {type: sink.any, input: n7}\n")
    assert [line.split(" (")[0] for line in lines] == ["bad.yaml:2:1: yaml_syntax a punctuation mark where a value belongs"]
    assert loads == ["main.yaml", "bad.yaml"]


def test_a_good_file_is_read_once_and_placed_at_each_mention(tmp_path: Path, loads: list[str]) -> None:
    """Positions know by which of the mentions they came."""
    (tmp_path / "part.yaml").write_text("inputs: {x: {type: text}}\nnodes: {a: {type: text.lower, input: inputs.x}}\n")
    (tmp_path / "main.yaml").write_text(
        HEAD + f"nodes:\n  {CLIPS}\n  one: {{include: part.yaml, input: clips}}\n  two: {{include: part.yaml, input: clips}}\n"
    )
    nodes = load_manifest(tmp_path / "main.yaml").nodes
    assert loads == ["main.yaml", "part.yaml"]
    assert [nodes[name].position.note.replace(f"{tmp_path}/", "") for name in ("one/a", "two/a")] == [
        "included at main.yaml:5:18",
        "included at main.yaml:6:18",
    ]
    assert nodes["one/a"].params.position.note != nodes["two/a"].params.position.note


def test_all_files_together_are_no_larger_than_a_few(tmp_path: Path, loads: list[str]) -> None:
    """Large files that differ are read up to a cap, good or bad."""
    for number in range(8):
        (tmp_path / f"f{number}.yaml").write_bytes(b"a: [\n" + b"# padding\n" * (MAX_BYTES // 10 - 1))
    lines = complaints(tmp_path, "include: [" + ", ".join(f"f{n}.yaml" for n in range(8)) + f"]\nnodes: {{{CLIPS}}}\n")
    assert [line for line in lines if "too_large" in line] == [
        f"main.yaml:3:{11 + 9 * 3}: too_large too much text, with what is included; expected at most {MAX_TOTAL_BYTES} bytes"
    ]
    assert len(loads) == 4


def test_what_a_subgraph_says_of_itself_is_read(tmp_path: Path) -> None:
    """Name, description, limits and tests of a sub-graph do nothing where it is included, and slips in them are told."""
    (tmp_path / "part.yaml").write_text(
        "name: 7\ndescription: [x]\nlimits: {error_rat: 3}\ntests: 3\nnodes: {a: {type: source.clips, params: {paths: x}}}\n"
    )
    lines = complaints(tmp_path, "nodes: {p: {include: part.yaml}}\n")
    assert [line.replace(" (included at main.yaml:3:22)", "") for line in lines] == [
        "part.yaml:1:7: wrong_type 'name' is the number 7; expected text; put it in quotes",
        "part.yaml:2:14: wrong_type 'description' is a list; expected text; put it in quotes",
        "part.yaml:3:10: unknown_key unknown key 'error_rat' in 'limits'; expected one of error_rate, memory, watchdog; "
        "did you mean 'error_rate'?",
        "part.yaml:4:8: wrong_type 'tests' is the number 3; expected a list of cases",
    ]


def test_limits_of_a_subgraph_do_not_hold_for_the_manifest(tmp_path: Path) -> None:
    """They are for the sub-graph when it is run alone."""
    (tmp_path / "part.yaml").write_text("limits: {error_rate: 0.5}\nnodes: {a: {type: source.clips, params: {paths: x}}}\n")
    (tmp_path / "main.yaml").write_text(HEAD + "nodes: {p: {include: part.yaml}}\n")
    assert load_manifest(tmp_path / "main.yaml").limits.error_rate == 1.0


def test_name_and_description_of_a_fragment_are_read(tmp_path: Path) -> None:
    """A fragment may have both, as text."""
    (tmp_path / "part.yaml").write_text("name: Seven\ndescription: 7\n")
    lines = complaints(tmp_path, f"include: part.yaml\nnodes: {{{CLIPS}}}\n")
    assert [line.split(" (")[0] for line in lines] == [
        "part.yaml:1:7: bad_id 'name' is 'Seven'",
        "part.yaml:2:14: wrong_type 'description' is the number 7",
    ]


def test_a_thousand_references_to_nothing_take_few_words(tmp_path: Path) -> None:
    """Each complaint lists a few names, whatever the number of nodes."""
    nodes = "".join(f"  n{number}: {{include: part.yaml, input: m{number}.x}}\n" for number in range(300))
    (tmp_path / "part.yaml").write_text(
        "inputs: {x: {type: text}}\nnodes: {a: {type: text.lower, input: inputs.x}}\noutputs: {y: a}\n"
    )
    lines = complaints(tmp_path, "nodes:\n" + nodes)
    assert len(lines) == 300
    assert max(map(len, lines)) < 400


def test_graph_of_a_manifest_with_a_broken_file_twice(tmp_path: Path) -> None:
    """Nodes that read from what could not be read get no complaint."""
    (tmp_path / "bad.yaml").write_text("a: b: c\n")
    (tmp_path / "main.yaml").write_text(
        HEAD + f"nodes:\n  {CLIPS}\n  one: {{include: bad.yaml, input: clips}}\n  two: {{include: bad.yaml, input: one.x}}\n"
        "  out: {type: sink.any, input: two.y}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_graph(tmp_path / "main.yaml", registry())
    assert [complaint.code for complaint in caught.value.complaints] == ["yaml_syntax"]
