"""Graphs out of manifests, and what is said about wrong ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonograph.breaker import BreakerPolicy
from phonograph.errors import CODES, GraphError, ManifestError, PhonographError
from phonograph.graph.builder import build_graph, load_graph
from phonograph.graph.model import Graph, Link, QueueBounds
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.retry import RetryPolicy
from phonograph.shipped import NamedManifest
from pipeline_nodes import AudioSink, Clips, ClipsParams, NpyParams, ResampleParams, install, registry
from places import TESTS

WRONG = sorted((TESTS / "manifests" / "wrong").glob("*.yaml"))

GOOD = """\
version: 1
name: demo
description: a pipeline
params:
  corpus: {type: path, default: samples}
  rate: {type: int, default: 16000, minimum: 8000}
defaults: {retry: {max_retries: 2, jitter: 0}, on_error: skip}
nodes:
  out: {type: sunk.audio, input: cut, params: {path: out/cut}, workers: 2}
  clips: {type: source.clips, params: {paths: "${params.corpus}"}}
  vad: {type: vad.energy, input: mono, breaker: {when_open: wait}}
  cut: {type: segment.cut, input: {audio: {from: vad, queue: {items: 4, bytes: 1MiB}}, segments: vad.segments}}
  mono: {type: audio.resample, input: audio, params: {sample_rate: "${params.rate}"}, breaker: {when_open: skip}}
  audio: {type: audio.decode, input: clips}
  whole: {type: sunk.audio, input: mono, params: {path: out/whole, index: whole.txt, also: {copy: copies}}}
limits: {error_rate: 0.5}
"""


def write(folder: Path, text: str = GOOD) -> Path:
    path = folder / "demo.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "samples").mkdir(exist_ok=True)
    return path


def npy(graph: Graph, node_id: str) -> NpyParams:
    params = graph.nodes[node_id].params
    assert isinstance(params, NpyParams)
    return params


def clips(graph: Graph) -> ClipsParams:
    params = graph.nodes["clips"].params
    assert isinstance(params, ClipsParams)
    return params


@pytest.mark.parametrize("path", WRONG, ids=[path.stem for path in WRONG])
def test_wrong_manifest_gets_these_complaints(path: Path) -> None:
    """Every complaint about the manifest, word for word, each with a code of the catalogue."""
    with pytest.raises((ManifestError, GraphError)) as caught:
        load_graph(path, registry())
    expected = path.with_suffix(".expected").read_text(encoding="utf-8")
    assert str(caught.value).replace(str(path), "FILE").replace(str(path.parent), "FOLDER") + "\n" == expected
    assert {complaint.code for complaint in caught.value.complaints} <= CODES.keys()


def test_every_code_of_a_complaint_is_complained_with(checkout: Path) -> None:
    """A wrong manifest gets it; or, where a manifest alone cannot, the runtime says it somewhere and a test names it."""
    errors, ahead = {"exception"}, [PhonographError]
    while ahead:
        errors.add(ahead[-1].code)
        ahead += ahead.pop().__subclasses__()
    expected = {line.split(" ")[1] for path in WRONG for line in path.with_suffix(".expected").read_text("utf-8").splitlines()}

    def texts(folder: Path) -> str:
        return "".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.name != "errors.py")

    said, tested = texts(checkout / "runtime"), texts(checkout / "tests")
    elsewhere = {code for code in CODES if f'"{code}"' in said and re.search(rf"\b{code}\b", tested)}
    assert CODES.keys() - errors - expected - elsewhere == set()


def test_nodes_stand_after_what_feeds_them(tmp_path: Path) -> None:
    """The order is topological, and that of the manifest where it is free to choose."""
    assert list(load_graph(write(tmp_path), registry()).nodes) == ["clips", "audio", "mono", "vad", "cut", "out", "whole"]


def test_edges_between_two_nodes_are_one_link(tmp_path: Path) -> None:
    """Both ports of `cut` travel in one link, which both ends share; default ports are named."""
    graph = load_graph(write(tmp_path), registry())
    link = Link(
        source="vad",
        target="cut",
        ports=(("audio", "audio"), ("segments", "segments")),
        queue=QueueBounds(items=4, num_bytes=2**20),
    )
    assert graph.nodes["cut"].inputs == (link,)
    assert graph.nodes["vad"].outputs == (link,)
    assert [one.target for one in graph.nodes["mono"].outputs] == ["vad", "whole"]
    assert graph.nodes["clips"].inputs == ()
    assert graph.nodes["audio"].inputs == (Link(source="clips", target="audio", ports=(("record", "record"),), queue=None),)


def test_node_has_typed_parameters_and_policies(tmp_path: Path) -> None:
    """Parameters have the node's own type; the retry policy knows what the node declares as transient."""
    graph = load_graph(write(tmp_path), registry(), params={"rate": "8000"})
    mono = graph.nodes["mono"]
    assert mono.params == ResampleParams(sample_rate=8000)
    assert mono.retry == RetryPolicy(max_retries=2, jitter_s=0, retryable=(KeyError,))
    assert mono.breaker == BreakerPolicy(when_open="skip")
    assert (mono.on_error, mono.workers, graph.nodes["out"].workers) == ("skip", None, 2)
    assert (graph.name, graph.limits.error_rate) == ("demo", 0.5)
    assert mono.spec.factory(mono.params, mono.id).node_id == "mono"


