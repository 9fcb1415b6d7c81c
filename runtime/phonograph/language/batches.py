"""Reads how an input gathers items for nodes that take several in one call."""

from __future__ import annotations

from dataclasses import dataclass, field

from phonograph.errors import Complaint, Position
from phonograph.language import fields
from phonograph.language.fields import Fields
from phonograph.language.yaml12 import Located

MAX_ITEMS = 8
MAX_WAIT_S = 0.02
KEYS = ("max_items", "max_audio", "max_wait", "bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """Which items a node takes in one call.

    Args:
        max_items: no batch has more.
        max_audio_s: nor more seconds of audio, unless one item has more by itself, which then goes alone; None: any number.
        max_wait_s: how long an item waits for others.
        by_duration: only items of like duration come together, for nodes that pad; see `phonograph.engine.batching`.
        position: where the manifest says so.
    """

    max_items: int = MAX_ITEMS
    max_audio_s: float | None = None
    max_wait_s: float = MAX_WAIT_S
    by_duration: bool = False
    position: Position = field(compare=False)


def read_batching(located: Located, complaints: list[Complaint]) -> Batching:
    """What stands under `batch`; what is wrong in it counts as not said."""
    found = Fields(located, what="'batch'", allowed=KEYS, complaints=complaints)
    max_items, max_wait_s = found.read("max_items", fields.integer(1)), found.read("max_wait", fields.duration)
    return Batching(
        max_items=MAX_ITEMS if max_items is None else max_items,
        max_audio_s=found.read("max_audio", _some_audio),
        max_wait_s=MAX_WAIT_S if max_wait_s is None else max_wait_s,
        by_duration=found.read("bucket", fields.one_of("duration")) is not None,
        position=located.position,
    )


def _some_audio(value: object) -> float:
    seconds = fields.duration(value)
    if not seconds:
        raise fields.MismatchError("more than 0s; without it, a batch may hold any amount of audio", code="wrong_value")
    return seconds
