"""The expressions of routes and filters: how they are read, what is said about wrong ones, how they judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.errors import BadInputError
from phonograph.expressions import AttributeTypes, Expression, ExpressionError, check, compiled, parse, united
from phonograph.expressions.parser import MAX_DEPTH, MAX_LENGTH
from phonograph.expressions.tree import And, Comparison, Condition, Constant, Field, Membership, Not, Or, Presence
from phonograph.item import Item
from phonograph.spec import AttributeType
from pipeline_nodes import Clips, Decode, Resample, Vad

TYPES: dict[str, AttributeType | None] = {
    "speech_ratio": "float",
    "num_segments": "int",
    "codec": "str",
    "clean": "bool",
    "start_ms": "float",
    "disputed": None,
}


def item(**attributes: object) -> Item:
    return Item(key="clips/a.wav", ordinal=0, payload={}, attributes=attributes)


def holds(text: str, **attributes: object) -> bool:
    return compiled(parse(text))(item(**attributes))


def fault(text: str) -> tuple[int, str, str]:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    found = caught.value.fault
    return found.offset, found.found, found.expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key == 'clips/a.wav'", True),
        ('key != "clips/a.wav"', False),
        ("duration >= 1.5s", True),
        ("duration >= 1500ms and duration < 2", True),
        ("duration > 1m", False),
        ("attributes.ratio < 0.5", True),
        ("attributes.ratio in [0.1, 0.25]", True),
        ("attributes.ratio not in [0.1, 0.25]", False),
        ("not attributes.ratio in [0.1]", True),
        ("attributes.language == 'de'", True),
        ("attributes.clean == true", True),
        ("has attributes.speaker", False),
        ("has duration", True),
        ("has attributes.speaker and attributes.speaker == 'x'", False),
        ("key == 'a' or duration > 1 and attributes.ratio > 1", False),
        ("(key == 'a' or duration > 1) and not attributes.ratio > 1", True),
        ("not key == 'a' and not key == 'b'", True),
        ("attributes.offset == -3", True),
        ("attributes.offset <= +1e-3", True),
    ],
)
def test_an_expression_judges_an_item(text: str, expected: bool) -> None:
    """Comparisons, membership, presence, negation, precedence mean what they mean everywhere."""
    assert holds(text, duration=1.5, ratio=0.25, language="de", clean=True, offset=-3) is expected


def test_text_in_quotes_may_hold_quotes() -> None:
    """A backslash takes the meaning from a quote or backslash; the other kind of quote needs none."""
    assert holds(r"attributes.name == 'it\'s'", name="it's")
    assert holds('attributes.name == "it\'s"', name="it's")
    assert holds(r"attributes.name == 'a\\b'", name="a\\b")


def test_numbers_of_numpy_are_numbers() -> None:
    """An attribute that a node took out of an array is compared as any number; a truth value is none."""
    assert holds("attributes.level > 0.5", level=np.float32(0.75))
    assert holds("attributes.count == 3", count=np.int64(3))
    assert holds("attributes.clean == true", clean=np.bool_(True))
    assert not holds("attributes.level > 0.5 or attributes.level <= 0.5", level=float("nan"))


@pytest.mark.parametrize(
    ("text", "attributes", "words"),
    [
        ("attributes.speaker == 'x'", {}, "has no attribute 'speaker'"),
        ("duration > 1", {}, "has no attribute 'duration'"),
        ("attributes.level > 1", {"level": "loud"}, "its attribute 'level' is 'loud'; expected a number"),
        ("attributes.level > 1", {"level": True}, "its attribute 'level' is True; expected a number"),
        ("attributes.clean == true", {"clean": 1}, "expected true or false"),
        ("attributes.name in ['a']", {"name": 3}, "expected text"),
    ],
)
def test_an_item_that_cannot_be_judged_is_bad_input(text: str, attributes: dict[str, object], words: str) -> None:
    """A missing attribute, or one of another type, is the item's fault; the message names its key and the attribute."""
    with pytest.raises(BadInputError) as caught:
        compiled(parse(text))(item(**attributes))
    assert str(caught.value).startswith("clips/a.wav: ")
    assert words in str(caught.value)


def test_what_stands_behind_a_decision_is_not_looked_at() -> None:
    """`and` and `or` end with the first operand that decides, so that `has` can guard a comparison."""
    assert not holds("has attributes.x and attributes.x > 1")
    assert holds("not has attributes.x or attributes.x > 1")


