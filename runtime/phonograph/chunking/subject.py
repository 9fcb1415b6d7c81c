"""What is compared: the part of a graph behind the place where its audio begins, open at both ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from phonograph.errors import Complaint, GraphError
from phonograph.graph.model import Edge, Graph, GraphNode
from phonograph.porttype import PortType
from phonograph.spec import Port, Streaming

INPUTS, OUTPUTS = "inputs", "outputs"


@dataclass(frozen=True, slots=True)
class Compared:
    """A node whose results are compared; of a sink, what comes to it.

    Args:
        outputs: of the subject's graph, at which they are seen.
        tolerance: the largest that it, or a node before it, declares.
    """

    node: GraphNode
    outputs: tuple[str, ...]
    tolerance: float

    @property
    def streaming(self) -> Streaming:
        return self.node.spec.streaming_with(self.node.params)


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph that takes audio and shows what every node of it makes.

    Args:
        graph: with an output `NODE.PORT` for each port that is looked at, and without sinks.
        audio: the input that is cut into chunks.
        origin: the node of the manifest that gives the audio; None: the manifest has inputs.
    """

    graph: Graph
    audio: str
    origin: GraphNode | None
    compared: tuple[Compared, ...]


def subject_of(graph: Graph) -> Subject:
    """The part of a graph that audio goes through.

    Raises:
        GraphError: audio begins nowhere, or at several places; a node behind it also needs what does not come from there.
    """
    origin = None if graph.inputs else _origin(graph)
    inputs = dict(graph.inputs)
    if origin is not None:
        inputs = {port.name: port.type for port in origin.ports[1]}
    audio = [name for name, type_ in inputs.items() if type_.family == "audio"]
    if len(audio) != 1:
        found = f"the manifest has {len(audio)} inputs of audio" if graph.inputs else "no node gives audio"
        raise _refusal(graph, found, "one, which is cut into chunks")
    if len(inputs) > 1:
        others = ", ".join(name for name in inputs if name != audio[0])
        raise _refusal(graph, f"beside audio, {others} would come in", "audio alone, for nothing else can be cut into chunks")
    entrance = INPUTS if origin is None else origin.id
    behind = _behind(graph, entrance)
    edges = {f"{source}.{port}": _edge(graph.nodes[source], port) for source, port in _looked_at(behind, graph)}
    nodes = {node.id: _inside(node, entrance, behind) for node in behind.values() if node.spec.kind != "sink"}
    part = replace(
        graph,
        nodes=MappingProxyType(nodes),
        inputs=MappingProxyType({audio[0]: inputs[audio[0]]}),
        outputs=MappingProxyType(edges),
        edges=(),
        warnings=(),
    )
    return Subject(part, audio[0], origin, tuple(_compared(behind, edges)))


def _origin(graph: Graph) -> GraphNode:
    """The node at which audio begins: it gives some and takes none."""
    found = [node for node in graph.nodes.values() if _has_audio(node.ports[1]) and not _has_audio(node.ports[0])]
    if len(found) != 1:
        named = " and ".join(repr(node.id) for node in found) or "no node"
        raise _refusal(graph, f"audio begins at {named}", "one node that gives audio and takes none")
    return found[0]


def _has_audio(ports: Iterable[Port]) -> bool:
    return any(port.type.family == "audio" for port in ports)


def _behind(graph: Graph, entrance: str) -> Mapping[str, GraphNode]:
    """The nodes that audio gets to, in order; those that read dead letters are none of them."""
    behind: dict[str, GraphNode] = {}
    complaints = []
    for node in graph.nodes.values():
        sources = [link.source for link in node.inputs if not link.is_dead_letters]
        outside = [source for source in sources if source != entrance and source not in behind]
        if not sources or len(outside) == len(sources):
            continue
        if outside:
            found = f"node {node.id!r} ({node.spec.type}) also reads {outside[0]!r}, which does not come from {entrance!r}"
            complaints.append(Complaint("chunking", node.position, found, "nodes that only read what comes of the audio"))
        behind[node.id] = node
    if complaints:
        raise GraphError(complaints)
    return behind


def _inside(node: GraphNode, entrance: str, behind: Mapping[str, GraphNode]) -> GraphNode:
    """The node without links to what is left out."""
    inputs = tuple(replace(link, source=INPUTS) if link.source == entrance else link for link in node.inputs)
    outputs = tuple(link for link in node.outputs if link.target in behind and behind[link.target].spec.kind != "sink")
    run: Literal["thread"] | None = "thread" if node.run == "process" else None  # where it runs does not change what it makes
    # The way to a fallback stays, for the ends of sessions come over it.
    return replace(node, inputs=inputs, outputs=outputs, dead_letters=(), on_error="dead_letter", asked_run=run or node.asked_run)


def _looked_at(behind: Mapping[str, GraphNode], graph: Graph) -> Iterable[tuple[str, str]]:
    """(node, port) of everything that is read of a node, or its first port when nothing is."""
    outside = {(edge.source, edge.source_port) for edge in graph.outputs.values()}
    for node in behind.values():
        read = {port: None for link in node.outputs for port, _ in link.ports}
        read |= {port: None for source, port in outside if source == node.id}
        first = {port.name: None for port in node.ports[1][:1]}
        yield from ((node.id, port) for port in read or first)


def _edge(node: GraphNode, port: str) -> Edge:
    type_ = next((one.type for one in node.ports[1] if one.name == port), PortType("any"))
    return Edge(
        source=node.id,
        source_port=port,
        target=OUTPUTS,
        target_port=f"{node.id}.{port}",
        given=type_,
        taken=type_,
        position=node.position,
    )


def _compared(behind: Mapping[str, GraphNode], edges: Iterable[str]) -> Iterable[Compared]:
    tolerances: dict[str, float] = {}
    names = set(edges)
    for node in behind.values():
        before = [tolerances.get(link.source, 0.0) for link in node.inputs]
        tolerances[node.id] = max([node.spec.tolerance, *before])
        if node.spec.kind == "sink":
            seen = [f"{link.source}.{port}" for link in node.inputs for port, _ in link.ports]
        else:
            seen = [f"{node.id}.{port.name}" for port in node.ports[1]]
        yield Compared(node, tuple(name for name in seen if name in names), tolerances[node.id])


def _refusal(graph: Graph, found: str, expected: str) -> GraphError:
    return GraphError([Complaint("chunking", graph.manifest.position, found, expected)])
