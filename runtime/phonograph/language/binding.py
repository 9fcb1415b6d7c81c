"""Binds what a manifest gives as a node's parameters to the parameter type of the node."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from phonograph.errors import MAX_LISTED, Complaint, ParameterError, in_words, nearest, one_line
from phonograph.language import fields
from phonograph.language.fields import Reader, complain, describe
from phonograph.language.misfits import NUMBERS, misfit, wanted
from phonograph.language.references import UNREAD
from phonograph.language.units import DURATION, SIZE, NumBytes, Seconds, duration_in_words, size_in_words
from phonograph.language.yaml12 import Located
from phonograph.redaction import HIDDEN, Secrets
from phonograph.spec import Params, fields_of, measures, path_fields, secret_fields, units
from phonograph.traced import Traced, like

Role = Literal["input", "output"]

_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")


@dataclass(frozen=True, slots=True)
class BoundPath:
    """A path among a node's parameters.

    Args:
        parameter: the way to it, as in "also.copy".
        written: what stands for it in the manifest; the node's parameters where the path is a default of the node.
        path: absolute.
    """

    parameter: str
    written: Located
    path: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where relative paths of one kind start, unless their text knows better."""

    role: Role
    folder: str

    def absolute(self, path: str) -> str:
        """The path as nodes get it; `~` is expanded here, since a shell leaves it alone in `--param corpus=~/clips`."""
        folder = ""
        if isinstance(path, Traced):
            folder = path.read_from if self.role == "input" else path.write_to
        return os.path.normpath(os.path.join(folder or self.folder, os.path.expanduser(str(path))))


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a parameter with a unit of its own takes: `read` makes seconds or bytes of it."""

    read: Reader[float]
    expected: str
    in_words: Callable[[Any], str]

    def expectation(self, words: str) -> str:
        """What is expected of a number, said of a quantity: "a number, at most 60.0" becomes "a duration ..., at most 1m"."""
        _, comma, bound = words.partition(", ")
        relation, _, number = bound.rpartition(" ")
        return f"{self.expected}, {relation} {self.in_words(float(number))}" if comma else self.expected


_MEASURES = {
    "duration": _Measure(fields.duration, DURATION, duration_in_words),
    "size": _Measure(fields.size, SIZE, lambda num_bytes: size_in_words(int(num_bytes))),
}


def bind(
    params: type[Params], located: Located, *, what: str, input_folder: str, output_folder: str, complaints: list[Complaint]
) -> Params | None:
    """The typed parameters, with absolute paths; None when `complaints` tell why not.

    Args:
        located: a mapping, references replaced.
        what: names the node in complaints.
        input_folder, output_folder: where relative paths that stand in the manifest start; text from elsewhere knows its own.
    """
    assert isinstance(located.value, Mapping)
    known = len(complaints)
    declared = {field.encode_name: field for field in fields_of(params)}
    places: dict[str, _Place | _Measure] = {name: _MEASURES[kind] for name, kind in measures(params).items()}
    places |= dict.fromkeys(path_fields(params, "input"), _Place("input", input_folder))
    places |= dict.fromkeys(path_fields(params, "output"), _Place("output", output_folder))
    bound: dict[str, Any] = {
        field.name: place.absolute(field.default)
        for field in declared.values()
        if isinstance(place := places.get(field.name), _Place) and isinstance(field.default, str)
    }
    in_units, secret = units(params), secret_fields(params)
    complete = True
    for key, value in located.value.items():
        if key not in declared:
            found = f"unknown parameter {key!r} of {what}"
            expected = f"one of {', '.join(declared)}" if declared else "none, for it has no parameters"
            candidates = nearest(key, declared, synonyms=params.SYNONYMS)
            if candidates and len(declared) > MAX_LISTED:
                expected = ""
            complain(complaints, "unknown_key", located.keys[key], found, expected, candidates)
        elif _is_unread(value):
            complete = False
        else:
            field = declared[key]
            is_secret = field.name in secret
            bound[field.name] = _convert(
                key,
                _hidden(value) if is_secret else value,
                field.type,
                places.get(field.name),
                in_units.get(field.name),
                complaints,
                is_secret=is_secret,
                synonyms=params.SYNONYMS,
            )
    for key, field in declared.items():
        if field.required and key not in located.value:
            measure = places.get(field.name)
            expected = measure.expected if isinstance(measure, _Measure) else "a path" if measure else wanted(field.type)
            complain(complaints, "missing_key", located.position, f"{what} has no parameter {key!r}", expected)
    if not complete or len(complaints) > known:
        return None
    try:
        return params(**bound)
    except ParameterError as error:
        secrets = Secrets(_secret_texts(bound.values()))
        _complain_of(error, located, what, secrets, complaints, is_secret=error.parameter in secret)
        return None
    except (ValueError, TypeError) as error:
        words = Secrets(_secret_texts(bound.values())).clean(one_line(error) or type(error).__name__)
        complain(complaints, "wrong_value", located.position, f"the parameters of {what} do not go together: {words}")
        return None
    except Exception as error:  # noqa: BLE001  # the code of a node type may raise anything
        words = Secrets(_secret_texts(bound.values())).clean(one_line(in_words(error)))
        found = f"the parameters of {what} cannot be checked: {words}"
        complain(complaints, "type_unavailable", located.position, found, "a node type whose code works")
        return None


def _complain_of(
    error: ParameterError, located: Located, what: str, secrets: Secrets, complaints: list[Complaint], *, is_secret: bool
) -> None:
    """Say what is wrong where the parameter stands; of a default that other parameters are at odds with, where they stand."""
    assert isinstance(located.value, Mapping)
    name, expected = error.parameter, secrets.clean(one_line(error.expected))
    value = HIDDEN if is_secret else secrets.clean(describe(error.value))
    written = located.value.get(name)
    found = f"parameter {name!r} is {value}" if written else f"the parameters of {what} do not go together: {name!r} is {value}"
    complain(complaints, "wrong_value", (written or located).position, found, expected)


def bound_paths(bound: Params, located: Located, role: Role) -> Iterator[BoundPath]:
    """The paths that a node reads or writes, defaults included.

    Args:
        bound: what `bind` made of `located`.
    """
    for parameter, written, path in bound_texts(bound, located, path_fields(type(bound), role)):
        yield BoundPath(parameter, written, path)


def bound_texts(bound: Params, located: Located, names: Collection[str]) -> Iterator[tuple[str, Located, str]]:
    """Each text in the fields of these names: the way to it, what stands for it in the manifest, the text."""
    assert isinstance(located.value, Mapping)
    for field in fields_of(type(bound)):
        if field.name in names:
            written = located.value.get(field.encode_name, located)
            yield from _texts_in(field.encode_name, written, getattr(bound, field.name))


def is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def is_missing(path: str) -> bool:
    """Whether nothing is there, or nothing that a glob matches. What cannot be told, as below a locked folder, is not missing."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return not is_glob(path) or next(glob.iglob(path, recursive=True), None) is None
    except OSError:
        return False
    return False


