"""Functions as nodes: the types of their ports, and several ports out of one return value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.item import Item
from phonograph.node import Axes, Node, Params, node
from phonograph.spec import NodeSpec
from phonograph.testing import item_with

CHUNK = AudioChunk(np.ones((1, 4), np.float32), 16_000)


class Split(NamedTuple):
    audio: Annotated[AudioChunk, Axes(rate="r", channels=1)]
    segments: tuple[Segment, ...]


class SplitDict(TypedDict):
    audio: AudioChunk
    text: str


@dataclass(frozen=True)
class SplitValue:
    audio: AudioChunk
    mel: Annotated[NDArray[np.float32], Axes(bins="{bins}")]


@dataclass(frozen=True)
class Opinion:
    text: str
    sure: float


def ports(spec: NodeSpec) -> tuple[dict[str, str], dict[str, str]]:
    """Names and types of the inputs and the outputs."""
    inputs, outputs = ({port.name: str(port.type) for port in side} for side in (spec.inputs, spec.outputs))
    return inputs, outputs


def spec_of(declared: Any) -> NodeSpec:
    found: NodeSpec = declared.spec
    return found


def test_axes_narrow_the_ports_of_a_function() -> None:
    """Literals, variables and parameters stand in the annotations, beside what they narrow."""

    @node("test.both")
    def both(
        audio: Annotated[AudioChunk, Axes(rate="r", channels=1)],
        mel: Annotated[NDArray[np.float32], "a note", Axes(bins="40..128")],
        *,
        rate: int | None = None,
    ) -> Annotated[AudioChunk, Axes(rate="{rate|r}", channels=1)] | None:
        """Take two things."""
        return audio

    assert ports(spec_of(both)) == (
        {"audio": "audio[rate=r, channels=1]", "mel": "features[bins=40..128]"},
        {"audio": "audio[rate={rate|r}, channels=1]"},
    )
    assert spec_of(both).cardinality == "1:0..1"


def test_a_function_that_hands_on_what_comes() -> None:
    """`Axes(type="t")` is a variable for the whole type."""

    @node("test.same")
    def same(item: Annotated[Any, Axes(type="t")]) -> Annotated[Any, Axes(type="t")]:
        """Hand on."""
        return item

    assert ports(spec_of(same)) == ({"item": "any[type=t]"}, {"out": "any[type=t]"})


def test_fields_of_what_a_function_returns_are_ports() -> None:
    """A NamedTuple, a TypedDict or a frozen dataclass of payloads is a port for each field, the first the default one."""

    @node("test.tuple")
    def named(audio: AudioChunk) -> Split:
        """Return a NamedTuple."""
        return Split(audio, ())

    @node("test.dict")
    def keyed(audio: AudioChunk) -> SplitDict:
        """Return a TypedDict."""
        return {"audio": audio, "text": "x"}

    @node("test.value")
    def value(audio: AudioChunk, *, bins: int = 80) -> Iterator[SplitValue]:
        """Return frozen dataclasses."""
        yield SplitValue(audio, np.zeros((2, bins), np.float32))

    assert ports(spec_of(named))[1] == {"audio": "audio[rate=r, channels=1]", "segments": "segments"}
    assert ports(spec_of(keyed))[1] == {"audio": "audio", "text": "text"}
    assert ports(spec_of(value))[1] == {"audio": "audio", "mel": "features[bins={bins}]"}
    made = []
    for declared in (named, keyed, value):
        spec = spec_of(declared)
        result = spec.factory(spec.params(), "n").process(item_with({"audio": CHUNK}), None)
        made.append(result[0] if isinstance(result, list) else result)
    assert all(isinstance(item, Item) and item.audio is CHUNK for item in made)
    assert [set(item.payload) for item in made] == [{"audio", "segments"}, {"audio", "text"}, {"audio", "mel"}]


def test_a_value_with_fields_that_are_no_payloads() -> None:
    """It is one payload of any kind."""

    @node("test.opinion")
    def opinion(text: str) -> Opinion:
        """Judge a text."""
        return Opinion(text, 1.0)

    assert ports(spec_of(opinion))[1] == {"out": "any"}


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (Axes(rat=16000), "audio has no axis 'rat'"),
        (Axes(rate="16k"), "the value '16k'"),
        (Axes(bins=80), "audio has no axis 'bins'; expected one of rate, channels"),
    ],
)
def test_axes_that_a_family_does_not_have(axes: Axes, message: str) -> None:
    """They are refused where the node is declared."""

    def take(audio: AudioChunk) -> str:
        """Take audio."""
        return ""

    take.__annotations__["audio"] = Annotated[AudioChunk, axes]
    with pytest.raises(ValueError, match="port type") as caught:
        node("test.take")(take)
    assert message in str(caught.value)


def test_a_port_type_that_names_no_parameter() -> None:
    """A slip in the name of a parameter is told where the node is declared, and so is one in `converts`."""
    with pytest.raises(TypeError, match=r"the type of port 'audio' names the parameter 'rate'; expected none, for it has no"):

        @node("test.slip", inputs="audio", outputs={"audio": "audio[rate={rate}]"})
        class Slip(Node[Params]):
            """Name a parameter that is not there."""

    with pytest.raises(TypeError, match=r"converts names the parameter 'rate'"):

        @node("test.slip", inputs="audio", outputs="audio", converts={"rate": "rate"})
        class Other(Node[Params]):
            """Convert by a parameter that is not there."""


def test_axes_show_what_they_are() -> None:
    """Their repr is how they are written."""
    assert repr(Axes(rate=16000, channels="c")) == "Axes(rate=16000, channels='c')"


def test_a_function_of_lists_is_read_by_their_elements() -> None:
    """`list[X]` and `Sequence[X]` of payloads; None among the results filters, a list in their place is several."""

    @node("test.labels", batch=True)
    def labels(
        audio: Sequence[Annotated[AudioChunk, Axes(rate=16000)]], texts: list[str], *, scale: float = 1.0
    ) -> list[NDArray[np.float32] | None]:
        return [None for _ in audio]

    spec: NodeSpec = labels.spec
    assert [(port.name, str(port.type)) for port in spec.inputs] == [("audio", "audio[rate=16000]"), ("texts", "text")]
    assert ([str(port.type) for port in spec.outputs], spec.cardinality, spec.batches) == (["features"], "1:0..1", True)

    @node("test.words", batch=True)
    def words(text: list[str]) -> list[Iterator[str]]:
        return [iter(one.split()) for one in text]

    made = words.spec
    emitted = made.factory(made.params(), "words").process(item_with({"text": "a b"}), None)
    assert made.cardinality == "1:N"
    assert [(one.key, one.payload) for one in emitted] == [
        ("test/record#0000", {"text": "a"}),
        ("test/record#0001", {"text": "b"}),
    ]


def takes_one(audio: AudioChunk) -> list[str]:
    return []


def gives_one(audio: list[AudioChunk]) -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (takes_one, r"parameter 'audio' is <class .*AudioChunk'>; expected list\[TYPE\] or Sequence\[TYPE\]"),
        (gives_one, r"what it returns is <class 'str'>; expected list\[TYPE\]"),
    ],
)
def test_a_function_of_single_payloads_takes_no_batches(function: Any, reason: str) -> None:
    """Which element is of which item could not be told."""
    with pytest.raises(TypeError, match=reason):
        node("test.labels", batch=True)(function)


def test_a_class_takes_batches_by_having_a_method_for_them() -> None:
    """Said in one place; a node that has neither method names the one that nearly all have."""

    class Neither(Node[Params]):
        pass

    with pytest.raises(TypeError, match="expected a class to have `process_batch`"):
        node("test.neither", batch=True)(Neither)
    with pytest.raises(NotImplementedError, match=r"Neither has no process$"):
        Neither(Params(), "one").process(item_with({}), None)
    with pytest.raises(NotImplementedError, match="Neither has no process_batch"):
        Neither(Params(), "one").process_batch([item_with({})], [None])
