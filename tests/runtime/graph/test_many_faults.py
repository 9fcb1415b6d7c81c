"""Manifests in which a thousand nodes are wrong: complaints stay as short as they are for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.errors import GraphError
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry, RegistryError
from pipeline_nodes import install, registry

MANY = 1000
HEAD = """\
version: 1
name: demo
nodes:
  clips: {type: source.clips, params: {paths: .}}
  audio: {type: audio.decode, input: clips}
"""


def complaints(folder: Path, line: str) -> list[str]:
    path = folder / "many.yaml"
    path.write_text(HEAD + "".join(f"  n{i}: {line.replace('NUMBER', str(i))}\n" for i in range(MANY)), encoding="utf-8")
    with pytest.raises(GraphError) as caught:
        load_graph(path, registry())
    return [complaint.words for complaint in caught.value.complaints]


@pytest.mark.parametrize(
    "line",
    [
        "{type: audio.decodNUMBER, input: audio}",
        "{type: sink.any, input: audioNUMBER}",
        "{type: sink.any, input: audio.portNUMBER}",
        "{type: sink.any, input: {portNUMBER: audio}}",
        "{type: sink.any, input: inputs.portNUMBER}",
        "{type: asr.model, input: audio}",
        "{type: vad.energy, input: audio, params: {treshold: 1}}",
        "{type: flow.filter, input: audio, params: {keep: attributes.codecNUMBER == 'mp3'}}",
    ],
    ids=["types", "nodes", "outputs", "inputs", "inputs of the manifest", "mismatches", "parameters", "attributes"],
)
def test_a_thousand_slips(tmp_path: Path, line: str) -> None:
    """Each is told, and none lists everything that it might have been."""
    said = complaints(tmp_path, line)
    assert len(said) >= MANY
    assert max(map(len, said)) < 300


def test_a_thousand_readers_of_all_dead_letters(tmp_path: Path) -> None:
    """Refused at once, because a thousand readers of a thousand nodes are a million edges."""
    said = complaints(tmp_path, "{type: sink.any, input: '*.dead_letter'}")
    assert said == [
        "more than 16 nodes read '*.dead_letter'; expected one of them, such as a flow.merge, with the others behind it"
    ]


def test_a_type_that_cannot_be_loaded_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many nodes are of it, the code of its package runs once; each is told the same."""
    install(tmp_path, monkeypatch, "failing", "NODES = {'failing.node': 'failing_nodes:node'}")
    (tmp_path / "failing_nodes.py").write_text("with open(f'{__file__}.log', 'a') as log:\n    log.write('x')\n1 / 0\n")
    types, said = Registry.installed(), set()
    for _ in range(3):
        with pytest.raises(RegistryError) as caught:
            types.get("failing.node")
        said.add(str(caught.value))
    assert len(said) == 1
    assert (tmp_path / "failing_nodes.py.log").read_text() == "x"
