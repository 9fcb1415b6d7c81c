"""Reads a manifest's own parameters, with the references to them in the parameters of nodes.

A parameter is declared with a type, and gets its value from outside, else from its default. `${params.x}` puts that value into a
node's parameters; `${env:NAME:-default}` puts in an environment variable, there or in a default. Text that is one whole reference
becomes the value with its type. `$${` stands for `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast, get_args

from phonograph import fields
from phonograph.errors import Complaint, Position, nearest
from phonograph.fields import Fields, MismatchError, complain, describe
from phonograph.yaml12 import Located, Value, scalar

ParameterType = Literal["str", "int", "float", "bool", "path", "duration", "size"]
TYPES: tuple[str, ...] = get_args(ParameterType)
ORDERED = ("int", "float", "duration", "size")  # the types that `minimum` and `maximum` make sense for
ID = re.compile(r"[a-z][a-z0-9_-]*")

_KEYS = ("type", "default", "help", "minimum", "maximum", "choices")
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_FORMS = "${params.NAME}, ${env:NAME} or ${env:NAME:-default}"
_EXPECTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path, as text",
}

Plain = bool | int | float | str | None


class Outside(str):
    """Text from outside the manifest; a relative path in it starts at the working directory, not at the manifest's folder."""

    __slots__ = ()


class _Unread:
    def __repr__(self) -> str:
        return "UNREAD"


UNREAD = cast(Value, _Unread())
"""Stands for a value about which a complaint is already noted, so that nobody complains about it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a manifest, with the value that it has in this run.

    Args:
        value: of the declared type; durations in seconds, sizes in bytes.
        default: the same, None when the manifest gives none.
        minimum, maximum: closed bounds; None: open.
        choices: the values allowed; empty: all.
        is_given: the value comes from outside, not from the default.
        position: of the default where that is the value, else of the declaration.
    """

    name: str
    type: ParameterType
    value: Plain
    default: Plain
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Plain, ...]
    is_given: bool
    position: Position


def read_parameters(
    declared: Located | None,
    given: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    start: Position,
    complaints: list[Complaint],
) -> dict[str, Parameter | None]:
    """Name -> parameter; None for one that could not be read, about which `complaints` tell.

    Args:
        declared: the manifest's `params`.
        given: values from outside, by name: Python values, or text to be read as the declared type.
        start: where complaints about names that the manifest does not declare are placed.
    """
    parameters: dict[str, Parameter | None] = {}
    names: tuple[str, ...] = ()
    if declared is not None and isinstance(declared.value, Mapping):
        names = tuple(declared.value)
        for name, located in declared.value.items():
            position = declared.keys[name]
            if ID.fullmatch(name) is None:
                complain(complaints, "bad_id", position, f"a parameter called {name!r}", "a-z, then a-z, 0-9, '_' or '-'")
            declaration = _Declaration(name, located, position, environment, complaints)
            parameters[name] = declaration.parameter(given)
    elif declared is not None:
        expected = "a mapping from name to {type, default, ...}"
        complain(complaints, "wrong_type", declared.position, f"'params' is {describe(declared.value)}", expected)
        return parameters
    for name in given:
        if name not in names:
            expected = f"one of {', '.join(names)}" if names else "none, for the manifest declares no parameters"
            found = f"a value is given for the parameter {name!r}, which the manifest does not declare"
            complain(complaints, "unknown_parameter", start, found, expected, nearest(name, names))
    return parameters


