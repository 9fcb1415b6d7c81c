"""Says what is wrong with a part of a parameter's value in words, where msgspec tells it in the names of its own types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from phonograph.language.parameters import ID
from phonograph.language.yaml12 import Located

NUMBERS = ("a whole number", "a number")

_AT = re.compile(r" - at (?:`(key)` in )?`\$([^`]*)`$")
_STEP = re.compile(r"\[(\d+)\]|\[(\.\.\.)\]|\.([A-Za-z_]\w*)")
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `[^`]+`)?(.*)", re.DOTALL)
_LENGTH = re.compile(r"of length (>= |<= |)(\d+)(?:, got \d+)?")
_WORDS = {
    "int": NUMBERS[0],
    "float": NUMBERS[1],
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
    "datetime": "a date with its time",
}
_PARTS = {"text": "character", "a list": "item", "a mapping": "entry"}
_RELATIONS = {">= ": "at least ", "<= ": "at most ", "": ""}
_FORMATS = {
    "Number out of range": "a number within range",
    "Invalid RFC3339 encoded datetime": "a date with its time, such as '2026-01-31T12:00:00Z'",
    "Invalid RFC3339 encoded date": "a date, such as '2026-01-31'",
    "Invalid RFC3339 encoded time": "a time, such as '12:00:00'",
    "Invalid ISO8601 duration": "a duration as ISO 8601 has it, such as 'PT1.5S'",
    "Invalid UUID": "a UUID",
    "Invalid decimal string": "a decimal number, as text",
    "Invalid base64 encoded string": "bytes in base64",
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """A part of a value that its type does not take.

    Args:
        at: the part. trail: the way to it, "[2].low".
        key: of the mapping `at`, where that key is what is wrong.
        message: what msgspec says of it, without the way.
        choices: the values that are taken instead, where those are few; text.
        names: the keys that are taken there, where those are known.
    """

    at: Located
    trail: str
    key: str | None
    message: str
    choices: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return _listed(self.choices) if self.choices else in_words(self.message)


def misfit(located: Located, plain: Any, annotation: Any, message: str) -> Misfit:
    """Find the part that a message of msgspec is about.

    Args:
        located: the value as written. plain: the same without positions, which msgspec refused as an `annotation`.
    """
    match = _AT.search(message)
    trail = ""
    for step in _STEP.finditer(match[2]) if match is not None else ():
        value, inside = located.value, step[0]
        if step[1] is not None and isinstance(value, tuple):
            key: Any = int(step[1])
            annotation = _item_type(annotation, key)
        elif step[2] is not None and isinstance(value, Mapping):
            annotation = _entry_types(annotation)[1]
            key = next((name for name in value if not _fits(plain[name], annotation)), None)
            inside = f".{key}"
        elif step[3] is not None and isinstance(value, Mapping) and step[3] in value:
            key = step[3]
            annotation = _field_type(annotation, key)
        else:
            break
        if key is None:
            break
        located, plain, trail = value[key], plain[key], trail + inside
    wrong_key = None
    if match is not None and match[1] and isinstance(located.value, Mapping):
        annotation = _entry_types(annotation)[0]
        wrong_key = next((name for name in located.value if not _fits(name, annotation)), None)
    told = message if match is None else message[: match.start()]
    return Misfit(located, trail, wrong_key, told, choices(annotation), _names(annotation))


def choices(annotation: Any) -> tuple[str, ...]:
    """The few values that a type takes, as text, null the last; empty for types that take many."""
    found: list[str] = []
    is_optional = False
    for kind in _kinds(annotation):
        if get_origin(kind) is Literal:
            values = get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, Enum):
            values = tuple(member.value for member in kind)
        elif kind in (None, NoneType):
            values = (None,)
        else:
            return ()
        is_optional = is_optional or None in values
        found += [str(value).lower() if isinstance(value, bool) else str(value) for value in values if value is not None]
    return (*found, *(("null",) if is_optional else ())) if found else ()


def wanted(annotation: Any) -> str:
    """What a parameter of this type takes, in words."""
    if few := choices(annotation):
        return _listed(few)
    kinds = [_name(kind) for kind in _kinds(annotation)]
    return " or ".join(_WORDS[name] for name in kinds) if kinds and all(name in _WORDS for name in kinds) else "a value for it"


def in_words(message: str) -> str:
    """What msgspec expects, as people say it: "Expected `int` >= 1" becomes "a whole number, at least 1"."""
    match = _EXPECTED.fullmatch(message)
    if match is None:
        return _FORMATS.get(message, "another value")
    names = [_WORDS.get(name.strip(), name.strip()) for name in match[1].split("|")]
    return " or ".join(names) + _narrowed(names[0], match[2].strip())


def _narrowed(kind: str, rest: str) -> str:
    """What msgspec says behind the type's name: bounds, a length, a pattern."""
    for sign, words in ((">=", ", at least"), ("<=", ", at most"), (">", ", more than"), ("<", ", less than")):
        if rest.startswith(sign):
            return words + rest.removeprefix(sign)
    if match := _LENGTH.fullmatch(rest):
        part = _PARTS.get(kind, "item")
        if match[2] != "1":
            part = "entries" if part == "entry" else f"{part}s"
        return f" of {_RELATIONS[match[1]]}{'one' if match[2] == '1' else match[2]} {part}"
    if rest.startswith("matching regex "):
        pattern = rest.removeprefix("matching regex ")
        if pattern.strip("'\"^$") == ID.pattern:
            return ": a-z, then a-z, 0-9, '_' or '-'"
        return f" that the pattern {pattern} matches"
    if rest.startswith("that's a multiple of"):
        return rest.replace("that's", " that is").replace("`", "")
    return f" {rest}".replace("`", "") if rest else ""


