"""One call of a node for several items, in a worker: timed, held against the node's ports, taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from phonograph._memory import leave
from phonograph.engine.emission import payload_bytes
from phonograph.engine.step import Step
from phonograph.item import Item
from phonograph.node import one_each

if TYPE_CHECKING:
    from phonograph.engine.worker import Pass

Outcome: TypeAlias = "list[Item] | Pass | Exception"
"""What a node gave for one item, or why that is nothing; for a chunk of a session what came of it."""


class Guest(Protocol):
    """One item in a call for several.

    Attributes:
        item: as the node gets it.
    """

    item: Item

    def state(self) -> Any:
        """What the node keeps for it."""

    def outcome(self, emitted: Any) -> Outcome:
        """What comes of what the node gave for it, held against the node's ports. Raises what is wrong with that."""

    def failed(self) -> None:
        """The node failed on it, and on it alone."""


class Whole:
    """A whole record: a session of one chunk."""

    __slots__ = ("_state", "_step", "item")

    def __init__(self, step: Step, item: Item) -> None:
        self.item = item
        self._step = step
        self._state: Any = None

    def state(self) -> Any:
        if self._step.spec.stateful:
            self._state = self._step.node.start()
        return self._state

    def outcome(self, emitted: Any) -> Outcome:
        step, contract = self._step, self._step.contract
        if step.spec.stateful:
            emitted = [*contract.gathered(emitted), *contract.gathered(step.node.flush(self._state))]
            emitted = emitted[0] if step.spec.cardinality == "1:1" and len(emitted) == 1 else emitted
        accepted = contract.accept(emitted, self.item)
        return accepted if isinstance(accepted, list) else [accepted]

    def failed(self) -> None:
        pass


def call_batch(step: Step, guests: Sequence[Guest], num_new: int) -> list[Outcome]:
    """Call the node once.

    The time of the call counts once; what is by item, such as `execution_time_ms` over `items_in`, is each item's share.

    Args:
        num_new: how many of the items the node is called for the first time for.

    Returns:
        One outcome for each item, in their order.

    Raises:
        What the node does; nothing came of any item then.
    """
    stats = step.stats
    if stats is None:
        return _weighed(step, guests, _called(step, guests))
    previous = step.account.enter()  # type: ignore[union-attr]  # stats and account come together
    stats.items_in += num_new
    start_ns = perf_counter_ns()
    try:
        outcomes = _called(step, guests)
    except BaseException:
        stats.errors += 1
        raise
    finally:
        stats.called(start_ns, perf_counter_ns())
        leave(previous)
    for guest, outcome in zip(guests, outcomes, strict=True):
        if isinstance(outcome, Exception):
            stats.errors += 1
        else:
            made = _made(outcome)
            stats.items_out += len(made)
            stats.audio_seconds += step.audio_seconds(made, guest.item)
    return _weighed(step, guests, outcomes)


def _weighed(step: Step, guests: Sequence[Guest], outcomes: list[Outcome]) -> list[Outcome]:
    """The same, once those have been told of them who keep a run within its memory."""
    if (weigh := step.weigh) is not None:
        for guest, outcome in zip(guests, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                weigh(payload_bytes(guest.item.payload) + sum(payload_bytes(one.payload) for one in _made(outcome)))
    return outcomes


def _made(outcome: list[Item] | Pass) -> list[Item]:
    return outcome if isinstance(outcome, list) else outcome.emitted


def _called(step: Step, guests: Sequence[Guest]) -> list[Outcome]:
    refused = _refused(step, guests)
    admitted = [guest for number, guest in enumerate(guests) if number not in refused]
    given = iter(_given(step, admitted) if admitted else [])
    return [refused[number] if number in refused else next(given) for number in range(len(guests))]


def _refused(step: Step, guests: Sequence[Guest]) -> dict[int, Exception]:
    """Number of each item that is not of the type that the node takes -> what is wrong with it."""
    refused: dict[int, Exception] = {}
    for number, guest in enumerate(guests):
        try:
            step.contract.admit(guest.item)
        except Exception as error:  # noqa: BLE001  # judged by the scheduler
            guest.failed()
            refused[number] = error
    return refused


def _given(step: Step, guests: Sequence[Guest]) -> list[Outcome]:
    items, states = [guest.item for guest in guests], [guest.state() for guest in guests]
    results = one_each(step.node.process_batch(items, states), len(items), f"process_batch of {step.spec.type}")
    return [_outcome(guest, result) for guest, result in zip(guests, results, strict=True)]


def _outcome(guest: Guest, emitted: Any) -> Outcome:
    """What came of one item; what is wrong with it is no fault of the others."""
    try:
        if not isinstance(emitted, Exception):
            return guest.outcome(emitted)
        error = emitted
    except Exception as raised:  # noqa: BLE001  # as above
        error = raised
    guest.failed()
    return error
