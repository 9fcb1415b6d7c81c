"""Sub-graphs: expanded into flat nodes, with inputs, outputs, parameters, policies of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import GraphError
from phonograph.graph.builder import load_graph
from phonograph.language.manifest import Manifest, load_manifest, read_manifest
from phonograph.traced import Traced
from pipeline_nodes import ClipsParams, NpyParams, registry

HEAD = """\
version: 1
name: demo
nodes:
  clips: {type: source.clips, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
"""
SPEECH = """\
params:
  threshold: {type: float, default: 0.02}
inputs:
  audio: {type: audio}
  marks: {type: segments}
nodes:
  vad: {type: vad.energy, input: inputs.audio, params: {threshold: "${params.threshold}"}}
  cut: {type: segment.cut, input: {audio: vad.audio, segments: vad.segments}}
  marked: {type: segment.cut, input: {audio: vad, segments: inputs.marks}}
outputs:
  speech: cut.audio
  marks: inputs.marks
  vad: vad
"""
STORE = "params: {path: {type: path, default: out}}\ninputs: {audio: {type: audio}}\n" + (
    'steps:\n  - {type: vad.energy}\n  - {type: sunk.audio, params: {path: "${params.path}"}}\n'
)


def write(folder: Path, nodes: str, **parts: str) -> Path:
    for name, text in {"main": HEAD + nodes, "speech": SPEECH, "store": STORE, **parts}.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def read(folder: Path, nodes: str, **parts: str) -> Manifest:
    return load_manifest(write(folder, nodes, **parts))


def inputs(manifest: Manifest, node_id: str) -> list[tuple[str | None, str, str | None]]:
    return [(one.port, one.source, one.source_port) for one in manifest.nodes[node_id].inputs]


def param(manifest: Manifest, node_id: str, name: str) -> Any:
    params: Any = manifest.nodes[node_id].params.value
    return params[name].value


def test_sub_graph_becomes_nodes_in_the_place_of_its_node(tmp_path: Path) -> None:
    """Its nodes bear the id of the including node before their own, and its references lead to nodes outside."""
    manifest = read(
        tmp_path,
        "  talk: {include: speech.yaml, input: {audio: audio, marks: other.segments}}\n"
        "  other: {type: vad.energy, input: audio}\n"
        "  a: {type: x.y, input: talk}\n"
        "  b: {type: x.y, input: {left: talk.speech, right: talk.vad}}\n"
        "  c: {type: x.y, input: talk.marks}\n",
    )
    assert list(manifest.nodes) == ["clips", "audio", "talk/vad", "talk/cut", "talk/marked", "other", "a", "b", "c"]
    assert inputs(manifest, "talk/vad") == [(None, "audio", None)]
    assert inputs(manifest, "talk/marked") == [("audio", "talk/vad", None), ("segments", "other", "segments")]
    assert inputs(manifest, "a") == [(None, "talk/cut", "audio")], "the first output stands for the whole"
    assert inputs(manifest, "b") == [("left", "talk/cut", "audio"), ("right", "talk/vad", None)]
    assert inputs(manifest, "c") == [(None, "other", "segments")], "an input that is an output leads past the sub-graph"


def test_plain_reference_feeds_the_first_input(tmp_path: Path) -> None:
    """As with nodes, `input: NODE` means the default port; so does the place in a line of steps."""
    manifest = read(tmp_path, "  kept: {include: store.yaml, input: audio}\n")
    assert inputs(manifest, "kept/energy") == [(None, "audio", None)]
    assert inputs(manifest, "kept/audio") == [(None, "kept/energy", None)]


def test_step_may_be_a_sub_graph(tmp_path: Path) -> None:
    """It is fed by the step before it, feeds the step after it, and has its file's name where it has no id."""
    text = "version: 1\nname: line\nsteps:\n  - {type: source.clips}\n  - {include: speech.yaml}\n  - {type: sunk.audio}\n"
    speech = SPEECH.replace("  marks: {type: segments}\n", "").replace("inputs.marks", "vad.segments")
    write(tmp_path, "", speech=speech)
    (tmp_path / "line.yaml").write_text(text)
    manifest = load_manifest(tmp_path / "line.yaml")
    assert list(manifest.nodes) == ["clips", "speech/vad", "speech/cut", "speech/marked", "audio"]
    assert inputs(manifest, "speech/vad") == [(None, "clips", None)]
    assert inputs(manifest, "audio") == [(None, "speech/cut", "audio")]


def test_parameter_of_a_sub_graph_has_its_own_type(tmp_path: Path) -> None:
    """The value comes from the including node, else from the default; each inclusion has values of its own."""
    manifest = read(
        tmp_path,
        "  one: {include: speech.yaml, input: {audio: audio, marks: audio}, params: {threshold: 1}}\n"
        "  two: {include: speech.yaml, input: {audio: audio, marks: audio}}\n",
    )
    assert param(manifest, "one/vad", "threshold") == 1.0
    assert isinstance(param(manifest, "one/vad", "threshold"), float)
    assert param(manifest, "two/vad", "threshold") == 0.02
    assert manifest.subgraphs["one"].params["threshold"].is_given
    assert manifest.subgraphs["two"].file == str(tmp_path / "speech.yaml")


def test_parameter_of_the_manifest_reaches_the_sub_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References are resolved where they are written, and what is from outside stays so, text of a number included."""
    monkeypatch.setenv("PHONOGRAPH_TEST_T", "0.5")
    path = write(
        tmp_path,
        '  talk: {include: speech.yaml, input: {audio: audio, marks: audio}, params: {threshold: "${env:PHONOGRAPH_TEST_T}"}}\n'
        '  kept: {include: store.yaml, input: audio, params: {path: "${params.out}"}}\n'
        "params: {out: {type: path, default: d}}\n",
    )
    manifest = load_manifest(path, params={"out": "given"})
    assert param(manifest, "talk/vad", "threshold") == 0.5
    found = param(manifest, "kept/audio", "path")
    assert isinstance(found, Traced) and found.is_outside
    assert manifest.nodes["kept/audio"].params.value["path"].came_from == "out"  # type: ignore[union-attr,call-overload,index]


def test_paths_of_a_sub_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default starts beside the sub-graph's file, a value beside the manifest that gives it, one from outside elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    path = write(
        tmp_path,
        "  one: {include: parts/store.yaml, input: audio}\n"
        "  two: {include: parts/store.yaml, input: audio, params: {path: two}}\n"
        '  three: {include: parts/store.yaml, input: audio, params: {path: "${params.out}"}}\n'
        "params: {out: {type: path, default: three}}\n",
        parts__store=STORE.replace('"${params.path}"}', '"${params.path}", index: "${params.path}/index"}'),
    )
    graph = load_graph(path, registry(), params={"out": "given/three"})
    found = {node_id: node.params.path for node_id, node in graph.nodes.items() if isinstance(node.params, NpyParams)}
    assert found == {
        "one/audio": str(tmp_path / "parts/out"),
        "two/audio": str(tmp_path / "two"),
        "three/audio": str(tmp_path / "given/three"),
    }


def test_policies_go_from_the_outside_in(tmp_path: Path) -> None:
    """The manifest's defaults, over them the sub-graph's, over them the including node's, over them the inner node's own."""
    manifest = read(
        tmp_path,
        "  a: {include: part.yaml, retry: {max_retries: 3}, workers: 3, auto_convert: false}\n"
        "defaults: {retry: {max_retries: 1, jitter: 1s, factor: 1, base_delay: 1s}, workers: 1, on_error: skip}\n",
        part="defaults: {retry: {max_retries: 2, jitter: 2s, factor: 2}}\nnodes:\n"
        "  n: {type: x.y, retry: {factor: 4}, workers: 4}\n  m: {type: x.y}\n",
    )
    n, m = manifest.nodes["a/n"], manifest.nodes["a/m"]
    assert n.retry == {"max_retries": 3, "jitter_s": 2, "factor": 4, "base_delay_s": 1}
    assert (n.workers, m.workers, n.on_error, n.auto_convert) == (4, 3, "skip", False)
    places = {key: Path(place.file).name for key, place in n.origins.items()}
    assert places["retry.max_retries"] == places["on_error"] == "main.yaml"
    assert places["retry.jitter"] == places["retry.factor"] == places["workers"] == "part.yaml"
    assert m.origins["workers"].line == n.origins["auto_convert"].line == 6


def test_sub_graphs_in_a_sub_graph(tmp_path: Path) -> None:
    """They nest, notes say by which ways a file came in, and paths are those of the file that includes."""
    manifest = read(
        tmp_path,
        "  outer: {include: parts/outer.yaml, input: audio}\n  end: {type: x.y, input: outer.inner}\n",
        parts__outer="inputs: {audio: {type: audio}}\nnodes:\n  inner: {include: deep/inner.yaml, input: inputs.audio}\n"
        "outputs: {inner: inner}\n",
        parts__deep__inner="inputs: {a: {type: audio}}\nnodes: {n: {type: x.y, input: inputs.a}}\noutputs: {n: n.port}\n",
    )
    assert list(manifest.nodes) == ["clips", "audio", "outer/inner/n", "end"]
    assert inputs(manifest, "outer/inner/n") == [(None, "audio", None)]
    assert inputs(manifest, "end") == [(None, "outer/inner/n", "port")]
    assert manifest.nodes["outer/inner/n"].position.note == (
        f"included at {tmp_path}/parts/outer.yaml:3:20, included at {tmp_path}/main.yaml:6:20"
    )
    assert list(manifest.subgraphs) == ["outer", "outer/inner"]


def test_dead_letters_of_a_sub_graph(tmp_path: Path) -> None:
    """`talk.dead_letter` is those of all its nodes; `*.dead_letter` inside it, too."""
    path = write(
        tmp_path,
        "  kept: {include: store.yaml, input: audio}\n  talk: {include: talk.yaml, input: audio}\n"
        "  dead: {type: sink.any, input: {item: kept.dead_letter}}\n",
        talk="inputs: {a: {type: audio}}\nnodes:\n  vad: {type: vad.energy, input: inputs.a}\n"
        '  end: {type: sink.any, input: vad}\n  inside: {type: sink.any, input: {item: "*.dead_letter"}}\n',
    )
    manifest = load_manifest(path)
    assert inputs(manifest, "dead") == [("item", "kept/*", "dead_letter")]
    assert inputs(manifest, "talk/inside") == [("item", "talk/*", "dead_letter")]
    (tmp_path / "clips").mkdir()
    graph = load_graph(path, registry())
    assert {link.source for link in graph.nodes["dead"].inputs} == {"kept/energy", "kept/audio"}
    assert {link.source for link in graph.nodes["talk/inside"].inputs} == {"talk/vad", "talk/end"}


def test_sub_graph_that_is_a_source(tmp_path: Path) -> None:
    """It needs no inputs, and its fragments, plug-ins and files are those of the manifest."""
    (tmp_path / "own.py").write_text('"""None."""\n')
    path = write(
        tmp_path,
        "  more: {include: parts/source.yaml}\n  both: {type: flow.merge, input: {a: clips, b: more}}\n",
        parts__source="include: clips.yaml\nplugins: [own.py]\noutputs: {record: deep}\nparams: {}\n",
        parts__clips="nodes: {deep: {type: source.clips, params: {paths: clips}}}\n",
    )
    manifest = load_manifest(path)
    assert inputs(manifest, "both") == [("a", "clips", None), ("b", "more/deep", None)]
    assert [path for path, _ in manifest.plugins] == [str(tmp_path / "parts" / "own.py")]
    assert [path.name for path in manifest.files] == ["main.yaml", "source.yaml", "clips.yaml"]


def test_sub_graph_runs_as_a_graph(tmp_path: Path) -> None:
    """The nodes of a sub-graph are bound, typed and ordered like any others."""
    (tmp_path / "clips").mkdir()
    graph = load_graph(write(tmp_path, "  kept: {include: store.yaml, input: audio}\n"), registry())
    assert list(graph.nodes) == ["clips", "audio", "kept/energy", "kept/audio"]
    assert isinstance(graph.nodes["clips"].params, ClipsParams)
    assert [link.target for link in graph.nodes["audio"].outputs] == ["kept/energy"]


def test_inputs_and_outputs_of_the_manifest_itself(tmp_path: Path) -> None:
    """They are read with their positions, through sub-graphs as well."""
    manifest = read(
        tmp_path,
        "  kept: {include: part.yaml, input: {a: inputs.sound, b: audio}}\n"
        'inputs: {sound: {type: "audio[rate=16000]"}}\noutputs: {made: kept.n, whole: kept}\n',
        part="inputs: {a: {type: audio}, b: {type: audio}}\nnodes: {n: {type: x.y, input: inputs.a}}\n"
        "outputs: {b: inputs.b, n: n.out}\n",
    )
    assert manifest.inputs["sound"].type == "audio[rate=16000]"
    assert str(manifest.inputs["sound"].position).endswith("main.yaml:7:24")
    assert inputs(manifest, "kept/n") == [(None, "inputs", "sound")]
    assert {name: (one.source, one.source_port) for name, one in manifest.outputs.items()} == {
        "made": ("kept/n", "out"),
        "whole": ("audio", None),
    }


def test_queue_before_a_sub_graph(tmp_path: Path) -> None:
    """The bounds that an inner node gives hold, else those of the including node."""
    manifest = read(
        tmp_path,
        "  kept: {include: part.yaml, input: {a: {from: audio, queue: {items: 3}}}}\n",
        part="inputs: {a: {type: audio}}\nnodes:\n  n: {type: x.y, input: inputs.a}\n"
        "  m: {type: x.y, input: {p: {from: inputs.a, queue: {items: 5}}}}\n",
    )
    queues = {node_id: manifest.nodes[node_id].inputs[0].queue for node_id in ("kept/n", "kept/m")}
    assert {node_id: queue.items for node_id, queue in queues.items() if queue is not None} == {"kept/n": 3, "kept/m": 5}


def test_faults_of_a_sub_graph_that_is_included_twice(tmp_path: Path) -> None:
    """Both inclusions tell of the fault, each with its note, and no node that reads them adds another."""
    path = write(
        tmp_path,
        "  one: {include: part.yaml}\n  two: {include: part.yaml}\n  end: {type: x.y, input: one.o}\n",
        part="nodes: {n: {type: x.y, input: m}}\noutputs: {o: m}\n",
    )
    found = [str(one).replace(f"{tmp_path}/", "") for one in sorted(read_manifest(path).complaints, key=str)]
    assert [line.partition(";")[0] for line in found] == [
        "part.yaml:1:31: unknown_reference no node 'm' (included at main.yaml:6:18)",
        "part.yaml:1:31: unknown_reference no node 'm' (included at main.yaml:7:18)",
        "part.yaml:2:14: unknown_reference no node 'm' (included at main.yaml:6:18)",
        "part.yaml:2:14: unknown_reference no node 'm' (included at main.yaml:7:18)",
    ]


BOUNDARY = """\
inputs: {audio: {type: "%s"}}
nodes:
  vad: {type: vad.energy, input: inputs.audio}
  any: {type: flow.merge, input: {one: inputs.audio}}
outputs: {audio: vad.audio, any: any.out}
"""
AT_8000 = "  low: {type: audio.resample, input: audio, params: {sample_rate: 8000}}\n"


def edges(folder: Path, type_text: str, source: str = "low") -> list[tuple[str, str, str]]:
    (folder / "clips").mkdir(exist_ok=True)
    ends = "  end: {type: sink.any, input: part}\n  more: {type: sink.any, input: part.any}\n"
    path = write(folder, AT_8000 + f"  part: {{include: part.yaml, input: {source}}}\n" + ends, part=BOUNDARY % type_text)
    graph = load_graph(path, registry())
    return [
        (edge.source, edge.target, str(edge.given))
        for edge in graph.edges
        if edge.source.partition("~")[0] not in ("clips", "audio")
    ]


def test_type_of_an_input_of_a_sub_graph_holds_for_what_comes_in(tmp_path: Path) -> None:
    """What differs is converted on its way in, once for all nodes that read it, whatever these would have taken."""
    assert edges(tmp_path, "audio[rate=16000]") == [
        ("low", "low~resample", "audio[rate=8000, channels=dynamic]"),
        ("low~resample", "part/vad", "audio[rate=16000, channels=dynamic]"),
        ("low~resample", "part/any", "audio[rate=16000, channels=dynamic]"),
        ("part/vad", "end", "audio[rate=16000, channels=dynamic]"),
        ("part/any", "more", "audio[rate=16000, channels=dynamic]"),
    ]


@pytest.mark.parametrize("type_text", ["audio[rate=8000]", "audio", "any", "audio[rate=r]", "audio[rate=8000|16000]"])
def test_type_of_an_input_that_is_met(tmp_path: Path, type_text: str) -> None:
    """Nothing is inserted where what comes in is of that type already."""
    assert ("low", "part/vad", "audio[rate=8000, channels=dynamic]") in edges(tmp_path, type_text)


@pytest.mark.parametrize(
    ("type_text", "taken"), [("features", "features"), ("audio[rate=16000..48000]", "audio[rate=16000..48000]")]
)
def test_type_of_an_input_that_cannot_be_met(tmp_path: Path, type_text: str, taken: str) -> None:
    """The complaint names the node inside that reads it, and the type that the sub-graph declares."""
    with pytest.raises(GraphError) as caught:
        edges(tmp_path, type_text)
    assert {one.code for one in caught.value.complaints} == {"port_type"}
    assert all(taken in str(one) and "low" in one.found for one in caught.value.complaints)
