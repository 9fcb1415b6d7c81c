"""What people read about a value that a parameter does not take."""

from __future__ import annotations

import datetime
import re
import uuid
from enum import Enum
from typing import Annotated, Any, Literal, cast

import msgspec
import pytest
from msgspec import Meta

from phonograph.errors import Complaint
from phonograph.flow.route import RouteParams
from phonograph.language.binding import bind
from phonograph.language.misfits import wanted
from phonograph.language.yaml12 import load_value
from phonograph.node import Duration, Params


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Band(msgspec.Struct, forbid_unknown_fields=True):
    low: int
    high: int = 1


class Low(msgspec.Struct, tag="low"):
    order: int = 1


class High(msgspec.Struct, tag="high"):
    order: int = 1


def complaints_about(params: type[Params], text: str) -> list[Complaint]:
    found: list[Complaint] = []
    bind(params, load_value(text, "f.yaml"), what="node 'x'", input_folder="/", output_folder="/", complaints=found)
    return found


def complaint(kind: Any, value: str) -> Complaint:
    """The one complaint about a value for a parameter of this type."""
    params = msgspec.defstruct("One", [("p", kind)], bases=(Params,), frozen=True, kw_only=True, forbid_unknown_fields=True)
    (found,) = complaints_about(cast(type[Params], params), f"{{p: {value}}}")
    return found


WORDS: tuple[tuple[Any, str, str], ...] = (
    (int, "a", "a whole number"),
    (int, "1.5", "a whole number"),
    (float, "[]", "a number"),
    (str, "3", "text"),
    (bool, "1", "true or false"),
    (list[int], "3", "a list"),
    (dict[str, int], "3", "a mapping"),
    (int | None, "a", "a whole number or null"),
    (Annotated[int, Meta(ge=1)], "0", "a whole number, at least 1"),
    (Annotated[int, Meta(le=3)], "4", "a whole number, at most 3"),
    (Annotated[float, Meta(gt=0)], "0", "a number, more than 0.0"),
    (Annotated[float, Meta(lt=1)], "1", "a number, less than 1.0"),
    (Annotated[int, Meta(multiple_of=8)], "3", "a whole number that is a multiple of 8"),
    (Annotated[str, Meta(min_length=3)], "a", "text of at least 3 characters"),
    (Annotated[str, Meta(min_length=1)], "''", "text of at least one character"),
    (Annotated[str, Meta(max_length=1)], "aa", "text of at most one character"),
    (Annotated[str, Meta(pattern="^b+$")], "a", "text that the pattern '^b+$' matches"),
    (Annotated[list[int], Meta(min_length=2)], "[1]", "a list of at least 2 items"),
    (Annotated[dict[str, int], Meta(min_length=1)], "{}", "a mapping of at least one entry"),
    (Annotated[dict[str, int], Meta(max_length=2)], "{a: 1, b: 2, c: 3}", "a mapping of at most 2 entries"),
    (tuple[int, int], "[1]", "a list of 2 items"),
    (Literal["fast", "best"], "fst", "one of fast, best"),
    (Literal["fast", "best"], "3", "one of fast, best"),
    (Literal["fast", "best"] | None, "fst", "one of fast, best or null"),
    (Annotated[Annotated[Literal[1], Meta()] | None, Meta()], "2", "1 or null"),
    (Literal[1], "true", "1"),
    (Colour, "gren", "one of red, green"),
    (list[Literal["a", "b"]], "[a, c]", "one of a, b"),
    (dict[str, Literal["a", "b"]], "{x: a, y: c}", "one of a, b"),
    (list[Band], "[{low: a}]", "a whole number"),
    (Low | High, "{type: hgh}", "one of low, high"),
    (datetime.date, "x", "a date, such as '2026-01-31'"),
    (datetime.datetime, "x", "a date with its time, such as '2026-01-31T12:00:00Z'"),
    (datetime.timedelta, "x", "a duration as ISO 8601 has it, such as 'PT1.5S'"),
    (uuid.UUID, "x", "a UUID"),
)


@pytest.mark.parametrize(("kind", "value", "expected"), WORDS)
def test_what_is_expected(kind: Any, value: str, expected: str) -> None:
    """Each way in which a value can fail to fit its type is told in words, without names of types or `msgspec`'s own phrases."""
    found = complaint(kind, value)
    assert found.expected == expected
    assert not re.search(r"`|Expected|Invalid|enum|regex|array|object", found.words)


@pytest.mark.parametrize(
    ("kind", "value", "column", "found"),
    [
        (dict[str, int], "{x: 1, y: c}", 15, "parameter 'p.y' is 'c'"),
        (list[dict[str, int]], "[{a: 1}, {b: c}]", 18, "parameter 'p[1].b' is 'c'"),
        (dict[str, Band], "{k: {low: c}}", 15, "parameter 'p.k.low' is 'c'"),
        (Band | None, "{low: 1, hgh: 2}", 14, "unknown key 'hgh' in parameter 'p'"),
        (dict[str, Band], "{k: {high: 2}}", 9, "parameter 'p.k' has no 'low'"),
        (dict[Literal["a", "b"], int], "{a: 1, x: 2}", 12, "the key 'x' in parameter 'p'"),
    ],
)
def test_what_part_is_wrong(kind: Any, value: str, column: int, found: str) -> None:
    """The complaint stands at the part of the value, and names the way to it."""
    complaint_about_it = complaint(kind, value)
    assert (complaint_about_it.position.column, complaint_about_it.found) == (column, found)


def test_nearest_choices() -> None:
    """A slip in one of few words, or in a key, gets candidates."""
    assert complaint(Colour, "gren").candidates == ("green",)
    assert complaint(list[Literal["first", "second"]], "[frist]").candidates == ("first",)
    assert complaint(Band, "{low: 1, hgh: 2}").candidates == ("high",)


def test_name_of_a_case_that_is_no_id() -> None:
    """The complaint stands at the key, and says how ids are spelled."""
    (found,) = complaints_about(RouteParams, "{cases: {ok: key == 'a', A B: key == 'b'}, otherwise: rest}")
    assert str(found.position) == "f.yaml:1:26"
    assert found.found == "the key 'A B' in parameter 'cases'"
    assert found.expected == "text: a-z, then a-z, 0-9, '_' or '-'"


@pytest.mark.parametrize("value", ["-3s", "5", "soon", "[]"])
def test_duration_in_other_words(value: str) -> None:
    """What is no duration gets the words that durations get elsewhere."""
    assert "a duration with its unit, such as 100ms" in complaint(Duration | None, value).expected


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (int | None, "a whole number or null"),
        (list[str], "a list"),
        (Band, "a mapping"),
        (Literal["a", "b"] | None, "one of a, b or null"),
        (uuid.UUID, "a value for it"),
    ],
)
def test_what_a_type_takes(kind: Any, words: str) -> None:
    """Said of a parameter that is missing."""
    assert wanted(kind) == words
