"""Nodes that sessions run in processes, which do what chunks tell them; in a module, so that those processes can import them."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, node

RECORDS: dict[str, Any] = {"inputs": {"record": "record"}, "outputs": {"record": "record"}, "streaming": "causal"}


def obeyed(item: Item) -> None:
    """Do what a chunk says in `do`."""
    match item.payload["record"].get("do"):
        case "abort":
            os.abort()
        case "fail":
            raise RuntimeError("as told")


class Sum:
    """What a session has sent so far."""

    alive = 0

    def __init__(self) -> None:
        self.total = 0
        self.told: list[object] = []
        Sum.alive += 1

    def __del__(self) -> None:
        Sum.alive -= 1


@node("test.sum", cardinality="1:N", **RECORDS)
class SumNode(Node[Params]):
    """Give the sum so far, who gave it, and how many sessions have a sum there; at the end the sum of all."""

    def start(self) -> Sum:
        return Sum()

    def process(self, item: Item, state: Sum) -> Item:
        obeyed(item)
        state.total += item.payload["record"]["number"]
        record = {"sum": state.total, "pid": os.getpid(), "alive": Sum.alive, "told": list(state.told)}
        if item.payload["record"].get("do") == "lock":
            record["lock"] = threading.Lock()
        return item.with_payload({"record": record})

    def flush(self, state: Sum) -> Item:
        return Item(key="end", ordinal=0, payload={"record": {"all": state.total}})

    def control(self, message: Any, state: Sum) -> Item | None:
        if message == "abort":
            os.abort()
        state.told.append(message)
        if message == "sum":
            return Item(key="", ordinal=0, payload={"record": {"asked": state.total}})
        return {"lock": threading.Lock()} if message == "lock" else None  # type: ignore[return-value]  # which is refused


@node("test.echo", **RECORDS)
class Echo(Node[Params]):
    """Give each chunk back, with whether it came behind a gap."""

    def process(self, item: Item, state: None) -> Item:
        obeyed(item)
        return item.with_payload({"record": {**item.payload["record"], "gap": item.discontinuity, "pid": os.getpid()}})


@node("test.sums", cardinality="1:N", **RECORDS)
class Sums(Node[Params]):
    """The sum so far of each of several sessions in one call, and how many there were."""

    def start(self) -> Sum:
        return Sum()

    def process_batch(self, items: Sequence[Item], states: Sequence[Sum]) -> Sequence[Item]:
        for item in items:
            obeyed(item)
        for item, state in zip(items, states, strict=True):
            state.total += item.payload["record"]["number"]
        return [
            item.with_payload({"record": {"sum": state.total, "together": len(items)}})
            for item, state in zip(items, states, strict=True)
        ]


@node("test.louder", inputs="audio", outputs="audio", streaming="causal")
class Louder(Node[Params]):
    """Make audio twice as loud, in memory of its own."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"audio": AudioChunk(item.audio.samples * np.float32(2), item.audio.sample_rate)})


@node("test.lasts", inputs="audio", outputs={"record": "record"})
class Lasts(Node[Params]):
    """Tell how long whole audio is, and what it holds."""

    def process(self, item: Item, state: None) -> Item:
        record = {"samples": item.audio.num_samples, "here": os.getpid(), "content": zlib.crc32(item.audio.samples.data)}
        return item.with_payload({"record": record})
