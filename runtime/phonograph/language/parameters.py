"""Reads a manifest's own parameters.

A parameter is declared with a type, and gets its value from outside, else from its default. The default may refer to the
environment (`phonograph.language.references`), because what is right there differs from machine to machine.
"""

from __future__ import annotations

import numbers
import operator
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from phonograph.errors import Complaint, Position, listed, nearest
from phonograph.language import fields
from phonograph.language.fields import Fields, MismatchError, complain, describe
from phonograph.language.references import UNREAD, Scope, resolve, variable_of
from phonograph.language.scalars import MAX_BITS, scalar
from phonograph.language.yaml12 import Located
from phonograph.redaction import HIDDEN
from phonograph.traced import Traced, from_outside, like

ParameterType = Literal["str", "int", "float", "bool", "path", "duration", "size", "secret"]
TYPES: tuple[str, ...] = get_args(ParameterType)
ORDERED = ("int", "float", "duration", "size")  # the types that `minimum` and `maximum` make sense for
ID = re.compile(r"[a-z][a-z0-9_-]*")

DECLARATION_KEYS = ("type", "default", "help", "minimum", "maximum", "choices")
_EXPECTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path, as text",
    "secret": "text",
}

Plain = bool | int | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a manifest, with the value that it has in this run.

    Args:
        value: of the declared type; durations in seconds, sizes in bytes.
        default: the same, None when the manifest gives none.
        minimum, maximum: closed bounds; None: open.
        choices: the values allowed; empty: all.
        is_given: the value comes from outside, or from the node that includes the sub-graph, and not from the default.
        position: of the default where that is the value, or of what the including node gives; else of the declaration.
        came_from: the parameter of the outermost manifest that the value is; its own name there, "" for a value of a sub-graph.
        variable: the environment variable with whose value the default begins, where the default is the value.
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
    came_from: str = ""
    variable: str = ""

    @property
    def is_secret(self) -> bool:
        return self.type == "secret"


def read_parameters(
    declared: Located | None,
    given: Mapping[str, object],
    *,
    scope: Scope,
    start: Position,
    complaints: list[Complaint],
    node: tuple[str, Position] | None = None,
) -> dict[str, Parameter | None]:
    """Name -> parameter; None for one that could not be read, about which `complaints` tell.

    Args:
        declared: the manifest's `params`.
        given: by name, values from outside (Python values, or text to be read as the declared type), or those that a manifest
            gives to its sub-graph, which are Located.
        scope: what defaults may refer to: the environment.
        start: where complaints about names that the manifest does not declare are placed.
        node: id and position of the node that includes the sub-graph whose parameters these are.
    """
    parameters: dict[str, Parameter | None] = {}
    names: tuple[str, ...] = ()
    if declared is not None and isinstance(declared.value, Mapping):
        names = tuple(declared.value)
        for name, located in declared.value.items():
            position = declared.keys[name]
            if ID.fullmatch(name) is None:
                complain(complaints, "bad_id", position, f"a parameter called {name!r}", "a-z, then a-z, 0-9, '_' or '-'")
            parameters[name] = _Declaration(name, located, position, scope, complaints).parameter(given, node)
    elif declared is not None:
        expected = "a mapping from name to {type, default, ...}"
        complain(complaints, "wrong_type", declared.position, f"'params' is {describe(declared.value)}", expected)
        return parameters
    for name in given:
        if name not in names:
            expected = f"one of {listed(names)}" if names else "none, for the manifest declares no parameters"
            found = f"a value is given for the parameter {name!r}, which the manifest does not declare"
            # A program may give anything as a name.
            complain(complaints, "unknown_parameter", start, found, expected, nearest(str(name), names))
    return parameters


