"""Finds an order of nodes in which data can flow; names the circles that have none."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping


def flow_order(fed_by: Mapping[str, Collection[str]]) -> tuple[list[str], list[list[str]]]:
    """Put every node behind those that feed it.

    Args:
        fed_by: id -> ids of the nodes that feed it, all of them keys too.

    Returns:
        The ids, in the order given where there is a choice, without those in circles and behind them; and the circles, each in
        the way that data would flow, from its first node in the order given.
    """
    ids = tuple(fed_by)
    place = {node_id: number for number, node_id in enumerate(ids)}
    waiting = {node_id: set(sources) for node_id, sources in fed_by.items()}
    feeds = targets(fed_by)
    ready = [place[node_id] for node_id in ids if not waiting[node_id]]
    order: list[str] = []
    while ready:
        node_id = ids[heapq.heappop(ready)]
        order.append(node_id)
        for target in feeds[node_id]:
            waiting[target].discard(node_id)
            if not waiting[target]:
                heapq.heappush(ready, place[target])
    return order, _circles({node_id: waiting[node_id] for node_id in ids if waiting[node_id]}, place)


def targets(fed_by: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """The same edges from the other end: id -> ids of the nodes that it feeds."""
    feeds: dict[str, list[str]] = {node_id: [] for node_id in fed_by}
    for target, sources in fed_by.items():
        for source in dict.fromkeys(sources):
            feeds[source].append(target)
    return feeds


def reach(starts: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The starts, and every node that the edges lead to from them."""
    reached = set(starts)
    ahead = list(reached)
    while ahead:
        for node_id in edges.get(ahead.pop(), ()):
            if node_id not in reached:
                reached.add(node_id)
                ahead.append(node_id)
    return reached


def _circles(waiting: Mapping[str, set[str]], place: Mapping[str, int]) -> list[list[str]]:
    """Follow each node that still waits upstream until a node comes again."""
    circles: list[list[str]] = []
    seen: set[str] = set()
    for start in waiting:
        path: list[str] = []
        node_id = start
        while node_id not in seen:
            seen.add(node_id)
            path.append(node_id)
            node_id = min(waiting[node_id], key=place.__getitem__)
        if node_id not in path:
            continue
        circle = path[path.index(node_id) :][::-1]  # upstream, turned round: the way that data would flow
        first = min(range(len(circle)), key=lambda number, circle=circle: place[circle[number]])  # type: ignore[misc]
        circles.append([*circle[first:], *circle[:first]])
    return circles
