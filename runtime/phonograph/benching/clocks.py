"""Counts the processor time that each node of a graph takes.

A node's `execution_time_ms` is time on the wall: it holds the waiting for the disk, for the interpreter's lock and for a core
that another program has, which on a busy machine is several times its work. The clock of a thread stands still while the thread
waits. It is read around what the node itself does, in instances made for this measurement alone, so that other runs pay nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import thread_time_ns
from typing import Any

from phonograph.graph.instances import with_instances
from phonograph.graph.model import GraphNode
from phonograph.sink import Part, Written
from phonograph.spec import Kind

_OWN_WORK = ("process", "process_batch", "flush")


class Clock:
    """The processor time of one node, over all its workers."""

    def __init__(self) -> None:
        self._meters: list[_Meter] = []

    @property
    def time_ms(self) -> float | None:
        """None when it was never read: nothing reached the node, or it gathers, in the event loop, what others made."""
        if not any(meter.num_readings for meter in self._meters):
            return None
        return sum(meter.nanoseconds for meter in self._meters) / 1e6

    def around(self, node: GraphNode) -> GraphNode:
        """The same node, with this clock read around its work."""
        return with_instances(node, partial(self._read_around, kind=node.spec.kind))

    def _read_around(self, made: Any, kind: Kind) -> None:
        meter = _Meter()
        self._meters.append(meter)
        if kind == "source":
            read = made.read
            made.read = lambda: meter.steps(iter(read()))
        elif kind == "sink":
            stage = meter.call(made.stage)
            made.stage = lambda item: _MeteredPart(stage(item), meter)
        else:
            for name in _OWN_WORK:
                if hasattr(made, name):
                    setattr(made, name, meter.call(getattr(made, name)))


class _Meter:
    """What one instance took; it lives in one thread, so nothing is locked."""

    __slots__ = ("_is_running", "nanoseconds", "num_readings")

    def __init__(self) -> None:
        self.nanoseconds = 0
        self.num_readings = 0
        self._is_running = False

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def metered(*arguments: Any) -> Any:
            if self._is_running:  # `process` gives its item to `process_batch`
                return function(*arguments)
            self._is_running = True
            start = thread_time_ns()
            try:
                result = function(*arguments)
            finally:
                self._is_running = False
                self._read(start)
            return self.steps(result) if isinstance(result, Iterator) else result  # a generator does its work later

        return metered

    def steps(self, values: Iterator[Any]) -> Iterator[Any]:
        try:
            while True:
                start = thread_time_ns()
                try:
                    value = next(values)
                except StopIteration:
                    return
                finally:
                    self._read(start)
                yield value
        finally:
            if hasattr(values, "close"):
                values.close()

    def _read(self, start: int) -> None:
        self.nanoseconds += thread_time_ns() - start
        self.num_readings += 1


class _MeteredPart(Part):
    """A part whose commit is the sink's work as well."""

    def __init__(self, part: Part, meter: _Meter) -> None:
        self._part = part
        self._commit = meter.call(part.commit)

    def commit(self) -> Written:
        written: Written = self._commit()
        return written

    def discard(self) -> None:
        self._part.discard()