@pytest.mark.parametrize(
    ("text", "offset", "found", "expected"),
    [
        ("", 0, "an empty expression", "such as"),
        ("  ", 0, "an empty expression", "such as"),
        ("duration", 0, "duration without a comparison", "duration >= 1.5s"),
        ("duration >", 10, "the end", "a number"),
        ("duration = 3", 9, "the sign =", "'=='"),
        ("key == 'a' && key == 'b'", 11, "the sign &&", "'and'"),
        ("key === 'a'", 4, "the sign ===", "'=='"),
        ("!has attributes.x", 0, "the sign !", "'not'"),
        ("key == 'a' AND key == 'b'", 11, "'AND'", "'and'"),
        ("0.1 < attributes.x", 0, "the value 0.1 at the start", "first"),
        ("duration > 1 < 3", 13, "'<'", "between two comparisons"),
        ("attributes > 1", 0, "'attributes' without a name", "attributes.NAME"),
        ("attributes.a.b > 1", 0, "the field 'attributes.a.b'", "plain values"),
        ("attributes.x == y", 16, "the word y", "text in quotes: 'y'"),
        ("attributes.x == key", 16, "the field key on the right", "two fields"),
        ("attributes.x == True", 16, "the word True", "true or false"),
        ("key in 'a'", 7, "\"'a'\"", "a list of values"),
        ("key in []", 8, "']'", "text in quotes"),
        ("key in ['a' 'b']", 12, "\"'b'\"", "',' or ']'"),
        ("key not 'a'", 8, "\"'a'\"", "'in' after 'not'"),
        ("has key", 4, "'has key'", "every item has a key"),
        ("(key == 'a'", 11, "the end", "')' for the '(' at character 1"),
        ("key == 'a')", 10, "')'", "an opening parenthesis"),
        ("key == 'a", 7, "text in quotes that never end", "the closing quote"),
        ("key == “a”", 7, "the sign “", "text in quotes"),
        ("duration > 3sec", 11, "the value 3sec", "100ms"),
        ("attributes.x == 1e999", 16, "the number 1e999", "a double"),
        ("key is 'a'", 4, "'is'", "one of =="),
        ("key == 'a' key == 'b'", 11, "'key'", "'and', 'or' or the end"),
    ],
)
def test_a_wrong_expression_says_where_and_what(text: str, offset: int, found: str, expected: str) -> None:
    """The fault has the offset of the place, what stands there and what belongs there."""
    told = fault(text)
    assert told[0] == offset
    assert found in told[1]
    assert expected in told[2]


def test_a_slip_in_a_field_names_what_was_meant() -> None:
    """A bare word is taken for an attribute, or for a field that is spelled nearly so."""
    for text, meant in (
        ("speech_ratio > 1", "attributes.speech_ratio"),
        ("ky == 'a'", "key"),
        ("attribute.x > 1", "attributes.x"),
    ):
        with pytest.raises(ExpressionError, match=f"did you mean '{meant}'"):
            parse(text)


def test_length_and_depth_have_bounds() -> None:
    """Text beyond the bounds is refused before it costs anything; what just fits is read."""
    assert "characters" in fault("key == 'a' or " * MAX_LENGTH + "key == 'a'")[1]
    assert parse("(" * MAX_DEPTH + "key == 'a'" + ")" * MAX_DEPTH) == parse("key == 'a'")
    assert fault("(" * (MAX_DEPTH + 1) + "key == 'a'" + ")" * (MAX_DEPTH + 1))[0] == MAX_DEPTH
    assert fault("not " * (MAX_DEPTH + 1) + "key == 'a'")[0] == MAX_DEPTH * 4
    assert holds(" or ".join(["key == 'a'"] * 200 + ["key == 'clips/a.wav'"]))


names = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)
fields = st.one_of(st.just(Field(None, is_bare=True)), st.just(Field("duration", is_bare=True)), st.builds(Field, names))
constants = st.builds(
    Constant, st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(max_size=8))
)
leaves = st.one_of(
    st.builds(Comparison, fields, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), constants),
    st.builds(Membership, fields, st.lists(constants, min_size=1, max_size=3).map(tuple)),
    st.builds(Presence, fields.filter(lambda field: field.attribute is not None)),
)


