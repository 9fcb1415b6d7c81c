"""One call of a node for several items, in a worker: timed, held against the node's ports, taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from phonograph._memory import leave
from phonograph.engine.emission import payload_bytes
from phonograph.engine.step import Step
from phonograph.item import Item
from phonograph.node import one_each

Outcome = list[Item] | Exception
"""What a node gave for one item, or why that is nothing."""


def call_batch(step: Step, items: Sequence[Item], num_new: int) -> list[Outcome]:
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
        return _weighed(step, items, _called(step, items))
    previous = step.account.enter()  # type: ignore[union-attr]  # stats and account come together
    stats.items_in += num_new
    start_ns = perf_counter_ns()
    try:
        outcomes = _called(step, items)
    except BaseException:
        stats.errors += 1
        raise
    finally:
        stats.called(start_ns, perf_counter_ns())
        leave(previous)
    for item, made in zip(items, outcomes, strict=True):
        if isinstance(made, Exception):
            stats.errors += 1
        else:
            stats.items_out += len(made)
            stats.audio_seconds += step.audio_seconds(made, item)
    return _weighed(step, items, outcomes)


def _weighed(step: Step, items: Sequence[Item], outcomes: list[Outcome]) -> list[Outcome]:
    """The same, once those have been told of them who keep a run within its memory."""
    if (weigh := step.weigh) is not None:
        for item, made in zip(items, outcomes, strict=True):
            if isinstance(made, list):
                weigh(payload_bytes(item.payload) + sum(payload_bytes(one.payload) for one in made))
    return outcomes


def _called(step: Step, items: Sequence[Item]) -> list[Outcome]:
    refused = _refused(step, items)
    admitted = [item for number, item in enumerate(items) if number not in refused]
    given = iter(_given(step, admitted) if admitted else [])
    return [refused[number] if number in refused else next(given) for number in range(len(items))]


def _refused(step: Step, items: Sequence[Item]) -> dict[int, Exception]:
    """Number of each item that is not of the type that the node takes -> what is wrong with it."""
    refused: dict[int, Exception] = {}
    for number, item in enumerate(items):
        try:
            step.contract.admit(item)
        except Exception as error:  # noqa: BLE001  # judged by the scheduler
            refused[number] = error
    return refused


def _given(step: Step, items: Sequence[Item]) -> list[Outcome]:
    node, is_stateful = step.node, step.spec.stateful
    states = [node.start() for _ in items] if is_stateful else [None] * len(items)
    results = one_each(node.process_batch(items, states), len(items), f"process_batch of {step.spec.type}")
    return [_kept(step, *one) for one in zip(items, states, results, strict=True)]


def _kept(step: Step, item: Item, state: Any, emitted: Any) -> Outcome:
    """What came of one item, held against the node's ports; what is wrong with it is no fault of the others."""
    if isinstance(emitted, Exception):
        return emitted
    contract = step.contract
    try:
        if step.spec.stateful:
            emitted = [*contract.gathered(emitted), *contract.gathered(step.node.flush(state))]
            emitted = emitted[0] if step.spec.cardinality == "1:1" and len(emitted) == 1 else emitted
        accepted = contract.accept(emitted, item)
    except Exception as error:  # noqa: BLE001  # as above
        return error
    return accepted if isinstance(accepted, list) else [accepted]
