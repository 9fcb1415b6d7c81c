"""Tests of the rows that `sink.jsonl` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph_nodes.writing.json_row import encoded_row


def item(payload: Mapping[str, Any], key: str = "clips/a.wav", **attributes: Any) -> Item:
    return Item(key=key, ordinal=0, payload=payload, attributes=MappingProxyType(attributes))


def row_of(value: Any, key: str = "clips/a.wav", **attributes: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(encoded_row(item({"item": value}, key, **attributes)))
    return row


def test_a_row_holds_segments_and_attributes() -> None:
    """Segments are mappings, floats have all their digits; what is not a number is null, and so is an array in a list."""
    row = row_of(
        (Segment(0.0, 30.0, -20.123456789012, 1.0),),
        ratio=np.float32(0.1),
        count=np.int64(3),
        odd=float("nan"),
        loud=float("inf"),
        vector=np.zeros(3),
        nested={"a": [1, np.zeros(2), 0.1 + 0.2]},
    )
    assert row == {
        "key": "clips/a.wav",
        "segments": [{"start_ms": 0.0, "end_ms": 30.0, "energy_db": -20.123456789012, "confidence": 1.0}],
        "ratio": 0.1,
        "count": 3,
        "odd": None,
        "loud": None,
        "nested": {"a": [1, None, 0.30000000000000004]},
    }


def test_no_segments_is_an_empty_list() -> None:
    """A clip without speech has the field `segments`, empty."""
    assert row_of(()) == {"key": "clips/a.wav", "segments": []}


def test_audio_gives_a_row_of_attributes() -> None:
    """Audio itself is left out; a part names its parents."""
    whole = item({"audio": 0}, speaker="x")
    part = whole.child(3, {"item": AudioChunk(np.zeros((1, 4), np.float32), 16000)}, {"start_ms": 1.0})
    assert json.loads(encoded_row(part)) == {
        "key": "clips/a.wav#0003",
        "parents": ["clips/a.wav"],
        "speaker": "x",
        "start_ms": 1.0,
    }


def test_names_that_are_taken_keep_both_values() -> None:
    """The item's own fields keep their names; an attribute of the same name is kept under another, unless it is equal."""
    assert row_of("heard", text="said", key="mine", lang="en") == {
        "key": "mine",
        "text": "heard",
        "attribute_text": "said",
        "lang": "en",
    }
    assert row_of({"path": "p", "key": "k", "speaker": "s"}, speaker="s") == {
        "key": "clips/a.wav",
        "path": "p",
        "payload_key": "k",
        "speaker": "s",
    }


def test_values_that_only_look_equal_are_all_kept() -> None:
    """A clash loses nothing: 1, true and 1.0 are three values, and a name that is taken twice gets a number."""
    row = row_of({"n": 1, "payload_key": "x", "key": "k"}, n=True, attribute_n=1.0, payload_n="free")
    assert row == {
        "key": "clips/a.wav",
        "n": 1,
        "payload_key": "x",
        "payload_key_2": "k",
        "attribute_n": True,
        "attribute_attribute_n": 1.0,
        "payload_n": "free",
    }
    assert [type(row[name]) for name in ("n", "attribute_n", "attribute_attribute_n")] == [int, bool, float]
    assert row_of({"table": {1: "a", "1": "b"}})["table"] == {"1": "a", "other_1": "b"}


def test_a_value_beyond_what_json_can_write_is_refused() -> None:
    """A number of thousands of digits, or a nesting without end, is bad input."""
    endless: list[Any] = []
    endless.append(endless)
    for value in (10**5000, endless):
        with pytest.raises(BadInputError, match="the item has no form in JSON"):
            row_of("x", odd=value)


def test_a_value_without_a_form_in_json_is_refused() -> None:
    """An object that no row can hold is reported, not silently lost."""
    with pytest.raises(BadInputError, match="a set has no form"):
        encoded_row(item({"item": "x"}, odd={1}))


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(), st.dictionaries(st.text(min_size=1), plain_values, max_size=4))
def test_any_row_is_one_line_of_strict_json(text: str, attributes: dict[str, Any]) -> None:
    """Whatever an item carries, its row is one line of UTF-8 that JSON reads without NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = encoded_row(Item(key="k", ordinal=0, payload={"item": text}, attributes=attributes))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    row = json.loads(line.decode("utf-8"), parse_constant=refuse)
    assert row["key"] == "k"