def nearest_paths(path: str) -> tuple[str, ...]:
    """What `path` is most likely a slip of, in the deepest of its folders that exists."""
    folder, name = os.path.split(path)
    while name and not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    try:
        names = os.listdir(folder)
    except OSError:
        return ()
    return tuple(os.path.join(folder, close) for close in nearest(name, names))


def _texts_in(parameter: str, written: Located, value: Any) -> Iterator[tuple[str, Located, str]]:
    if isinstance(value, str):
        yield parameter, written, value
        return
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    for key, item in inside:
        step = f"[{key}]" if isinstance(key, int) else f".{key}"
        yield from _texts_in(parameter + step, _part(written, key), item)


def _part(written: Located, key: int | str) -> Located:
    """One value of a list or mapping; the whole where the manifest does not have it, as for a default of the node."""
    value = written.value
    if isinstance(value, tuple) and isinstance(key, int) and key < len(value):
        return value[key]
    if isinstance(value, Mapping) and isinstance(key, str):
        return value.get(key, written)
    return written


def secrets_of(bound: Iterable[Params]) -> Secrets:
    """What of the parameters of nodes must not be seen: `Secret`s, and text with a secret of the manifest in it."""
    found: list[str] = []
    for params in bound:
        found.extend(_secret_texts(getattr(params, field.name) for field in fields_of(type(params))))
        for name in secret_fields(type(params)):
            found.extend(_secret_texts([_sealed(getattr(params, name))]))
    return Secrets(found)


def _hidden(located: Located) -> Located:
    """The value with all of its text marked as secret; what is no text, and so no secret yet, must not be shown either."""
    value = located.value
    if isinstance(value, Mapping):
        return replace(located, value={key: _hidden(item) for key, item in value.items()})
    if isinstance(value, tuple):
        return replace(located, value=tuple(_hidden(item) for item in value))
    return replace(located, value=_sealed(value))


