"""Claims about lengths, positions and values: what comes out is the audio that went in, whole, in part, and written back."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acceptance.claims import Figure, claim
from acceptance.processes import CHECKOUT, shared, temporary_folder
from phonograph_nodes.audio import AudioDecoder, info, load, save
from phonograph_nodes.convert import convert

Signal = NDArray[np.float64]

RATE = 16_000  # of the references, and of what is compared with them
TELEPHONE_BAND = (300.0, 3400.0)  # Hz, ITU-T G.712
SPEECH_CODECS = ("amrnb", "amrwb", "speex", "gsm_ms")
"""Their encoders begin with a high-pass filter, which turns the phase of what lies below the band."""

MOST_DELAY = 1200  # samples at 16 kHz, of a codec whose file does not tell it
NUM_PARTS = 500
NUM_FAST_PARTS = 130


def _told(num_samples: float, length: int) -> bool:
    """The file tells delay and padding, or has none; a rate that is no multiple leaves a part of a sample."""
    return abs(length - num_samples) < 1


def _blocks(size: int, *, delay: int = 0, more: int = 0) -> Callable[[float, int], bool]:
    """Whole blocks that hold the encoder's delay and the audio, and at most so many more."""

    def holds(num_samples: float, length: int) -> bool:
        needed = -(-(num_samples + delay) // size)
        return length % size == 0 and needed <= length // size <= needed + more

    return holds


def _within(least: int, most: int) -> Callable[[float, int], bool]:
    """So many samples more than were encoded."""
    return lambda num_samples, length: least <= length - num_samples <= most


LENGTHS: Mapping[str, Callable[[float, int], bool]] = {
    "mp3_cbr64_16k": _within(0, 46),  # FFmpeg writes a padding into the LAME tag that may be as much too small
    "mp3_noxing_noid3": _blocks(576, delay=1105, more=1),  # no tag
    "aac_adts": _blocks(1024, delay=1024),
    "aac_m4a_fragmented": _within(1024, 1024),  # no edit list, so that the encoder's delay is there
    "mka_vorbis": _within(0, 2047),  # Matroska tells no end
    "amr_nb_12k2": _blocks(160),
    "amr_wb_23k85": _blocks(320),
    "wav_gsm_8k": _blocks(320),
    "wav_imaadpcm": _blocks(2041),
    "speex": _within(-143, 0),  # by granule positions, which leave out the encoder's look-ahead
    "wma2": lambda num_samples, length: length % 2048 == 0 and -2048 < length - num_samples < 2048,
}


@claim(
    issue="audio-in",
    bar="65 of 65: the length by the codec's rule, correlation > 0.9",
    fast=True,
    needs_shared=True,
)
def every_codec_gives_the_reference() -> Figure:
    """Each file of the codec set is as long as its codec's rule says, and is the audio of its lossless reference."""
    folder = shared() / "data" / "codecs"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    wrong, exact, correlations = [], 0, {}
    for row in rows:
        path = folder / row["path"]
        reference, _ = load(folder / row["reference"], sr=RATE)
        samples, rate = load(path, sr=None)
        expected = len(reference) * rate / RATE
        rule = LENGTHS.get(row["variant"], _told)
        exact += _told(expected, len(samples))
        if not rule(expected, len(samples)):
            wrong.append(f"{row['path']}: {len(samples)} samples, {len(samples) - expected:+.1f}")
        codec = info(path).codec
        delayed = rule is not _told or codec == "g722"  # whose filters delay by 22 samples, which nothing takes off
        correlation = _correlation(load(path, sr=RATE)[0], reference, _band(codec, rate), aligned=delayed)
        correlations[row["path"]] = correlation
        if not correlation > 0.9:
            wrong.append(f"{row['path']}: correlation {correlation:.3f}")
    least = sorted(correlations.items(), key=lambda one: one[1])[:3]
    text = (
        f"{len(rows) - len({one.partition(':')[0] for one in wrong})} of {len(rows)}, {exact} to the sample; least correlated: "
    )
    return Figure(
        text + ", ".join(f"{name} {value:.3f}" for name, value in least), len(rows) == 65 and not wrong, "; ".join(wrong)
    )


@claim(
    issue="audio-in",
    bar=f"{NUM_FAST_PARTS} of {NUM_FAST_PARTS} equal, bit for bit",
    fast=True,
    needs_shared=True,
)
def some_parts_are_slices() -> Figure:
    """Twice each file of the codec set, a random part of it is the slice of the full decode."""
    return _parts(NUM_FAST_PARTS)


@claim(issue="audio-in", bar=f"{NUM_PARTS} of {NUM_PARTS} equal, bit for bit", fast=False, needs_shared=True)
def random_parts_are_slices() -> Figure:
    """500 random (file, offset, duration) over all codecs, also of files of minutes, are slices of the full decode."""
    return _parts(NUM_PARTS, long=True)


@claim(issue="audio-in", bar="each round trip equal, bit for bit", fast=True)
def lossless_sinks_give_back_every_bit() -> Figure:
    """WAV in eight sample formats, FLAC and ALAC in two give back the levels that were written, from 1 to 6 channels."""
    generator = np.random.default_rng(8)
    formats: dict[str, tuple[str, ...]] = {
        "wav": ("pcm8", "pcm16", "pcm24", "pcm32", "float32", "float64", "alaw", "mulaw"),
        "flac": ("pcm16", "pcm24"),
        "alac": ("pcm16", "pcm24"),
    }
    wrong, count = [], 0
    with temporary_folder() as folder:
        for format, sample_formats in formats.items():
            for sample_format in sample_formats:
                for num_channels, num_samples in ((1, 1), (1, 4097), (2, 12_345), (6 if format != "alac" else 2, 1000)):
                    samples = generator.uniform(-1, 1, (num_channels, num_samples)).astype(np.float32)
                    path = folder / f"a.{format}"
                    save(path, samples, 48_000, format=format, sample_format=sample_format)  # type: ignore[arg-type]
                    found, rate = load(path, sr=None, mono=False)
                    count += 1
                    if rate != 48_000 or not np.array_equal(np.atleast_2d(found), _levels(samples, sample_format)):
                        wrong.append(f"{format}, {sample_format}, {num_channels} x {num_samples}")
    return Figure(f"{count - len(wrong)} of {count}", not wrong, "; ".join(wrong))


@claim(issue="audio-in", bar="each of exactly the length that was written", fast=True)
def lossy_sinks_keep_the_length() -> Figure:
    """Opus, MP3 and AAC are as long as what was written, at the lengths around their blocks, and sound the same."""
    wrong, count, least = [], 0, 1.0
    speech = load(sorted((CHECKOUT / "manifests" / "samples").glob("*.wav"))[0], sr=48_000)[0]
    lengths = (1, 2, 575, 576, 577, 959, 960, 961, 1023, 1024, 1025, 1104, 1105, 1151, 1152, 1153, 10_007, 48_000)
    with temporary_folder() as folder:
        for suffix in ("opus", "mp3", "m4a"):
            for length in lengths:
                path = folder / f"a.{suffix}"
                save(path, speech[:length], 48_000)
                found, rate = load(path, sr=None)
                count += 1
                if (len(found), rate) != (length, 48_000):
                    wrong.append(f"{suffix}: {len(found)} of {length}")
            least = min(least, float(np.corrcoef(found, speech[:length])[0, 1]))
    return Figure(f"{count - len(wrong)} of {count}, correlation >= {least:.3f}", not wrong and least > 0.9, "; ".join(wrong))


def _parts(num_parts: int, *, long: bool = False) -> Figure:
    chance, equal, wrong = random.Random(5), 0, []
    with temporary_folder() as folder:
        paths = sorted(path for path in (shared() / "data" / "codecs").glob("*/*") if path.is_file())
        paths += _long_files(folder) * 5 if long else []
        wholes: dict[Path, tuple[NDArray[Any], int]] = {}
        codecs: defaultdict[str, int] = defaultdict(int)
        for number in range(num_parts):
            path = paths[number % len(paths)]
            if path not in wholes:
                wholes[path] = load(path, sr=None, mono=False)
            whole, rate = wholes[path]
            end_s = whole.shape[-1] / rate
            offset, duration = (
                chance.uniform(0, end_s),
                chance.choice((None, chance.uniform(0, 1.2 * end_s), chance.uniform(0, 0.2))),
            )
            first = int(offset * rate)
            expected = whole[..., first : None if duration is None else first + int(duration * rate)]
            with AudioDecoder(path) as decoder:
                codecs[decoder.info.codec] += 1
                if np.array_equal(decoder.decode(offset, duration), expected):
                    equal += 1
                else:
                    wrong.append(f"{'/'.join(path.parts[-2:])} at {offset:.6f} for {duration}")
    return Figure(f"{equal} of {num_parts}, {len(wholes)} files, {len(codecs)} codecs", equal == num_parts, "; ".join(wrong[:8]))


def _long_files(folder: Path) -> list[Path]:
    """Two minutes in each format that is written here: long enough to be entered in the middle."""
    speech = [load(path, sr=44_100)[0] for path in sorted((CHECKOUT / "manifests" / "samples").glob("*.wav"))]
    one = np.resize(np.concatenate(speech), 120 * 44_100).astype(np.float32)
    paths = []
    for suffix, rate in (("wav", 44_100), ("flac", 44_100), ("mp3", 44_100), ("m4a", 44_100), ("opus", 48_000)):
        paths.append(folder / f"long.{suffix}")
        save(paths[-1], np.stack([one, 0.5 * one[::-1]]), rate)
    return paths


def _levels(samples: NDArray[np.float32], sample_format: str) -> NDArray[np.float32]:
    """What a sample format keeps of float32."""
    kept = {"pcm8": "u8", "pcm16": "i16", "pcm24": "i24", "pcm32": "i32", "float32": "f32", "float64": "f64"}.get(
        sample_format, sample_format
    )
    return np.asarray(convert(convert(samples, dtype=kept), dtype="f32", source=kept))


def _band(codec: str, rate: int) -> tuple[float, float] | None:
    """What can be compared of a codec, in Hz; None: everything."""
    if codec in SPEECH_CODECS:
        return TELEPHONE_BAND
    return (0.0, 0.45 * rate) if rate < RATE else None


def _correlation(samples: NDArray[Any], reference: NDArray[Any], band: tuple[float, float] | None, *, aligned: bool) -> float:
    """Normalised correlation; with `aligned` at the delay where it is largest."""
    length = 1 << (len(samples) + len(reference)).bit_length()
    spectra = [np.fft.rfft(signal, length) for signal in (samples, reference)]
    if band is not None:
        frequencies = np.fft.rfftfreq(length, 1 / RATE)
        spectra = [spectrum * ((frequencies >= band[0]) & (frequencies <= band[1])) for spectrum in spectra]
    a, b = (np.fft.irfft(spectrum, length) for spectrum in spectra)
    product: Signal = np.fft.irfft(spectra[0] * np.conj(spectra[1]), length)
    delays = product[np.arange(-MOST_DELAY, MOST_DELAY + 1)] if aligned else product[:1]
    return float(delays.max() / np.sqrt((a**2).sum() * (b**2).sum()))
