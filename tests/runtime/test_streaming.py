"""Streams in stretches: what is one stretch, what ends it, what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.flow.filter import Filter, FilterParams
from phonograph.flow.route import Route, RouteParams
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.streaming import Gathered, Piece, StreamingNode, Stretch, Stretches, chunks_of, emptied, joined_values
from phonograph.testing import Deviation, deviation, item_with, run_chunked, run_whole

RATE = 16_000


def numbered(length: int, first: int = 0, channels: int = 1) -> AudioChunk:
    samples = np.arange(first, first + length, dtype=np.float32)
    return AudioChunk(np.ascontiguousarray(np.broadcast_to(samples, (channels, length))), RATE)


def chunk(length: int, start: int, **changes: Any) -> Item:
    """A chunk of a stream whose samples are their places."""
    payload = {"audio": numbered(length, start)}
    item = Item(key="s#0", ordinal=0, payload=payload, session="s", start_sample=start, final=False)
    return msgspec.structs.replace(item, **changes)


def gathered(*chunks: Item) -> list[Item]:
    stretches = Stretches(lambda item: Gathered(item, "node"))
    return [made for item in chunks for made in stretches.push(item)] + stretches.end()


def places(item: Item) -> list[int]:
    return [int(place) for place in item.audio.samples[0]]


def test_chunks_that_follow_each_other_are_one_stretch() -> None:
    """Chunks of any length, also none, become one piece that begins where the first did."""
    (made,) = gathered(chunk(3, 5, key="first"), chunk(0, 8), chunk(2, 8))
    assert (made.key, places(made), made.start_sample, made.discontinuity) == ("first", [5, 6, 7, 8, 9], 5, False)


def test_a_missing_chunk_ends_a_stretch() -> None:
    """What comes behind a gap is another piece, and says so."""
    first, second = gathered(chunk(3, 0), chunk(2, 7), chunk(1, 9))
    assert (places(first), first.discontinuity) == ([0, 1, 2], False)
    assert (places(second), second.start_sample, second.discontinuity) == ([7, 8, 9], 7, True)


def test_a_chunk_that_says_so_ends_a_stretch() -> None:
    """A discontinuity is one even where the places go on, and the first chunk's is handed on."""
    first, second = gathered(chunk(1, 0, discontinuity=True), chunk(1, 1, discontinuity=True))
    assert (first.discontinuity, second.discontinuity) == (True, True)


def test_another_rate_or_another_number_of_channels_ends_a_stretch() -> None:
    """Audio of another form is not joined to what was before."""
    stereo = chunk(1, 1, payload={"audio": numbered(1, 1, channels=2)})
    slower = chunk(1, 2, payload={"audio": AudioChunk(numbered(1, 2, channels=2).samples, 8_000)})
    assert [item.audio.num_channels for item in gathered(chunk(1, 0), stereo, slower)] == [1, 2, 2]


def test_what_is_apart_is_a_stretch_of_its_own() -> None:
    """Each piece that is apart says discontinuity, also the first one."""

    class Apart(Stretch):
        def push(self, item: Item) -> Sequence[Piece]:
            return [Piece(item.payload, item.start_sample, is_apart=True)]

        def end(self) -> Sequence[Piece]:
            return ()

    stretches = Stretches(lambda item: Apart())
    assert [stretches.push(chunk(1, start))[0].discontinuity for start in (0, 1)] == [True, True]


def test_a_stream_without_chunks_gives_nothing() -> None:
    """Nothing came, so nothing goes."""
    assert gathered() == []


def test_the_attributes_of_a_piece_are_those_of_the_last_chunk() -> None:
    """What is gathered has the attributes that came last, and the duration of all of it."""
    first = chunk(3, 0, attributes={"n": 1, "duration": 0.0})
    (made,) = gathered(first, chunk(RATE - 3, 3, attributes={"n": 2, "duration": 0.0}))
    assert dict(made.attributes) == {"n": 2, "duration": 1.0}


def test_more_than_the_cap_is_refused() -> None:
    """A stream that is longer than may be gathered says which node wants it whole, and what to do."""
    stretch = Gathered(chunk(0, 0), "mel", max_bytes=15)
    stretch.push(chunk(3, 0))
    with pytest.raises(BadInputError, match=r"node 'mel' takes audio in one piece.*stream 's'.*15 bytes.*end the session"):
        stretch.push(chunk(1, 3))
    assert stretch.end() == ()


@pytest.mark.parametrize(
    "values",
    [
        [numbered(1), AudioChunk(numbered(1).samples, 8_000)],
        [np.zeros((2, 3)), np.zeros((2, 4))],
        ["a", "b"],
        [numbered(1), np.zeros(1)],
    ],
)
def test_what_cannot_be_joined_is_refused(values: list[Any]) -> None:
    """Payloads of which one cannot be made are bad input, with what they are."""
    with pytest.raises(BadInputError, match=r"port 'p': .* cannot be made one"):
        joined_values(values, "p")


