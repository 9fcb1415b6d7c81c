"""Declaring nodes: port types, parameters, classes, functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.item import Item
from phonograph.node import InputPath, Node, OutputPath, Params, PortType, Source, node
from phonograph.sink import Sink
from phonograph.spec import path_fields
from phonograph.testing import item_with


@pytest.mark.parametrize("text", ["audio", "any", "audio[channels=1, rate=16000]", "features[dim=N]"])
def test_a_port_type_prints_as_it_is_written(text: str) -> None:
    """str() of a parsed port type parses to the same."""
    assert str(PortType.parse(text)) == text


@pytest.mark.parametrize("text", ["", "sound", "audio[rate]", "audio[rate=]", "audio[=1]", "audio[rate=16000"])
def test_a_malformed_port_type_is_refused(text: str) -> None:
    """The error shows the text and what is expected."""
    with pytest.raises(ValueError, match="port type"):
        PortType.parse(text)


@pytest.mark.parametrize(
    ("target", "source", "accepted"),
    [
        ("audio", "audio[rate=8000]", True),
        ("audio[rate=16000]", "audio", True),
        ("audio[rate=16000]", "audio[rate=8000]", False),
        ("audio[rate=16000]", "audio[rate=R]", True),
        ("features", "audio", False),
        ("any", "segments", True),
        ("features", "any", True),
    ],
)
def test_an_edge_needs_equal_families_and_no_contradiction(target: str, source: str, accepted: bool) -> None:
    """Families match (any matches all), and two literals on one axis are equal."""
    assert PortType.parse(target).accepts(PortType.parse(source)) is accepted


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


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda *xs: xs],
    ids=["no annotation", "star"],
)
def test_a_function_without_annotations_is_refused(function: Any) -> None:
    """A node function must say what it takes and returns."""
    with pytest.raises(TypeError):
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