class _Declaration:
    """What stands in the manifest about one parameter."""

    def __init__(
        self, name: str, located: Located, position: Position, environment: Mapping[str, str], complaints: list[Complaint]
    ) -> None:
        self._name = name
        self._position = position
        self._complaints = complaints
        self._environment = environment
        self._fields = Fields(located, what=f"parameter {name!r}", allowed=_KEYS, complaints=complaints)
        self._type = self._read_type()
        self._minimum = self._bound("minimum")
        self._maximum = self._bound("maximum")
        self._choices = self._read_choices()

    def parameter(self, given: Mapping[str, object]) -> Parameter | None:
        """The parameter with its value from `given`, else from its default."""
        known = len(self._complaints)
        help_text = self._fields.read("help", fields.text) or ""
        default = self._default(needed=self._name not in given)
        value = default
        if self._type is not None and self._name in given:
            value = self._outside(given[self._name])
        elif self._fields.readable and self._fields.get("default") is None:
            found = f"parameter {self._name!r} has no value"
            complain(
                self._complaints, "missing_parameter", self._position, found, f"--param {self._name}=VALUE, or a default here"
            )
        if self._type is None or len(self._complaints) > known:
            return None
        written = None if self._name in given else self._fields.get("default")
        return Parameter(
            name=self._name,
            type=self._type,
            value=value,
            default=default,
            help=help_text,
            minimum=self._minimum,
            maximum=self._maximum,
            choices=self._choices,
            is_given=self._name in given,
            position=self._position if written is None else written.position,
        )

    def _read_type(self) -> ParameterType | None:
        if self._fields.require("type", f"one of {', '.join(TYPES)}") is None:
            return None
        return cast("ParameterType | None", self._fields.read("type", fields.one_of(*TYPES)))

    def _bound(self, key: str) -> float | None:
        located, kind = self._fields.get(key), self._type
        if located is None or kind is None:
            return None
        if kind not in ORDERED:
            found = f"{key!r} for a parameter of type {kind}"
            complain(self._complaints, "wrong_value", located.position, found, f"it with the types {', '.join(ORDERED)} alone")
            return None
        return cast("float | None", self._fields.read(key, lambda value: typed(kind, value)))

    def _read_choices(self) -> tuple[Plain, ...]:
        located, kind = self._fields.get("choices"), self._type
        if located is None or kind is None:
            return ()
        if not isinstance(located.value, tuple) or not located.value:
            complain(
                self._complaints, "wrong_type", located.position, f"'choices' is {describe(located.value)}", "a list of values"
            )
            return ()
        choices = []
        for choice in located.value:
            value = fields.read(choice, lambda plain: typed(kind, plain), what="a choice", complaints=self._complaints)
            if value is not None:
                choices.append(value)
        return tuple(choices)

    def _default(self, *, needed: bool) -> Plain:
        """The default; what the environment lacks is no fault while the default is not needed."""
        located, kind = self._fields.get("default"), self._type
        if located is None or kind is None:
            return None
        value, from_text = located.value, False
        if isinstance(value, str):
            ignored: list[Complaint] = []
            resolved = resolve(value, None, self._environment, located.position, self._complaints if needed else ignored)
            if resolved is UNREAD:
                return None
            from_text = "${" in value
            value = resolved
        try:
            return self._check(typed(kind, value, from_text=from_text))
        except MismatchError as mismatch:
            found = f"the default of parameter {self._name!r} is {describe(value)}"
            complain(self._complaints, mismatch.code, located.position, found, mismatch.expected, mismatch.candidates)
            return None

    def _outside(self, given: object) -> Plain:
        assert self._type is not None
        try:
            return self._check(typed(self._type, given, from_text=True, outside=True))
        except MismatchError as mismatch:
            found = f"the value given for parameter {self._name!r} is {describe(given)}"
            complain(self._complaints, mismatch.code, self._position, found, mismatch.expected, mismatch.candidates)
            return None

    def _as_given(self, key: str) -> str:
        """A bound as it stands in the manifest, with its unit."""
        located = self._fields.get(key)
        return "" if located is None else str(located.value)

    def _check(self, value: Plain) -> Plain:
        if self._choices and value not in self._choices:
            words = [str(choice) for choice in self._choices]
            known = nearest(value, words) if isinstance(value, str) else ()
            raise MismatchError(f"one of {', '.join(words)}", code="wrong_value", candidates=known)
        # Written so that NaN, which is neither below nor above anything, is outside.
        if self._minimum is not None and not cast(float, value) >= self._minimum:
            raise MismatchError(f"at least {self._as_given('minimum')}", code="wrong_value")
        if self._maximum is not None and not cast(float, value) <= self._maximum:
            raise MismatchError(f"at most {self._as_given('maximum')}", code="wrong_value")
        return value


