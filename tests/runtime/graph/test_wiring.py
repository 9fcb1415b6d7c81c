"""Inputs of a manifest as links between nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.errors import GraphError
from phonograph.graph.model import Graph, Link
from pipeline_nodes import CLIPS, graph_of


def sources(graph: Graph, node_id: str) -> list[tuple[str, str, str, bool]]:
    """(source, its port, the node's port, whether dead letters) of each link into a node, which has one edge each."""
    found = []
    for link in graph.nodes[node_id].inputs:
        ((source_port, target_port),) = link.ports
        found.append((link.source, source_port, target_port, link.is_dead_letters))
    return found


def test_a_node_that_gathers_has_a_link_for_each_input(tmp_path: Path) -> None:
    """Also for two outputs of one node, because they need not come together; its ports are named by the manifest."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        pick: {type: flow.route, input: audio, params: {cases: [speech, quiet]}}
        all: {type: flow.merge, input: {one: pick.speech, two: pick.quiet, three: audio}}
        out: {type: sunk.audio, input: all, params: {path: out}}
        """,
    )
    assert sources(graph, "all") == [
        ("pick", "speech", "one", False),
        ("pick", "quiet", "two", False),
        ("audio", "audio", "three", False),
    ]
    assert [port.name for port in graph.nodes["all"].ports[0]] == ["one", "two", "three"]
    assert [link.target for link in graph.nodes["pick"].outputs] == ["all", "all"]
    assert graph.nodes["out"].inputs == (Link(source="all", target="out", ports=(("out", "audio"),), queue=None),)


def test_a_gathering_node_with_one_input_without_a_name(tmp_path: Path) -> None:
    """`input: NODE` is an input called `item`."""
    graph = graph_of(tmp_path, CLIPS + "all: {type: flow.merge, input: audio}\nout: {type: sink.any, input: all}")
    assert sources(graph, "all") == [("audio", "audio", "item", False)]


def test_dead_letters_of_one_node(tmp_path: Path) -> None:
    """They are a port that every node has, of family record, in links of their own."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        out: {type: sunk.audio, input: audio, params: {path: out}}
        bad: {type: sink.any, input: audio.dead_letter}
        """,
    )
    assert sources(graph, "bad") == [("audio", "dead_letter", "item", True)]
    assert [link.target for link in graph.nodes["audio"].outputs] == ["out"]
    assert [link.target for link in graph.nodes["audio"].dead_letters] == ["bad"]
    (edge,) = [edge for edge in graph.edges if edge.target == "bad"]
    assert (str(edge.given), str(edge.taken)) == ("record", "any")


def test_dead_letters_of_every_node(tmp_path: Path) -> None:
    """`*` leaves out the node that reads them and those behind it, and the order follows."""
    graph = graph_of(
        tmp_path,
        """
        bad: {type: flow.merge, input: {item: "*.dead_letter"}}
        kept: {type: sink.any, input: bad}
        clips: {type: source.clips, params: {paths: samples}}
        audio: {type: audio.decode, input: clips}
        out: {type: sunk.audio, input: audio, params: {path: out}}
        """,
    )
    assert [source for source, *_ in sources(graph, "bad")] == ["clips", "audio", "out"]
    assert list(graph.nodes) == ["clips", "audio", "out", "bad", "kept"]
    assert graph.nodes["kept"].dead_letters == ()


def test_two_nodes_read_every_dead_letter(tmp_path: Path) -> None:
    """One of them reads those of the other, and not both each other's."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        out: {type: sunk.audio, input: audio, params: {path: out}}
        one: {type: sink.any, input: "*.dead_letter"}
        other: {type: sink.any, input: {item: "*.dead_letter"}}
        """,
    )
    assert [source for source, *_ in sources(graph, "one")] == ["clips", "audio", "out", "other"]
    assert [source for source, *_ in sources(graph, "other")] == ["clips", "audio", "out"]


