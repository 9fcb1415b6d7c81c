"""What travels between processes: errors of every make, read-only mappings, what `@node` made of functions."""

from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import Any

import av.error
import pytest

from phonograph.errors import (
    AudioDecodeError,
    BaselineError,
    Complaint,
    GraphError,
    NodeError,
    ParameterError,
    Position,
    WorkerDiedError,
)
from phonograph.item import Item
from phonograph.pickling import dumps, places
from process_nodes import LocalTroubleError, OddError, backwards


def there_and_back(value: Any) -> Any:
    return pickle.loads(dumps(value))


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        OSError(2, "No such file or directory", "a.wav"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        NodeError("mel", "clips/a.wav", "no model"),
        WorkerDiedError("mel", "was killed by SIGSEGV", signal=11),
        ParameterError("rate", 1, "at least 8000"),
        BaselineError("a.json", "nothing", "figures", "record some"),
        GraphError([Complaint("cycle", Position("m.yaml", 1, 2), "a circle")]),
        OddError("clips/a.wav", number=7),
        av.error.InvalidDataError(1094995529, "Invalid data found when processing input", "a.wav"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_keeps_type_words_and_attributes(error: Exception) -> None:
    """An error arrives as it was, whatever arguments its class takes."""
    again = there_and_back(error)
    assert (type(again), str(again)) == (type(error), str(error))
    assert {name: str(value) for name, value in vars(error).items()}.items() <= {
        name: str(value) for name, value in vars(again).items()
    }.items()


def test_error_of_a_local_class_arrives_as_its_base() -> None:
    """A class that cannot be imported is told as the nearest base that can, which decides whether it may heal."""

    class LocalError(LocalTroubleError):
        pass

    again = there_and_back(LocalError("busy"))
    assert (type(again), str(again)) == (LocalTroubleError, "busy")


def test_error_that_holds_what_cannot_be_pickled() -> None:
    """Attributes that cannot travel are left behind; type and words are not."""
    error = AudioDecodeError("a.wav: broken")
    error.source = iter(lambda: 0, 1)  # type: ignore[attr-defined]
    again = there_and_back(error)
    assert (type(again), str(again)) == (AudioDecodeError, "a.wav: broken")


def test_causes_and_places_travel() -> None:
    """The chain of causes and the lines where an error was raised are told as if it had been raised here."""
    try:
        try:
            int("x")
        except ValueError as cause:
            raise LocalTroubleError("busy") from cause
    except LocalTroubleError as raised:
        again = there_and_back(raised)
        here = places(raised)
    assert places(again) == here
    assert "test_pickling.py" in here[0]
    assert str(again.__cause__) == "invalid literal for int() with base 10: 'x'"
    assert places(there_and_back(again)) == here


def test_chain_of_causes_that_bites_its_tail_ends() -> None:
    """A circle of causes does not keep the pickler busy for ever."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert str(there_and_back(first).__cause__) == "second"


def test_item_with_read_only_mappings() -> None:
    """Attributes of an item are read-only on the other side too."""
    item = Item(key="a", ordinal=3, payload={"text": "x"}, attributes=MappingProxyType({"duration": 1.5}))
    again = there_and_back(item)
    assert again == item
    assert type(again.attributes) is MappingProxyType


def test_node_made_of_a_function_is_found_again() -> None:
    """The class of node, and that of its parameters, that `@node` made of a function are the same after the journey."""
    spec = backwards.spec
    factory, params = there_and_back((spec.factory, spec.params(times=3)))
    assert factory is spec.factory
    assert (type(params), params.times) == (spec.params, 3)
