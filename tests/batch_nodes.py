"""Nodes that take batches, and say of each item what it came with; in a module, so that processes can import them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError, TransientError
from phonograph.item import Item, Record
from phonograph.node import Emitted, Node, Params, Source, node


class TogetherParams(Params, frozen=True):
    on: dict[str, str] = msgspec.field(default_factory=dict)
    heals_after: int = 0
    most: int = 1000
    diary: str = ""


def _numbers(items: Sequence[Item]) -> list[int]:
    return [int(item.key.rpartition("/")[2]) for item in items]


class _Together(Node[TogetherParams]):
    """Do to some items what `on` says, by their number; `*` is every one. The diary has a line for each call."""

    num_calls = 0

    def process_batch(self, items: Sequence[Item], states: Sequence[Any]) -> Sequence[Emitted]:
        self.num_calls += 1
        numbers = _numbers(items)
        if self.params.diary:
            with Path(self.params.diary).open("a") as diary:
                diary.write(f"{' '.join(map(str, numbers))}\n")
        if len(items) > self.params.most:
            raise MemoryError(f"no room for {len(items)}")
        results = [
            self._result(item, self.params.on.get(str(number), self.params.on.get("*", "")), numbers)
            for number, item in zip(numbers, items, strict=True)
        ]
        return results[1:] if any(self.params.on.get(str(number)) == "too_few" for number in numbers) else results

    def _result(self, item: Item, how: str, numbers: list[int]) -> Any:
        if how == "bad_input":
            raise BadInputError(f"{item.key} is bad")
        if how == "at_fault":
            return BadInputError(f"{item.key} is bad")
        if how == "fault":
            raise RuntimeError(f"{item.key} is too much")
        if how == "exit":
            raise SystemExit(3)
        if how == "transient" and self.num_calls > self.params.heals_after > 0:
            how = ""
        if how == "transient":
            raise TransientError("not now")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "unpicklable":
            return item.with_payload({"record": {"made": lambda: None}})
        if how == "wrong_type":
            return "nothing like an item"
        made = item.with_payload({"record": {"with": numbers}})
        if how == "late":
            return self._late(made)
        return {"": made, "filter": None, "two": [made.child(0, made.payload), made.child(1, made.payload)]}[how]

    def _late(self, made: Item) -> Any:
        yield made
        raise BadInputError(f"{made.key} ends badly")


@node("test.together", inputs={"record": "record"}, outputs={"record": "record"})
class Together(_Together):
    """One for one."""


@node("test.together_or_not", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:0..1")
class TogetherOrNot(_Together):
    """May filter."""


@node("test.together_many", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class TogetherMany(_Together):
    """May give several."""


@node("test.together_inline", inputs={"record": "record"}, outputs={"record": "record"}, run="inline")
class TogetherInline(_Together):
    """In the event loop."""


@node("test.counted", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class Counted(Node[Params]):
    """Give each item, and at its end how many items its state has seen."""

    def start(self) -> dict[str, int]:
        return {"seen": 0}

    def process_batch(self, items: Sequence[Item], states: Sequence[dict[str, int]]) -> Sequence[Emitted]:
        for item, state in zip(items, states, strict=True):
            state["seen"] += 1
            state["item"] = item  # type: ignore[assignment]
        return [[item.child(0, item.payload)] for item in items]

    def flush(self, state: Any) -> Item:
        item: Item = state["item"]
        return item.child(1, {"record": {"seen": state["seen"]}})


class ClipsParams(Params, frozen=True):
    seconds: Annotated[list[float], msgspec.Meta(description="of each clip")]
    rate: int = 100


@node("test.clips", outputs={"audio": "audio"}, attributes={"duration": "float"})
class Clips(Source[ClipsParams]):
    """Silence of these durations."""

    def read(self) -> Any:
        for number, seconds in enumerate(self.params.seconds):
            chunk = AudioChunk(np.zeros((1, round(seconds * self.params.rate)), np.float32), self.params.rate)
            yield Record(key=f"{self.node_id}/{number}", payload={"audio": chunk}, attributes={"duration": chunk.duration_s})


@node("test.padded", inputs={"audio": "audio"}, outputs={"record": "record"})
class Padded(Node[Params]):
    """Say how long the clips of the batch are."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        durations = [item.audio.duration_s for item in items]
        return [item.with_payload({"record": {"durations": durations}}) for item in items]


@node("test.texts", batch=True)
def spoken(audio: list[AudioChunk], *, word: str = "la") -> list[str | None]:
    """A word for each 100 samples of each clip; nothing for an empty one."""
    return [" ".join([word] * (chunk.num_samples // 100)) or None for chunk in audio]


@node("test.too_many", batch=True)
def too_many(audio: Sequence[AudioChunk]) -> Sequence[str]:
    """One result more than there are clips."""
    return ["la"] * (len(audio) + 1)


TYPES = (Together, TogetherOrNot, TogetherMany, TogetherInline, Counted, Clips, Padded, spoken, too_many)
