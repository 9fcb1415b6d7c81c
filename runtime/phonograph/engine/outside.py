"""The ends of a graph that a program embeds: the entrance where what it sends comes in, and the taps where results leave.

`opened` closes a graph that has inputs and outputs with such ends, so that it can be planned like any other. An entrance is a
source that nobody reads, and a tap is a consumer without a worker: what is delivered to it goes to its owner at once, and never
waits. So no lane ever waits for a program that does not take its results.

Behind a node with a fallback stands one that puts in order what either of the two gives, because what comes of a session comes in
the order in which it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from phonograph.breaker import BreakerPolicy
from phonograph.engine.course import Course
from phonograph.engine.delivery import END, Entry
from phonograph.engine.plan import ENTRANCE, TAP
from phonograph.engine.queues import BoundedQueue
from phonograph.errors import Complaint, GraphError, Position
from phonograph.flow.gather import gather_type
from phonograph.flow.order import Order
from phonograph.flow.tickets import leave
from phonograph.graph.fallbacks import Fallbacks
from phonograph.graph.model import Graph, GraphNode, Link
from phonograph.graph.wiring import DEAD_LETTER
from phonograph.item import Outcome
from phonograph.node import Node, Params
from phonograph.porttype import PortType
from phonograph.retry import RetryPolicy
from phonograph.spec import Kind, NodeSpec, Port


def tap_id(output: str) -> str:
    """The id of the tap of an output; no id of a manifest has a dot."""
    return f"{TAP}.{output}"


def opened(graph: Graph) -> Graph:
    """The graph with an entrance for its inputs and a tap for each of its outputs.

    Breakers shed, unless the manifest says what they do when they are open: nobody who waits for an answer wants to wait ten
    minutes. No number of failed records stops it.

    Raises:
        GraphError: it has a source besides, no inputs, or a node that would bring together what different callers send.
    """
    _refuse(graph)
    graph = _merged(graph)
    taps = [
        Link(
            source=edge.source,
            target=tap_id(name),
            ports=((edge.source_port, name),),
            queue=None,
            is_dead_letters=edge.source_port == DEAD_LETTER,
        )
        for name, edge in graph.outputs.items()
    ]
    shedding = {node.id: _shedding(node, graph) for node in graph.nodes.values()}
    nodes: dict[str, GraphNode] = {ENTRANCE: _entrance(graph, taps)}
    for node in shedding.values():
        made = tuple(link for link in taps if link.source == node.id and not link.is_dead_letters)
        failed = tuple(link for link in taps if link.source == node.id and link.is_dead_letters)
        nodes[node.id] = replace(node, outputs=(*node.outputs, *made), dead_letters=(*node.dead_letters, *failed))
    for link in taps:
        port = Port(link.ports[0][1], PortType("any"))
        nodes[link.target] = _end(link.target, TAP, "sink", ((port,), ()), inputs=(link,))
    return replace(graph, nodes=MappingProxyType(nodes), limits=replace(graph.limits, error_rate=1.0))


def _merged(graph: Graph) -> Graph:
    """The graph with a node between each that has a fallback, and those that stand in for it, and all who read it."""
    fallbacks = Fallbacks({node.id: node.fallback[0].target for node in graph.nodes.values() if node.fallback}, ())
    if not fallbacks.of:
        return graph
    merges: dict[str, GraphNode] = {}
    nodes: dict[str, GraphNode] = {}

    def merge_of(source: str) -> str:
        if source not in merges:
            node = graph.nodes[source]
            ports = tuple((port.name, port.name) for port in node.ports[1])
            first = Link(source=source, target=f"{source}~merge", ports=ports, queue=None)
            links = (first, *fallbacks.beside(first, lambda node_id: graph.nodes[node_id].ports[1]))
            merges[source] = nodes[first.target] = _merge(first.target, node, links)
        return merges[source].id

    for node in graph.nodes.values():
        kept = [link for link in node.inputs if not link.stands_in]
        plain = [link.is_dead_letters or link.is_fallback or link.source not in fallbacks.of for link in kept]
        inputs = [
            link if is_plain else replace(link, source=merge_of(link.source)) for link, is_plain in zip(kept, plain, strict=True)
        ]
        nodes[node.id] = replace(node, inputs=tuple(inputs))
    outputs = {
        name: edge
        if edge.source not in fallbacks.of or edge.source_port == DEAD_LETTER
        else replace(edge, source=merge_of(edge.source))
        for name, edge in graph.outputs.items()
    }
    made = [link for node in nodes.values() for link in node.inputs if not (link.is_dead_letters or link.is_fallback)]
    nodes = {node.id: replace(node, outputs=tuple(link for link in made if link.source == node.id)) for node in nodes.values()}
    return replace(graph, nodes=MappingProxyType(nodes), outputs=MappingProxyType(outputs))


def _merge(node_id: str, behind: GraphNode, links: tuple[Link, ...]) -> GraphNode:
    outputs = behind.ports[1]
    spec = replace(Order.spec, inputs=outputs, outputs=outputs)
    return replace(_bare(node_id, spec, (outputs, outputs), inputs=links), position=behind.position)


def refuse_inputs(graph: Graph) -> None:
    """Raises GraphError for a graph that is fed from outside, and so cannot run by itself."""
    expected = "a source in its place, or another manifest that includes this one"
    complaints = [
        Complaint("missing_input", declared.position, f"nothing feeds the manifest's input {name!r}", expected)
        for name, declared in graph.manifest.inputs.items()
    ]
    if complaints:
        raise GraphError(complaints)


def _refuse(graph: Graph) -> None:
    complaints = []
    if not graph.inputs:
        complaints.append(
            Complaint(
                "missing_input",
                graph.manifest.position,
                "the manifest has no 'inputs', so that nothing can be sent to it",
                "'inputs: {NAME: {type: FAMILY}}' and nodes that read 'inputs.NAME'; without, Executor(manifest).run()",
            )
        )
    for node in graph.nodes.values():
        if node.spec.kind == "source" and graph.inputs:
            found = f"node {node.id!r} ({node.spec.type}) is a source, in a manifest with 'inputs'"
            complaints.append(
                Complaint("no_source", node.position, found, "one or the other: what comes in is sent by a program")
            )
        gather = gather_type(node)
        if gather is not None and gather.mixes(node.params):
            found = f"node {node.id!r} ({node.spec.type}) brings together what is of different records"
            complaints.append(Complaint("wrong_value", node.position, found, "none here, for they may be of different callers"))
    if complaints:
        raise GraphError(complaints)


def _shedding(node: GraphNode, graph: Graph) -> GraphNode:
    before = {one.node: one.before[0] for one in graph.conversions}
    entry = graph.manifest.nodes.get(before.get(node.id, node.id))
    if node.fallback or (entry is not None and "when_open" in entry.breaker):
        return node
    return replace(node, breaker=replace(node.breaker, when_open="shed"))


def _entrance(graph: Graph, taps: Iterable[Link]) -> GraphNode:
    ports = tuple(Port(name, declared) for name, declared in graph.inputs.items())
    links = [link for node in graph.nodes.values() for link in node.inputs]
    leaving = tuple(link for link in (*links, *taps) if link.source == ENTRANCE)
    return _end(ENTRANCE, ENTRANCE, "source", ((), ports), outputs=leaving)


def _end(
    node_id: str,
    type_name: str,
    kind: Kind,
    ports: tuple[tuple[Port, ...], tuple[Port, ...]],
    *,
    inputs: tuple[Link, ...] = (),
    outputs: tuple[Link, ...] = (),
) -> GraphNode:
    spec = NodeSpec(
        type=type_name, kind=kind, summary="", params=Params, factory=Node, inputs=ports[0], outputs=ports[1], run="inline"
    )
    return _bare(node_id, spec, ports, inputs=inputs, outputs=outputs)


def _bare(
    node_id: str,
    spec: NodeSpec,
    ports: tuple[tuple[Port, ...], tuple[Port, ...]],
    *,
    inputs: tuple[Link, ...] = (),
    outputs: tuple[Link, ...] = (),
) -> GraphNode:
    return GraphNode(
        id=node_id,
        spec=spec,
        params=spec.params(),
        ports=ports,
        inputs=inputs,
        outputs=outputs,
        retry=RetryPolicy(),
        breaker=BreakerPolicy(),
        on_error="dead_letter",
        workers=None,
        position=Position("", 1, 1),
    )


class Tap:
    """Where items leave for their owners. It is a target of links and the queue in front of it in one.

    Args:
        output: the name that the manifest gives it.
    """

    def __init__(self, output: str, course: Course) -> None:
        self._output = output
        self._course = course
        self.queue = cast(BoundedQueue[Any], self)

    def has_room_for(self, num_bytes: int) -> bool:
        return True

    def append(self, entry: Entry, num_bytes: int = 0) -> None:
        """Hand the item over."""
        ledger, item = self._course.ledger, entry.item
        if item.payload is END:
            ledger.end(item.ordinal, Outcome.FILTERED)
            leave(entry.held)
            return
        owner = ledger.identity(item.ordinal).owner
        assert owner is not None, "whatever comes here was sent by somebody"
        is_wanted = not (owner.is_gone or self._course.is_aborting)
        if is_wanted:
            owner.deliver(self._output, item, num_bytes)
        ledger.end(item.ordinal, Outcome.COMPLETED if is_wanted else Outcome.CANCELLED)
        leave(entry.held, well=is_wanted)

    def close(self, link: Link) -> None:
        pass
