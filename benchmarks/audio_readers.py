"""Ways to read audio: ours, PyAV's decoding alone, and those of the peers, each called as its documentation says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.audio_files import PCM, Audio
from benchmarks.signals import SAMPLE_RATE
from phonograph_nodes.audio import load

MOST_DELAY = 4096  # samples; what an encoder puts before the audio, and some decoders leave there
AGREEING = 0.998  # correlation of two answers that are the same audio; what a linear resampler gives is just above


def decode_only(path: Path) -> int:
    """PyAV as its documentation decodes, frames thrown away."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def mono_16k(path: Path) -> Audio:
    """Ours, as models want it."""
    return np.asarray(load(path, sr=SAMPLE_RATE)[0], np.float32)


def as_stored(path: Path) -> Audio:
    """Ours, at the file's own rate, shape (num_channels, num_samples)."""
    return np.atleast_2d(np.asarray(load(path, sr=None, mono=False)[0], np.float32))


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to call another library.

    Args:
        how: the call, in its own words.
        reads: the formats that it reads.
        call: path -> its answer, untouched. fetched: that answer as (num_channels, num_samples), not timed.
        ours: what of ours does the same.
    """

    name: str
    package: str
    how: str
    reads: tuple[str, ...]
    call: Callable[[Path], Any]
    fetched: Callable[[Any], Audio]
    ours: Callable[[Path], Audio]


def peers() -> list[Peer]:
    """Raises ImportError: one of them is not installed."""
    soundfile, librosa, asrfront, miniaudio, soxr = map(
        importlib.import_module, ("soundfile", "librosa", "asrfront", "miniaudio", "soxr")
    )
    floats = miniaudio.SampleFormat.FLOAT32

    def soundfile_and_soxr(path: Path) -> Any:
        samples, rate = soundfile.read(path, dtype="float32")
        return soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)

    def miniaudio_as_stored(path: Path) -> Any:
        about = miniaudio.get_file_info(str(path))
        return miniaudio.decode_file(str(path), floats, about.nchannels, about.sample_rate)

    def rows(answer: Any) -> Audio:
        return np.asarray(answer.samples, np.float32).reshape(-1, answer.nchannels).T

    sndfile, dr = (*PCM, "mp3", "flac", "vorbis", "opus"), ("wav", "wav24", "mp3", "flac", "vorbis")
    own, mono = as_stored, mono_16k
    return [
        Peer("soundfile, as stored", "soundfile", 'soundfile.read(path, dtype="float32")', sndfile,
             lambda path: soundfile.read(path, dtype="float32")[0], lambda answer: answer.T, own),
        Peer("soundfile and soxr HQ", "soundfile", "the same, mean of channels, soxr.resample", sndfile,
             soundfile_and_soxr, np.atleast_2d, mono),
        Peer("librosa", "librosa", "librosa.load(path, sr=16000)", sndfile,
             lambda path: librosa.load(path, sr=SAMPLE_RATE)[0], np.atleast_2d, mono),
        Peer("asrfront", "asrfront", "asrfront.load(path)", (*PCM, "mp3", "flac"),
             lambda path: asrfront.load(str(path)), np.atleast_2d, mono),
        Peer("miniaudio, as stored", "miniaudio", "miniaudio.decode_file(path, FLOAT32, nchannels, sample_rate)", dr,
             miniaudio_as_stored, rows, own),
        Peer("miniaudio", "miniaudio", "miniaudio.decode_file(path, FLOAT32, 1, 16000)", dr,
             lambda path: miniaudio.decode_file(str(path), floats, 1, SAMPLE_RATE), rows, mono),
    ]  # fmt: skip


def compared(ours: Audio, theirs: Audio) -> dict[str, Any]:
    """How two answers (num_channels, num_samples) differ: in length, by how much one lies later, and what is left then."""
    if ours.shape[0] != theirs.shape[0]:
        return {"longer": theirs.shape[1] - ours.shape[1], "later": 0, "correlation": 0.0, "agree": False}
    a, b = ours[0].astype(np.float64), theirs[0].astype(np.float64)
    length = 1 << (len(a) + len(b)).bit_length()
    product = np.fft.irfft(np.fft.rfft(b, length) * np.conj(np.fft.rfft(a, length)), length)
    later = int(np.argmax(np.concatenate([product[-MOST_DELAY:], product[: MOST_DELAY + 1]]))) - MOST_DELAY
    a, b = (a, b[later:]) if later >= 0 else (a[-later:], b)
    shared = min(len(a), len(b))
    correlation = float(np.corrcoef(a[:shared], b[:shared])[0, 1])
    longer = theirs.shape[1] - ours.shape[1]
    return {
        "longer": longer,
        "later": later,
        "correlation": float(f"{correlation:.7g}"),
        "apart": float(f"{np.abs(a[:shared] - b[:shared]).max():.3g}"),
        "agree": correlation > AGREEING and abs(longer) <= MOST_DELAY,
    }
