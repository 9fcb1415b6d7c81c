"""What an expression consists of, with its canonical spelling."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, TypeAlias

from phonograph.errors import PhonographError, Severity

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in an expression.

    Args:
        offset: of the character where it begins, from 0.
        found, expected, candidates, severity: as in `phonograph.errors.Complaint`.
    """

    offset: int
    found: str
    expected: str
    candidates: tuple[str, ...] = ()
    severity: Severity = "error"


class ExpressionError(PhonographError):
    """The text is no expression. Raised when it is read, never when it judges."""

    code = "expression"

    def __init__(self, text: str, fault: Fault) -> None:
        words = f"{text!r}, character {fault.offset + 1}: {fault.found}; expected {fault.expected}"
        if fault.candidates:
            words += "; did you mean " + " or ".join(repr(name) for name in fault.candidates) + "?"
        super().__init__(words)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Field:
    """A fact about an item: `key`, `duration` or `attributes.NAME`.

    Args:
        attribute: the attribute that holds it (`duration` is one as well); None for the key.
        offset: where it stands; no part of what it means.
    """

    attribute: str | None
    is_bare: bool = False
    offset: int = dataclasses.field(default=0, compare=False)

    def __str__(self) -> str:
        if self.attribute is None:
            return "key"
        return self.attribute if self.is_bare else f"attributes.{self.attribute}"


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in the expression.

    Args:
        value: durations in seconds.
        written: as it stands, for a duration; else empty.
    """

    value: Plain
    written: str = dataclasses.field(default="", compare=False)
    offset: int = dataclasses.field(default=0, compare=False)

    @property
    def is_duration(self) -> bool:
        return bool(self.written)

    def __str__(self) -> str:
        if self.written:
            return self.written
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, str):
            return "'" + self.value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator constant`."""

    field: Field
    operator: Operator
    constant: Constant
    offset: int = dataclasses.field(default=0, compare=False)  # of the operator

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.constant}"


@dataclass(frozen=True, slots=True)
class Membership:
    """`field in [constant, ...]`."""

    field: Field
    constants: tuple[Constant, ...]

    def __str__(self) -> str:
        return f"{self.field} in [{', '.join(map(str, self.constants))}]"


@dataclass(frozen=True, slots=True)
class Presence:
    """`has field`: whether the item has the attribute at all."""

    field: Field

    def __str__(self) -> str:
        return f"has {self.field}"


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Condition

    def __str__(self) -> str:
        return f"not {_within(self.operand, (And, Or))}"


@dataclass(frozen=True, slots=True)
class And:
    """`operand and operand ...`, judged from the left up to the first that is false."""

    operands: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(_within(operand, (And, Or)) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Or:
    """`operand or operand ...`, judged from the left up to the first that is true."""

    operands: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(_within(operand, (Or,)) for operand in self.operands)


Condition: TypeAlias = Comparison | Membership | Presence | Not | And | Or


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that reads well; `str` gives its canonical spelling.

    Args:
        text: as written.
    """

    condition: Condition
    text: str = dataclasses.field(default="", compare=False)

    def __str__(self) -> str:
        return str(self.condition)


def _within(operand: Condition, looser: tuple[type, ...]) -> str:
    """The operand, in parentheses when it binds no tighter than what stands round it."""
    return f"({operand})" if isinstance(operand, looser) else str(operand)
