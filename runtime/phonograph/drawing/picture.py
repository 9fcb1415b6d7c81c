"""Graph -> Picture: the boxes and arrows that every kind of drawing shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from phonograph.graph.model import Edge, Graph, GraphNode, Link

Shape = Literal["source", "transform", "gather", "conversion", "sink", "letters", "outside"]

SHAPES: Mapping[Shape, str] = {
    "source": "source",
    "transform": "node",
    "gather": "gathers or spreads",
    "conversion": "inserted conversion",
    "sink": "sink",
    "letters": "dead letters of several nodes",
    "outside": "fed or read by a program",
}
"""Every shape with what it stands for, in the order of a legend."""

FALLBACK = ("fallback",)
"""The labels of an arrow that carries what a node could not take to the one that stands in for it."""

DEAD_LETTERS = ("dead letters",)
"""The labels of an arrow that carries the dead letters of one node."""

_NAMED_ONE_BY_ONE = 3  # more nodes than that, whose dead letters are read together, are drawn as one box


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the graph, or something that stands at its edge.

    Args:
        id: unique in the picture; the id of the node.
        title, subtitle: what is written in it.
    """

    id: str
    title: str
    subtitle: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Arrow:
    """Everything that goes from one box to another, or, of dead letters, one arrow besides.

    Args:
        labels: a line for each pair of ports: the type that flows, after the port's name where the type alone leaves it open.
        dead_letters: it carries what the source could not process. fallback: it carries what the source could not take.
    """

    source: str
    target: str
    labels: tuple[str, ...]
    dead_letters: bool = False
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn; boxes stand after those that feed them."""

    name: str
    description: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def picture_of(graph: Graph) -> Picture:
    """The picture of a graph."""
    conversions = {conversion.node for conversion in graph.conversions}
    boxes = [
        Box(node.id, node.id, node.spec.type, "conversion" if node.id in conversions else _shape(node))
        for node in graph.nodes.values()
    ]
    types = {(edge.source, edge.source_port, edge.target, edge.target_port): edge for edge in graph.edges}
    arrows: list[Arrow] = []
    in_front: list[Box] = []
    for node in graph.nodes.values():
        data: dict[str, list[str]] = {}
        for link in node.inputs:
            if link.is_fallback:
                arrows.append(Arrow(link.source, node.id, FALLBACK, fallback=True))
            elif not link.is_dead_letters:
                data.setdefault(link.source, []).extend(_labels(link, graph, types))
        arrows += [Arrow(source, node.id, tuple(dict.fromkeys(labels))) for source, labels in data.items()]
        lost = tuple(dict.fromkeys(link.source for link in node.inputs if link.is_dead_letters))
        if len(lost) > _NAMED_ONE_BY_ONE:
            box = Box(f"{node.id}.dead_letter", "dead letters", f"of {len(lost)} nodes", "letters")
            in_front.append(box)
            arrows.append(Arrow(box.id, node.id, ("record",), True))
        else:
            arrows += [Arrow(source, node.id, DEAD_LETTERS, True) for source in lost]
    if any(arrow.source == "inputs" for arrow in arrows):
        in_front.insert(0, Box("inputs", "inputs", ", ".join(graph.inputs), "outside"))
    if graph.outputs:
        boxes.append(Box("outputs", "outputs", ", ".join(graph.outputs), "outside"))
        given: dict[str, list[str]] = {}
        for name, edge in graph.outputs.items():
            given.setdefault(edge.source, []).append(f"{name}: {_flowing(edge)}")
        arrows += [Arrow(source, "outputs", tuple(labels)) for source, labels in given.items()]
    return Picture(graph.name, graph.manifest.description, (*in_front, *boxes), tuple(arrows))


def _shape(node: GraphNode) -> Shape:
    if node.spec.kind == "source":
        return "source"
    if node.spec.kind == "sink":
        return "sink"
    return "gather" if node.spec.variadic or node.spec.chooses or node.spec.cardinality == "N:1" else "transform"


def _labels(link: Link, graph: Graph, types: Mapping[tuple[str, str, str, str], Edge]) -> Sequence[str]:
    """A line for each pair of ports that a link joins."""
    source = graph.nodes.get(link.source)
    ports = {port.name: port for port in source.ports[1]} if source is not None else {}
    found = []
    for source_port, target_port in link.ports:
        edge = types.get((link.source, source_port, link.target, target_port))
        given = _flowing(edge) if edge is not None else str(ports[source_port].type) if source_port in ports else ""
        family = given.partition("[")[0]
        is_clear = len(ports) == 1 or family == source_port
        found.append(given if is_clear and given else f"{source_port}: {given}".removesuffix(": "))
    return found


def _flowing(edge: Edge) -> str:
    """The type that flows, without the axes of which nothing is known: on an output that is what an absent axis means."""
    text = str(edge.given)
    family, bracket, axes = text.partition("[")
    known = [axis for axis in axes.removesuffix("]").split(", ") if not axis.endswith("=dynamic")]
    return f"{family}[{', '.join(known)}]" if bracket and known else family