def _listed(few: tuple[str, ...]) -> str:
    named = [one for one in few if one != "null"]
    words = named[0] if len(named) == 1 else f"one of {', '.join(named)}"
    return f"{words} or null" if len(named) < len(few) else words


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a type is one of, without what is annotated to them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


def _name(kind: Any) -> str:
    """The type's name as msgspec has it."""
    if kind in (None, NoneType):
        return "null"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "object"
    origin = get_origin(kind) or kind
    return {list: "array", tuple: "array", dict: "object"}.get(origin, getattr(origin, "__name__", ""))


def _item_type(annotation: Any, number: int) -> Any:
    for kind in _kinds(annotation):
        inside = get_args(kind)
        if get_origin(kind) is tuple and inside[-1:] != (...,) and number < len(inside):
            return inside[number]
        if _name(kind) in ("array", "set", "frozenset", "Sequence") and inside:
            return inside[0]
    return Any


def _entry_types(annotation: Any) -> tuple[Any, Any]:
    """Of the keys and of the values of a mapping."""
    for kind in _kinds(annotation):
        if len(inside := get_args(kind)) == 2 and _name(kind) in ("object", "Mapping"):
            return inside
    return Any, Any


def _field_type(annotation: Any, name: str) -> Any:
    """Of a field of a struct; where that tells several structs apart, one of their words for it."""
    tags = []
    for kind in _structs(annotation):
        for field in msgspec.structs.fields(kind):
            if field.encode_name == name:
                return field.type
        if kind.__struct_config__.tag_field == name:
            tags.append(kind.__struct_config__.tag)
    return Literal[tuple(tags)] if tags else Any


def _structs(annotation: Any) -> list[type[msgspec.Struct]]:
    return [kind for kind in _kinds(annotation) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]


def _names(annotation: Any) -> tuple[str, ...]:
    """The keys of the one struct that a type is or may be."""
    structs = _structs(annotation)
    return tuple(field.encode_name for field in msgspec.structs.fields(structs[0])) if len(structs) == 1 else ()


def _fits(plain: Any, annotation: Any) -> bool:
    try:
        msgspec.convert(plain, annotation)
    except msgspec.ValidationError:
        return False
    return True
