"""Declaring nodes: port types, parameters, classes, functions."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.item import Item
from phonograph.node import InputPath, Node, OutputPath, Params, Source, node
from phonograph.sink import Sink
from phonograph.spec import path_fields
from phonograph.testing import item_with


def test_a_function_is_read_as_a_node() -> None:
    """Positional parameters are ports, keyword-only ones are parameters."""

    @node("test.scale", version=3)
    def scale(audio: AudioChunk, *, factor: float, invert: bool = False) -> AudioChunk:
        """Scale audio.

        More about it.
        """
        return AudioChunk(audio.samples * np.float32(-factor if invert else factor), audio.sample_rate)

    spec = scale.spec
    assert (spec.kind, spec.summary, spec.version, spec.cardinality) == ("transform", "Scale audio.", 3, "1:1")
    assert [str(port.type) for port in (*spec.inputs, *spec.outputs)] == ["audio", "audio"]
    instance = spec.factory(spec.params(factor=2.0), "s")
    chunk = AudioChunk(np.ones((1, 4), np.float32), 16_000)
    result = instance.process(item_with({"audio": chunk}), None)
    assert isinstance(result, Item)
    assert result.audio.samples.tolist() == [[2.0] * 4]
    assert scale(chunk, factor=3.0).samples[0, 0] == 3.0


def test_the_families_of_a_function_come_from_its_annotations() -> None:
    """Arrays are features, text is text, a tuple of Segment is segments, a mapping is a record."""

    @node("test.many")
    def many(a: NDArray[np.float32], b: str, c: tuple[Segment, ...], d: Mapping[str, Any], e: bytes, f: object) -> str:
        """Take everything."""
        return ""

    assert [port.type.family for port in many.spec.inputs] == ["features", "text", "segments", "record", "bytes", "any"]


def test_optional_and_iterator_results_set_the_cardinality() -> None:
    """`X | None` may filter; `Iterator[X]` emits several, with child keys."""

    @node("test.keep")
    def keep(text: str) -> str | None:
        """Keep text that is not empty."""
        return text or None

    @node("test.words")
    def words(text: str) -> Iterator[str]:
        """Split into words."""
        yield from text.split()

    assert (keep.spec.cardinality, words.spec.cardinality) == ("1:0..1", "1:N")
    children = words.spec.factory(words.spec.params(), "w").process(item_with({"text": "a b"}, key="k"), None)
    assert [(child.key, child.parents, child.payload) for child in children] == [
        ("k#0000", ("k",), {"text": "a"}),
        ("k#0001", ("k",), {"text": "b"}),
    ]


def test_kinds_follow_the_base_class() -> None:
    """A Source is a source, a Sink a sink, everything else a transform; overriding start makes a node stateful."""

    @node("test.source", outputs="record")
    class ASource(Source[Params]):
        """Read."""

    @node("test.sink", inputs="any")
    class ASink(Sink[Params]):
        """Store."""

    @node("test.stateful", inputs="audio", outputs="audio")
    class Stateful(Node[Params]):
        """Remember."""

        def start(self) -> list[int]:
            return []

    assert [target.spec.kind for target in (ASource, ASink, Stateful)] == ["source", "sink", "transform"]
    assert [target.spec.stateful for target in (ASource, Stateful)] == [False, True]


_Scalar = TypeVar("_Scalar", bound=np.generic)


class _ArrayOf:
    """Looks as `NDArray` does from NumPy 2.5 on: an alias by a name of its own, with a parameter."""

    __value__ = np.ndarray[Any, np.dtype[_Scalar]]

    def __class_getitem__(cls, argument: Any) -> types.GenericAlias:
        return types.GenericAlias(cls, argument)


class _Words:
    """An alias without parameters, as `type Words = Iterator[str]` makes it."""

    __value__ = Iterator[str]


def test_the_families_of_type_aliases() -> None:
    """An alias, subscripted or bare, is what it stands for: as an input, as a result."""

    def take(a: Any, b: Any) -> Any:
        """Take."""

    take.__annotations__ = {"a": types.GenericAlias(_ArrayOf, np.float32), "b": _ArrayOf, "return": _Words}
    spec = node("test.take")(take).spec
    assert [port.type.family for port in spec.inputs] == ["features", "features"]
    assert (spec.cardinality, spec.outputs[0].type.family) == ("1:N", "text")


async def _asynchronous(text: str) -> str:
    return text


async def _asynchronous_many(text: str) -> AsyncIterator[str]:
    yield text


def _no_annotation(text) -> str:  # type: ignore[no-untyped-def]
    return str(text)


def _no_return_annotation(text: str):  # type: ignore[no-untyped-def]
    return text


def _star(*texts: str) -> str:
    return texts[0]


def _no_input(*, text: str) -> str:
    return text


def _star_forgotten(audio: AudioChunk, gain_db: float = 0.0) -> AudioChunk:
    return audio


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_asynchronous, "_asynchronous: is an `async def`; expected a plain function"),
        (_asynchronous_many, "_asynchronous_many: is an `async def`; expected a plain function"),
        (_no_annotation, "_no_annotation: parameter 'text' has no annotation"),
        (_no_return_annotation, "_no_return_annotation: has no return annotation; expected `-> TYPE`"),
        (_star, r"_star: \*args and \*\*kwargs are not ports"),
        (_no_input, "_no_input: has no input port"),
        (_star_forgotten, r"_star_forgotten: 'gain_db' stands .* put it after `\*` to make it a parameter"),
    ],
)
def test_a_function_that_is_no_node_is_refused(function: Any, reason: str) -> None:
    """What keeps a function from being a node is said when it is declared, not when it first runs."""
    with pytest.raises(TypeError, match=reason):
        node("test.bad")(function)


def test_path_parameters_are_found_through_optional_and_list() -> None:
    """path_fields sees InputPath and OutputPath inside unions and lists."""

    class Paths(Params, frozen=True):
        one: InputPath
        many: list[InputPath] | None = None
        out: OutputPath = "out"
        plain: str = ""

    assert path_fields(Paths, "input") == ("one", "many")
    assert path_fields(Paths, "output") == ("out",)


def test_a_function_that_changes_audio_changes_what_is_said_of_it() -> None:
    """Of duration, rate and channels those that the item has are what the audio is now; no other is added."""

    @node("test.half")
    def half(audio: AudioChunk) -> AudioChunk:
        """Keep the first half."""
        return AudioChunk(audio.samples[:, : audio.num_samples // 2].copy(), audio.sample_rate)

    @node("test.halves")
    def halves(audio: AudioChunk) -> Iterator[AudioChunk]:
        """Give both halves."""
        yield half(audio)
        yield half(audio)

    chunk = AudioChunk(np.zeros((1, 800), np.float32), 8_000)
    item = Item(key="a", ordinal=0, payload={"audio": chunk}, attributes={"duration": 0.1, "channels": 1, "text": "yes"})
    expected = {"duration": 0.05, "channels": 1, "text": "yes"}
    assert half.spec.factory(half.spec.params(), "half").process(item, None).attributes == expected
    for part in halves.spec.factory(halves.spec.params(), "halves").process(item, None):
        assert part.attributes == expected
