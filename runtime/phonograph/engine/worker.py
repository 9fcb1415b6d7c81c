"""One worker of a segment: runs items through the segment's nodes, each timed, guarded by its breaker, accounted for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from time import perf_counter_ns

from phonograph._memory import leave
from phonograph.breaker import CircuitBreaker
from phonograph.engine.batch_call import Outcome, Whole, call_batch
from phonograph.engine.emission import STRETCH_BYTES, STRETCH_ITEMS, Emission, payload_bytes
from phonograph.engine.guard import Attempt, Guard, LeftBehindError
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.step import Step
from phonograph.errors import NodeContractError, NodeError, naming_node
from phonograph.graph.conversion import Converting
from phonograph.item import Item
from phonograph.metrics import NodeTotals
from phonograph.sink import Sink, output_folders
from phonograph.spec import NodeSpec


class Failure:
    """Where an item stopped inside a segment; `error` is None when an open breaker refused it and the node was not called.

    `given`: how many items the node's generator had handed on when it failed. `began`: when the attempt did, where that is known.
    `is_unseen`: the item as it was there is lost with its worker, so that it is tried again from where its pass began. `is_made`:
    the item is one that the node made, and not the one that it took.
    """

    __slots__ = ("began", "error", "given", "is_made", "is_unseen", "item", "position")

    def __init__(self, position: int, item: Item, error: Exception | None, given: int = 0, began: float | None = None) -> None:
        self.position = position
        self.item = item
        self.error = error
        self.given = given
        self.began = began
        self.is_unseen = self.is_made = False


class Pass:
    """What came of one item's pass through a segment, or of a stretch of it.

    Args:
        emitted: items that reached the end.
        num_filtered: items that a node let through no further. num_failures: items that stopped.
        trail: in the order of events, the position of each call that succeeded, and each failure.
        paused_at: position of a node that has more to give, which `SegmentWorker.go_on` asks for; None at the end of the pass.
    """

    __slots__ = ("emitted", "num_failures", "num_filtered", "paused_at", "trail")

    def __init__(self, emitted: list[Item] | None = None, trail: Iterable[int] = ()) -> None:
        self.emitted: list[Item] = emitted or []
        self.num_filtered = 0
        self.num_failures = 0
        self.paused_at: int | None = None
        self.trail: list[int | Failure] = [*trail]

    def fail(self, position: int, item: Item, error: Exception | None, given: int = 0, began: float | None = None) -> Failure:
        failure = Failure(position, item, error, given, began)
        self.num_failures += 1
        self.trail.append(failure)
        return failure


class SegmentWorker:
    """Runs items through one segment with node instances of its own."""

    def __init__(self, plan: SegmentPlan, breakers: dict[str, CircuitBreaker], totals: dict[str, NodeTotals] | None) -> None:
        self.steps: list[Step] = []
        self._paused: list[tuple[Item, list[Emission]]] = []  # passes of which more is to come
        for node, link in zip(plan.nodes, [*(node.inputs[0] for node in plan.nodes[1:]), None], strict=True):
            with naming_node(node.id, "could not be made"):
                self.steps.append(Step(node, breakers[node.id], totals[node.id] if totals is not None else None, link))
        self._num_open = 0

    def open(self) -> None:
        """Open every node. Raises NodeError; nodes that are open by then still want `close`."""
        for step in self.steps:
            with naming_node(step.node.node_id, "could not be opened"):
                step.node.open()
                if isinstance(step.node, Sink):
                    step.node.writer.folders = output_folders(step.node.params)
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
        self._paused.clear()  # which closes the generators, while their nodes are open
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

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        """Take an item through the segment from `position` on.

        Args:
            attempt: which one this is at `position`, from 1.
            is_probe: the half-open breaker at `position` has let this item through.
            given: how many items attempts before have handed on there.

        Returns:
            What came of it; an item says that it reached the end, and that nothing else came. When a node has more to give,
            `go_on` tells what comes then. Meanwhile other items may be run, but only from positions beyond that node.
        """
        outcome = Pass()
        emissions: list[Emission] = []
        previous: object = None
        account = self.steps[position].account
        if account is not None:
            previous = account.enter()
        try:
            self._advance(item, position, attempt, is_probe, given, outcome, emissions)
            if emissions:
                self._hand_on(item, emissions, outcome)
        finally:
            if account is not None:
                leave(previous)
        if outcome.num_failures or outcome.num_filtered or outcome.paused_at is not None or len(outcome.emitted) != 1:
            return outcome
        return outcome.emitted[0]

    def go_on(self) -> Pass:
        """What comes next of the pass that was paused last."""
        outcome = Pass()
        item, emissions = self._paused.pop()
        previous: object = None
        account = self.steps[emissions[-1].position].account
        if account is not None:
            previous = account.enter()
        try:
            if not emissions[-1].ready:
                self._fill(emissions, outcome)
            self._hand_on(item, emissions, outcome)
        finally:
            if account is not None:
                leave(previous)
        return outcome

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception:
        """Give several items to the segment's only node in one call; see `phonograph.engine.batch_call`.

        Returns:
            One outcome for each item; what the node raised, when the call failed.
        """
        try:
            return self._call_batch(items, num_new)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # the user's, and not the node's
            return as_exception(self.steps[0].spec, error)

    def _call_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome]:
        return call_batch(self.steps[0], [Whole(self.steps[0], item) for item in items], num_new)

    def _advance(
        self,
        item: Item,
        position: int,
        attempt: int,
        is_probe: bool,
        given: int,
        outcome: Pass,
        emissions: list[Emission],
    ) -> None:
        """Take an item on to its end, or to where it becomes several, which are put on top of `emissions`."""
        last = len(self.steps) - 1
        while True:
            step = self.steps[position]
            if not (is_probe or step.breaker.is_closed):
                outcome.fail(position, item, None)
                return
            try:
                emitted = self._call(step, item, position, attempt, given)
                if not isinstance(emitted, Emission):
                    outcome.trail.append(position)
                    if position == last:
                        outcome.emitted.append(emitted)
                        return
                    onward = step.onward(emitted)
                    if onward is None:
                        outcome.num_filtered += 1
                        return
                    item = onward
                    position, attempt, is_probe, given = position + 1, 1, False, 0
                    continue
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                    raise  # the user's, and not the node's
                outcome.fail(position, item, as_exception(step.spec, error), began=step.began)
                return
            if emitted.rest is None:
                outcome.trail.append(position)
                if not emitted.given:
                    outcome.num_filtered += 1
                    return
            emissions.append(emitted)
            return

    def _hand_on(self, item: Item, emissions: list[Emission], outcome: Pass) -> None:
        """Take what nodes gave through the rest of the segment, depth first, until a node is to give more or much has come."""
        last = len(self.steps) - 1
        num_counted = num_bytes = 0
        while emissions:
            emission = emissions[-1]
            if not emission.ready:
                if emission.rest is not None:
                    break
                emissions.pop()
            elif emission.position == last and emission.rest is None and len(emissions) == 1:
                outcome.emitted.extend(emission.ready)  # the usual end, and nothing more will come
                emissions.pop()
            elif num_bytes >= STRETCH_BYTES or len(outcome.emitted) >= STRETCH_ITEMS:
                break
            else:
                self._pass_on(emission.ready.popleft(), emission.position, outcome, emissions)
                num_bytes += sum(payload_bytes(one.payload) for one in outcome.emitted[num_counted:])
                num_counted = len(outcome.emitted)
        if emissions:
            outcome.paused_at = emissions[-1].position
            self._paused.append((item, emissions))

    def _pass_on(self, child: Item, position: int, outcome: Pass, emissions: list[Emission]) -> None:
        """Take one of the items that the node at `position` gave on from there."""
        if position == len(self.steps) - 1:
            outcome.emitted.append(child)
            return
        try:
            onward = self.steps[position].onward(child)
        except NodeContractError as error:
            outcome.fail(position, child, error)
            return
        if onward is None:
            outcome.num_filtered += 1
        else:
            self._advance(onward, position + 1, 1, False, 0, outcome, emissions)

    def _fill(self, emissions: list[Emission], outcome: Pass) -> None:
        """Let the node on top give its next stretch."""
        emission = emissions[-1]
        step, given = self.steps[emission.position], emission.given
        try:
            self._take(step, emission)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # as above
            emissions.pop()
            outcome.fail(emission.position, emission.item, as_exception(step.spec, error), given, step.began)
            return
        if emission.rest is None:
            outcome.trail.append(emission.position)

    def _call(self, step: Step, item: Item, position: int, attempt: int, given: int) -> Item | Emission:
        """Call the node; what it gave is one item, or an emission where its cardinality allows other numbers."""
        stats = step.stats
        if stats is None:
            emitted = step.call(item)
            return step.contract.one(emitted, item) if type(emitted) is Item else step.several(emitted, item, position, given)
        stats.begin(attempt == 1)
        try:
            emitted = step.call(item)
            # A generator does its work here, so inside the timing.
            accepted = step.contract.one(emitted, item) if type(emitted) is Item else step.several(emitted, item, position, given)
        except BaseException:
            stats.fail()
            raise
        if type(accepted) is Item:
            stats.end()
            if step.sees_audio:
                stats.audio_seconds += step.audio_seconds((accepted,), item)
        else:
            made = accepted.ready  # type: ignore[union-attr]  # of Item there are no subclasses
            stats.end(len(made))
            stats.audio_seconds += step.audio_seconds(made, item)
        return accepted

    def _take(self, step: Step, emission: Emission) -> None:
        """The same for the next stretch of a generator."""
        stats = step.stats
        if stats is None:
            emission.fill(step.contract)
            return
        stats.begin(False)
        try:
            emission.fill(step.contract)
        except BaseException:
            stats.fail()
            raise
        stats.end(len(emission.ready))
        stats.audio_seconds += step.audio_seconds(emission.ready, None)


class GuardedWorker(SegmentWorker):
    """A segment worker whose calls may take only so long.

    Args:
        guard: is told of each call.
    """

    def __init__(
        self, plan: SegmentPlan, breakers: dict[str, CircuitBreaker], totals: dict[str, NodeTotals] | None, guard: Guard
    ) -> None:
        super().__init__(plan, breakers, totals)
        self._guard = guard
        for step in self.steps:
            step.guard = guard

    def _call(self, step: Step, item: Item, position: int, attempt: int, given: int) -> Item | Emission:
        with self._guard.attempt(step, position, (item,), given) as token:
            emitted = super()._call(step, item, position, attempt, given)
            if isinstance(emitted, Emission):
                emitted.token = token
            return emitted

    def _take(self, step: Step, emission: Emission) -> None:
        with self._guard.attempt(step, emission.position, (emission.item,), emission.given, emission.token):
            super()._take(step, emission)

    def _call_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome]:
        with self._guard.attempt(self.steps[0], 0, items):
            return super()._call_batch(items, num_new)

    def count_left(self, attempt: Attempt, totals: dict[str, NodeTotals] | None) -> None:
        """Account for a call that has not returned, and count no more of what the thread does. For the event loop."""
        for position, step in enumerate(self.steps):
            if totals is not None and step.stats is not None:
                stats = totals[step.node.node_id].fix(step.stats)
                if position == attempt.position:
                    stats.errors += 1
                    stats.called(attempt.began_ns, perf_counter_ns())


def lost(left: LeftBehindError, since: int) -> Pass:
    """What came of an item that a worker which was left behind had been given at position `since`."""
    attempt = left.attempt
    outcome = Pass(trail=range(since, attempt.position))
    failure = outcome.fail(attempt.position, attempt.item, left.error, attempt.given, attempt.began)
    failure.is_unseen = attempt.is_unseen
    return outcome


def as_exception(spec: NodeSpec, error: BaseException) -> Exception:
    """SystemExit and its like end programs, and a node must not: from a node they are a failure as any other."""
    if isinstance(error, Exception):
        return error
    failure = NodeContractError(f"{spec.type} raised {type(error).__name__}; expected an Exception")
    failure.__cause__ = error
    return failure
