"""Nodes that stand in for others: the links of a graph with fallbacks, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.drawing.mermaid import as_mermaid
from phonograph.drawing.picture import Arrow, picture_of
from phonograph.engine.plan import make_plan
from phonograph.explaining import explain
from phonograph.graph.builder import load_graph
from phonograph.graph.model import Graph
from phonograph.journal.fingerprint import fingerprint
from pipeline_nodes import registry

TEXT = """\
version: 1
name: demo
nodes:
  clips: {type: source.clips, params: {paths: samples}}
  audio: {type: audio.decode, input: clips}
  low: {type: audio.resample, input: audio, params: {sample_rate: 8000}, breaker: {reset_timeout: 5s, fallback: spare}}
  spare: {type: audio.resample, params: {sample_rate: 8000}, breaker: {fallback: last}}
  last: {type: audio.resample, params: {sample_rate: 8000}}
  mel: {type: features.mel, input: low}
  whole: {type: sunk.audio, input: low, params: {path: out}}
  apart: {type: sunk.audio, input: spare, params: {path: apart, index: other.txt}}
  text: {type: asr.model, input: mel}
  written: {type: sink.text, input: text, params: {path: texts}}
"""


def load(folder: Path, text: str = TEXT) -> Graph:
    (folder / "samples").mkdir(exist_ok=True)
    path = folder / "demo.yaml"
    path.write_text(text)
    return load_graph(path, registry())


def links(graph: Graph) -> set[tuple[str, str]]:
    return {(link.source, link.target) for node in graph.nodes.values() for link in node.inputs}


def test_whoever_reads_a_node_reads_what_stands_in_for_it(tmp_path: Path) -> None:
    """Also over conversions, and in a chain; what reads the fallback reads nothing of the node."""
    graph = load(tmp_path)
    assert {target for source, target in links(graph) if source == "low"} == {"low~resample", "whole", "spare"}
    assert {target for source, target in links(graph) if source == "spare"} == {"low~resample", "whole", "apart", "last"}
    assert {target for source, target in links(graph) if source == "last"} == {"low~resample", "whole", "apart"}
    assert [link.target for link in graph.nodes["low"].fallback] == ["spare"]
    assert graph.nodes["spare"].inputs == graph.nodes["low"].fallback
    assert graph.nodes["low"].breaker.when_open == "fallback" and graph.nodes["low~resample"].breaker.when_open == "wait"


def test_a_node_with_a_fallback_stands_alone(tmp_path: Path) -> None:
    """It gets the very item that the fallback would get, and each of the two hands its results on from a lane of its own."""
    segments = [[node.id for node in segment.nodes] for segment in make_plan(load(tmp_path)).segments]
    assert ["low"] in segments and ["spare"] in segments and ["last"] in segments


def test_a_fallback_in_a_sub_graph_is_one_of_its_nodes(tmp_path: Path) -> None:
    """Its name is looked for where the breaker stands; who reads the sub-graph's output reads both."""
    part = "inputs: {sound: {type: audio}}\noutputs: {low: low}\nnodes:\n" + "".join(
        line.replace("input: audio", "input: inputs.sound") + "\n"
        for line in TEXT.splitlines()
        if line[2:5] in ("low", "spa", "las")
    )
    (tmp_path / "part.yaml").write_text(part)
    outside = "".join(
        line.replace("input: low", "input: part.low") + "\n"
        for line in TEXT.splitlines()
        if line[2:7] not in ("low: ", "spare", "last:", "apart")
    )
    graph = load(tmp_path, outside + "  part: {include: part.yaml, input: audio}\n")
    assert {target for source, target in links(graph) if source == "part/last"} == {"part/low~resample", "whole"}


def test_what_stands_in_is_shown(tmp_path: Path) -> None:
    """In pictures as an arrow of its own; in words at both nodes, with its place."""
    graph = load(tmp_path)
    arrows = picture_of(graph).arrows
    assert Arrow("low", "spare", ("fallback",), fallback=True) in arrows
    assert {arrow.target for arrow in arrows if arrow.source == "spare" and not arrow.fallback} >= {"whole", "apart"}
    assert '-.->|"fallback"| ' in as_mermaid(picture_of(graph))
    found = explain(make_plan(graph), run_directory=tmp_path / "run")
    by_id = {node.id: node for node in found.nodes}
    (breaker,) = (fact for fact in by_id["low"].policies if fact.name == "breaker")
    assert breaker.value == "reset_timeout 5s, fallback spare" and breaker.origin == "demo.yaml:6"
    assert by_id["spare"].inputs[0].fallback
    low, *others = by_id["whole"].inputs
    assert [edge.source for edge in others] == ["spare.audio", "last.audio"]
    assert {edge.type for edge in others} == {low.type} and low.type.startswith("audio")
    reasons = {segment.nodes: segment.reason for segment in found.segments}
    assert reasons["spare",] == "stands in for low"
    assert reasons["low~resample", "mel", "text"] == "reads low, spare, last, which stand in for it"


@pytest.mark.parametrize("changed", [TEXT.replace(", fallback: spare", ""), TEXT.replace("fallback: last", "fallback: last2")])
def test_who_stands_in_is_part_of_the_fingerprint(tmp_path: Path, changed: str) -> None:
    """Results may be of the one node or of the other, so a run does not go on where another one stood in."""
    changed = (
        changed.replace("  last:", "  last2:") if "last2" in changed else changed.replace("spare: {", "spare: {input: audio, ")
    )
    assert fingerprint(load(tmp_path)) != fingerprint(load(tmp_path, changed))