def test_payloads_are_joined_by_their_kind() -> None:
    """Audio along time, rows below each other, segments in order; with nothing, each is itself."""
    segment = Segment(0.0, 1.0, -20.0, 0.5)
    assert joined_values([numbered(2), numbered(1, 2)], "p").samples.tolist() == [[0, 1, 2]]
    assert joined_values([np.zeros((2, 2)), np.ones((1, 2))], "p").tolist() == [[0, 0], [0, 0], [1, 1]]
    assert joined_values([(segment,), [segment]], "p") == (segment, segment)
    assert emptied(numbered(2, channels=2)).samples.shape == (2, 0)
    assert (emptied(np.zeros((2, 3))).shape, emptied((segment,)), emptied("text")) == ((0, 3), (), None)


def test_audio_is_cut_into_chunks() -> None:
    """Lengths are kept to, the rest is a chunk, other payloads come with the first."""
    segment = Segment(0.0, 1.0, -20.0, 0.5)
    item = Item(key="clip", ordinal=3, payload={"audio": numbered(6), "segments": (segment,)})
    chunks = chunks_of(item, [1, 0, 2], session="s")
    assert [places(one) for one in chunks] == [[0], [], [1, 2], [3, 4, 5]]
    assert [(one.key, one.index, one.start_sample) for one in chunks] == [
        ("s#0000", 0, 0), ("s#0001", 1, 1), ("s#0002", 2, 1), ("s#0003", 3, 3)
    ]  # fmt: skip
    assert [one.payload["segments"] for one in chunks] == [(segment,), (), (), ()]
    assert not any(one.final for one in chunks)


def test_audio_of_no_sample_is_one_chunk() -> None:
    """Also nothing comes in a chunk, so that a stream has begun."""
    assert [one.audio.num_samples for one in chunks_of(chunk(0, 0), [], session="s")] == [0]


def judged(*ratios: float) -> list[Item]:
    payload = {"item": "x"}
    return [
        Item(key=f"s#{number}", ordinal=number, payload=payload, attributes={"ratio": ratio}, session="s", final=False)
        for number, ratio in enumerate(ratios)
    ]


def test_a_filter_marks_what_comes_behind_a_gap() -> None:
    """A chunk that passes says discontinuity when the one before it did not pass, and only then."""
    keep = Filter(FilterParams(keep="attributes.ratio > 0.5"), "keep")
    keep.open()
    state = keep.start()
    passed = [keep.process(item, state) for item in judged(1, 1, 0, 0, 1, 1)]
    assert [item and item.discontinuity for item in passed] == [False, False, None, None, True, False]


def test_a_filter_marks_a_stream_whose_beginning_is_missing() -> None:
    """The first chunk that passes says discontinuity when it is not the stream's first."""
    keep = Filter(FilterParams(keep="attributes.ratio > 0.5"), "keep")
    keep.open()
    state = keep.start()
    assert [item and item.discontinuity for item in (keep.process(one, state) for one in judged(0, 1))] == [None, True]


def test_a_route_marks_what_comes_back_to_an_output() -> None:
    """A chunk says discontinuity when the one before it went elsewhere."""
    route = Route(RouteParams(cases={"loud": "attributes.ratio > 0.5"}, otherwise="quiet"), "route")
    route.open()
    state = route.start()
    gone = [route.process(item, state) for item in judged(1, 1, 0, 0, 1)]
    assert [(*item.payload, item.discontinuity) for item in gone] == [
        ("loud", False), ("loud", False), ("quiet", True), ("quiet", False), ("loud", True)
    ]  # fmt: skip


def difference(chunk: AudioChunk, before: float) -> AudioChunk:
    return AudioChunk(np.diff(chunk.samples, axis=1, prepend=np.float32(before)), chunk.sample_rate)


class Differences(Stretch):
    def __init__(self) -> None:
        self._before = 0.0

    def push(self, item: Item) -> Sequence[Piece]:
        made = difference(item.audio, self._before)
        if item.audio.num_samples:
            self._before = float(item.audio.samples[0, -1])
        return [Piece({"audio": made}, item.start_sample)]

    def end(self) -> Sequence[Piece]:
        return ()


class Forgetful(Differences):
    def push(self, item: Item) -> Sequence[Piece]:
        return [Piece({"audio": difference(item.audio, 0.0)}, item.start_sample)]


def differing(stretch: type[Differences]) -> Node[Params]:
    @node("test.difference", inputs="audio", outputs="audio", streaming="causal")
    class Difference(StreamingNode[Params]):
        """Subtract from each sample the one before."""

        def whole(self, item: Item) -> Item:
            return item.with_payload({"audio": difference(item.audio, 0.0)})

        def stretch(self, item: Item) -> Stretch:
            return stretch()

    return Difference(Params(), "difference")


@given(seed=st.integers(0, 1000))
def test_a_node_that_keeps_what_it_needs_gives_the_same_in_chunks(seed: int) -> None:
    """The helpers of `phonograph.testing` find no difference, whatever the chunks."""
    nodes, item = [differing(Differences)], item_with({"audio": numbered(20_000)})
    assert deviation(run_whole(nodes, item), run_chunked(nodes, item, seed)) == Deviation()


def test_a_node_that_forgets_is_found_out() -> None:
    """They say how far it is off, and where."""
    nodes, item = [differing(Forgetful)], item_with({"audio": numbered(6)})
    found = deviation(run_whole(nodes, item), run_chunked(nodes, item, [4]))
    assert found == Deviation(3.0, "port 'audio': at [0, 4] 1.0, of chunks 4.0")