def _sealed(value: Any) -> Any:
    """Text marked as secret, alone or inside lists and mappings."""
    if isinstance(value, str):
        return like(value, value, (Traced("", is_secret=True),))
    if isinstance(value, Mapping):
        return {key: _sealed(item) for key, item in value.items()}
    return type(value)(map(_sealed, value)) if type(value) in (list, tuple) else value


def _secret_texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Traced) and value.is_secret:
            yield value
        elif isinstance(value, Mapping):
            yield from _secret_texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _secret_texts(value)


def _convert(
    key: str,
    located: Located,
    annotation: Any,
    place: _Place | _Measure | None,
    unit: str | None,
    complaints: list[Complaint],
    *,
    is_secret: bool,
    synonyms: Mapping[str, tuple[str, ...]],
) -> Any:
    """What msgspec makes of the value; None, and a complaint, when it does not fit."""
    known = len(complaints)
    plain = _plain(located, key, place, unit, complaints)
    if len(complaints) > known:
        return None
    try:
        converted = msgspec.convert(plain, annotation)
        return _sealed(converted) if any(_secret_texts([_texts(located)])) else converted
    except msgspec.ValidationError as error:
        wrong = misfit(located, plain, annotation, str(error))
        at, name = wrong.at, repr(key + wrong.trail)
        found = f"parameter {name} is {HIDDEN if is_secret else describe(at.value)}"
        if match := _UNKNOWN.fullmatch(wrong.message):
            position, names = at.keys.get(match[1], at.position), wrong.names
            expected = f"one of {', '.join(names)}" if names else ""
            found = f"unknown key {match[1]!r} in parameter {name}"
            complain(complaints, "unknown_key", position, found, expected, nearest(match[1], names))
        elif match := _MISSING.fullmatch(wrong.message):
            complain(complaints, "missing_key", at.position, f"parameter {name} has no {match[1]!r}")
        elif wrong.key is not None:
            found = f"the key {describe(wrong.key)} in parameter {name}"
            candidates = nearest(wrong.key, wrong.choices)
            complain(complaints, "wrong_value", at.keys.get(wrong.key, at.position), found, wrong.expected, candidates)
        else:
            code = "wrong_value" if wrong.choices or not re.search(r", got `", wrong.message) else "wrong_type"
            expected = wrong.expected
            if isinstance(place, _Measure) and expected.startswith(NUMBERS):
                expected = place.expectation(expected)
            if unit is not None and isinstance(at.value, str) and expected.startswith(NUMBERS):
                expected += f", in {unit}, without the unit"
            candidates = nearest(at.value, wrong.choices, synonyms=synonyms) if isinstance(at.value, str) else ()
            complain(complaints, code, at.position, found, expected, candidates)
        return None


def _plain(located: Located, key: str, place: _Place | _Measure | None, unit: str | None, complaints: list[Complaint]) -> Any:
    """The value without positions; text is made an absolute path, or a number, where there is a place for such."""
    value = located.value
    if isinstance(value, Mapping):
        return {name: _plain(item, key, place, unit, complaints) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, key, place, unit, complaints) for item in value]
    if isinstance(place, _Measure) and value is not None:
        try:
            return place.read(value)
        except fields.MismatchError as mismatch:
            found = f"parameter {key!r} is {describe(value)}"
            complain(complaints, mismatch.code, located.position, found, mismatch.expected)
            return None
    if isinstance(value, Seconds):
        return round(value * 1000, 9) if unit == "ms" else float(value)
    if isinstance(value, NumBytes):
        return int(value)
    if not isinstance(value, str):
        return value
    if not isinstance(place, _Place):
        return str(value)
    if not value or "\0" in value:
        complain(complaints, "wrong_value", located.position, f"parameter {key!r} is {describe(value)}", "a path")
        return ""
    return place.absolute(value)


def _texts(located: Located) -> Any:
    """The value without positions, its text as it was traced."""
    value = located.value
    if isinstance(value, Mapping):
        return {name: _texts(item) for name, item in value.items()}
    return [_texts(item) for item in value] if isinstance(value, tuple) else value


def _is_unread(located: Located) -> bool:
    value = located.value
    if isinstance(value, Mapping):
        return any(_is_unread(item) for item in value.values())
    return value is UNREAD or (isinstance(value, tuple) and any(_is_unread(item) for item in value))
