"""`flow.collect`: makes one item of many."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from phonograph.errors import BadInputError
from phonograph.flow.gather import (
    MAX_PARTS,
    Gather,
    Left,
    Made,
    Part,
    Results,
    child_order,
    refuse_no_time,
    shared,
)
from phonograph.flow.lineup import Lineup
from phonograph.flow.tickets import Ticket
from phonograph.item import Item
from phonograph.node import Duration, Params, node
from phonograph.streaming import MAX_GATHERED_BYTES

COLLECTED = {"keys", "items", "attributes"}
"""The lists that a collection, and a window, is made of."""


class CollectParams(Params, frozen=True):
    by: Annotated[
        Literal["record", "count"], msgspec.Meta(description="`record`: all items of a source record; `count`: `size` items")
    ] = "record"
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS, description="items in a collection, with `by: count`")] | None = None
    timeout: Annotated[
        Duration | None,
        msgspec.Meta(
            description="with `by: count`: how long the first item waits before a smaller collection goes on; null: for ever"
        ),
    ] = None

    def __post_init__(self) -> None:
        refuse_no_time(self.timeout)
        if self.by == "count" and self.size is None:
            raise ValueError("'by: count' without 'size'; expected how many items to collect")
        for name in ("size", "timeout"):
            if self.by == "record" and getattr(self, name) is not None:
                raise ValueError(f"{name!r} with 'by: record'; expected it with 'by: count' only")


class _Session:
    """What came of a session so far."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._num_bytes = 0

    def add(self, item: Item) -> None:
        """Raises BadInputError when it would be too much."""
        num_bytes = sum(getattr(value, "nbytes", 0) for value in item.payload.values())
        if len(self.parts) >= MAX_PARTS:
            raise BadInputError(f"the collection of its session has {MAX_PARTS} items already, which is as many as may be")
        if self._num_bytes + num_bytes > MAX_GATHERED_BYTES:
            raise BadInputError(
                f"the collection of its session would have more than {MAX_GATHERED_BYTES} bytes; expected less; end the session "
                "earlier, or use flow.window"
            )
        self._num_bytes += num_bytes
        self.parts.append(Part(0, item, None, item.session or item.key, 0.0))


@node(
    "flow.collect",
    inputs={"item": "any"},
    outputs={"items": "record"},
    cardinality="N:1",
    run="inline",
    sees_native_memory=True,
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          speech: {type: vad.energy, input: mono}
          parts: {type: segment.cut, input: {audio: speech.audio, segments: speech.segments}}
          mel: {type: features.log_mel, input: parts}
          whole: {type: flow.collect, input: mel}
          count: {type: sink.jsonl, input: whole, params: {path: out/parts.jsonl}}
        """,
)
class Collect(Gather[CollectParams]):
    """Make one item of all items of a source record, or of every `size` items.

    The payload has three lists of equal length, in the order of the source: `keys`, `items` (the payloads) and `attributes`. Its
    own attributes are those that every item has just as its record left the source. A collection of a record is made when its
    last item has come or ended, under the record's key; when one of them failed, the others become dead letters. One by count is
    named after its first item, with the node's id and its number, from 0 (`clips/a.wav#0000+batches-0003`); the last one may be
    smaller.

    A live session is one record: its collection is made at its end, of what came through, and what failed is left out.
    """

    def __init__(self, params: CollectParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self.timeout_s = params.timeout
        self._records: dict[Ticket, dict[int, list[Part]]] = {}  # ticket -> ordinal -> its items
        self._refused: set[Ticket] = set()
        self._lineup = Lineup()
        self._batch: list[Part] = []
        self._since = 0.0  # when the batch began
        self._number = 0
        self._now = 0.0

    @classmethod
    def mixes(cls, params: Params) -> bool:
        assert isinstance(params, CollectParams)
        return params.by == "count"

    def start(self) -> _Session:
        return _Session()

    def process(self, item: Item, state: _Session) -> list[Item]:
        state.add(item)
        return []

    def flush(self, state: _Session) -> Item | None:
        return self._collected(state.parts).item if state.parts else None

    def arrive(self, part: Part) -> Results:
        self._now = part.arrived
        if self.params.by == "count":
            refused = self._lineup.add(part)
            return [refused] if refused else []
        records = self._records.setdefault(part.ticket, {})
        if sum(map(len, records.values())) >= MAX_PARTS:
            self._refused.add(part.ticket)
            return [Left(part, f"a collection has {MAX_PARTS} items already, which is as many as may be")]
        records.setdefault(part.item.ordinal, []).append(part)
        return []

    def closed(self, ticket: Ticket) -> Results:
        if self.params.by == "count":
            return [made for _, parts in self._lineup.closed(ticket) for part in parts for made in self._batched(part)]
        records = self._records.pop(ticket, {})
        failed = next((f"{lost.key!r} failed" for lost in ticket.lost if lost.is_dead_letter), None)
        if ticket in self._refused:
            self._refused.discard(ticket)
            failed = f"it has more than {MAX_PARTS} items"
        if failed is not None:
            reason = f"the collection of its record cannot be complete, because {failed}"
            return [Left(part, reason) for parts in records.values() for part in parts]
        return [self._collected(parts) for parts in records.values()]

    def due(self) -> float | None:
        return self._since + self.timeout_s if self._batch and self.timeout_s is not None else None

    def expired(self, now: float) -> Results:
        due = self.due()
        return [self._flushed()] if due is not None and due <= now else []

    def ended(self) -> Results:
        parts = self._lineup.rest() + [part for records in self._records.values() for group in records.values() for part in group]
        self._records.clear()
        results: Results = [Left(part, "the run was stopped before its collection was complete") for part in parts]
        return [*results, self._flushed()] if self._batch else results

    def _batched(self, part: Part) -> Results:
        if not self._batch:
            self._since = self._now
        self._batch.append(part)
        part.let_go()  # a batch may be larger than the number of tickets that may be open
        return [self._flushed()] if len(self._batch) == self.params.size else []

    def _flushed(self) -> Made:
        parts, self._batch = self._batch, []
        key = f"{parts[0].item.key}+{self.node_id.replace('/', '.')}-{self._number:04d}"
        self._number += 1
        return collection(parts, key)

    def _collected(self, parts: list[Part]) -> Made:
        parts.sort(key=lambda part: child_order(part.item.key))
        return collection(parts, parts[0].record)


def collection(parts: list[Part], key: str) -> Made:
    """One item of several, in their order: its payload is lists of their keys, payloads and attributes."""
    items = [part.item for part in parts]
    lists: dict[str, Any] = {
        "keys": [item.key for item in items],
        "items": [part.value for part in parts],
        "attributes": [dict(item.attributes) for item in items],
    }
    first = items[0]
    made = Item(
        key=key,
        ordinal=first.ordinal,
        payload={"items": lists},
        parents=tuple(lists["keys"]),
        attributes=shared(parts),
        session=first.session,
        start_sample=first.start_sample,
    )
    return Made(tuple(parts), made)
