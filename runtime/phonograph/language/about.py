"""Reads what a manifest, a sub-graph or a fragment says of itself: version, name, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from phonograph.errors import Complaint, Position
from phonograph.language import fields
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.parameters import ID

_WATCHDOG_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may at most do.

    Args:
        error_rate: share of dead-lettered records above which it fails.
        watchdog_s: how long nothing may move before it is told what is stuck; inf: that is never told.
        memory: bytes that the process should stay within; None: no limit.
        places: where those that are given stand.
    """

    error_rate: float = 1.0
    memory: int | None = None
    watchdog_s: float = _WATCHDOG_S
    places: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))


LIMITS = ("error_rate", "memory", "watchdog")

_SPELLING = "a-z, then a-z, 0-9, '_' or '-'"


def check_version(found: Fields, complaints: list[Complaint]) -> None:
    """Complain of any version but 1."""
    located = found.get("version")
    if located is not None and (located.value != 1 or isinstance(located.value, bool | float)):
        expected = "1, the version that this release reads"
        complain(complaints, "unsupported_version", located.position, f"'version' is {describe(located.value)}", expected)


def read_name(found: Fields, complaints: list[Complaint]) -> str:
    """The name; empty where there is none, or none that can be read."""
    located, name = found.get("name"), found.read("name", fields.text)
    if located is not None and name is not None and ID.fullmatch(name) is None:
        complain(complaints, "bad_id", located.position, f"'name' is {describe(name)}", _SPELLING)
    return name or ""


def read_limits(found: Fields, complaints: list[Complaint]) -> Limits:
    """The section `limits`."""
    located = found.get("limits")
    if located is None:
        return Limits()
    given = Fields(located, what="'limits'", allowed=LIMITS, complaints=complaints)
    rate = given.read("error_rate", fields.number(0, 1))
    places = {name: written.position for name in LIMITS if (written := given.get(name)) is not None}
    watchdog_s = given.read("watchdog", fields.bound)
    return Limits(
        error_rate=1.0 if rate is None else rate,
        memory=given.read("memory", fields.size),
        watchdog_s=_WATCHDOG_S if watchdog_s is None else watchdog_s,
        places=MappingProxyType(places),
    )


def check_subgraph(found: Fields, complaints: list[Complaint]) -> None:
    """Read what a sub-graph says of itself, which matters when it is run or tested alone; a slip in it is told all the same."""
    check_version(found, complaints)
    read_name(found, complaints)
    found.read("description", fields.text)
    read_limits(found, complaints)
    tests = found.get("tests")
    if tests is not None and not isinstance(tests.value, tuple):
        complain(complaints, "wrong_type", tests.position, f"'tests' is {describe(tests.value)}", "a list of cases")
