"""`flow.window`: makes one item of every few consecutive items."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from phonograph.flow.collect import collection
from phonograph.flow.gather import MAX_PARTS, Gather, Left, Made, Part, Results, child_order
from phonograph.flow.lineup import Lineup
from phonograph.flow.tickets import Gate, Ticket
from phonograph.item import Item
from phonograph.node import Params, node


class WindowParams(Params, frozen=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS, description="items in a window")]
    every: (
        Annotated[
            int,
            msgspec.Meta(
                ge=1,
                description="items from the beginning of one window to that of the next: fewer than `size`, and windows overlap; "
                "more, and those between end as filtered; null: as many as `size`",
            ),
        ]
        | None
    ) = None
    over: Annotated[
        Literal["record", "all"],
        msgspec.Meta(
            description="`record`: items of one source record; `all`: those of all records, in the order of their source"
        ),
    ] = "record"
    partial: Annotated[
        Literal["keep", "drop"],
        msgspec.Meta(
            description="what becomes of items that are left in the end and were in no window: `keep`: a smaller window; `drop`: "
            "they end as filtered"
        ),
    ] = "keep"


class _Line:
    """Consecutive items, and the window that is being filled."""

    __slots__ = ("_every", "_name", "_num_seen", "_number", "_params", "_parts", "_to_skip")

    def __init__(self, params: WindowParams, name: str) -> None:
        self._params = params
        self._every = params.every or params.size
        self._name = name
        self._number = 0
        self._parts: list[Part] = []
        self._num_seen = 0  # how many of them, from the first on, were in a window before
        self._to_skip = 0

    def add(self, part: Part) -> Results:
        if self._to_skip:
            self._to_skip -= 1
            return [Left(part, None)]
        self._parts.append(part)
        if len(self._parts) < self._params.size:
            return []
        parts, self._parts = self._parts, self._parts[self._every :]
        self._num_seen, self._to_skip = len(self._parts), max(0, self._every - self._params.size)
        return [self._window(parts, kept=tuple(self._parts))]

    def rest(self) -> Results:
        """What is left when no more comes."""
        parts, self._parts = self._parts, []
        if len(parts) > self._num_seen and self._params.partial == "keep":
            return [self._window(parts)]
        return [Left(part, None) for part in parts]

    def _window(self, parts: list[Part], kept: tuple[Part, ...] = ()) -> Made:
        key = f"{parts[0].item.key}+{self._name}-{self._number:04d}"
        self._number += 1
        return collection(parts, key)._replace(kept=kept)


@node(
    "flow.window",
    inputs={"item": "any"},
    outputs={"items": "record"},
    cardinality="N:1",
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          speech: {type: vad.energy, input: mono}
          parts: {type: segment.cut, input: {audio: speech.audio, segments: speech.segments}}
          context: {type: flow.window, input: parts, params: {size: 3, every: 1}}
          rows: {type: sink.jsonl, input: context, params: {path: out/context.jsonl}}
        """,
)
class Window(Gather[WindowParams]):
    """Make one item of every `size` consecutive items of a record, or of all records.

    The payload is that of `flow.collect`: lists `keys`, `items` and `attributes` of equal length. A window is named after its
    first item, with the node's id and its number, from 0 (`clips/a.wav#0002+context-0002`), counted in each record, or in each
    source. Its parents are its items; an item may be in several windows, and ends when the last of them has.

    Items are consecutive when nothing that came here lies between them: what was filtered or failed on its way is not waited
    for, and leaves no gap. Of several sources each has windows of its own. A live session is one record; its windows are made
    as its items come.
    """

    def __init__(self, params: WindowParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._name = node_id.replace("/", ".")
        self._records: dict[Ticket, list[Part]] = {}
        self._lineup = Lineup()
        self._lines: dict[Gate, _Line] = {}

    @classmethod
    def mixes(cls, params: Params) -> bool:
        assert isinstance(params, WindowParams)
        return params.over == "all"

    def start(self) -> _Line:
        return _Line(self.params, self._name)

    def process(self, item: Item, state: _Line) -> list[Item] | None:
        results = state.add(Part(0, item, None, item.key, 0.0))
        if any(isinstance(result, Left) for result in results):
            return None
        return _made(results)

    def flush(self, state: _Line) -> list[Item]:
        return _made(state.rest())

    def arrive(self, part: Part) -> Results:
        if self.params.over == "all":
            refused = self._lineup.add(part)
            return [refused] if refused else []
        parts = self._records.setdefault(part.ticket, [])
        if len(parts) >= MAX_PARTS:
            return [Left(part, f"{MAX_PARTS} items of the same record wait here already, which is as many as may")]
        parts.append(part)
        return []

    def closed(self, ticket: Ticket) -> Results:
        if self.params.over == "all":
            line = self._lines.setdefault(ticket.gate, _Line(self.params, self._name))
            results: Results = []
            for _, parts in self._lineup.closed(ticket):
                for part in parts:
                    part.let_go()  # a window may span more records than tickets that may be open
                    results += line.add(part)
            return results
        records: dict[int, list[Part]] = {}
        for part in self._records.pop(ticket, ()):
            records.setdefault(part.item.ordinal, []).append(part)
        return [made for parts in records.values() for made in self._windows(parts)]

    def ended(self) -> Results:
        parts = self._lineup.rest() + [part for parts in self._records.values() for part in parts]
        self._records.clear()
        results: Results = [Left(part, "the run was stopped before its window was complete") for part in parts]
        return results + [made for line in self._lines.values() for made in line.rest()]

    def _windows(self, parts: list[Part]) -> Results:
        parts.sort(key=lambda part: child_order(part.item.key))
        line = _Line(self.params, self._name)
        return [made for part in parts for made in line.add(part)] + line.rest()


def _made(results: Results) -> list[Item]:
    return [result.item for result in results if isinstance(result, Made)]