def test_relative_path_in_the_manifest_starts_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command runs, paths in the text belong to the manifest; those nested in a parameter too."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(tmp_path)
    graph = load_graph("../demo.yaml", registry())
    assert clips(graph).paths == str(tmp_path / "samples")
    assert npy(graph, "whole").also == {"copy": str(tmp_path / "copies")}
    assert npy(graph, "out").index == str(tmp_path / "index.txt"), "a default, too"


def test_relative_path_from_outside_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path given as a parameter belongs to the caller; an absolute one stays what it is."""
    path = write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert clips(load_graph(path, registry(), params={"corpus": "../other/*.wav"})).paths == str(tmp_path / "other" / "*.wav")
    assert clips(load_graph(path, registry(), params={"corpus": tmp_path / "samples"})).paths == str(tmp_path / "samples")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves `~` alone in `--param corpus=~/clips`, so it is expanded here."""
    (tmp_path / "home" / "clips").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert clips(load_graph(write(tmp_path), registry(), params={"corpus": "~/clips"})).paths == str(tmp_path / "home" / "clips")


def test_a_given_path_that_does_not_exist(tmp_path: Path) -> None:
    """A slip in a path is told at the parameter that it was given for, with the nearest name that is there."""
    (tmp_path / "corpora" / "german").mkdir(parents=True)
    given = str(tmp_path / "corpora" / "gernam")
    path = write(tmp_path)
    with pytest.raises(GraphError) as caught:
        load_graph(path, registry(), params={"corpus": given})
    assert str(caught.value) == (
        f"{path}:5:3: missing_file the value given for parameter 'corpus', for node 'clips', leads to {given!r}, which does not "
        f"exist; expected a file, a folder or a glob; did you mean {str(tmp_path / 'corpora' / 'german')!r}?"
    )


def test_a_missing_folder_on_the_way_to_a_path(tmp_path: Path) -> None:
    """The nearest name is looked for in the deepest folder that exists."""
    path = write(tmp_path)
    with pytest.raises(GraphError) as caught:
        load_graph(path, registry(), params={"corpus": str(tmp_path / "sampels" / "en" / "a.wav")})
    assert [complaint.candidates for complaint in caught.value.complaints] == [(str(tmp_path / "samples"),)]


def test_a_loaded_manifest_whose_clips_are_gone(tmp_path: Path) -> None:
    """Building from a manifest that was loaded earlier looks for its paths, too."""
    path = write(tmp_path)
    manifest = load_manifest(path)
    (tmp_path / "samples").rmdir()
    with pytest.raises(GraphError, match=r":5:33: missing_file the default of parameter 'corpus'"):
        build_graph(manifest, registry())


def test_a_glob_that_matches_nothing_yet(tmp_path: Path) -> None:
    """A path with glob characters is the source's to judge, alone and in a list; that nothing is there yet is a warning."""
    path = write(tmp_path, GOOD.replace('"${params.corpus}"', '["${params.corpus}", "none/*.wav"]'))
    graph = load_graph(path, registry(), params={"corpus": "no[ne]"})
    assert clips(graph).paths == [os.path.join(os.getcwd(), "no[ne]"), str(tmp_path / "none" / "*.wav")]
    assert [one.severity for one in graph.warnings if one.code == "missing_file"] == ["warning", "warning"]


