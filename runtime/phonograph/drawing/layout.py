"""Places boxes and arrows on a plane, in layers from top to bottom.

Each arrow gets vertices of its own in the layers between its ends, and its label is one of them. So a label has a place that no
box and no other label takes, and a long arrow is led round what stands between. Which vertex stands left of which is igraph's
work (Sugiyama's method); where exactly is worked out here, because igraph takes all vertices to be equally wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from phonograph.drawing.picture import Arrow, Picture

MAX_VERTICES = 40_000  # a good second or two of igraph's time, which grows with the square
_GAP = 28.0  # between neighbours in one layer
_SWEEPS = 24
_STRAIGHTNESS = (1.0, 2.0, 8.0)  # weight of an edge with 0, 1, 2 ends that are no boxes: long arrows are to be straight


class TooLargeError(Exception):
    """The picture has more boxes and arrows than can be laid out in reasonable time."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height, in pixels."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Point:
    """A place, in pixels from the top left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an arrow.

    Args:
        points: from its start to its end.
        upright: for each point, whether the arrow goes straight down there; else as its neighbours have it.
        label: the centre of the label.
    """

    arrow: Arrow
    points: tuple[Point, ...]
    upright: tuple[bool, ...]
    label: Point


@dataclass(frozen=True, slots=True)
class Layout:
    """Centres of boxes by id, the routes of arrows, and the size of it all."""

    centres: Mapping[str, Point]
    routes: tuple[Route, ...]
    size: Size


@dataclass(slots=True)
class _Vertices:
    """Everything that has a place: boxes first, then what arrows pass through."""

    layers: list[int] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, layer: int, size: Size) -> int:
        if len(self.layers) >= MAX_VERTICES:
            raise TooLargeError
        self.layers.append(layer)
        self.sizes.append(size)
        return len(self.layers) - 1


def lay_out(picture: Picture, boxes: Mapping[str, Size], labels: Mapping[Arrow, Size], *, layer_gap: float = 22.0) -> Layout:
    """Place a picture.

    Args:
        boxes, labels: how large each is.

    Raises:
        TooLargeError: there is more of it than MAX_VERTICES.
        ModuleNotFoundError: igraph is not installed.
    """
    ranks = _ranks(picture)
    vertices = _Vertices()
    number = {box.id: vertices.add(2 * ranks[box.id], boxes[box.id]) for box in picture.boxes}
    chains: list[tuple[Arrow, list[int]]] = []
    for arrow in picture.arrows:
        first, last = 2 * ranks[arrow.source], 2 * ranks[arrow.target]
        chain = [vertices.add(first + 1, labels[arrow])]
        chain += [vertices.add(layer, Size(0.0, 0.0)) for layer in range(first + 2, last)]
        chains.append((arrow, chain))
        vertices.edges += pairwise([number[arrow.source], *chain, number[arrow.target]])
    xs = _spread(vertices, _orders(vertices), num_boxes=len(picture.boxes))
    tops, heights = _rows(vertices, layer_gap)
    points = [Point(x, tops[layer] + heights[layer] / 2) for x, layer in zip(xs, vertices.layers, strict=True)]
    right = max((x + size.width / 2 for x, size in zip(xs, vertices.sizes, strict=True)), default=0.0)
    centres = {box_id: points[vertex] for box_id, vertex in number.items()}
    ends = _ends(chains, points, centres, boxes)
    routes = tuple(
        _route(arrow, [(points[vertex], heights[vertices.layers[vertex]]) for vertex in chain], *ends[number])
        for number, (arrow, chain) in enumerate(chains)
    )
    return Layout(centres, routes, Size(right, tops[-1] + heights[-1] if tops else 0.0))


def _ranks(picture: Picture) -> dict[str, int]:
    """The row of each box: below all that feed it; what nothing feeds stands right above what it feeds."""
    into: dict[str, list[str]] = {box.id: [] for box in picture.boxes}
    out_of: dict[str, list[str]] = {box.id: [] for box in picture.boxes}
    for arrow in picture.arrows:
        into[arrow.target].append(arrow.source)
        out_of[arrow.source].append(arrow.target)
    ranks: dict[str, int] = {}
    waiting = {box_id: len(sources) for box_id, sources in into.items()}
    ready = [box_id for box_id, count in waiting.items() if not count]
    for box_id in ready:  # grows while it is gone through
        ranks[box_id] = max((ranks[source] + 1 for source in into[box_id]), default=0)
        for target in out_of[box_id]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for box_id, sources in into.items():
        if not sources and out_of[box_id]:
            ranks[box_id] = min(ranks[target] for target in out_of[box_id]) - 1
    return ranks


def _orders(vertices: _Vertices) -> list[list[int]]:
    """The vertices of each layer from left to right, so that few arrows cross."""
    import igraph  # type: ignore[import-untyped]  # an extra; and slow to load

    graph = igraph.Graph(n=len(vertices.layers), edges=vertices.edges, directed=True)
    placed = graph.layout_sugiyama(layers=vertices.layers, maxiter=100 if len(vertices.layers) < 2000 else 10)
    orders: list[list[int]] = [[] for _ in range(max(vertices.layers, default=-1) + 1)]
    for vertex, layer in enumerate(vertices.layers):
        orders[layer].append(vertex)
    for order in orders:
        order.sort(key=lambda vertex: (placed[vertex][0], vertex))
    return orders


