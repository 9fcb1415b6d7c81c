"""Turns an expression into a function that judges items."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np

from phonograph.errors import BadInputError
from phonograph.expressions.tree import And, Comparison, Condition, Constant, Expression, Field, Membership, Not, Or, Presence
from phonograph.item import Item

Judge = Callable[[Item], bool]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compiled(expression: Expression) -> Judge:
    """The expression as a function that tells whether it holds for an item.

    It raises BadInputError for an attribute that is compared and absent, or not of the type of what it is compared with.
    """
    return _judge(expression.condition, expression)


def _judge(condition: Condition, whole: Expression) -> Judge:
    if isinstance(condition, Comparison):
        return _comparison(condition, whole)
    if isinstance(condition, Membership):
        return _membership(condition, whole)
    if isinstance(condition, Presence):
        name = condition.field.attribute
        return lambda item: name in item.attributes
    if isinstance(condition, Not):
        inner = _judge(condition.operand, whole)
        return lambda item: not inner(item)
    if isinstance(condition, And):
        parts = [_judge(operand, whole) for operand in condition.operands]
        return lambda item: all(part(item) for part in parts)
    if isinstance(condition, Or):
        parts = [_judge(operand, whole) for operand in condition.operands]
        return lambda item: any(part(item) for part in parts)
    assert_never(condition)


def _comparison(condition: Comparison, whole: Expression) -> Judge:
    read, compare, value = (
        _reader(condition.field, condition.constant, whole),
        _COMPARE[condition.operator],
        condition.constant.value,
    )
    return lambda item: bool(compare(read(item), value))


def _membership(condition: Membership, whole: Expression) -> Judge:
    read, values = _reader(condition.field, condition.constants[0], whole), [constant.value for constant in condition.constants]
    return lambda item: read(item) in values


def _reader(read: Field, beside: Constant, whole: Expression) -> Callable[[Item], Any]:
    """Gives the field's value, of the type of the constant that it is compared with."""
    name = read.attribute
    if name is None:
        return lambda item: item.key
    fits, expected = _expected(beside)

    def value(item: Item) -> Any:
        try:
            found = item.attributes[name]
        except KeyError:
            raise BadInputError(
                f'{item.key}: has no attribute {name!r}, which the expression "{whole}" compares; expected {expected}; '
                f"'has attributes.{name} and ...' asks first whether it is there"
            ) from None
        if not fits(found):
            raise BadInputError(
                f"{item.key}: its attribute {name!r} is {_described(found)}; expected {expected}, "
                f'which the expression "{whole}" compares it with'
            )
        return found

    return value


def _expected(constant: Constant) -> tuple[Callable[[Any], bool], str]:
    """Whether a value can be compared with the constant, and what can, in words."""
    if isinstance(constant.value, bool):
        return (lambda found: isinstance(found, bool | np.bool_)), "true or false"
    if isinstance(constant.value, str):
        return (lambda found: isinstance(found, str)), "text"
    # NumPy's numbers count as numbers; truth values, which Python counts among the numbers, do not.
    return (lambda found: isinstance(found, numbers.Real) and not isinstance(found, bool)), "a number"


def _described(found: Any) -> str:
    shown = repr(found)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
