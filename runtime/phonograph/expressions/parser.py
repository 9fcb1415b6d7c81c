"""Reads expressions, by recursive descent.

disjunction := conjunction ("or" conjunction)*
conjunction := negation ("and" negation)*
negation    := "not" negation | "(" disjunction ")" | "has" field | comparison
comparison  := field operator value | field ["not"] "in" "[" value ("," value)* "]"
field       := "key" | "duration" | "attributes." NAME
value       := NUMBER | DURATION | 'text' | "text" | "true" | "false"
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast, get_args

from phonograph.errors import nearest
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
    Operator,
    Or,
    Presence,
)
from phonograph.language.scalars import whole
from phonograph.language.units import DURATION, parse_duration

MAX_LENGTH = 4000
"""Characters; longer ones are the work of a program, which can make attributes instead."""

MAX_DEPTH = 32
"""Parentheses and negations inside each other."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?P<unit>[^\W\d]\w*)?
      | (?P<word>[^\W\d]\w*(?:\.[\w-]*)*)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<slip>===|=>|=<|<>|&&?|\|\|?|!(?!=)|=(?!=))
      | (?P<operator>==|!=|<=|>=|<|>)
      | (?P<mark>[()\[\],])
      | (?P<wrong>.)""",
    re.VERBOSE | re.DOTALL,
)
_MEANT = {"===": "==", "=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "!": "not"} | dict.fromkeys(("&", "&&"), "and")
_MEANT |= dict.fromkeys(("|", "||"), "or")
_OPERATORS: tuple[str, ...] = get_args(Operator)
_WORDS = ("and", "or", "not", "in", "has", "true", "false")
_FIELDS = "key, duration or attributes.NAME"
_CONDITION = f"a comparison ({_FIELDS}, an operator, a value), 'has attributes.NAME', 'not' or '('"
_VALUE = "a number, a duration such as 1.5s, text in quotes, true or false"


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: it is none; the error knows where, what was found, what was expected.
    """
    return Expression(_Parser(text).whole(), text)


@dataclass(frozen=True, slots=True)
class _Token:
    """One word or sign; `kind` is a group of `_TOKEN`, or `end`."""

    kind: str
    text: str
    offset: int
    unit: str = ""