class _Declaration:
    """What stands in the manifest about one parameter."""

    def __init__(self, name: str, located: Located, position: Position, scope: Scope, complaints: list[Complaint]) -> None:
        self._name = name
        self._position = position
        self._complaints = complaints
        self._scope = scope
        self._fields = Fields(located, what=f"parameter {name!r}", allowed=DECLARATION_KEYS, complaints=complaints)
        self._type = self._read_type()
        self._minimum = self._bound("minimum")
        self._maximum = self._bound("maximum")
        self._choices = self._read_choices()
        self._check_order()

    def parameter(self, given: Mapping[str, object], node: tuple[str, Position] | None) -> Parameter | None:
        """The parameter with its value from `given`, else from its default."""
        known = len(self._complaints)
        help_text = self._fields.read("help", fields.text) or ""
        default = self._default(needed=self._name not in given)
        value, position, came_from = default, self._position, "" if node else self._name
        variable = ""
        if self._name in given:
            from_manifest = given[self._name]
            if isinstance(from_manifest, Located):
                value, position, came_from = self._included(from_manifest), from_manifest.position, from_manifest.came_from
                if from_manifest.value is UNREAD:
                    return None
            else:
                value = self._outside(from_manifest)
        elif (written := self._fields.get("default")) is not None:
            position = written.position
            variable = variable_of(written.value, self._scope) if isinstance(written.value, str) else ""
        elif self._fields.readable:
            self._complain_missing(node)
        if self._type is None or len(self._complaints) > known:
            return None
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
            position=position,
            came_from=came_from,
            variable=variable,
        )

    def _complain_missing(self, node: tuple[str, Position] | None) -> None:
        name = self._name
        if node is None:
            found, expected = f"parameter {name!r} has no value", f"--param {name}=VALUE, or a default here"
            complain(self._complaints, "missing_parameter", self._position, found, expected)
        else:
            found = f"parameter {name!r} of the sub-graph of node {node[0]!r} has no value"
            expected = f"'params: {{{name}: ...}}' here, or a default at {self._position}"
            complain(self._complaints, "missing_parameter", node[1], found, expected)

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

    def _check_order(self) -> None:
        located = self._fields.get("maximum")
        if located is not None and self._minimum is not None and self._maximum is not None and self._maximum < self._minimum:
            found = f"'maximum' is {self._as_given('maximum')}, less than 'minimum'"
            complain(self._complaints, "wrong_value", located.position, found, f"at least {self._as_given('minimum')}")

    def _read_choices(self) -> tuple[Plain, ...]:
        located, kind = self._fields.get("choices"), self._type
        if located is None or kind is None:
            return ()
        if kind == "secret":
            found = "'choices' for a parameter of type secret, which would tell what it may be"
            complain(self._complaints, "wrong_value", located.position, found, "no choices")
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
            resolved = resolve(value, self._scope, located.position, self._complaints if needed else ignored)
            if resolved is UNREAD:
                return None
            from_text = "${" in value
            value = resolved
        what = f"the default of parameter {self._name!r}"
        return self._fitting(value, what, located.position, lambda kind: typed(kind, value, from_text=from_text))

    def _outside(self, given: object) -> Plain:
        given = _builtin(given)
        what = f"the value given for parameter {self._name!r}"
        return self._fitting(given, what, self._position, lambda kind: typed(kind, given, from_text=True, outside=True))

    def _included(self, given: Located) -> Plain:
        """What the node that includes a sub-graph gives; text from the environment may stand for a number there."""
        value = given.value
        if value is UNREAD:
            return None
        what, from_text = f"the value given for parameter {self._name!r}", isinstance(value, Traced) and value.is_outside
        return self._fitting(value, what, given.position, lambda kind: typed(kind, value, from_text=from_text))

    def _fitting(self, value: object, what: str, position: Position, read: Callable[[ParameterType], Plain]) -> Plain:
        """The value as the declared type, within its bounds; None, and a complaint, when it does not fit."""
        if self._type is None:
            return None
        try:
            return self._check(read(self._type))
        except MismatchError as mismatch:
            found = f"{what} is {HIDDEN if self._type == 'secret' else describe(value)}"
            complain(self._complaints, mismatch.code, position, found, mismatch.expected, mismatch.candidates)
            return None

    def _as_given(self, key: str) -> str:
        """A bound as it stands in the manifest, with its unit."""
        located = self._fields.get(key)
        return "" if located is None else str(located.value)

    def _check(self, value: Plain) -> Plain:
        if self._choices and value not in self._choices:
            words = [str(choice) for choice in self._choices]
            known = nearest(value, words) if isinstance(value, str) else ()
            raise MismatchError(f"one of {listed(words)}", code="wrong_value", candidates=known)
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
    if kind in ("str", "path", "secret"):
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
        if value.bit_length() > MAX_BITS:
            raise MismatchError(f"a whole number of at most {MAX_BITS} bits", code="wrong_value")
        return int(value)
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise MismatchError(_EXPECTED[kind], code="wrong_value") from error
    raise MismatchError(_EXPECTED[kind])


def _builtin(value: object) -> object:
    """A number of another library, such as NumPy, as Python's own; anything else as it is."""
    if isinstance(value, bool | int | float | str) or getattr(value, "shape", ()) != ():
        return value
    if getattr(value, "dtype", None) == "bool":
        return bool(value)
    try:
        return operator.index(value)  # type: ignore[arg-type]  # the question is whether it can be one
    except TypeError:
        return float(value) if isinstance(value, numbers.Real) else value


def _typed_text(kind: str, value: object, *, outside: bool) -> str:
    if kind == "path" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise MismatchError(_EXPECTED[kind] + ("" if outside else "; put it in quotes"))
    if kind == "path" and (not value or "\0" in value):
        raise MismatchError("a path", code="wrong_value")
    if kind == "secret":
        return like(value, value, (Traced("", is_secret=True),))
    return from_outside(value) if outside else value
