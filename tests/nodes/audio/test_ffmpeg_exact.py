"""Tests of lengths and positions: what comes out is the audio that went in, from any sample to any other."""

from __future__ import annotations

import io
import itertools
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from phonograph_nodes.audio.ffmpeg import open_ffmpeg, seeking
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Limits, Samples

RATE = 16_000
LENGTH = 12 * RATE + 77  # longer than what is decoded rather than sought


def filled(block: int, delay: int = 0) -> int:
    """What whole blocks hold beyond the samples that went in."""
    return -(-(LENGTH + delay) // block) * block - LENGTH


# Encoder, container, sample format, and what comes out beyond the samples that went in, because nothing in the file tells of it.
KINDS = [
    ("libmp3lame", "mp3", "s16p", 0),
    ("flac", "flac", "s16", 0),
    ("flac", "ogg", "s16", 0),
    ("libopus", "ogg", "s16", 0),
    ("libopus", "webm", "s16", 0),
    ("aac", "mov", "fltp", 0),
    ("aac", "adts", "fltp", filled(1024, delay=1024)),
    ("alac", "mov", "s16p", 0),
    ("adpcm_ima_wav", "wav", "s16p", filled(2041)),
    ("wavpack", "wv", "s16p", 0),
    ("mp2", "mp2", "s16", filled(1152)),
]


def speech_like(num_samples: int) -> NDArray[np.float64]:
    """A sweep that swells and fades, under noise."""
    times = np.arange(num_samples) / RATE
    sweep = np.sin(2 * np.pi * (200 * times + 80 * times**2 / 2)) * (0.3 + 0.3 * np.sin(7 * times))
    return sweep + np.random.default_rng(1).normal(0, 0.02, num_samples)


def encoded(encoder: str, container: str, sample_format: str, num_samples: int = LENGTH) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=RATE, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.format = sample_format
        stream.codec_context.open()
        samples = speech_like(num_samples)
        rows: NDArray[Any] = samples.astype(np.float32) if sample_format == "fltp" else (samples * 32767).astype(np.int16)
        step = stream.codec_context.frame_size or 4096
        for start in range(0, num_samples, step):
            block = np.ascontiguousarray(rows[np.newaxis, start : start + step])
            frame = av.AudioFrame.from_ndarray(block, format=sample_format, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def whole(content: bytes | Path) -> Samples:
    reader = open_ffmpeg(Given(content), Limits())
    try:
        return reader.read()
    finally:
        reader.close()


@pytest.mark.parametrize(("encoder", "container", "sample_format", "padding"), KINDS)
def test_what_comes_out_is_as_long_as_what_went_in(encoder: str, container: str, sample_format: str, padding: int) -> None:
    """Delay and padding are taken off where the file tells of them; what is left lies where it lay."""
    reader = open_ffmpeg(Given(encoded(encoder, container, sample_format)), Limits())
    samples, rate = reader.read()[0], reader.info.sample_rate
    reader.close()
    assert len(samples) * RATE == (LENGTH + padding) * rate
    if not padding:
        assert np.corrcoef(samples[:: rate // RATE], speech_like(LENGTH))[0, 1] > 0.9


@pytest.mark.parametrize(("encoder", "container", "sample_format", "padding"), KINDS)
def test_any_part_is_the_slice_of_the_whole(encoder: str, container: str, sample_format: str, padding: int) -> None:
    """Any first sample and any count, in any order, give the bits of the whole; beyond its end there is nothing."""
    content = encoded(encoder, container, sample_format)
    reader, samples, chance = open_ffmpeg(Given(content), Limits()), whole(content), random.Random(encoder)
    length = samples.shape[1]
    parts = [(chance.randrange(length), chance.randrange(2 * RATE)) for _ in range(12)]
    parts += [(0, 1), (length - 1, 1), (length - 1, 100), (length, 5), (length + 10**6, 5), (length - 3000, 10**9), (5, 0)]
    for first, count in parts:
        np.testing.assert_array_equal(reader.read(first, count), samples[:, first : first + count], err_msg=f"{first}, {count}")
    assert reader.info.num_samples == length
    reader.close()


@pytest.mark.parametrize(("encoder", "container", "sample_format", "padding"), KINDS)
def test_blocks_of_any_length_end_where_audio_ends(encoder: str, container: str, sample_format: str, padding: int) -> None:
    """No padding of the last blocks comes out, wherever a block ends in them, and also if no more is allowed than is audio."""
    content = encoded(encoder, container, sample_format, RATE + 77)
    samples = whole(content)
    for num_samples in (700, 1024, 4099, 9001, samples.shape[1] - 1, samples.shape[1]):
        reader = open_ffmpeg(Given(content), Limits(max_bytes=4 * samples.size))
        blocks = list(reader.blocks(num_samples))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), samples, err_msg=f"{num_samples}")
        np.testing.assert_array_equal(reader.read(), samples)
        reader.close()


@pytest.mark.parametrize(("encoder", "container", "sample_format"), [kind[:3] for kind in (KINDS[0], KINDS[1], KINDS[7])])
def test_formats_of_exact_times_are_sought(
    encoder: str, container: str, sample_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MP3, FLAC and ALAC are decoded from shortly before the place, not from the beginning."""
    sought = []
    seek = seeking.seek

    def watched(*arguments: object, **named: object) -> bool:
        sought.append(seek(*arguments, **named))  # type: ignore[arg-type]
        return sought[-1]

    monkeypatch.setattr(seeking, "seek", watched)
    decoded = itertools.count()
    limits = Limits(is_cancelled=lambda: next(decoded) < 0)
    reader = open_ffmpeg(Given(encoded(encoder, container, sample_format)), limits)
    reader.read(11 * RATE, 100)
    reader.close()
    assert sought == [True]
    assert next(decoded) < 0.6 * LENGTH / 1152  # packets of at least so many samples, but MP3's shorter ones


def test_a_file_whose_times_mislead_is_decoded_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a seek ends elsewhere than it should, the part is right all the same."""
    content = encoded("flac", "flac", "s16")
    samples = whole(content)
    monkeypatch.setattr(seeking, "seek", lambda *_, **__: True)  # does nothing: packets go on from the beginning
    reader = open_ffmpeg(Given(content), Limits())
    np.testing.assert_array_equal(reader.read(10 * RATE, 500), samples[:, 10 * RATE : 10 * RATE + 500])
    reader.close()


def test_the_collection_has_the_lengths_of_its_references(shared: Path) -> None:
    """Every codec whose file tells its delay and padding comes out as long as what was encoded."""
    folder = shared / "data" / "codecs"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    # Whole blocks with nothing that tells of delay or padding; speex: by granule positions; wma: by its decoder's delay.
    blocks = {"mp3_noxing_noid3", "aac_adts", "aac_m4a_fragmented", "mka_vorbis", "wav_gsm_8k", "wav_imaadpcm"}
    blocks |= {"amr_nb_12k2", "amr_wb_23k85", "speex", "wma2"}
    told = {"mp3_cbr64_16k/1998-15444-0007.mp3": 15}  # its own tag says so
    wrong = {}
    for row in rows:
        reader = open_ffmpeg(Given(folder / row["path"]), Limits())
        reference = open_ffmpeg(Given(folder / row["reference"]), Limits())
        exact = reference.read().shape[1] * reader.info.sample_rate / reference.info.sample_rate
        excess = reader.read().shape[1] - exact
        reader.close()
        reference.close()
        if not (-100 < excess < 2048 if row["variant"] in blocks else int(excess) == told.get(row["path"], 0)):
            wrong[row["path"]] = excess
    assert wrong == {}