def test_two_sinks_write_to_one_place_through_a_link(tmp_path: Path) -> None:
    """Two spellings of one path are one path."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    with pytest.raises(GraphError, match=r"demo\.yaml:15:57: shared_output parameter 'path' of node 'whole'.*node 'out'"):
        load_graph(write(tmp_path, GOOD.replace("path: out/whole", "path: link/cut")), registry())


def test_manifest_found_by_name_writes_into_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only outputs move there; inputs stay with the manifest."""
    path = NamedManifest(write(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    graph = load_graph(path, registry())
    assert npy(graph, "out").path == str(tmp_path / "elsewhere" / "out" / "cut")
    assert clips(graph).paths == str(tmp_path / "samples")


def test_both_ways_give_the_same_graph(tmp_path: Path) -> None:
    """Loading in one go and building from a loaded manifest agree."""
    path = write(tmp_path)
    one, other = load_graph(path, registry()), build_graph(load_manifest(path), registry())
    assert {node.id: (node.params, node.inputs) for node in one.nodes.values()} == {
        node.id: (node.params, node.inputs) for node in other.nodes.values()
    }


def test_building_a_wrong_graph_from_a_good_manifest(tmp_path: Path) -> None:
    """A manifest whose text is right and whose nodes do not fit is a GraphError."""
    manifest = load_manifest(write(tmp_path, GOOD.replace("input: mono,", "input: clips,")))
    with pytest.raises(GraphError, match=r"clips\.record gives record; expected audio"):
        build_graph(manifest, registry())


def test_type_whose_code_does_not_load(tmp_path: Path) -> None:
    """A missing dependency of a node is a complaint where the node is used."""
    types = registry()
    types.add({"x.y": "no_such_module_anywhere:Node"}, origin="x = x:NODES")
    with pytest.raises(GraphError, match=r"demo.yaml:9:15: type_unavailable node type 'x.y'.*No module named"):
        load_graph(write(tmp_path, GOOD.replace("sunk.audio", "x.y", 1)), types)


def test_unknown_type_while_a_package_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint names the entry point that could not be read, for the type may be there; other types work."""
    install(tmp_path, monkeypatch, "broken", "raise OSError('libfoo.so is gone')\n")
    types = Registry.installed()
    for declared in (Clips, AudioSink):
        types.register(declared)
    text = "version: 1\nname: a\nnodes:\n  c: {type: source.clips, params: {paths: samples}}\n  b: {type: broken.it, input: c}\n"
    with pytest.raises(GraphError) as caught:
        load_graph(write(tmp_path, text), types)
    assert [complaint.code for complaint in caught.value.complaints] == ["unknown_type"]
    assert str(caught.value).endswith(
        "; the entry point broken = broken_catalogue:NODES, which may declare it, cannot be loaded: OSError: libfoo.so is gone"
    )


def test_a_line_of_steps_is_a_graph(tmp_path: Path) -> None:
    """Steps feed each other's default ports."""
    for name in "ab":
        (tmp_path / name).mkdir()
    text = "version: 1\nname: line\nsteps:\n  - {type: source.clips, params: {paths: [a, b]}}\n  - {type: audio.decode}\n"
    graph = load_graph(write(tmp_path, text + "  - {type: sunk.audio, params: {path: out}}\n"), registry())
    assert list(graph.nodes) == ["clips", "decode", "audio"]
    assert clips(graph).paths == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert graph.nodes["audio"].spec is AudioSink.spec


LINES = GOOD.splitlines(keepends=True)
WORDS = [
    *sorted({word for line in LINES for word in line.replace(":", " ").replace(",", " ").split()}),
    *("null", "[]", "{}", "&a", "*a", "<<", "${params.", "${env:", "\t", "\0", ".nan", "-1", "1e999"),
]
CHANGE = st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(["", *WORDS]))  # where, characters out, word in


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_changed_manifest_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int, str]]) -> None:
    """Whatever is cut out of a good manifest or put into it, the result is a graph or complaints, never another exception."""
    text = GOOD
    for start, length, word in changes:
        text = text[:start] + word + text[start + length :]
    try:
        graph = load_graph(write(tmp_path, text), registry())
    except (ManifestError, GraphError) as error:
        assert error.complaints
    else:
        assert graph.nodes


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, len(LINES) - 1), words=st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), drop=st.booleans())
def test_manifest_with_another_word_is_read_or_refused(tmp_path: Path, line: int, words: tuple[str, str], drop: bool) -> None:
    """The same when a line is left out or one of its words becomes another: changes that stay YAML more often."""
    changed = [*LINES]
    changed[line] = "" if drop else changed[line].replace(*words)
    try:
        graph = load_graph(write(tmp_path, "".join(changed)), registry())
    except (ManifestError, GraphError) as error:
        assert error.complaints
    else:
        assert all(os.path.isabs(npy(graph, node.id).path) for node in graph.nodes.values() if node.spec is AudioSink.spec)
