"""Reads what a test case expects of a port into something that compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.cases import files, quantities
from phonograph.cases.arrays import ARRAY_FACTS, AUDIO_FACTS, Values, array_of
from phonograph.cases.comparison import (
    AllOf,
    Anything,
    AtLeast,
    AtMost,
    Contains,
    Difference,
    Elements,
    Entries,
    Equal,
    Expected,
    Fact,
    Facts,
    Matches,
    Near,
    Present,
)
from phonograph.cases.payloads import SEGMENT_KEYS, family_and_value, hexadecimal
from phonograph.errors import Complaint, nearest
from phonograph.language import fields
from phonograph.language.fields import Fields, Reader, complain, describe
from phonograph.language.yaml12 import Located

NUMBER_KEYS = ("near", "within", "min", "max")
TEXT_KEYS = ("matches", "contains")
SCALAR_KEYS = (*NUMBER_KEYS, *TEXT_KEYS, "equals", "present")
VALUES_KEYS = ("values", "near", "file")  # of which one at most
ARRAY_KEYS = (*ARRAY_FACTS, *VALUES_KEYS, "within")
AUDIO_KEYS = (*AUDIO_FACTS, *ARRAY_KEYS)
BYTES_KEYS = ("hex", "size", "contains", "file")

_COMPARISON = "{near: X, within: Y}, {min: X}, {max: Y}"
_READERS: Mapping[str, Reader[float]] = {"duration": fields.duration, "level": quantities.level}


class ExpectationReader:
    """Reads the expectations of one manifest's cases.

    Args:
        folder: where relative paths start.
        complaints: is added to.
    """

    def __init__(self, folder: str, complaints: list[Complaint]) -> None:
        self._folder = folder
        self._complaints = complaints

    def read(self, located: Located, family: str, what: str) -> Expected | None:
        """What compares a payload; None, and a complaint, when it cannot be read.

        Args:
            family: of the port; `any` when nothing is known of it.
            what: names the port in complaints.
        """
        readers: Mapping[str, Callable[[Located, str], Expected | None]] = {
            "audio": self._audio,
            "features": self._features,
            "text": self._text,
            "bytes": self._bytes,
            "segments": self._segments,
            "record": self.value,
        }
        if family in readers:
            return readers[family](located, what)
        named = family_and_value(located, what, self._complaints)
        return None if named is None else self.read(named[1], named[0], f"{what}.{named[0]}")

    def value(self, located: Located, what: str) -> Expected | None:
        """Any value of a record: a scalar, a list, a mapping; a mapping of comparison keys alone is a comparison."""
        value = located.value
        if isinstance(value, tuple):
            return self._list(located, what, self.value)
        if not isinstance(value, Mapping):
            return Equal(value)
        compares = [key for key in value if key in SCALAR_KEYS]
        if not compares:
            return self._mapping(located, what)
        if len(compares) < len(value):
            other = next(key for key in value if key not in SCALAR_KEYS)
            found = f"the key {other!r} beside {compares[0]!r} in {what}"
            expected = "comparison keys alone; a mapping with keys of these names is compared as {equals: {...}}"
            complain(self._complaints, "unknown_key", located.keys[other], found, expected, nearest(other, SCALAR_KEYS))
            return None
        return self.scalar(located, what)

    def scalar(
        self, located: Located, what: str, *, allowed: Sequence[str] = SCALAR_KEYS, number: Reader[float] = quantities.finite
    ) -> Expected | None:
        """A literal, or a mapping of comparison keys.

        Args:
            allowed: these keys. number: reads the numbers among their values.
        """
        if not isinstance(located.value, Mapping):
            return Equal(quantities.plain(located))
        known = len(self._complaints)
        given = Fields(located, what=what, allowed=allowed, complaints=self._complaints)
        if not located.value:
            self._complain("empty", located, f"{what} is an empty mapping", f"a value, or one of {', '.join(allowed)}")
        parts: list[Expected] = []
        near, within = given.read("near", number), given.read("within", _distance_of(number))
        for one, other in (("near", "within"), ("within", "near")):
            if given.get(one) is not None and given.get(other) is None and given.lacks(other):
                expected = "how far it may be off" if other == "within" else "the value that it should have"
                self._complain("missing_key", located, f"{what} has {one!r} and no {other!r}", expected)
        if near is not None and within is not None:
            parts.append(Near(near, within))
        bounds: Sequence[tuple[str, Callable[[float], Expected]]] = (("min", AtLeast), ("max", AtMost))
        for key, make in bounds:
            bound = given.read(key, number)
            if bound is not None:
                parts.append(make(bound))
        pattern = given.get("matches")
        if pattern is not None:
            compiled = self._pattern(pattern, what)
            parts += [] if compiled is None else [Matches(compiled)]
        contained, equal = given.get("contains"), given.get("equals")
        parts += [] if contained is None else [Contains(quantities.plain(contained))]
        parts += [] if equal is None else [Equal(quantities.plain(equal))]
        present = given.read("present", _true_or_false)
        parts += [] if present is None else [Present(present)]
        return AllOf(tuple(parts)) if len(self._complaints) == known else None

    def _complain(self, code: str, located: Located, found: str, expected: str = "") -> None:
        complain(self._complaints, code, located.position, found, expected)

    def _pattern(self, located: Located, what: str) -> re.Pattern[str] | None:
        value = located.value
        if not isinstance(value, str):
            self._complain("wrong_type", located, f"'matches' in {what} is {describe(value)}", "a regular expression, in quotes")
            return None
        try:
            return re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            self._complain("wrong_value", located, f"'matches' in {what} cannot be read: {error}", "a regular expression")
            return None

    def _mapping(self, located: Located, what: str) -> Expected | None:
        assert isinstance(located.value, Mapping)
        read = {key: self.value(entry, f"{what}.{key}") for key, entry in located.value.items()}
        entries = {key: expected for key, expected in read.items() if expected is not None}
        return Entries(entries) if len(entries) == len(read) else None

    def _list(self, located: Located, what: str, reader: Callable[[Located, str], Expected | None]) -> Expected | None:
        assert isinstance(located.value, tuple)
        read = [reader(entry, f"{what}[{number}]") for number, entry in enumerate(located.value)]
        elements = tuple(expected for expected in read if expected is not None)
        return Elements(elements) if len(elements) == len(read) else None

    def number(self, located: Located, what: str, name: str = "") -> Expected | None:
        """A number, with the unit that belongs to its name where it has one."""
        reader = _READERS.get(name, quantities.finite)
        if isinstance(located.value, Mapping):
            return self.scalar(located, what, allowed=NUMBER_KEYS, number=reader)
        value = fields.read(located, reader, what=what, complaints=self._complaints)
        if value is None:
            return None
        return Near(value, 0.0) if name in _READERS else Equal(located.value)  # what has a unit came of a division

    def _facts(self, given: Fields, what: str, facts: Mapping[str, Callable[[Any], Any]]) -> list[Fact] | None:
        found: list[Fact] = []
        complete = True
        for name, of in facts.items():
            located = given.get(name)
            if located is None:
                continue
            expected = self._fact(located, f"{name!r} of {what}", name)
            complete = complete and expected is not None
            found += [] if expected is None else [Fact(name, of, expected)]
        return found if complete else None

    def _fact(self, located: Located, what: str, name: str) -> Expected | None:
        if name == "shape":
            sizes = quantities.open_shape(located, what, self._complaints)
            return None if sizes is None else Elements(tuple(Anything() if size is None else Equal(size) for size in sizes))
        if name == "finite":
            is_finite = fields.read(located, _true_or_false, what=what, complaints=self._complaints)
            return None if is_finite is None else Equal(is_finite)
        return self.number(located, what, name)

    def _array(
        self,
        located: Located,
        what: str,
        facts: Mapping[str, Callable[[Any], Any]],
        kind: tuple[str, type],
    ) -> Expected | None:
        """Facts of audio or of an array, and its values."""
        known = len(self._complaints)
        allowed = (*facts, *VALUES_KEYS, "within")
        if not isinstance(located.value, Mapping):
            lists = "" if kind[1] is AudioChunk else "a list of numbers, or "
            expected = f"{lists}a mapping with one of {', '.join(allowed)}"
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", expected)
            return None
        given = Fields(located, what=what, allowed=allowed, complaints=self._complaints)
        if not located.value:
            self._complain("empty", located, f"{what} is an empty mapping", f"one of {', '.join(allowed)}")
        found = self._facts(given, what, facts)
        values = self._values(given, located, what, with_wav=kind[1] is AudioChunk)
        if found is None or len(self._complaints) > known:
            return None
        return Facts(kind[0], (kind[1],), tuple(found + ([] if values is None else [Fact("", array_of, values)])))

    def _values(self, given: Fields, located: Located, what: str, *, with_wav: bool) -> Values | None:
        present = [key for key in VALUES_KEYS if given.get(key) is not None]
        if len(present) > 1:
            found = f"{what} has {present[0]!r} and {present[1]!r}"
            complain(self._complaints, "unknown_key", located.keys[present[1]], found, "one of them")
            return None
        within = given.read("within", fields.number(0))
        if not present:
            if within is not None and all(given.lacks(key) for key in VALUES_KEYS):
                self._complain("missing_key", located, f"{what} has 'within' and no values", "'near', with a list of numbers")
            return None
        key, source = present[0], given.get(present[0])
        assert source is not None
        if key == "near" and given.lacks("within"):
            self._complain("missing_key", located, f"{what} has 'near' and no 'within'", "how far each value may be off")
        if key != "file":
            array = quantities.numbers(source, f"{key!r} of {what}", self._complaints)
            return None if array is None else Values(partial(np.asarray, array), within)
        path = files.existing(source, self._folder, f"'file' of {what}", self._complaints)
        if path is None:
            return None
        if with_wav and path.lower().endswith(".wav"):
            form = files.wav_form(path, source, self._complaints)
            return None if form is None else Values(lambda: files.read_wav(path).samples, within)
        return Values(partial(files.read_npy, path), within) if files.check_npy(path, source, self._complaints) else None

    def _audio(self, located: Located, what: str) -> Expected | None:
        return self._array(located, what, {**AUDIO_FACTS, **ARRAY_FACTS}, ("audio", AudioChunk))

    def _features(self, located: Located, what: str) -> Expected | None:
        kind = ("an array", np.ndarray)
        if not isinstance(located.value, tuple):
            return self._array(located, what, ARRAY_FACTS, kind)
        array = quantities.numbers(located, what, self._complaints)
        return (
            None if array is None else Facts(kind[0], (kind[1],), (Fact("", array_of, Values(partial(np.asarray, array), None)),))
        )

    def _text(self, located: Located, what: str) -> Expected | None:
        if isinstance(located.value, Mapping):
            return self.scalar(located, what, allowed=(*TEXT_KEYS, "equals"))
        if not isinstance(located.value, str):
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", "text in quotes, or {contains: TEXT}")
            return None
        return Equal(located.value)

    def _bytes(self, located: Located, what: str) -> Expected | None:
        if isinstance(located.value, str):
            return Equal(located.value.encode())
        known = len(self._complaints)
        if not isinstance(located.value, Mapping):
            expected = f"text, or a mapping with one of {', '.join(BYTES_KEYS)}"
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", expected)
            return None
        given = Fields(located, what=what, allowed=BYTES_KEYS, complaints=self._complaints)
        if not located.value:
            self._complain("empty", located, f"{what} is an empty mapping", f"text, or one of {', '.join(BYTES_KEYS)}")
        facts: list[Fact] = []
        content, contained = given.read("hex", hexadecimal), given.read("contains", fields.text)
        facts += [] if content is None else [Fact("", bytes, Equal(content))]
        facts += [] if contained is None else [Fact("", bytes, Contains(contained.encode()))]
        size, source = given.get("size"), given.get("file")
        counted = None if size is None else self.number(size, f"'size' of {what}")
        facts += [] if counted is None else [Fact("size", len, counted)]
        path = None if source is None else files.existing(source, self._folder, f"'file' of {what}", self._complaints)
        facts += [] if path is None else [Fact("", bytes, SameFile(path))]
        return Facts("bytes", (bytes,), tuple(facts)) if len(self._complaints) == known else None

    def _segments(self, located: Located, what: str) -> Expected | None:
        if isinstance(located.value, tuple):
            elements = self._list(located, what, self._segment)
            return None if elements is None else Facts("segments", (list, tuple), (Fact("", lambda value: value, elements),))
        if not isinstance(located.value, Mapping):
            found = f"{what} is {describe(located.value)}"
            self._complain("wrong_type", located, found, "a list of {start_ms, end_ms}, or {count: N}")
            return None
        known = len(self._complaints)
        given = Fields(located, what=what, allowed=("count",), complaints=self._complaints)
        count = given.require("count", "how many segments there are")
        expected = None if count is None else self.number(count, f"'count' of {what}")
        if expected is None or len(self._complaints) > known:
            return None
        return Facts("segments", (list, tuple), (Fact("count", len, expected),))

    def _segment(self, located: Located, what: str) -> Expected | None:
        given = Fields(located, what=what, allowed=SEGMENT_KEYS, complaints=self._complaints)
        facts = {name: partial(_attribute, name) for name in SEGMENT_KEYS}
        found = self._facts(given, what, facts) if given.readable else None
        return None if found is None else Facts("a segment", (Segment,), tuple(found))


@dataclass(frozen=True, slots=True)
class SameFile:
    """Bytes that are those of a file."""

    path: str

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        return Equal(files.read_bytes(self.path)).compare(got, place)


def _attribute(name: str, value: Any) -> Any:
    return getattr(value, name)


def _distance_of(number: Reader[float]) -> Reader[float]:
    def distance(value: object) -> float:
        read = number(value)
        if read < 0:
            raise fields.MismatchError("at least 0", code="wrong_value")
        return read

    return distance


def _true_or_false(value: object) -> bool:
    if not isinstance(value, bool):
        raise fields.MismatchError("true or false")
    return value