def typed(kind: ParameterType, value: object, *, from_text: bool = False, outside: bool = False) -> Plain:
    """A value as the declared type takes it.

    Args:
        from_text: text may stand for a number or a truth value, as on a command line.
        outside: the value comes from a caller: paths start at the working directory, and a bare number is seconds or bytes.

    Raises:
        MismatchError: it does not fit.
    """
    if kind in ("str", "path"):
        return _typed_text(kind, value, outside=outside)
    if kind in ("duration", "size"):
        if outside and isinstance(value, int | float) and not isinstance(value, bool):
            return fields.number(0)(value) if kind == "duration" else fields.integer(0)(value)
        return fields.duration(value) if kind == "duration" else fields.size(value)
    if from_text and isinstance(value, str):
        try:
            value = scalar(value.strip())
        except ValueError as error:
            raise MismatchError(_EXPECTED[kind], code="wrong_value") from error
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise MismatchError(_EXPECTED[kind], code="wrong_value") from error
    raise MismatchError(_EXPECTED[kind])


def _typed_text(kind: str, value: object, *, outside: bool) -> str:
    if kind == "path" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise MismatchError(_EXPECTED[kind] + ("" if outside else "; put it in quotes"))
    if kind == "path" and (not value or "\0" in value):
        raise MismatchError("a path", code="wrong_value")
    return Outside(value) if outside else value


def interpolate(
    located: Located, parameters: Mapping[str, Parameter | None], environment: Mapping[str, str], complaints: list[Complaint]
) -> Located:
    """The value with every reference in its text replaced; UNREAD stands where that was not possible."""
    value = located.value
    if isinstance(value, str):
        resolved = resolve(value, parameters, environment, located.position, complaints)
        if resolved is value:
            return located
        first = _TOKEN.match(value)
        name = first[1].removeprefix("params.") if first is not None and first[1] else ""
        return Located(resolved, located.position, came_from=name if name in parameters else "")
    if isinstance(value, tuple):
        items = tuple(interpolate(item, parameters, environment, complaints) for item in value)
        return Located(items, located.position)
    if isinstance(value, Mapping):
        entries = {key: interpolate(item, parameters, environment, complaints) for key, item in value.items()}
        return Located(MappingProxyType(entries), located.position, located.keys)
    return located


def resolve(
    text: str,
    parameters: Mapping[str, Parameter | None] | None,
    environment: Mapping[str, str],
    position: Position,
    complaints: list[Complaint],
) -> Value:
    """The text with its references replaced; where it begins with text from outside, the whole counts as from outside.

    Args:
        parameters: None where only the environment may be referred to.
        position: of the text, for complaints.
    """
    if "${" not in text:
        return text
    parts: list[Value] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        if match[0] == "$${":
            parts.append("${")
        elif match[1] is None:
            complain(
                complaints, "wrong_value", position, "a reference '${' without its end", f"{_FORMS}; '$${{' stands for '${{'"
            )
            parts.append(UNREAD)
        else:
            try:
                parts.append(_look_up(match[1], parameters, environment))
            except MismatchError as mismatch:
                complain(complaints, mismatch.code, position, f"the reference {match[0]}", mismatch.expected, mismatch.candidates)
                parts.append(UNREAD)
        end = match.end()
    if end < len(text):
        parts.append(text[end:])
    if any(part is UNREAD for part in parts):
        return UNREAD
    if len(parts) == 1:
        return parts[0]
    joined = "".join(_as_text(part) for part in parts)
    return Outside(joined) if isinstance(parts[0], Outside) else joined


def _look_up(inside: str, parameters: Mapping[str, Parameter | None] | None, environment: Mapping[str, str]) -> Value:
    """The value of the reference with this text between its braces.

    Raises:
        MismatchError: it refers to nothing.
    """
    if match := _ENVIRONMENT.fullmatch(inside):
        if environment.get(match[1]):
            return Outside(environment[match[1]])
        if match[2] is None:
            message = f"the variable {match[1]} in the environment, or a default: ${{env:{match[1]}:-default}}"
            raise MismatchError(message, code="environment")
        return match[2]
    if not inside.startswith("params."):
        raise MismatchError(_FORMS, code="unknown_reference")
    if parameters is None:
        raise MismatchError("a default that refers to the environment alone", code="unknown_reference")
    name = inside.removeprefix("params.")
    if name not in parameters:
        known = f"one of the parameters {', '.join(parameters)}" if parameters else "a parameter declared under 'params'"
        raise MismatchError(known, code="unknown_reference", candidates=nearest(name, parameters))
    parameter = parameters[name]
    return UNREAD if parameter is None else parameter.value


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
