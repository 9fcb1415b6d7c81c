"""An inserted conversion of a stream: what it converts comes later, and what it only hands on comes with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.graph.conversion import Converting
from phonograph.item import Item
from phonograph.node import Emitted
from phonograph.streaming import chunks_of, joined_values
from phonograph.testing import item_with
from phonograph_nodes.resample.node import Resample, ResampleParams

PARAMS = ResampleParams(sample_rate=8_000)
SEGMENTS = (Segment(0.0, 10.0, -20.0, 0.5), Segment(20.0, 30.0, -20.0, 0.5))


def converting(*carried: str) -> Converting:
    return Converting(PARAMS, "to_8k", make=Resample, ends=("audio", "audio"), port="audio", output="slow", carried=carried)


def streamed(node: Converting, chunks: Sequence[Item]) -> list[Item]:
    state = node.start()
    return [made for chunk in chunks for made in listed(node.process(chunk, state))] + listed(node.flush(state))


def listed(emitted: Emitted) -> list[Item]:
    assert not isinstance(emitted, Item)
    return list(emitted or ())


def clip(length: int) -> Item:
    samples = np.random.default_rng(0).uniform(-1, 1, (1, length)).astype(np.float32)
    return item_with({"audio": AudioChunk(samples, 16_000), "segments": SEGMENTS})


def test_a_stream_is_converted_as_the_whole_is() -> None:
    """The pieces are, joined, what one piece gives; segments that came before the first of them are with it."""
    node, item = converting("segments"), clip(5_000)
    whole = node.process(item, node.start())
    made = streamed(node, chunks_of(item, [1, 7, 300], session="s"))
    assert isinstance(whole, Item)
    assert np.array_equal(joined_values([one.payload["slow"] for one in made], "slow").samples, whole.payload["slow"].samples)
    assert [one.payload["segments"] for one in made] == [SEGMENTS, *[()] * (len(made) - 1)]


def test_what_is_carried_through_a_gap_comes_once() -> None:
    """Where one chunk gives the rest of a stretch and the beginning of another, segments are with the second."""
    first, _, last = chunks_of(clip(9_000), [100, 900], session="s")
    last = last.with_payload({**last.payload, "segments": SEGMENTS[:1]})
    rest, *others = streamed(converting("segments"), [first, last])
    assert [one.discontinuity for one in (rest, *others)][:2] == [False, True]
    assert rest.payload["segments"] == ()
    assert sum((one.payload["segments"] for one in others), ()) == SEGMENTS + SEGMENTS[:1]


def test_audio_that_fits_is_handed_on_as_it_is() -> None:
    """A chunk at the wanted rate is the same object, and does not count as changed."""
    node = converting()
    chunk = AudioChunk(np.zeros((1, 10), np.float32), 8_000)
    (made,) = streamed(node, chunks_of(item_with({"audio": chunk}), [10], session="s"))
    assert made.payload["slow"].sample_rate == 8_000
    assert node.num_changed == 0