def test_a_dead_letter_beside_an_item(tmp_path: Path) -> None:
    """Only a node that gathers can read both; the complaint shows the merge to write."""
    with pytest.raises(GraphError) as caught:
        graph_of(
            tmp_path,
            CLIPS
            + """
            cut: {type: segment.cut, input: {audio: audio, segments: clips.dead_letter}}
            out: {type: sunk.audio, input: cut, params: {path: out}}
            """,
        )
    assert "or a merge of them, whose items come one by one: 'merged: {type: flow.merge, input: " in str(caught.value)


def test_a_graph_that_is_fed_from_outside(tmp_path: Path) -> None:
    """Its inputs have types, its outputs name edges; it needs neither source nor sink."""
    graph = graph_of(
        tmp_path,
        "mel: {type: features.mel, input: inputs.speech}\ntext: {type: asr.model, input: mel}",
        'inputs: {speech: {type: "audio[rate=16000, channels=1]"}}',
        "outputs: {text: text, mel: mel.features}",
    )
    assert {name: str(port_type) for name, port_type in graph.inputs.items()} == {"speech": "audio[rate=16000, channels=1]"}
    assert {name: (edge.source, edge.source_port, str(edge.given)) for name, edge in graph.outputs.items()} == {
        "text": ("text", "text", "text"),
        "mel": ("mel", "features", "features[bins=80]"),
    }
    assert sources(graph, "mel") == [("inputs", "speech", "audio", False)]
    assert (graph.edges[0].source, str(graph.edges[0].given)) == ("inputs", "audio[rate=16000, channels=1]")
    assert graph.warnings == ()


def test_an_input_from_outside_is_converted(tmp_path: Path) -> None:
    """What a program sends is typed like what a node gives."""
    graph = graph_of(
        tmp_path,
        "mel: {type: features.mel, input: inputs.speech}",
        "inputs: {speech: {type: audio}}",
        "outputs: {mel: mel}",
    )
    assert list(graph.nodes) == ["inputs~resample", "mel"]


def test_a_thousand_nodes_whose_dead_letters_are_read(tmp_path: Path) -> None:
    """Every one of them has its link."""
    nodes = "\n".join(f"out{number}: {{type: sink.any, input: audio}}" for number in range(1000))
    graph = graph_of(tmp_path, CLIPS + nodes + '\nbad: {type: sink.any, input: "*.dead_letter"}')
    assert len(graph.nodes["bad"].inputs) == 1002
    assert len(graph.nodes["audio"].outputs) == 1000


def test_ports_of_a_node_with_wrong_parameters(tmp_path: Path) -> None:
    """Names of ports that no parameter decides are checked all the same, on both sides of the node."""
    text = """
    mono: {type: audio.resample, input: {sound: audio}, params: {sample_rate: 16000, quality: bst}}
    vad: {type: vad.energy, input: mono.frames}
    out: {type: sink.any, input: vad}
    """
    with pytest.raises(GraphError) as caught:
        graph_of(tmp_path, CLIPS + text)
    assert sorted(one.found for one in caught.value.complaints) == [
        "input 'audio' of node 'mono' (audio.resample) is not connected",
        "node 'mono' has no input 'sound'",
        "node 'mono' has no output 'frames'",
        "parameter 'quality' is 'bst'",
    ]


def test_join_of_the_inputs_that_a_node_has(tmp_path: Path) -> None:
    """A port that does not exist is no part of the join that is suggested, and no reason for one."""
    text = """
    vad: {type: vad.energy, input: audio}
    more: {type: vad.energy, input: audio}
    cut: {type: segment.cut, input: {audio: audio, segments: vad.segments, extra: more}}
    out: {type: sunk.audio, input: {audio: cut, extra: vad}, params: {path: out}}
    """
    with pytest.raises(GraphError) as caught:
        graph_of(tmp_path, CLIPS + text)
    found = {one.code: one for one in caught.value.complaints}
    assert sorted(one.code for one in caught.value.complaints) == ["fan_in", "unknown_reference", "unknown_reference"]
    assert "'both: {type: flow.join, input: {audio: audio, segments: vad.segments}}'" in found["fan_in"].expected
