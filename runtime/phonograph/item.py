"""What flows through a graph, and how it ends: Record, Item, Outcome."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from phonograph.audio import AudioChunk

NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


class Outcome(enum.Enum):
    """How a record ended. Every record that a source reads ends in exactly one of these."""

    COMPLETED = "completed"  # at least one sink committed it, and nothing of it was lost
    FILTERED = "filtered"  # the manifest chose to let none of it through
    SKIPPED = "skipped"  # a node failed on it and the manifest said `on_error: skip`
    DROPPED = "dropped"  # a queue's drop policy discarded it
    DEAD_LETTERED = "dead_lettered"  # a node failed on it; the dead letter says where and why
    CANCELLED = "cancelled"  # the run was stopped while it was in flight

    __hash__ = object.__hash__  # each is one object; Enum's own hash is a Python function, and outcomes are counted for each item


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a source reads: one clip, one row, one live stream; the unit of accounting.

    Args:
        key: identifies the record for ever: source id and relative path, or source id and row id.
        payload: value by output port of the source.
        attributes: facts about the record that every node downstream can read.
        size, mtime_ns: of the file behind the record, so that a changed input is noticed; None where there is no file.
        digest: of what the source itself knows of the record, such as a row of a list, for the same reason.
    """

    key: str
    payload: Mapping[str, Any]
    attributes: Mapping[str, Any] = NO_ATTRIBUTES
    size: int | None = None
    mtime_ns: int | None = None
    digest: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What travels over an edge: a record, or a part of one, at one place in the graph.

    A msgspec Struct and not a dataclass because one is built for every item and node: construction is four times cheaper.

    Args:
        key: the record's key, or a child key derived from it (`clips/a.wav#0003`).
        ordinal: of the record in the run, from 0; all descendants of a record share it.
        payload: value by port. A node finds its input ports here and returns its output ports.
        parents: keys that this item was made from; empty for an item that is the whole record.
        attributes: frozen map (duration, speech_ratio, text, ...), handed on from node to node.
        session: id of the live stream, None in batch. `index`: of the chunk in its stream.
        start_sample: position of the payload in the record's or stream's audio.
        discontinuity: samples are missing between the previous item and this one.
        final: no further item of this session will follow.
    """

    key: str
    ordinal: int
    payload: Mapping[str, Any]
    parents: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = NO_ATTRIBUTES
    session: str | None = None
    index: int = 0
    start_sample: int = 0
    discontinuity: bool = False
    final: bool = True

    @property
    def audio(self) -> AudioChunk:
        """The payload of the port called `audio`."""
        chunk: AudioChunk = self.payload["audio"]
        return chunk

    def with_payload(self, payload: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> Item:
        """The same record with other payloads, and with `attributes` added to (or replacing) the ones it has."""
        if attributes is None:
            return msgspec.structs.replace(self, payload=payload)
        merged = MappingProxyType({**self.attributes, **attributes})
        return msgspec.structs.replace(self, payload=payload, attributes=merged)

    def child(
        self,
        number: int,
        payload: Mapping[str, Any],
        attributes: Mapping[str, Any] | None = None,
        *,
        start_sample: int = 0,
    ) -> Item:
        """Part `number` (from 0) of this item, as a 1:N node emits it; `start_sample` counts from the start of this item."""
        return Item(
            key=f"{self.key}#{number:04d}",
            ordinal=self.ordinal,
            payload=payload,
            parents=(self.key,),
            attributes=self.attributes if attributes is None else MappingProxyType({**self.attributes, **attributes}),
            session=self.session,
            index=number,
            start_sample=self.start_sample + start_sample,
            final=self.final,
        )
