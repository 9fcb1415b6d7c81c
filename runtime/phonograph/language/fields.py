"""Reads typed fields out of the mappings of a manifest, noting what is wrong instead of stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TypeVar

from phonograph.errors import Complaint, Position, nearest
from phonograph.language.units import DURATION, SIZE, NumBytes, Seconds, parse_duration, parse_size
from phonograph.language.yaml12 import Located
from phonograph.redaction import HIDDEN
from phonograph.traced import Traced

T = TypeVar("T")
Reader = Callable[[object], T]
"""Turns a plain YAML value into what is wanted, or raises MismatchError."""


class MismatchError(Exception):
    """A value is not what its place takes. Becomes a complaint at the value's position."""

    def __init__(self, expected: str, *, code: str = "wrong_type", candidates: Sequence[str] = ()) -> None:
        super().__init__(expected)
        self.code = code
        self.expected = expected
        self.candidates = tuple(candidates)


class Fields:
    """One mapping with a known set of keys.

    Args:
        located: the mapping; anything else is a complaint, and then no key is there.
        what: names the mapping in complaints ("node 'mel'").
        allowed: the keys that mean something here; every other key is a complaint.
        complaints: is added to.
    """

    def __init__(self, located: Located, *, what: str, allowed: Sequence[str], complaints: list[Complaint]) -> None:
        self.position = located.position
        self.what = what
        self.readable = isinstance(located.value, Mapping)
        self._complaints = complaints
        self._values: Mapping[str, Located] = {}
        self._meant: set[str] = set()
        if not isinstance(located.value, Mapping):
            expected = _with_space(located.value, allowed) or "a mapping"
            complain(complaints, "wrong_type", located.position, f"{what} is {describe(located.value)}", expected)
            return
        self._values = located.value
        for key, position in located.keys.items():
            if key in allowed:
                continue
            if expected := _with_space(key, allowed):
                self._meant.add(key.partition(":")[0])
                complain(complaints, "unknown_key", position, f"the key {describe(key)} in {what}", expected)
                continue
            candidates = nearest(key, allowed)
            self._meant.update(candidates[:1])
            found, expected = f"unknown key {key!r} in {what}", f"one of {', '.join(allowed)}"
            complain(complaints, "unknown_key", position, found, expected, candidates)

    def get(self, key: str) -> Located | None:
        return self._values.get(key)

    def lacks(self, key: str) -> bool:
        """Whether `key` is absent and no unknown key, about which there is a complaint already, looks like a slip for it."""
        return self.readable and key not in self._values and key not in self._meant

    def read(self, key: str, reader: Reader[T]) -> T | None:
        """The value of `key` as `reader` takes it; None when it is absent or wrong."""
        located = self._values.get(key)
        return None if located is None else read(located, reader, what=repr(key), complaints=self._complaints)

    def require(self, key: str, expected: str) -> Located | None:
        """The value of `key`; its absence is a complaint, unless a slip in its spelling is one already."""
        located = self._values.get(key)
        if self.lacks(key):
            complain(self._complaints, "missing_key", self.position, f"{self.what} has no {key!r}", expected)
        return located


def _with_space(value: object, allowed: Sequence[str]) -> str:
    """The remedy for `key:value` without a space, which YAML takes for one word; empty for anything else."""
    word, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    return f"a space after the colon: '{word}: {rest.strip()}'" if colon and word in allowed else ""


def read(located: Located, reader: Reader[T], *, what: str, complaints: list[Complaint]) -> T | None:
    """A value as `reader` takes it; None, and a complaint that names it `what`, when it does not fit."""
    value = located.value
    found = f"{what} is {describe(value)}"
    if isinstance(value, str) and "${" in value:
        complain(
            complaints, "wrong_value", located.position, found, "a plain value; references stand in the params of nodes alone"
        )
        return None
    try:
        return reader(value)
    except MismatchError as mismatch:
        complain(complaints, mismatch.code, located.position, found, mismatch.expected, mismatch.candidates)
        return None


def complain(
    complaints: list[Complaint],
    code: str,
    position: Position,
    found: str,
    expected: str = "",
    candidates: Sequence[str] = (),
) -> None:
    """Add a complaint to `complaints`."""
    complaints.append(Complaint(code, position, found, expected, tuple(candidates)))


def describe(value: object) -> str:
    """A YAML value in words for a complaint, short enough to stand in a line."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Traced) and value.is_secret:
        return HIDDEN
    if isinstance(value, str):
        return repr(str(value) if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, Seconds | NumBytes):
        return f"the {'duration' if isinstance(value, Seconds) else 'size'} {value}"
    if isinstance(value, int | float):
        return "a long number" if isinstance(value, int) and value.bit_length() > 128 else f"the number {value}"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"of type {type(value).__name__}"


def text(value: object) -> str:
    if not isinstance(value, str):
        raise MismatchError("text; put it in quotes")
    return str(value)


def names(value: object) -> tuple[str, ...]:
    """One name, or a list of names."""
    listed = [one.value for one in value] if isinstance(value, tuple) else [value]
    if not all(isinstance(one, str) and one for one in listed):
        raise MismatchError("a name, or a list of names")
    return tuple(map(str, listed))


def path(value: object) -> str:
    """A path as it was written, with where it was written if that is known."""
    if not isinstance(value, str):
        raise MismatchError("a path, as text")
    if not value or "\0" in value:
        raise MismatchError("a path", code="wrong_value")
    return value


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise MismatchError("true or false")
    return value


def integer(minimum: int) -> Reader[int]:
    """A reader of whole numbers from `minimum` on."""

    def whole(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise MismatchError(f"a whole number, at least {minimum}")
        if value < minimum:
            raise MismatchError(f"a whole number, at least {minimum}", code="wrong_value")
        return value

    return whole


def number(minimum: float, maximum: float | None = None) -> Reader[float]:
    """A reader of finite numbers in a closed range."""
    expected = f"a number, at least {minimum:g}" if maximum is None else f"a number from {minimum:g} to {maximum:g}"
    bound = float("inf") if maximum is None else maximum

    def real(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MismatchError(expected)
        # Compared before it is converted: a float cannot hold every int.
        if not minimum <= value <= bound or value in (float("inf"), float("-inf")):
            raise MismatchError(expected, code="wrong_value")
        try:
            return float(value)
        except OverflowError:
            raise MismatchError(expected, code="wrong_value") from None

    return real


def one_of(*choices: str) -> Reader[str]:
    """A reader of one word out of a few."""

    def word(value: object) -> str:
        if value in choices:
            return str(value)
        known = nearest(value, choices) if isinstance(value, str) else ()
        raise MismatchError(f"one of {', '.join(choices)}", code="wrong_value", candidates=known)

    return word


def duration(value: object) -> float:
    """Seconds. A bare 0 is fine, because zero has no unit; another number leaves open what it means, unless it is Seconds."""
    return float(value) if isinstance(value, Seconds) else float(_quantity(value, parse_duration, DURATION))


def bound(value: object) -> float:
    """Seconds that something may take; null: infinitely many."""
    if value is None:
        return inf
    seconds = duration(value)
    if not seconds:
        raise MismatchError("a duration of more than 0s, or null for none", code="wrong_value")
    return seconds


def size(value: object) -> int:
    """Bytes, out of text or a reference."""
    return int(value) if isinstance(value, NumBytes) else int(_quantity(value, parse_size, SIZE))


def _quantity(value: object, parse: Callable[[str], float], expected: str) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MismatchError(expected)
    try:
        return parse(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise MismatchError(str(error), code="wrong_value") from None
