"""Times resampling beside libsoxr, ratio by ratio: `python -m benchmarks.resampling --out FILE.json`.

Both are called from Python as their users call them, on one core, with one thread, for float32 mono. Before anything is timed
both resample a chord in the pass band, and have to agree on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr  # type: ignore[import-untyped]  # ships neither stubs nor a marker
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.timing import pin, race
from phonograph.isa import ISA
from phonograph_nodes import resample, resample_pcm16
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.resample import Quality

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
RATIOS = tuple((in_rate, out_rate) for in_rate in RATES for out_rate in RATES if in_rate != out_rate)
PEERS: dict[Quality, str] = {"fast": "MQ", "high": "HQ", "best": "HQ"}
"""The recipe of libsoxr whose figures are nearest below ours; its VHQ computes in float64, for 150 dB."""

TOLERANCE = 5e-3  # of full scale: the pass band of libsoxr's MQ ripples by 0.18 dB


class UnequalAnswersError(AssertionError):
    """Ours and theirs are not the same audio."""


def chord(in_rate: int, out_rate: int, seconds: float) -> NDArray[np.float32]:
    """Tones of 0.05 to 0.85 of the lower Nyquist frequency, each a seventh of full scale, faded in and out."""
    times = np.arange(round(seconds * in_rate)) / in_rate
    low = min(in_rate, out_rate) / 2
    fade = np.clip(np.minimum(times, times[-1] - times) / 0.1, 0, 1)
    tones = np.sum([np.sin(2 * np.pi * part * low * times + part) for part in (0.05, 0.2, 0.4, 0.6, 0.7, 0.85)], axis=0)
    return np.asarray(fade * tones / 7, np.float32)


def measure(in_rate: int, out_rate: int, quality: Quality, recipe: str, seconds: float, rounds: int) -> dict[str, Any]:
    """Time one ratio beside libsoxr.

    Raises:
        UnequalAnswersError: the two do not give the same audio.
    """
    samples = chord(in_rate, out_rate, seconds)

    def ours() -> NDArray[np.float32]:
        return resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)

    def theirs() -> NDArray[np.float32]:
        return np.asarray(soxr.resample(samples, in_rate, out_rate, quality=recipe))

    length = min(len(ours()), len(theirs()))
    apart = float(np.abs(ours()[:length] - theirs()[:length]).max())
    if not apart <= TOLERANCE:
        raise UnequalAnswersError(f"{in_rate} to {out_rate} Hz, {quality}: {apart:.2g} apart; expected at most {TOLERANCE:g}")
    figures = race(ours, theirs, rounds=rounds)
    return {
        "in_rate": in_rate,
        "out_rate": out_rate,
        "quality": quality,
        "recipe": recipe,
        "seconds": seconds,
        "apart": float(f"{apart:.3g}"),
        "ours": figures.ours.as_json(),
        "theirs": figures.theirs.as_json(),
        "ratio": figures.ratio.as_json(),
    }


def measure_pcm16(seconds: float, rounds: int) -> dict[str, Any]:
    """Time 16-bit stereo at 44.1 kHz to mono at 16 kHz, in one pass and in two."""
    pairs = np.random.default_rng(4).integers(-20_000, 20_000, (round(seconds * 44_100), 2)).astype(np.int16)

    def in_one() -> NDArray[np.float32]:
        return resample_pcm16(pairs, in_rate=44_100, out_rate=16_000)

    def in_two() -> NDArray[np.float32]:
        return resample(mix_to_mono(pairs, layout="interleaved")[0], in_rate=44_100, out_rate=16_000)

    if not np.array_equal(in_one(), in_two()):
        raise UnequalAnswersError("one pass and two differ")
    figures = race(in_one, in_two, rounds=rounds)
    return {
        "seconds": seconds,
        "ours": figures.ours.as_json(),
        "theirs": figures.theirs.as_json(),
        "ratio": figures.ratio.as_json(),
    }


def ratio_of(text: str) -> tuple[int, int]:
    """`44100:16000`"""
    in_rate, _, out_rate = text.partition(":")
    return int(in_rate), int(out_rate)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resampling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="length of the audio (60)")
    parser.add_argument("--ratios", type=ratio_of, nargs="+", default=RATIOS, metavar="IN:OUT", help="rates in Hz (all 72)")
    parser.add_argument("--qualities", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--pcm16", action="store_true", help="time 16-bit stereo in one pass too")
    record.add_options(parser, "resampling", rounds=9)
    options = parser.parse_args(arguments)
    core = pin()
    entries = []
    for quality in options.qualities:
        for in_rate, out_rate in options.ratios:
            one = measure(in_rate, out_rate, quality, PEERS[quality], options.seconds, options.rounds)
            entries.append(one)
            times = f"{one['ours']['median'] * 1e3:.3f} ms, soxr {one['recipe']} {one['theirs']['median'] * 1e3:.3f} ms"
            print(f"{in_rate} to {out_rate} Hz, {quality}: {times}, ratio {one['ratio']['median']:.2f}", flush=True)
    found: dict[str, Any] = {"isa": ISA, "core": core, "rounds": options.rounds, "resampling": entries}
    if options.pcm16:
        found["pcm16"] = measure_pcm16(options.seconds, options.rounds)
        print(f"16-bit stereo at 44.1 kHz in one pass: {found['pcm16']['ratio']['median']:.2f} times as fast as in two")
    record.write(options.out, found)
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
