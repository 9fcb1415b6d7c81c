"""Reads how much may wait in front of a node, and what happens when it is too much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from phonograph.errors import Complaint
from phonograph.language import fields
from phonograph.language.fields import Fields
from phonograph.language.yaml12 import Located

KEYS = ("items", "bytes", "full")

Full = Literal["block", "newest", "oldest"]
"""What a full queue does with an item that comes: hold its sender, drop the item, or drop what has waited longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBounds:
    """How much may wait in a queue, items and the bytes of their payloads, and what happens when it is full."""

    items: int = 16
    num_bytes: int = 256 * 2**20
    full: Full = "block"


def read_queue(located: Located, complaints: list[Complaint]) -> QueueBounds:
    """What stands under `queue`; what is wrong in it counts as not said."""
    found = Fields(located, what="'queue'", allowed=KEYS, complaints=complaints)
    usual = QueueBounds()
    items, num_bytes = found.read("items", fields.integer(1)), found.read("bytes", _queue_bytes)
    full = cast(Full | None, found.read("full", fields.one_of(*get_args(Full))))
    return QueueBounds(items=items or usual.items, num_bytes=num_bytes or usual.num_bytes, full=full or usual.full)


def _queue_bytes(value: object) -> int:
    num_bytes = fields.size(value)
    if num_bytes < 1:
        raise fields.MismatchError("at least 1B", code="wrong_value")
    return num_bytes
