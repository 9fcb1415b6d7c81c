"""Orders in which data can flow, of random graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phonograph.graph.order import flow_order, reach, targets

Edges = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn, *, cyclic: bool) -> Edges:
    """Id -> ids of the nodes that feed it, in an order that says nothing."""
    ids = [f"n{number}" for number in range(draw(st.integers(0, 8)))]
    fed_by = {
        node_id: draw(st.lists(st.sampled_from(ids if cyclic else ids[:place]), unique=True, max_size=3))
        if place or cyclic
        else []
        for place, node_id in enumerate(ids)
    }
    return {node_id: fed_by[node_id] for node_id in draw(st.permutations(ids))}


@given(graphs(cyclic=False))
def test_every_node_stands_behind_those_that_feed_it(fed_by: Edges) -> None:
    """All nodes of a graph without circles are in the order, each once; asked again with that order, nothing moves."""
    order, circles = flow_order(fed_by)
    assert circles == []
    assert sorted(order) == sorted(fed_by)
    assert all(order.index(source) < order.index(node_id) for node_id, sources in fed_by.items() for source in sources)
    assert flow_order({node_id: fed_by[node_id] for node_id in order}) == (order, [])


@given(graphs(cyclic=True))
def test_what_has_no_place_stands_in_a_circle_or_behind_one(fed_by: Edges) -> None:
    """Circles follow the way of the data, and what is left out of the order is all that they reach."""
    order, circles = flow_order(fed_by)
    for circle in circles:
        assert all(before in fed_by[after] for before, after in zip(circle, [*circle[1:], circle[0]], strict=True))
    left = fed_by.keys() - set(order)
    assert left == reach([node_id for circle in circles for node_id in circle], targets(fed_by))


@given(graphs(cyclic=True))
def test_edges_from_the_other_end(fed_by: Edges) -> None:
    """`targets` has every edge once, turned round."""
    feeds = targets(fed_by)
    assert {(source, node_id) for node_id in fed_by for source in fed_by[node_id]} == {
        (source, node_id) for source in feeds for node_id in feeds[source]
    }
