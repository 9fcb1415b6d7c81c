"""A node with a state for each session, and what tests of sessions do with it."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

from phonograph.engine.sessions import Session
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import one_node

STATES: weakref.WeakSet[Tally] = weakref.WeakSet()
"""States of `test.tally` that somebody holds."""


class Tally:
    """What a session has sent so far."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.told: list[object] = []
        self.is_busy = False
        STATES.add(self)

    @property
    def numbers(self) -> list[int]:
        return [item.payload["record"]["number"] for item in self.items]


@node("test.tally", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N", streaming="causal")
class TallyNode(Node[Params]):
    """Give what was sent so far, and all of it again at the end; fail on negative numbers."""

    def start(self) -> Tally:
        return Tally()

    def process(self, item: Item, state: Tally) -> Item:
        assert not state.is_busy, "two chunks of a session at a time"
        state.is_busy = True
        state.items.append(item)
        if state.numbers[-1] < 0:
            raise RuntimeError("negative")
        state.is_busy = False
        return item.with_payload({"record": {"so far": state.numbers, "told": list(state.told)}})

    def flush(self, state: Tally) -> list[Item]:
        return [state.items[-1].with_payload({"record": {"all": state.numbers}})]

    def control(self, message: object, state: Tally) -> None:
        state.told.append(message)
        if message == "wrong":
            raise ValueError("wrong")


def number(value: int) -> dict[str, Any]:
    return {"record": {"number": value}}


def tallying(folder: Path, **options: Any) -> Executor:
    return one_node(folder, "test.tally", TallyNode, **options)


async def received(session: Session) -> list[Any]:
    return [item.payload["out"] async for item in session]


def nothing_is_kept() -> bool:
    gc.collect()
    return not STATES
