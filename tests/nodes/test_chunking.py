"""Every shipped node that takes audio: in chunks of any lengths it gives, joined, what it gives for audio in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import AudioFormatError, BadInputError
from phonograph.item import Item
from phonograph.node import Node
from phonograph.streaming import chunks_of, joined_values
from phonograph.testing import deviation, item_with, run_chunked, run_whole
from phonograph_nodes.convert_node import Convert, ConvertParams
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.node import LogMelNode
from phonograph_nodes.features.params import LogMelParams
from phonograph_nodes.resample.node import Resample, ResampleParams
from phonograph_nodes.segment import Cut, CutParams
from phonograph_nodes.vad.node import EnergyVadNode, EnergyVadParams

RATE = 16_000
LENGTHS = st.one_of(st.integers(0, 2), st.integers(0, 2000), st.sampled_from([159, 160, 161, 399, 400, 401, 479, 480, 481]))
CUTS = st.lists(LENGTHS, max_size=30)


def audio(length: int, *, rate: int = RATE, channels: int = 1, seed: int = 0) -> AudioChunk:
    """Noise in bursts, with silence between them."""
    random = np.random.default_rng(seed)
    levels = np.repeat(random.choice([0.0, 0.0, 0.003, 0.1, 0.5], length // 700 + 1), 700)[:length]
    return AudioChunk((levels * random.uniform(-1, 1, (channels, length))).astype(np.float32), rate)


def opened(*nodes: Node[Any]) -> Sequence[Node[Any]]:
    for one in nodes:
        one.open()
    return nodes


def assert_same(nodes: Sequence[Node[Any]], chunk: AudioChunk, cuts: Sequence[int]) -> None:
    """Chunks give what one piece gives, or are refused as it is."""
    item = item_with({"audio": chunk})
    try:
        whole = run_whole(nodes, item)
    except AudioFormatError as error:
        with pytest.raises(AudioFormatError, match=str(error)[:40]):
            run_chunked(nodes, item, cuts)
        return
    found = deviation(whole, run_chunked(nodes, item, cuts))
    assert found.largest == 0, found.where


def around(*edges: int) -> st.SearchStrategy[int]:
    """Lengths of a signal: none, one sample, about the edges of blocks, any."""
    near = st.builds(int.__add__, st.sampled_from(edges), st.integers(-1, 1))
    return st.one_of(st.integers(0, 1), near, st.integers(0, 12_000))


RESAMPLES = [
    ({}, 44_100, 1),
    ({"channels": 1}, 48_000, 2),
    ({"sample_rate": 16_000}, 8_000, 2),
    ({"sample_rate": 16_000, "channels": 1}, 16_000, 2),
    ({}, 16_000, 1),
    ({"sample_rate": None, "channels": 1}, 22_050, 3),
    ({"quality": "best"}, 22_050, 1),
    ({"sample_rate": 16_001}, 11_027, 1),  # by libsoxr
]


@pytest.mark.parametrize(("params", "rate", "channels"), RESAMPLES)
@given(length=around(441, 4410, 480, 4800), cuts=CUTS)
def test_resampling(params: Mapping[str, Any], rate: int, channels: int, length: int, cuts: list[int]) -> None:
    """Whatever the ratio, the bits are those of one call."""
    assert_same(opened(Resample(ResampleParams(**params), "mono")), audio(length, rate=rate, channels=channels), cuts)


@pytest.mark.parametrize("params", [{}, {"dtype": "mulaw"}, {"dtype": "i24", "channels": 1, "weights": (0.5, 0.25)}])
@given(length=around(256), cuts=CUTS)
def test_converting(params: Mapping[str, Any], length: int, cuts: list[int]) -> None:
    """A sample's format does not depend on its neighbours."""
    assert_same(opened(Convert(ConvertParams(**params), "pcm")), audio(length, channels=2), cuts)


VADS = st.fixed_dictionaries(
    {
        "frame_ms": st.sampled_from([10.0, 30.0]),
        "margin_db": st.sampled_from([None, 9.0]),
        "min_silence_ms": st.sampled_from([0.0, 60.0, 200.0]),
        "min_speech_ms": st.sampled_from([0.0, 40.0, 90.0]),
        "hangover_ms": st.sampled_from([0.0, 50.0]),
        "pad_before_ms": st.sampled_from([0.0, 35.0]),
        "pad_after_ms": st.sampled_from([0.0, 25.0]),
    }
)


@given(params=VADS, length=around(480, 4800), cuts=CUTS, seed=st.integers(0, 5))
def test_finding_speech(params: dict[str, Any], length: int, cuts: list[int], seed: int) -> None:
    """Audio, frames and segments are those of one call, however long decisions take."""
    assert_same(opened(EnergyVadNode(EnergyVadParams(**params), "vad")), audio(length, seed=seed), cuts)


