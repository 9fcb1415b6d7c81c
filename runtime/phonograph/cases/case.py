"""A test case as it was read: what part of the graph it runs, what it gives, what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phonograph.cases.comparison import Expected
from phonograph.cases.part import Part
from phonograph.cases.sound import Make
from phonograph.errors import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenItem:
    """One item that goes in.

    Args:
        key: with a `#` in it, the item is a part of the record whose key stands before.
        payload: by input of the case.
    """

    key: str
    attributes: Mapping[str, Any]
    payload: Mapping[str, Make]

    @property
    def record(self) -> str:
        return self.key.partition("#")[0] or self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedItem:
    """One item that should leave the last node.

    Args:
        key: None: not checked.
        port: the output by which it leaves a node that chooses; None: not checked.
        payload: by output of the last node.
    """

    key: Expected | None
    attributes: Mapping[str, Expected]
    port: str | None
    payload: Mapping[str, Expected]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What should become of all that goes in; None: not checked.

    Args:
        items: exactly these leave, in this order.
        error: code that every failure has, of which there is at least one; None: nothing fails.
        message: a part of the failures' words. at: where they happen.
        filtered: nothing leaves.
        skipped: how many records a node with `on_error: skip` gives up; None: none.
    """

    items: tuple[ExpectedItem, ...] | None = None
    count: Expected | None = None
    error: str | None = None
    message: str | None = None
    at: str | None = None
    filtered: bool = False
    skipped: Expected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of a manifest's `tests`.

    Args:
        given: empty when the part begins with a source.
        timeout_s: a case that takes longer fails.
        position: of the case.
    """

    name: str
    part: Part
    given: tuple[GivenItem, ...]
    expected: Outcomes
    timeout_s: float
    position: Position