def _several(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    operands = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(And, operands), st.builds(Or, operands))


@given(st.recursive(leaves, _several, max_leaves=8))
def test_the_canonical_spelling_means_the_same(condition: Condition) -> None:
    """What is printed of an expression reads as that expression again."""
    expression = Expression(condition)
    assert parse(str(expression)) == expression


@given(st.text(alphabet="keyduration attributes.x()[]<>=!&|'\"\\,0123456789.sm-andornothasin\n", max_size=60))
def test_any_text_is_an_expression_or_a_fault(text: str) -> None:
    """No text makes the reader fail in another way, and a fault lies inside the text or at its end."""
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.fault.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("attributes.speech_ratoi > 1", 0, "one of clean"),
        ("attributes.speech_ratio > 'x'", 26, "a number, for attributes.speech_ratio is a number"),
        ("attributes.codec == 3", 20, "text"),
        ("key == 3", 7, "text, for key is text"),
        ("attributes.clean == 'yes'", 20, "true or false, for attributes.clean is a truth value"),
        ("attributes.codec in ['mp3', 3]", 28, "text"),
        ("attributes.disputed in [1, 'x']", 27, "a number, for the values before it are a number"),
        ("attributes.codec > 'm'", 17, "only numbers have an order"),
        ("attributes.clean >= true", 17, "only numbers have an order"),
        ("attributes.start_ms > 200ms", 22, "a number in ms: 200"),
        ("attributes.speech_ratio > 1s", 26, "a bare number"),
        ("duration > 1", 0, "audio.decode"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_a_fault(text: str, offset: int, expected: str) -> None:
    """Unknown attributes, other types and misplaced units are told before anything runs, where they stand."""
    faults = check(parse(text), TYPES, is_open=False)
    assert [(one.offset, one.severity) for one in faults] == [(offset, "error")]
    assert expected in faults[0].expected


@pytest.mark.parametrize(
    "text",
    [
        "attributes.speech_ratio > 1 and attributes.num_segments == 1.5",
        "attributes.codec in ['mp3', 'aac'] or has attributes.clean",
        "attributes.disputed == 'x' or attributes.disputed > 1",
    ],
)
def test_a_comparison_that_can_be_made_is_none(text: str) -> None:
    """Numbers compare with numbers, whole or not; a type that nodes disagree about is left to each item."""
    assert check(parse(text), TYPES, is_open=False) == []


def test_where_rows_bring_attributes_a_likely_slip_is_a_warning() -> None:
    """Any name may be a field of a row; one that nearly spells a declared attribute is worth a warning."""
    assert check(parse("attributes.speaker == 'x' and duration > 1s"), TYPES, is_open=True) == []
    (warning,) = check(parse("attributes.speech_ratoi > 1"), TYPES, is_open=True)
    assert (warning.severity, warning.candidates) == ("warning", ("attributes.speech_ratio",))


def test_every_fault_of_an_expression_is_told() -> None:
    """One look at an expression finds all its faults, in the order of the text."""
    faults = check(parse("attributes.x > 1 and attributes.codec == 2 or attributes.y > 1"), TYPES, is_open=False)
    assert [one.offset for one in faults] == [0, 41, 46]


def test_attributes_of_all_nodes_upstream_are_known() -> None:
    """What nodes declare adds up."""
    types = united(node.spec.attributes for node in (Clips, Decode, Resample, Vad))
    assert dict(types) == {"duration": "float", "codec": "str", "speech_ratio": "float", "start_ms": "float", "clipped": "bool"}


def test_nodes_that_declare_an_attribute_differently_leave_it_open() -> None:
    """Numbers of both kinds are numbers; types that contradict each other are judged for each item."""
    one: AttributeTypes = {"level": "int", "name": "str"}
    other: AttributeTypes = {"level": "float", "name": "bool"}
    assert united([one, other]) == united([other, one, one]) == {"level": "float", "name": None}
    assert united([united([one, other]), one]) == {"level": "float", "name": None}


def test_whole_number_beyond_a_double_is_refused() -> None:
    """A number with which a float cannot be compared is a fault of the expression, not of the first item."""
    with pytest.raises(ExpressionError, match="a number of 401 digits; expected one that fits into a double"):
        parse("attributes.a < 1" + "0" * 400)