@given(params=VADS, padding_ms=st.sampled_from([0.0, 20.0, 500.0]), length=around(480), cuts=CUTS, seed=st.integers(0, 5))
def test_cutting_speech_out(params: dict[str, Any], padding_ms: float, length: int, cuts: list[int], seed: int) -> None:
    """Each part has the same samples at the same place, and nothing that a part needs was let go before."""
    vad = EnergyVadNode(EnergyVadParams(**params), "vad")
    assert_same(opened(vad, Cut(CutParams(padding_ms=padding_ms), "cut")), audio(length, seed=seed), cuts)


FEATURES: list[dict[str, Any]] = [
    *({"frontend": name} for name in FRONT_ENDS),
    {"frontend": "kaldi", "bins_first": True},
    {"frontend": "kaldi", "num_cepstra": 13, "deltas": True},
    {"frontend": "whisper", "pad_to_s": 0.3},
    {"frontend": "nemo", "normalisation": "none"},
]


@pytest.mark.parametrize("params", FEATURES, ids=lambda params: "-".join(map(str, params.values())))
@given(length=around(160, 400, 512, 1600), cuts=CUTS)
def test_features(params: Mapping[str, Any], length: int, cuts: list[int]) -> None:
    """Rows of every front end have the bits of one call."""
    node = LogMelNode(LogMelParams(**params), "mel")
    assert_same(opened(node), audio(length, rate=node.params.options.front_end.sample_rate), cuts)


@given(length=around(1600), cuts=CUTS, seed=st.integers(0, 5))
def test_a_line_of_nodes(length: int, cuts: list[int], seed: int) -> None:
    """What each hands on suits the next: parts of speech are resampled and analysed each by itself."""
    line = opened(
        Resample(ResampleParams(channels=1), "mono"),
        EnergyVadNode(EnergyVadParams(min_silence_ms=30), "vad"),
        Cut(CutParams(padding_ms=40), "cut"),
        Resample(ResampleParams(sample_rate=8_000), "narrow"),
        Resample(ResampleParams(sample_rate=16_000), "wide"),
        Resample(ResampleParams(sample_rate=11_025), "odd"),
        Resample(ResampleParams(sample_rate=16_000), "back"),
        LogMelNode(LogMelParams(frontend="nemo"), "mel"),
    )
    assert_same(line, audio(length, rate=44_100, channels=2, seed=seed), cuts)


