"""One worker of a segment: runs items through the segment's nodes, each timed, guarded by its breaker, accounted for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

from phonograph._memory import leave
from phonograph.audio import AudioChunk
from phonograph.breaker import CircuitBreaker
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.port_contract import Contract
from phonograph.errors import NodeContractError, NodeError, naming_node
from phonograph.graph.conversion import Converting
from phonograph.graph.model import GraphNode, Link
from phonograph.item import Item
from phonograph.metrics import NodeTotals
from phonograph.node import Emitted, Node
from phonograph.sink import Sink
from phonograph.spec import NodeSpec


class Failure:
    """Where an item stopped inside a segment; `error` is None when an open breaker refused it and the node was not called."""

    __slots__ = ("error", "item", "position")

    def __init__(self, position: int, item: Item, error: Exception | None) -> None:
        self.position = position
        self.item = item
        self.error = error


class Pass:
    """What came of one item's pass through a segment.

    Args:
        emitted: items that reached the end.
        num_filtered: items that a node let through no further. num_failures: items that stopped.
        trail: in the order of events, the position of each call that succeeded, and each failure.
    """

    __slots__ = ("emitted", "num_failures", "num_filtered", "trail")

    def __init__(self, emitted: list[Item] | None = None) -> None:
        self.emitted: list[Item] = emitted or []
        self.num_filtered = 0
        self.num_failures = 0
        self.trail: list[int | Failure] = []

    def fail(self, position: int, item: Item, error: Exception | None) -> None:
        self.num_failures += 1
        self.trail.append(Failure(position, item, error))


class Step:
    """One node in one worker."""

    __slots__ = ("account", "audio_in", "audio_out", "breaker", "call", "contract", "node", "onward", "spec", "stats")

    def __init__(self, plan: GraphNode, breaker: CircuitBreaker, totals: NodeTotals | None, link: Link | None) -> None:
        self.spec = plan.spec
        self.contract = Contract(plan.spec, plan.ports, plan.unproven)
        self.node: Node[Any] = self.spec.factory(plan.params, plan.id)
        self.breaker = breaker
        self.stats = totals.new_worker() if totals is not None else None
        self.account = totals.account if totals is not None else None
        # The item as the next step sees it; None when it goes another way. At the end of the segment nobody asks.
        self.onward: Callable[[Item], Item | None] = lambda item: item
        if link is not None:
            self.onward = partial(select_if_chosen if plan.spec.chooses else select, link)
        self.call: Callable[[Item], Emitted]
        if isinstance(self.node, Sink):
            self.call = self._store
        elif self.spec.stateful:
            self.call = self._converse
        else:
            self.call = self._process
        if plan.unproven:
            call = self.call
            self.call = lambda item: call(self.contract.admit(item))
        self.audio_in = next((port.name for port in plan.ports[0] if port.type.family == "audio"), None)
        self.audio_out = next((port.name for port in plan.ports[1] if port.type.family == "audio"), None)

    def _process(self, item: Item) -> Emitted:
        return self.node.process(item, None)

    def _converse(self, item: Item) -> Emitted:
        state = self.node.start()
        emitted = self.contract.gathered(self.node.process(item, state))  # to its end, before the flush
        emitted += self.contract.gathered(self.node.flush(state))
        return emitted[0] if self.spec.cardinality == "1:1" and len(emitted) == 1 else emitted

    def _store(self, item: Item) -> Emitted:
        part = self.node.stage(item)  # type: ignore[attr-defined]  # chosen for sinks alone
        try:
            part.commit()
        except BaseException:
            part.discard()
            raise
        return item

    def audio_seconds(self, item: Item, accepted: Item | list[Item]) -> float:
        """Seconds of audio that the node took or, where it takes none, made."""
        chunk: Any = None
        if self.audio_in is not None:
            chunk = item.payload.get(self.audio_in)
        elif self.audio_out is not None and not isinstance(accepted, list):
            chunk = accepted.payload.get(self.audio_out)
        return chunk.duration_s if type(chunk) is AudioChunk else 0.0


class SegmentWorker:
    """Runs items through one segment with node instances of its own."""

    def __init__(self, plan: SegmentPlan, breakers: dict[str, CircuitBreaker], totals: dict[str, NodeTotals] | None) -> None:
        self.steps: list[Step] = []
        for node, link in zip(plan.nodes, [*(node.inputs[0] for node in plan.nodes[1:]), None], strict=True):
            with naming_node(node.id, "could not be made"):
                self.steps.append(Step(node, breakers[node.id], totals[node.id] if totals is not None else None, link))
        self._num_open = 0

    def open(self) -> None:
        """Open every node. Raises NodeError; nodes that are open by then still want `close`."""
        for step in self.steps:
            with naming_node(step.node.node_id, "could not be opened"):
                step.node.open()
            self._num_open += 1

    def finish(self) -> None:
        """Let sinks complete their outputs. Raises NodeError."""
        for step in self.steps:
            if isinstance(step.node, Sink):
                with naming_node(step.node.node_id, "could not complete its output"):
                    step.node.finish()

    def close(self) -> None:
        """Close every open node, all of them even when one raises; the first NodeError is raised at the end."""
        first: NodeError | None = None
        while self._num_open:
            self._num_open -= 1
            step = self.steps[self._num_open]
            try:
                with naming_node(step.node.node_id, "could not be closed"):
                    step.node.close()
            except NodeError as error:
                first = first or error
            if isinstance(step.node, Converting) and step.stats is not None:
                step.stats.items_changed = step.node.num_changed
        if first is not None:
            raise first

    def run(self, item: Item, position: int, attempt: int, is_probe: bool) -> Pass:
        """Take an item through the segment from `position` on.

        Args:
            attempt: which one this is at `position`, from 1.
            is_probe: the half-open breaker at `position` has let this item through.
        """
        outcome = Pass()
        previous: object = None
        account = self.steps[position].account
        if account is not None:
            previous = account.enter()
        try:
            self._advance(item, position, attempt, is_probe, outcome)
        finally:
            if account is not None:
                leave(previous)
        return outcome

    def _advance(self, item: Item, position: int, attempt: int, is_probe: bool, outcome: Pass) -> None:
        last = len(self.steps) - 1
        while True:
            step = self.steps[position]
            if not (is_probe or step.breaker.is_closed):
                outcome.fail(position, item, None)
                return
            try:
                emitted = self._call(step, item, attempt)
                outcome.trail.append(position)
                if not isinstance(emitted, list):
                    if position == last:
                        outcome.emitted.append(emitted)
                        return
                    onward = step.onward(emitted)
                    if onward is None:
                        outcome.num_filtered += 1
                        return
                    item = onward
                    position, attempt, is_probe = position + 1, 1, False
                    continue
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                    raise  # the user's, and not the node's
                outcome.fail(position, item, _as_exception(step.spec, error))
                return
            if not emitted:
                outcome.num_filtered += 1
            elif position == last:
                outcome.emitted.extend(emitted)
            else:
                self._advance_all(emitted, position, outcome)
            return

    def _advance_all(self, children: list[Item], position: int, outcome: Pass) -> None:
        """Take the items that the node at `position` made of one through the rest of the segment."""
        for child in children:
            try:
                onward = self.steps[position].onward(child)
            except NodeContractError as error:
                outcome.fail(position, child, error)
                continue
            if onward is None:
                outcome.num_filtered += 1
            else:
                self._advance(onward, position + 1, 1, False, outcome)

    @staticmethod
    def _call(step: Step, item: Item, attempt: int) -> Item | list[Item]:
        """Call the node; what it returned is one item, or a list where its cardinality allows other numbers."""
        stats = step.stats
        if stats is None:
            return step.contract.accept(step.call(item), item)
        step.account.enter()  # type: ignore[union-attr]  # stats and account come together
        stats.items_in += attempt == 1
        start_ns = perf_counter_ns()
        try:
            accepted = step.contract.accept(step.call(item), item)  # a generator does its work here, so inside the timing
        except BaseException:
            stats.called(start_ns, perf_counter_ns())
            stats.errors += 1
            raise
        stats.called(start_ns, perf_counter_ns())
        stats.items_out += len(accepted) if isinstance(accepted, list) else 1
        stats.audio_seconds += step.audio_seconds(item, accepted)
        return accepted


def select(link: Link, item: Item) -> Item:
    """The item as the far end of a link sees it: payloads under the names of the target's ports.

    Raises:
        NodeContractError: the producer left out a port that the link needs.
    """
    payload = item.payload
    if len(link.ports) == len(payload) == 1 and link.ports[0][0] == link.ports[0][1] and link.ports[0][0] in payload:
        return item
    try:
        return item.with_payload({target: payload[source] for source, target in link.ports})
    except KeyError as error:
        raise NodeContractError(
            f"node {link.source!r} returned ports {sorted(payload)}; expected {error.args[0]!r} among them, "
            f"which {link.target!r} reads"
        ) from None


def select_if_chosen(link: Link, item: Item) -> Item | None:
    """The same for an item of a node that chooses: None when it does not leave by this link."""
    if not all(source in item.payload for source, _ in link.ports):
        return None
    return select(link, item)


def _as_exception(spec: NodeSpec, error: BaseException) -> Exception:
    """SystemExit and its like end programs, and a node must not: from a node they are a failure as any other."""
    if isinstance(error, Exception):
        return error
    failure = NodeContractError(f"{spec.type} raised {type(error).__name__}; expected an Exception")
    failure.__cause__ = error
    return failure