def _spread(vertices: _Vertices, orders: Sequence[Sequence[int]], *, num_boxes: int) -> list[float]:
    """x of every vertex: each layer in turn is moved as near to its neighbours above, below or both as order and widths allow."""
    above: list[list[tuple[int, float]]] = [[] for _ in vertices.layers]
    below: list[list[tuple[int, float]]] = [[] for _ in vertices.layers]
    for source, target in vertices.edges:
        weight = _STRAIGHTNESS[(source >= num_boxes) + (target >= num_boxes)]
        below[source].append((target, weight))
        above[target].append((source, weight))
    xs = [0.0] * len(vertices.layers)
    for order in orders:
        _place(order, [0.0] * len(order), xs, vertices.sizes)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for order in orders if downwards else reversed(orders):
            wanted = []
            for vertex in order:
                near = above[vertex] if downwards else below[vertex]
                if sweep >= _SWEEPS - 4 or not near:
                    near = above[vertex] + below[vertex]
                total = sum(weight for _, weight in near)
                wanted.append(sum(xs[other] * weight for other, weight in near) / total if near else xs[vertex])
            _place(order, wanted, xs, vertices.sizes)
    left = min((x - size.width / 2 for x, size in zip(xs, vertices.sizes, strict=True)), default=0.0)
    return [x - left for x in xs]


def _place(order: Sequence[int], wanted: Sequence[float], xs: list[float], sizes: Sequence[Size]) -> None:
    """Set the x of one layer, as near to `wanted` in least squares as gaps and order allow.

    With the widths to its left taken off, a vertex has only to be right of its predecessor: that is isotonic regression, which
    pooling adjacent violators solves exactly.
    """
    offsets, offset = [], 0.0
    for number, vertex in enumerate(order):
        if number:
            offset += (sizes[order[number - 1]].width + sizes[vertex].width) / 2 + _GAP
        offsets.append(offset)
    pools: list[tuple[float, int]] = []  # mean, how many
    for want, taken in zip(wanted, offsets, strict=True):
        mean, count = want - taken, 1
        while pools and pools[-1][0] > mean:
            before, more = pools.pop()
            mean, count = (mean * count + before * more) / (count + more), count + more
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    for vertex, mean, taken in zip(order, means, offsets, strict=True):
        xs[vertex] = mean + taken


def _rows(vertices: _Vertices, gap: float) -> tuple[list[float], list[float]]:
    """Top and height of each layer; a layer of labels that are all empty still leaves room for the arrows to bend."""
    heights = [0.0] * (max(vertices.layers, default=-1) + 1)
    for layer, size in zip(vertices.layers, vertices.sizes, strict=True):
        heights[layer] = max(heights[layer], size.height)
    tops, top = [], 0.0
    for height in heights:
        tops.append(top)
        top += height + gap
    return tops, heights


def _ends(
    chains: Sequence[tuple[Arrow, list[int]]], points: Sequence[Point], centres: Mapping[str, Point], boxes: Mapping[str, Size]
) -> list[tuple[Point, Point]]:
    """Where each arrow leaves a box, on its lower side, and reaches one, on its upper side."""
    leaving: dict[str, list[int]] = {}
    reaching: dict[str, list[int]] = {}
    for number, (arrow, _) in enumerate(chains):
        leaving.setdefault(arrow.source, []).append(number)
        reaching.setdefault(arrow.target, []).append(number)
    starts = _along(leaving, {number: points[chain[0]].x for number, (_, chain) in enumerate(chains)}, centres, boxes, 1)
    ends = _along(reaching, {number: points[chain[-1]].x for number, (_, chain) in enumerate(chains)}, centres, boxes, -1)
    return [(starts[number], ends[number]) for number in range(len(chains))]


def _along(
    arrows: Mapping[str, list[int]], aims: Mapping[int, float], centres: Mapping[str, Point], boxes: Mapping[str, Size], side: int
) -> dict[int, Point]:
    """A point on the upper (-1) or lower (1) side of a box for each arrow there, within the middle three fifths.

    One alone stands where it is straight, several stand evenly.
    """
    placed = {}
    for box_id, numbers in arrows.items():
        centre, reach = centres[box_id], 0.3 * boxes[box_id].width
        y = centre.y + side * boxes[box_id].height / 2
        if len(numbers) == 1:
            aim = aims[numbers[0]]
            placed[numbers[0]] = Point(min(max(aim, centre.x - reach), centre.x + reach), y)
            continue
        for place, number in enumerate(sorted(numbers, key=lambda number: aims[number])):
            share = (place + 1) / (len(numbers) + 1)
            placed[number] = Point(centre.x + 2 * reach * (share - 0.5), y)
    return placed


def _route(arrow: Arrow, chain: Sequence[tuple[Point, float]], start: Point, end: Point) -> Route:
    """Through the label as the way goes; past boxes, that is in every second layer, straight down along their whole height."""
    points, upright = [start], [True]
    for number, (point, height) in enumerate(chain):
        if number % 2:
            points += [Point(point.x, point.y - height / 2), Point(point.x, point.y + height / 2)]
            upright += [True, True]
        else:
            points.append(point)
            upright.append(False)
    return Route(arrow, (*points, end), (*upright, True), chain[0][0])
