"""Compares what came out of a case with what was expected, and says where they differ.

Every expectation is a frozen value with one method, `compare`, which yields a Difference for each thing that is not as expected.
An expectation that finds nothing to compare yields one too: what is absent is never as expected, unless its absence is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from phonograph.audio import AudioChunk

_LONGEST = 200  # characters of a value that a difference shows


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected.

    Args:
        place: the way to it, such as `[0].segments[1].end_ms`.
        expected, got: in words.
    """

    place: str
    expected: str
    got: str


class Expected(Protocol):
    """What a value should be."""

    def compare(self, got: Any, place: str) -> Iterator[Difference]: ...


@dataclass(frozen=True, slots=True)
class Equal:
    """The value itself. Numbers are equal whatever their type, in the precision of what came; true is no number."""

    value: Any

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if not _equal(self.value, _as_plain(got)):
            yield Difference(place, shown(self.value), shown(got))


@dataclass(frozen=True, slots=True)
class Near:
    """A number that is off by `within` at most."""

    near: float
    within: float

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        number = _number(got)
        slack = 1e-12 * max(1.0, abs(self.near))  # 1.05 is within 0.05 of 1, whatever binary fractions make of it
        if number is None or not abs(number - self.near) <= self.within + slack:
            yield Difference(place, f"{shown(self.near)} within {shown(self.within)}", shown(got))


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A number that is not below this."""

    bound: float

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        number = _number(got)
        if number is None or not number >= self.bound:
            yield Difference(place, f"at least {shown(self.bound)}", shown(got))


@dataclass(frozen=True, slots=True)
class AtMost:
    """A number that is not above this."""

    bound: float

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        number = _number(got)
        if number is None or not number <= self.bound:
            yield Difference(place, f"at most {shown(self.bound)}", shown(got))


@dataclass(frozen=True, slots=True)
class Matches:
    """Text in which a regular expression is found."""

    pattern: re.Pattern[str]

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if not isinstance(got, str) or self.pattern.search(got) is None:
            yield Difference(place, f"text that matches {self.pattern.pattern!r}", shown(got))


@dataclass(frozen=True, slots=True)
class Contains:
    """Text or bytes in which a part is found, or a list with an element that is equal."""

    part: Any

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if isinstance(got, str):
            found = isinstance(self.part, str) and self.part in got
        elif isinstance(got, bytes):
            found = isinstance(self.part, bytes) and self.part in got
        else:
            found = isinstance(got, list | tuple) and any(_equal(self.part, _as_plain(entry)) for entry in got)
        if not found:
            yield Difference(place, f"something that contains {shown(self.part)}", shown(got))


@dataclass(frozen=True, slots=True)
class Present:
    """Whether there is a value at all."""

    present: bool

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if (got is not ABSENT) is not self.present:
            yield Difference(place, "any value" if self.present else "no such value", shown(got))


@dataclass(frozen=True, slots=True)
class Anything:
    """Stands for what is not checked."""

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        yield from ()


@dataclass(frozen=True, slots=True)
class AllOf:
    """Several expectations of one value."""

    parts: tuple[Expected, ...]

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        for part in self.parts:
            yield from part.compare(got, place)


@dataclass(frozen=True, slots=True)
class Elements:
    """A list, element by element."""

    elements: tuple[Expected, ...]

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if not isinstance(got, list | tuple | np.ndarray) or np.ndim(got if isinstance(got, np.ndarray) else [0]) == 0:
            yield Difference(place, f"a list of {len(self.elements)}", shown(got))
            return
        if len(got) != len(self.elements):
            yield Difference(place, f"{len(self.elements)} elements", f"{len(got)}: {shown(got)}")
        for number, (expected, entry) in enumerate(zip(self.elements, got, strict=False)):
            yield from expected.compare(entry, f"{place}[{number}]")


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; keys that are not named are not checked."""

    entries: Mapping[str, Expected]

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        plain = _as_mapping(got)
        if plain is None:
            yield Difference(place, f"a mapping with {', '.join(self.entries) or 'any keys'}", shown(got))
            return
        for key, expected in self.entries.items():
            for difference in expected.compare(plain.get(key, ABSENT), f"{place}.{key}"):
                if key in plain:
                    yield difference
                else:
                    there = f"nothing; there is {', '.join(map(str, plain))}" if plain else "nothing"
                    yield Difference(difference.place, difference.expected, there)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that can be told of a value: its size, its rate."""

    name: str
    of: Callable[[Any], Any]
    expected: Expected


@dataclass(frozen=True, slots=True)
class Facts:
    """A value of one kind, of which some facts are checked.

    Args:
        kind: in words. types: what such a value is an instance of.
    """

    kind: str
    types: tuple[type, ...]
    facts: tuple[Fact, ...]

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        if not isinstance(got, self.types):
            yield Difference(place, self.kind, shown(got))
            return
        for fact in self.facts:
            yield from fact.expected.compare(fact.of(got), f"{place}.{fact.name}" if fact.name else place)


def shown(value: Any) -> str:
    """A value in words, short enough for a line."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    if isinstance(value, AudioChunk):
        return f"audio of {value.num_channels} x {value.num_samples} samples at {value.sample_rate} Hz"
    number = _number(value)
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    if isinstance(value, np.generic):
        return str(value)
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(entry) for entry in value[:20]) + (", ..." if len(value) > 20 else "") + "]"
    elif isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _number(value: Any) -> float | None:
    """The value as a Python number; None for what is none."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _equal(expected: Any, got: Any) -> bool:
    if isinstance(got, np.floating) and isinstance(expected, int | float) and not isinstance(expected, bool):
        expected = type(got)(expected).item()
    if isinstance(got, np.generic):
        got = got.item()
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and expected.keys() == got.keys()
            and all(_equal(value, _as_plain(got[key])) for key, value in expected.items())
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(_equal(one, _as_plain(other)) for one, other in zip(expected, got, strict=True))
        )
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, float) and isinstance(got, float) and math.isnan(expected):
        return math.isnan(got)
    return (type(expected) is type(got) and bool(expected == got)) or _both_numbers(expected, got)


def _both_numbers(one: Any, other: Any) -> bool:
    return isinstance(one, int | float) and isinstance(other, int | float) and one == other


def _as_plain(value: Any) -> Any:
    """Values of speech pipelines as the mappings and lists that a manifest can write."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind not in "f" else list(value)
    mapping = None if isinstance(value, Mapping) else _as_mapping(value)
    return value if mapping is None else mapping


def _as_mapping(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, AudioChunk):
        return {
            "rate": value.sample_rate,
            "channels": value.num_channels,
            "num_samples": value.num_samples,
            "duration": value.duration_s,
        }
    if isinstance(value, np.ndarray):
        return {"shape": value.shape, "dtype": str(value.dtype)}
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else None
