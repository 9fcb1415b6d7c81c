"""What is odd about a graph that can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.graph.model import Graph
from pipeline_nodes import CLIPS, graph_of

OUT = "out: {type: sunk.audio, input: audio, params: {path: out}}\n"
BAD = 'bad: {type: sink.any, input: "*.dead_letter"}\n'


def warnings(graph: Graph) -> list[str]:
    return [str(complaint).partition(" ")[2] for complaint in graph.warnings]


def test_a_graph_without_oddities(tmp_path: Path) -> None:
    """Nothing is said about a graph in which everything is read."""
    assert warnings(graph_of(tmp_path, CLIPS + OUT + BAD)) == []


def test_dead_letters_that_nobody_reads(tmp_path: Path) -> None:
    """One note for the manifest, and none when no node gives any."""
    graph = graph_of(tmp_path, CLIPS + OUT)
    assert [(complaint.code, complaint.severity) for complaint in graph.warnings] == [("unread_dead_letters", "note")]
    assert graph_of(tmp_path, CLIPS + OUT, "defaults: {on_error: skip}").warnings == ()


def test_a_branch_that_ends_nowhere(tmp_path: Path) -> None:
    """Its last node is named, and not those before it."""
    graph = graph_of(tmp_path, CLIPS + OUT + BAD + "vad: {type: vad.energy, input: audio}\nagain: {type: vad.energy, input: vad}")
    assert warnings(graph) == [
        "unused_node (warning) nothing that node 'again' (vad.energy) makes reaches a sink or an output; expected 'input: again' "
        "on a node that reads it, or no such node"
    ]
    assert graph.warnings[0].position == graph.nodes["again"].position


def test_a_branch_that_ends_in_an_output(tmp_path: Path) -> None:
    """An output of the manifest reads what it names."""
    graph = graph_of(tmp_path, CLIPS + OUT + BAD + "vad: {type: vad.energy, input: audio}", "outputs: {speech: vad}")
    assert warnings(graph) == []


@pytest.mark.parametrize(
    ("reader", "unread"),
    [("kept: {type: sink.any, input: pick.speech}", ["'quiet'"]), ("kept: {type: sink.any, input: pick.quiet}", ["'speech'"])],
)
def test_an_output_that_nobody_reads(tmp_path: Path, reader: str, unread: list[str]) -> None:
    """Where an item leaves by one output, another that nobody reads loses items; elsewhere it costs nothing."""
    text = CLIPS + OUT + BAD + "pick: {type: flow.route, input: audio, params: {cases: [speech, quiet]}}\n"
    graph = graph_of(tmp_path, text + reader)
    assert [complaint.code for complaint in graph.warnings] == ["unused_output"]
    assert all(name in graph.warnings[0].found for name in unread)


def test_two_outputs_of_which_an_item_has_one(tmp_path: Path) -> None:
    """No item has both, so none gets there."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        pick: {type: flow.route, input: audio, params: {cases: [left, right]}}
        mix: {type: signal.mix, input: {left: pick.left, right: pick.right}}
        out: {type: sunk.audio, input: mix, params: {path: out}}
        """
        + BAD,
    )
    assert warnings(graph) == [
        "unreachable (warning) node 'mix' takes left and right of node 'pick', and an item leaves by one of them alone; expected "
        "one of these outputs"
    ]


WAYS = """
pick: {type: flow.route, input: audio, params: {cases: [left, right]}}
l: {type: vad.energy, input: pick.left}
r: {type: vad.energy, input: pick.right}
"""


@pytest.mark.parametrize(
    "inputs",
    [
        "{a: pick.left, b: pick.right}",
        "{a: l, b: r}",
        "{a: audio, b: half.x, c: r}",
        "{a: l, b: r.dead_letter}",
        "{a: half.y, b: r}",
    ],
)
def test_a_join_of_ways_of_which_an_item_takes_one(tmp_path: Path, inputs: str) -> None:
    """However far behind the choice the ways meet again, what is meant is a merge."""
    nodes = f"half: {{type: flow.join, input: {{x: l, y: audio}}}}\nboth: {{type: flow.join, input: {inputs}}}\n"
    read = "out-1: {type: sink.any, input: both.a}\nout-2: {type: sink.any, input: half.x}"
    assert [one for one in warnings(graph_of(tmp_path, CLIPS + BAD + WAYS + nodes + read)) if one.startswith("unreach")] == [
        "unreachable (warning) no item comes to all inputs of node 'both' (flow.join), for node 'pick' sends it one way; "
        "expected flow.merge, which takes what comes by pick.left or pick.right"
    ]


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ("", "{a: l, b: audio}"),
        ("", "{a: l, b: l.segments}"),
        ("m: {type: flow.merge, input: {one: l, other: r}}", "{a: m, b: l}"),
        ("c: {type: flow.collect, input: l}\nd: {type: flow.collect, input: r}", "{a: c, b: d}"),
        ("other: {type: flow.route, input: audio, params: {cases: [left, right]}}", "{a: l, b: other.right}"),
    ],
)
def test_a_join_of_ways_that_an_item_may_take(tmp_path: Path, more: str, inputs: str) -> None:
    """What was merged came either way, what was collected has the key of its record, and two choices are free of each other."""
    read = "r-out: {type: sink.any, input: r}\nout: {type: sink.any, input: both.a}"
    nodes = f"{more}\nboth: {{type: flow.join, input: {inputs}}}\n{read}"
    assert "unreachable" not in [one.code for one in graph_of(tmp_path, CLIPS + BAD + WAYS + nodes).warnings]


def test_dead_letters_of_a_node_that_gives_none(tmp_path: Path) -> None:
    """`on_error: skip` writes no dead letter, so its reader gets nothing."""
    graph = graph_of(
        tmp_path,
        "clips: {type: source.clips, params: {paths: samples}}\naudio: {type: audio.decode, input: clips, on_error: skip}\n"
        + OUT
        + "bad: {type: sink.any, input: audio.dead_letter}",
    )
    assert [complaint.code for complaint in graph.warnings] == ["unreachable"]
    assert "reads dead letters of audio, and 'on_error: skip' gives none" in graph.warnings[0].found


def test_sinks_of_two_types_that_write_to_one_path(tmp_path: Path) -> None:
    """It runs, and one may replace what the other writes."""
    graph = graph_of(tmp_path, CLIPS + OUT + BAD + "text: {type: sink.text, input: audio, params: {path: out}}")
    assert warnings(graph) == [
        "shared_file (warning) parameter 'path' of node 'text' is a path that node 'out' writes to; expected a path of its own "
        "for sink.text and sunk.audio"
    ]


def test_sinks_of_two_types_that_write_below_one_folder(tmp_path: Path) -> None:
    """Files of different types have different names."""
    nodes = "text: {type: sink.text, input: audio, params: {path: a.txt, folder: out}}\n"
    more = "more: {type: sink.more, input: audio, params: {path: b.txt, folder: out}}\n"
    assert warnings(graph_of(tmp_path, CLIPS + nodes + more + BAD)) == []


SUBGRAPH = """
inputs: {sound: {type: audio}}
outputs: {speech: vad, sound: cut, quiet: pick.quiet}
nodes:
  vad: {type: vad.energy, input: inputs.sound}
  cut: {type: segment.cut, input: {audio: both.audio, segments: both.segments}}
  both: {type: flow.join, input: {audio: inputs.sound, segments: vad.segments}}
  pick: {type: flow.route, input: inputs.sound, params: {cases: [speech, quiet]}}
  loud: {type: sink.any, input: pick.speech}