@pytest.mark.parametrize("frontend", FRONT_ENDS)
def test_rows_come_when_the_front_end_says(frontend: str) -> None:
    """Rows of a causal front end come with the chunks, those of the others at the end."""
    node = LogMelNode(LogMelParams(frontend=frontend), "mel")  # type: ignore[arg-type]  # one of its names
    node.open()
    state = node.start()
    rate = node.params.options.front_end.sample_rate
    chunks = chunks_of(item_with({"audio": audio(rate, rate=rate)}), [rate // 2], session="s")
    given_at_once = [bool(node.process(chunk, state)) for chunk in chunks]
    assert any(given_at_once) == (node.spec.streaming_with(node.params) == "causal")
    assert all(given_at_once) or node.flush(state)


def test_rows_side_by_side_come_at_the_end() -> None:
    """With bins_first a causal front end waits, for its rows cannot be put behind each other."""
    params = LogMelParams(frontend="kaldi", bins_first=True)
    assert LogMelNode.spec.streaming_with(params) == "post-normalised"


def test_what_comes_out_stands_where_it_came_from() -> None:
    """Positions follow the rate, and the hop of features."""
    item = item_with({"audio": audio(44_100, rate=44_100)})
    mono = opened(Resample(ResampleParams(), "mono"))
    resampled = run_chunked(mono, item, [500] * 80)
    assert [one.start_sample for one in resampled] == [
        sum(one.audio.num_samples for one in resampled[:number]) for number in range(len(resampled))
    ]
    rows = run_chunked([*mono, *opened(LogMelNode(LogMelParams(frontend="kaldi"), "mel"))], item, [500] * 80)
    before = np.cumsum([0, *(one.attributes["num_rows"] for one in rows)])
    assert [one.start_sample for one in rows] == [160 * int(number) for number in before[:-1]]


def with_gap(chunk: AudioChunk, first: int, second: int) -> list[Item]:
    """The chunks of a stream that has lost the samples between two places."""
    before, _, after = chunks_of(item_with({"audio": chunk}), [first, second - first], session="s")
    return [before, after]


def given_by(node: Node[Any], items: Sequence[Item]) -> list[Item]:
    node.open()
    state = node.start()
    made: list[Item] = []
    for item in items:
        made += node.process(item, state)  # type: ignore[arg-type]  # of a stream, a list
    return made + list(node.flush(state))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("node", "port"),
    [
        (Resample(ResampleParams(sample_rate=8_000), "narrow"), "audio"),
        (LogMelNode(LogMelParams(frontend="kaldi"), "mel"), "features"),
        (LogMelNode(LogMelParams(frontend="whisper"), "mel"), "features"),
        (EnergyVadNode(EnergyVadParams(), "vad"), "audio"),
    ],
)
def test_a_gap_ends_what_was_before(node: Node[Any], port: str) -> None:
    """Each side of a gap gives what it would give alone, at its place; the second says discontinuity."""
    chunk = audio(9_000)
    made = given_by(node, with_gap(chunk, 4_000, 6_400))
    (second,) = [number for number, item in enumerate(made) if item.discontinuity]
    assert made[second].start_sample in (6_400, 3_200)
    for items, part in ((made[:second], chunk.samples[:, :4_000]), (made[second:], chunk.samples[:, 6_400:])):
        (alone,) = run_whole([node], item_with({"audio": AudioChunk(np.ascontiguousarray(part), RATE)}))
        joined = joined_values([item.payload[port] for item in items], port)
        if port == "audio":
            assert np.array_equal(joined.samples, alone.audio.samples)
        else:
            assert np.array_equal(joined, alone.payload[port])


def test_segments_behind_a_gap_have_the_times_of_the_stream() -> None:
    """Speech is where it was in what was sent, whatever was lost before; and so are the parts cut out."""
    loud = AudioChunk(np.full((1, 9_600), 0.5, np.float32), RATE)
    vad, cut = EnergyVadNode(EnergyVadParams(), "vad"), Cut(CutParams(), "cut")
    found = given_by(vad, with_gap(loud, 1_600, 6_400))
    times = [(one.start_ms, one.end_ms) for item in found for one in item.payload["segments"]]
    assert times == [(0.0, 100.0), (400.0, 600.0)]
    assert [(part.start_sample, part.audio.num_samples) for part in given_by(cut, found)] == [(0, 1_600), (6_400, 3_200)]


def test_the_share_of_speech_is_that_of_the_audio_beside_it() -> None:
    """Weighted with its audio, the speech ratio of chunks is that of the whole."""
    item = item_with({"audio": audio(16_123, seed=3)})
    vad = opened(EnergyVadNode(EnergyVadParams(), "vad"))
    (whole,) = run_whole(vad, item)
    chunks = run_chunked(vad, item, [700] * 20)
    spoken = sum(one.attributes["speech_ratio"] * one.audio.num_samples for one in chunks)
    assert spoken / 16_123 == pytest.approx(whole.attributes["speech_ratio"], abs=1e-12)


def test_silence_is_not_kept() -> None:
    """Audio that no segment can need any more is let go while a stream goes on."""
    silence = AudioChunk(np.zeros((1, RATE), np.float32), RATE)
    vad, cut = EnergyVadNode(EnergyVadParams(), "vad"), Cut(CutParams(padding_ms=50), "cut")
    watched, kept = vad.start(), cut.start()
    for number in range(20):
        item = msgspec.structs.replace(item_with({"audio": silence}), session="s", start_sample=number * RATE)
        for found in watched.push(item):
            kept.push(found)
    held = sum(chunk.shape[1] for chunk in kept._stretch._chunks)  # type: ignore[union-attr]
    assert held <= 2 * RATE


def test_speech_that_is_longer_than_what_is_kept_is_refused() -> None:
    """A segment whose beginning was let go says so, with the parameter to raise; the next one is cut again."""
    cut = Cut(CutParams(max_segment_s=0.1), "cut")
    state = cut.start()
    chunk = AudioChunk(np.zeros((1, 1_600), np.float32), RATE)
    items = [
        msgspec.structs.replace(item_with({"audio": chunk, "segments": segments}), session="s", start_sample=1_600 * number)
        for number, segments in enumerate([(), (), (Segment(0.0, 250.0, -6.0, 1.0),), (Segment(320.0, 380.0, -6.0, 1.0),)])
    ]
    assert [state.push(item) for item in items[:2]] == [[], []]
    with pytest.raises(BadInputError, match=r"0 to 250 ms.*audio is kept from 100 to 300 ms.*raise max_segment_s"):
        state.push(items[2])
    (part,) = state.push(items[3])
    assert part.start_sample == 5_120