class _Parser:
    """One pass over one text. `_token` is the next one that nobody has taken yet."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        if len(text) > MAX_LENGTH:
            raise self._fault(MAX_LENGTH, f"an expression of {len(text)} characters", f"at most {MAX_LENGTH}")
        if not text.strip():
            raise self._fault(0, "an empty expression", "one such as 'attributes.speech_ratio >= 0.1'")
        self._tokens = _tokens(text)
        self._token = next(self._tokens)

    def whole(self) -> Condition:
        condition = self._disjunction()
        if self._token.kind == "end":
            return condition
        if self._token.kind == "operator":
            raise self._fault_here("'and' between two comparisons")
        closing = "an opening parenthesis before it, or nothing" if self._token.text == ")" else "'and', 'or' or the end"
        raise self._fault_here(closing)

    def _disjunction(self) -> Condition:
        return self._joined("or", self._conjunction, Or)

    def _conjunction(self) -> Condition:
        return self._joined("and", self._negation, And)

    def _joined(self, word: str, part: Callable[[], Condition], kind: type[And] | type[Or]) -> Condition:
        operands = [part()]
        while self._takes(word):
            operands.append(part())
        return operands[0] if len(operands) == 1 else kind(tuple(operands))

    def _negation(self) -> Condition:
        opening = self._token
        if self._takes("not"):
            with_one_more = self._deeper(opening)
            operand = self._negation()
            self._depth = with_one_more
            return Not(operand)
        if self._takes("("):
            with_one_more = self._deeper(opening)
            inside = self._disjunction()
            if not self._takes(")"):
                raise self._fault_here(f"')' for the '(' at character {opening.offset + 1}, 'and' or 'or'")
            self._depth = with_one_more
            return inside
        if self._takes("has"):
            found = self._field("attributes.NAME or duration, for 'has' asks whether an item has it")
            if found.attribute is None:
                raise self._fault(found.offset, "'has key'", "attributes.NAME or duration, for every item has a key")
            return Presence(found)
        return self._comparison()

    def _deeper(self, opening: _Token) -> int:
        """Count one more level; gives the level to go back to."""
        before = self._depth
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(
                opening.offset, f"more than {MAX_DEPTH} levels of parentheses and negations", "a flatter expression"
            )
        return before

    def _comparison(self) -> Condition:
        compared = self._field(_CONDITION)
        operator = self._token
        if operator.kind == "operator":
            self._advance()
            return Comparison(compared, cast(Operator, operator.text), self._constant(), operator.offset)
        if self._takes("in"):
            return Membership(compared, self._list())
        if self._takes("not"):
            if not self._takes("in"):
                raise self._fault_here("'in' after 'not', or 'not' before the field")
            return Not(Membership(compared, self._list()))
        if operator.kind == "end" or operator.text in ("and", "or", ")"):
            example = {"key": "== 'a'", "duration": ">= 1.5s"}.get(str(compared), "== true")
            raise self._fault(compared.offset, f"{compared} without a comparison", f'one, such as "{compared} {example}"')
        raise self._fault_here(
            f"one of {', '.join(_OPERATORS)} or in", nearest(operator.text.lower(), (*_OPERATORS, "in", "not in"))
        )

    def _field(self, expected: str) -> Field:
        token = self._token
        if token.kind != "word" or token.text in _WORDS:
            if token.kind in ("number", "text") or token.text in ("true", "false"):
                raise self._fault(
                    token.offset, f"the value {token.text}{token.unit} at the start", f"{_FIELDS} first, then the value"
                )
            raise self._fault_here(expected)
        if token.text in ("key", "duration"):
            self._advance()
            return Field(None if token.text == "key" else "duration", is_bare=True, offset=token.offset)
        root, dot, name = token.text.partition(".")
        if root != "attributes":
            raise self._fault(token.offset, f"the field {token.text!r}", _FIELDS, _fields_meant(token.text))
        if not dot or not name:
            raise self._fault(token.offset, "'attributes' without a name", "attributes.NAME")
        if "." in name:
            raise self._fault(token.offset, f"the field {token.text!r}", "attributes.NAME, for attributes hold plain values")
        self._advance()
        return Field(name, offset=token.offset)

    def _list(self) -> tuple[Constant, ...]:
        if not self._takes("["):
            raise self._fault_here("a list of values, such as [1, 2]")
        constants = [self._constant()]
        while self._takes(","):
            constants.append(self._constant())
        if not self._takes("]"):
            raise self._fault_here("',' or ']'")
        return tuple(constants)

    def _constant(self) -> Constant:
        token = self._token
        if token.kind == "number":
            constant = Constant(self._number(token), token.text + token.unit if token.unit else "", token.offset)
        elif token.kind == "text":
            constant = Constant(re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL), offset=token.offset)
        elif token.text in ("true", "false"):
            constant = Constant(token.text == "true", offset=token.offset)
        elif token.kind == "word" and token.text not in _WORDS:
            raise self._misplaced(token)
        else:
            raise self._fault_here(_VALUE)
        self._advance()
        return constant

    def _number(self, token: _Token) -> int | float:
        if token.unit:
            try:
                return parse_duration(token.text.removeprefix("+") + token.unit)
            except ValueError:
                found = f"the value {token.text}{token.unit}"
                raise self._fault(token.offset, found, f"a number, or {DURATION}") from None
        if re.fullmatch(r"[-+]?[0-9]+", token.text):
            try:
                return whole(token.text)
            except ValueError:
                raise self._fault(token.offset, f"a number of {len(token.text)} digits", "one that fits into a double") from None
        number = float(token.text)
        if math.isinf(number):
            raise self._fault(token.offset, f"the number {token.text}", "one that fits into a double")
        return number

    def _misplaced(self, token: _Token) -> ExpressionError:
        """A word where a value belongs."""
        if token.text in ("key", "duration") or token.text.startswith("attributes."):
            return self._fault(token.offset, f"the field {token.text} on the right", f"{_VALUE}; two fields are not compared")
        if token.text.lower() in ("true", "false"):
            return self._fault(token.offset, f"the word {token.text}", "true or false", (token.text.lower(),))
        return self._fault(token.offset, f"the word {token.text}", f"text in quotes: '{token.text}'")

    def _takes(self, text: str) -> bool:
        """Whether the next token is this one, which then is taken."""
        token = self._token
        if token.text != text or token.kind not in ("word", "mark"):
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        self._token = next(self._tokens)

    def _fault_here(self, expected: str, candidates: tuple[str, ...] = ()) -> ExpressionError:
        """Something else belongs where the next token stands."""
        token = self._token
        if token.kind == "end":
            return self._fault(token.offset, "the end of the expression", expected, candidates)
        if token.kind == "slip":
            return self._fault(token.offset, f"the sign {token.text}", repr(_MEANT[token.text]))
        if token.kind == "wrong":
            if token.text in "'\"":
                return self._fault(token.offset, "text in quotes that never end", "the closing quote")
            return self._fault(token.offset, f"the sign {token.text}", expected, candidates)
        lower = token.text.lower()
        if token.text != lower and lower in _WORDS:
            candidates = (lower,)
        return self._fault(token.offset, repr(token.text + token.unit), expected, candidates)

    def _fault(self, offset: int, found: str, expected: str, candidates: tuple[str, ...] = ()) -> ExpressionError:
        return ExpressionError(self._text, Fault(offset, found, expected, candidates))


def _tokens(text: str) -> Iterator[_Token]:
    """The words and signs of a text, then `end`, again and again."""
    for match in _TOKEN.finditer(text):
        kind = next(name for name, value in match.groupdict().items() if value is not None and name != "unit")
        if kind != "space":
            yield _Token(kind, match[kind], match.start(), match["unit"] or "")
    while True:
        yield _Token("end", "", len(text))


def _fields_meant(word: str) -> tuple[str, ...]:
    """What a word that is no field is most likely a slip of."""
    root, dot, name = word.partition(".")
    if dot:
        return (f"attributes.{name}",)
    if root.lower() in _WORDS:
        return (root.lower(),)
    return nearest(word, ("key", "duration"), limit=1) or (f"attributes.{word}",)