"""


def test_outputs_of_a_subgraph_that_one_use_does_not_read(tmp_path: Path) -> None:
    """A file that several manifests share may offer more than each of them needs."""
    (tmp_path / "part.yaml").write_text("version: 1\n" + SUBGRAPH)
    text = CLIPS + BAD + "two: {include: part.yaml, input: audio}\nout: {type: sink.any, input: two.speech}"
    assert warnings(graph_of(tmp_path, text)) == []


def test_node_of_a_subgraph_that_leads_nowhere(tmp_path: Path) -> None:
    """The remedy is one that the file of the sub-graph can have."""
    (tmp_path / "part.yaml").write_text("version: 1\n" + SUBGRAPH + "  lost: {type: vad.energy, input: inputs.sound}\n")
    text = CLIPS + BAD + "two: {include: part.yaml, input: audio}\nout: {type: sink.any, input: two.speech}"
    (found,) = graph_of(tmp_path, text).warnings
    assert found.found == "nothing that node 'two/lost' (vad.energy) makes reaches a sink or an output"
    assert found.expected == "'lost' among the 'outputs' of the sub-graph of node 'two', or no such node"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("retry: {base_delay: 5s}", "'base_delay' of 5s is cut down to the 'max_delay' of 800ms"),
        ("breaker: {max_open: 10s}", "'max_open' of 10s is over when the 'reset_timeout' of 30s is"),
        ("breaker: {reset_timeout: 1h}", "'max_open' of 10m is over when the 'reset_timeout' of 1h is"),
        ("retry: {base_delay: 5s, max_delay: 5s}", ""),
        ("retry: {base_delay: 5s, max_retries: 0}", ""),
        ("breaker: {max_open: 10s, when_open: shed}", ""),
    ],
)
def test_settings_that_undo_each_other(tmp_path: Path, more: str, words: str) -> None:
    """What is told of one node is told of `defaults` too, once for all nodes."""
    for graph in (
        graph_of(tmp_path, CLIPS.replace("input: clips", f"input: clips, {more}") + OUT + BAD),
        graph_of(tmp_path, CLIPS + OUT + BAD, f"defaults: {{{more}}}"),
    ):
        assert [one.code for one in graph.warnings] == ["no_effect"] * bool(words)
        assert words in "".join(warnings(graph))


@pytest.mark.parametrize("more", ["retry: {max_retries: 3}", "breaker: {window: 9}", "on_error: skip", "error_rate: 0.5"])
def test_settings_that_say_nothing_of_a_source(tmp_path: Path, more: str) -> None:
    """A source is not tried again; `defaults` hold for the others."""
    of_source = CLIPS.replace("type: source.clips,", f"type: source.clips, {more},")
    assert [one.code for one in graph_of(tmp_path, of_source + OUT + BAD).warnings] == ["no_effect"]
    assert "no_effect" not in [one.code for one in graph_of(tmp_path, CLIPS + OUT + BAD, f"defaults: {{{more}}}").warnings]
