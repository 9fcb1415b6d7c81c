"""Holds expressions against what the nodes upstream declare, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from phonograph.errors import Complaint, Position, Severity, nearest
from phonograph.expressions.parser import parse
from phonograph.expressions.tree import (
    And,
    Comparison,
    Condition,
    Constant,
    Expression,
    ExpressionError,
    Fault,
    Field,
    Membership,
    Not,
    Or,
    Presence,
)
from phonograph.language.binding import bound_texts
from phonograph.language.yaml12 import Located
from phonograph.spec import AttributeType, Params, expression_fields
from phonograph.traced import Traced

AttributeTypes = Mapping[str, AttributeType | None]
"""Attribute -> its type; None: nodes disagree about it, so it is judged for each item."""

_WORDS: Mapping[AttributeType, str] = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false"}


def united(several: Iterable[AttributeTypes]) -> AttributeTypes:
    """The attributes of an item that may have those of all of these."""
    types: AttributeTypes = {}
    for declared in several:
        types = {**types, **{name: _common(name, kind, types) for name, kind in declared.items()}} if types else declared
    return types


def check(expression: Expression, attributes: AttributeTypes, *, is_open: bool) -> list[Fault]:
    """What is wrong with an expression where items have these attributes, in the order of the text.

    Args:
        is_open: items may have other attributes too. A name that nobody declares is then at most a warning, when it looks like
            a slip of one that somebody does.
    """
    faults: list[Fault] = []
    for condition in _leaves(expression.condition):
        unknown = _unknown(condition.field, attributes, is_open)
        if unknown is not None:
            faults.append(unknown)
        if unknown is not None and unknown.severity == "error":
            continue
        declared = _declared(condition.field, attributes)
        if isinstance(condition, Comparison):
            faults += list(_mismatches(condition.field, (condition.constant,), declared)) or _disorder(condition)
        elif isinstance(condition, Membership):
            faults += _mismatches(condition.field, condition.constants, declared)
    return sorted(faults, key=lambda fault: fault.offset)


def check_all(params: Params, written: Located, attributes: AttributeTypes, *, is_open: bool, what: str) -> list[Complaint]:
    """Complaints about the expressions among a node's parameters.

    Args:
        params: what `binding.bind` made of `written`.
        attributes: those that the nodes upstream declare. is_open: items may have others too, see `check`.
        what: names the node in complaints.
    """
    complaints = []
    names = expression_fields(type(params))
    for parameter, located, text in bound_texts(params, written, names):
        try:
            faults = check(parse(text), attributes, is_open=is_open)
        except ExpressionError as error:
            faults = [error.fault]
        if faults and isinstance(text, Traced) and text.is_secret:
            faults = [_unsaid(faults)]
        for fault in faults:
            found = f"{fault.found} in parameter {parameter!r} of {what}"
            position = _place(located, fault.offset)
            complaints.append(Complaint("expression", position, found, fault.expected, fault.candidates, fault.severity))
    return complaints


def _unsaid(faults: list[Fault]) -> Fault:
    """What is wrong with an expression with a secret in it, whose words would show a piece of the secret."""
    expected = "quotes round the reference, as in key != '${params.NAME}', and an expression that is right without the secret"
    severity: Severity = "error" if any(fault.severity == "error" for fault in faults) else "warning"
    return Fault(0, "an expression that has a secret in it, and cannot be read with that,", expected, severity=severity)


def _common(name: str, declared: AttributeType | None, known: AttributeTypes) -> AttributeType | None:
    before = known.get(name, declared)
    both_numbers = {before, declared} == {"int", "float"}
    return declared if before == declared else "float" if both_numbers else None


def _place(located: Located, offset: int) -> Position:
    """The character at `offset` of the text; where the text begins, when it does not stand in the file as it is."""
    if not located.text_column:
        return located.position
    return replace(located.position, column=located.text_column + offset)


def _leaves(condition: Condition) -> Iterator[Comparison | Membership | Presence]:
    if isinstance(condition, Not):
        yield from _leaves(condition.operand)
    elif isinstance(condition, And | Or):
        for operand in condition.operands:
            yield from _leaves(operand)
    else:
        yield condition


def _unknown(read: Field, attributes: AttributeTypes, is_open: bool) -> Fault | None:
    name = read.attribute
    if name is None or name in attributes:
        return None
    near = tuple(f"attributes.{known}" for known in nearest(name, attributes))
    if is_open:
        if not near or read.is_bare:
            return None
        expected = "one that a node declares, or a field of the rows that the source reads"
        return Fault(read.offset, f"the attribute {name!r}, which no node before it declares,", expected, near, "warning")
    if name == "duration":
        expected = "a node before it that tells how long the audio is, such as audio.decode"
        return Fault(read.offset, f"{read}, which no node before it sets,", expected)
    known = f"one of {', '.join(sorted(attributes))}" if attributes else "key, for no node before it declares any attribute"
    return Fault(read.offset, f"the attribute {name!r}, which no node before it sets,", known, near)


def _declared(read: Field, attributes: AttributeTypes) -> AttributeType | None:
    if read.attribute is None:
        return "str"
    return "float" if read.is_bare else attributes.get(read.attribute)


def _mismatches(read: Field, constants: tuple[Constant, ...], declared: AttributeType | None) -> Iterator[Fault]:
    """Constants that are not of the field's type, or, where that is open, not of the first constant's."""
    expected = None if declared is None else _WORDS[declared]
    for constant in constants:
        given = _WORDS[_type_of(constant)]
        expected = expected or given
        if given != expected:
            owner = f"{read} is" if declared is not None else "the values before it are"
            yield Fault(constant.offset, f"the value {constant}", f"{expected}, for {owner} {_kind(expected)}")
        elif constant.is_duration and (unit := _unit_of(read)) != "s":
            in_unit = f"a number in {unit}: {float(constant.value) * 1000:g}" if unit else "a bare number"
            yield Fault(constant.offset, f"the duration {constant}", f"{in_unit}, for {read} is no number of seconds")


def _disorder(condition: Comparison) -> Iterator[Fault]:
    """Only numbers are more or less."""
    if condition.operator in ("==", "!=") or _type_of(condition.constant) in ("int", "float"):
        return
    found = f"{condition.operator} before {_kind(_WORDS[_type_of(condition.constant)])}"
    yield Fault(condition.offset, found, "==, != or in, for only numbers have an order")


def _unit_of(read: Field) -> str:
    """The unit that an attribute's name tells; empty when it tells none."""
    name = read.attribute or ""
    if name.endswith("_ms"):
        return "ms"
    return "s" if name == "duration" or name.endswith(("_duration", "_s")) else ""


def _type_of(constant: Constant) -> AttributeType:
    if isinstance(constant.value, bool):
        return "bool"
    if isinstance(constant.value, str):
        return "str"
    return "int" if isinstance(constant.value, int) else "float"


def _kind(words: str) -> str:
    return "a truth value" if words == "true or false" else words
