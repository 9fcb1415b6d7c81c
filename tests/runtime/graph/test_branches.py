"""Where branches part, and joins of what never belongs together."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow_runs import run_flow
from phonograph.errors import GraphError
from phonograph.flow.gather import Gather
from phonograph.flow.join import Join
from phonograph.graph.branches import Dominators
from phonograph.graph.order import reach
from pipeline_nodes import CLIPS, graph_of

DIAMOND = {
    "clips": (),
    "first": ("clips",),
    "second": ("first",),
    "a": ("second",),
    "b": ("second",),
    "more": ("b",),
    "both": ("a", "more"),
    "after": ("both",),
    "other": (),
}


@pytest.mark.parametrize(
    ("nodes", "common"),
    [
        (["a", "more"], "second"),
        (["b", "more"], "b"),
        (["after"], "after"),
        (["both", "first"], "first"),
        (["a", "other"], None),
        (["a", "unheard-of"], None),
    ],
)
def test_the_nearest_node_that_all_passes_through(nodes: list[str], common: str | None) -> None:
    """The common dominator of nested branches is the innermost split before all of them; of two sources there is none."""
    assert Dominators(DIAMOND).nearest_common(nodes) == common


def test_what_is_between_can_be_gone_round_and_a_dominator_cannot() -> None:
    """Without the node that a dominator names, nothing reaches what it dominates; without another on the way, it does."""
    for gone in ("second", "b"):
        feeds = {node: tuple(other for other in DIAMOND if node in DIAMOND[other] and other != gone) for node in DIAMOND}
        assert ("after" in reach(["clips"], feeds)) == (gone != Dominators(DIAMOND).nearest_common(["a", "more"]))


def test_an_embedded_join_may_get_all_from_one_place(tmp_path: Path) -> None:
    """Inputs of the manifest may be branches of one node outside; a source of its own is none of them."""
    inputs = "inputs: {left: {type: any}, right: {type: any}}"
    good = "both: {type: flow.join, input: {one: inputs.left, other: inputs.right}}\nout: {type: sink.any, input: both.one}"
    assert graph_of(tmp_path, good, inputs).nodes["both"].spec.joins
    with pytest.raises(GraphError, match=r"no_common_ancestor .* one from inputs, other from clips;"):
        graph_of(tmp_path, CLIPS + good.replace("inputs.right", "audio"), inputs)


def test_a_join_of_all_dead_letters_begins_at_the_source(tmp_path: Path) -> None:
    """`*.dead_letter` of one source's nodes are branches of it, of two sources' they are not."""
    nodes = CLIPS + 'both: {type: flow.join, input: {one: audio, bad: "*.dead_letter"}}\nout: {type: sink.any, input: both.one}'
    assert graph_of(tmp_path, nodes).nodes["both"].spec.joins
    with pytest.raises(GraphError, match=r"no_common_ancestor .* one from clips, bad from clips and more;"):
        graph_of(tmp_path, nodes + "\nmore: {type: source.clips, params: {paths: samples}}")


def test_what_opens_at_a_split_declares_that_it_joins() -> None:
    """The runtime waits at a split exactly for those types whose manifests are refused without one."""
    gathering = [type_ for type_ in Gather.__subclasses__() if "spec" in vars(type_)]
    assert Join in gathering
    assert [type_ for type_ in gathering if type_.spec.joins] == [type_ for type_ in gathering if type_.opening == "split"]


def test_strangers_do_not_run(tmp_path: Path) -> None:
    """A run that would filter every record without a word does not start."""
    nodes = "a: {type: testing.numbers}\nb: {type: testing.numbers}\nboth: {type: flow.join, input: {a: a, b: b}}\n"
    with pytest.raises(GraphError, match="no_common_ancestor"):
        run_flow(tmp_path, nodes + "out: {type: test.keep, input: both.a}")
