"""Lets the nodes of a graph meet their faults: calls fail, early or late, take long, or give only a part before they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf
from typing import Any, NamedTuple

from phonograph.appended import RowPart
from phonograph.chaos.faults import MARK, CallFault, Faults, History
from phonograph.engine.simulated import delay
from phonograph.errors import BadInputError, TransientError
from phonograph.flow.gather import gather_type
from phonograph.graph.instances import with_instances
from phonograph.graph.model import Graph, GraphNode
from phonograph.item import Item, Record
from phonograph.sink import Part, Written

_ERRORS: dict[str, type[Exception]] = {"transient error": TransientError, "bad input": BadInputError}


class Stored(NamedTuple):
    """A part that a sink has committed; whether it is a row, of a file that may have more."""

    node: str
    key: str
    ordinal: int
    written: Written
    is_row: bool


class Injection:
    """Stands around the nodes of a graph, and is told before each run what they meet in it.

    Args:
        records: so many each source gives; None: all.

    Attributes:
        faults: of the seed; None: nodes are left alone. history: of the seed.
        stored: what sinks have committed, in order.
    """

    def __init__(self, records: int | None) -> None:
        self._records = records
        self.faults: Faults | None = None
        self.history = History()
        self.stored: list[Stored] = []

    def around(self, graph: Graph) -> Graph:
        """The same graph with this injection in it."""
        return replace(graph, nodes={node.id: self._around(node) for node in graph.nodes.values()})

    def _around(self, node: GraphNode) -> GraphNode:
        if node.spec.kind == "source":
            return with_instances(node, partial(self._change_source, node))
        if node.spec.kind == "sink":
            return with_instances(node, partial(self._change_sink, node))
        # What gathers is no call that could fail: it is driven by what comes.
        return node if gather_type(node) is not None else with_instances(node, partial(self._change_transform, node))

    def _change_source(self, node: GraphNode, made: Any) -> None:
        read: Callable[[], Iterator[Record]] = made.read

        def read_some() -> Iterator[Record]:
            for record in islice(read(), self._records):
                fault = None if self.faults is None else self.faults.at_read(node.id, record.key)
                if self.history.meets(node.id, record.key, fault):
                    assert fault is not None
                    if not fault.delay_s:
                        raise TransientError(MARK)
                    delay(fault.delay_s)
                yield record

        made.read = read_some

    def _change_sink(self, node: GraphNode, made: Any) -> None:
        stage: Callable[[Item], Part] = made.stage
        # A sink that alone writes its file is not left behind: where it does not return, the run ends, as it should.
        longest_s = node.timeout.shortest_s if made.writers == "single_writer" else inf

        def stage_perhaps(item: Item) -> Part:
            fault = self._met(node, item.key, longest_s)
            _suffer(fault, is_late=False)
            part = stage(item)
            try:
                _suffer(fault, is_late=True)
            except BaseException:
                part.discard()
                raise
            is_row = isinstance(part, RowPart)
            return _NotedPart(part, lambda written: self.stored.append(Stored(node.id, item.key, item.ordinal, written, is_row)))

        made.stage = stage_perhaps

    def _change_transform(self, node: GraphNode, made: Any) -> None:
        process: Callable[[Item, Any], Any] = made.process
        is_inside = False

        def process_perhaps(item: Item, state: Any) -> Any:
            nonlocal is_inside  # `process` may give its item to `process_batch`, or the other way round
            if is_inside:
                return process(item, state)
            fault = self._met(node, item.key)
            _suffer(fault, is_late=False)
            is_inside = True
            try:
                result = process(item, state)
            finally:
                is_inside = False
            if isinstance(result, Iterator):
                return result if fault is None or not fault.is_late else _broken(result, fault)
            _suffer(fault, is_late=True)
            return result

        made.process = process_perhaps
        if not hasattr(made, "process_batch"):
            return
        process_batch: Callable[..., Any] = made.process_batch

        def process_batch_perhaps(items: Sequence[Item], *states: Any) -> Any:
            nonlocal is_inside
            faults = [] if is_inside else [fault for item in items if (fault := self._met(node, item.key)) is not None]
            _suffer(next(iter(faults), None), is_late=False)
            is_inside = True
            try:
                result = process_batch(items, *states)
            finally:
                is_inside = False
            _suffer(next(iter(faults), None), is_late=True)
            return result

        made.process_batch = process_batch_perhaps

    def _met(self, node: GraphNode, key: str, longest_s: float = inf) -> CallFault | None:
        """The fault that a call meets now; none that takes longer."""
        if self.faults is None:
            return None
        fault = self.faults.at_call(node.id, key, max_retries=node.retry.max_retries, is_timed=node.is_timed)
        if fault is not None and fault.delay_s and (node.run == "inline" or fault.delay_s >= longest_s):
            return None
        return fault if self.history.meets(node.id, key, fault) else None


def _suffer(fault: CallFault | None, *, is_late: bool) -> None:
    if fault is None or fault.is_late != is_late:
        return
    if fault.delay_s:
        delay(fault.delay_s)
    else:
        raise _ERRORS.get(fault.name, RuntimeError)(MARK)


def _broken(items: Iterator[Any], fault: CallFault) -> Iterator[Any]:
    """The first of what a generator gives, and then the error."""
    try:
        yield from islice(items, 1)
        _suffer(fault, is_late=True)
    finally:
        if hasattr(items, "close"):
            items.close()


class _NotedPart(Part):
    def __init__(self, part: Part, note: Callable[[Written], None]) -> None:
        self._part, self._note = part, note

    def commit(self) -> Written:
        written = self._part.commit()
        self._note(written)
        return written

    def discard(self) -> None:
        self._part.discard()
