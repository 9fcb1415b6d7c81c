"""Replaces references in the text of a manifest: `${params.x}` by a parameter, `${env:NAME:-default}` by an environment variable.

References stand in the parameters of nodes, and those to the environment in the defaults of parameters too. Text that is one
whole reference becomes the value with its type. `$${` stands for `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from phonograph.errors import Complaint, Position, listed, nearest
from phonograph.language.fields import MismatchError, complain
from phonograph.language.units import NumBytes, Seconds
from phonograph.language.yaml12 import Located, Value
from phonograph.traced import Home, Traced, from_outside, like

if TYPE_CHECKING:
    from phonograph.language.parameters import Parameter

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_FORMS = "${params.NAME}, ${env:NAME} or ${env:NAME:-default}"


class _Unread:
    def __repr__(self) -> str:
        return "UNREAD"


UNREAD = cast(Value, _Unread())
"""Stands for a value about which a complaint is already noted, so that nobody complains about it again."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What text may refer to.

    Args:
        parameters: by name, None for one that could not be read; None where only the environment may be referred to.
        home: where the manifest stands.
    """

    parameters: Mapping[str, Parameter | None] | None
    environment: Mapping[str, str]
    home: Home


def interpolate(located: Located, scope: Scope, complaints: list[Complaint]) -> Located:
    """The value with every reference in its text replaced; UNREAD stands where that was not possible."""
    value = located.value
    if isinstance(value, str):
        resolved = resolve(value, scope, located.position, complaints)
        if resolved is value:
            return located
        if "${" not in value:
            return replace(located, value=resolved)
        first = _TOKEN.match(value)
        name = first[1].removeprefix("params.") if first is not None and first[1] else ""
        parameter = (scope.parameters or {}).get(name)
        variable = variable_of(value, scope)
        came_from = f"env:{variable}" if variable else "" if parameter is None else parameter.came_from
        return Located(resolved, located.position, came_from=came_from)
    if isinstance(value, tuple):
        return Located(tuple(interpolate(item, scope, complaints) for item in value), located.position)
    if isinstance(value, Mapping):
        entries = {key: interpolate(item, scope, complaints) for key, item in value.items()}
        return Located(MappingProxyType(entries), located.position, located.keys)
    return located


def resolve(text: str, scope: Scope, position: Position, complaints: list[Complaint]) -> Value:
    """The text with its references replaced; where it begins with text from elsewhere, the whole counts as from there.

    Args:
        position: of the text.
    """
    if "${" not in text:
        return scope.home.written(text, position.file)
    parts: list[Value] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            parts.append(_literal(text, end, match.start(), scope, position))
        if match[0] == "$${":
            parts.append(scope.home.written("${", position.file))
        elif match[1] is None:
            complain(
                complaints, "wrong_value", position, "a reference '${' without its end", f"{_FORMS}; '$${{' stands for '${{'"
            )
            parts.append(UNREAD)
        else:
            try:
                parts.append(_look_up(match[1], scope, position))
            except MismatchError as mismatch:
                complain(complaints, mismatch.code, position, f"the reference {match[0]}", mismatch.expected, mismatch.candidates)
                parts.append(UNREAD)
        end = match.end()
    if end < len(text):
        parts.append(_literal(text, end, len(text), scope, position))
    if any(part is UNREAD for part in parts):
        return UNREAD
    if len(parts) == 1:
        return parts[0]
    return like("".join(_as_text(part) for part in parts), parts[0], tuple(parts))


def variable_of(text: str, scope: Scope) -> str:
    """The environment variable with whose value the text begins; empty when it begins otherwise, or with a default instead."""
    first = _TOKEN.match(text)
    match = _ENVIRONMENT.fullmatch(first[1]) if first is not None and first[1] else None
    return match[1] if match is not None and scope.environment.get(match[1]) else ""


def _literal(text: str, start: int, end: int, scope: Scope, position: Position) -> str:
    """A part of text between references; it is from where the whole is."""
    part = text[start:end]
    return like(part, text) if isinstance(text, Traced) else scope.home.written(part, position.file)


def _look_up(inside: str, scope: Scope, position: Position) -> Value:
    """The value of the reference with this text between its braces.

    Raises:
        MismatchError: it refers to nothing.
    """
    if match := _ENVIRONMENT.fullmatch(inside):
        if scope.environment.get(match[1]):
            return from_outside(scope.environment[match[1]])
        if match[2] is None:
            message = f"the variable {match[1]} in the environment, or a default: ${{env:{match[1]}:-default}}"
            raise MismatchError(message, code="environment")
        return scope.home.written(match[2], position.file)
    if not inside.startswith("params."):
        raise MismatchError(_FORMS, code="unknown_reference")
    parameters = scope.parameters
    if parameters is None:
        raise MismatchError("a default that refers to the environment alone", code="unknown_reference")
    name = inside.removeprefix("params.")
    if name not in parameters:
        known = f"one of the parameters {listed(parameters)}" if parameters else "a parameter declared under 'params'"
        raise MismatchError(known, code="unknown_reference", candidates=nearest(name, parameters))
    parameter = parameters[name]
    return UNREAD if parameter is None else _measured(parameter)


def _measured(parameter: Parameter) -> Value:
    """The parameter's value; a duration or a size knows what it is, for it was written with its unit."""
    value = parameter.value
    if parameter.type == "duration" and isinstance(value, float):
        return Seconds(value)
    return NumBytes(value) if parameter.type == "size" and isinstance(value, int) else value


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str.__str__(value) if isinstance(value, str) else str(value)
