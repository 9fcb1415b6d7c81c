"""Claims about resampling: its quality by the shared measure, its speed beside libsoxr, and that no tail is lost.

Quality and speed are of the same function with the same arguments. Speed is a ratio within one run, on one core with one thread;
how it is measured is written in `benchmarks/`. Its bars are for a machine with AVX-512.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.measured import measured
from acceptance.processes import TESTS, CommandError, run, shared, temporary_folder
from phonograph.isa import AVAILABLE, VARIABLE
from phonograph_nodes import ResampleStream, resample
from reference.resample import RATIOS, kernel

NAMED = ("44100:16000", "48000:16000", "22050:16000", "8000:16000", "16000:48000")


@claim(
    issue="resample",
    bar="the measure's gate passes: 7 ratios, one call and stream, each instruction set",
    fast=True,
    needs_shared=True,
)
def fast_passes_its_gate() -> Figure:
    """Quality "fast" holds the figures of its level, whole and streaming, on every instruction set."""
    return _gate("fast")


@claim(
    issue="resample",
    bar="the measure's gate passes: 7 ratios, one call and stream, each instruction set",
    fast=True,
    needs_shared=True,
)
def high_passes_its_gate() -> Figure:
    """Quality "high" holds the figures of its level, whole and streaming, on every instruction set."""
    return _gate("high")


@claim(
    issue="resample",
    bar="the measure's gate passes: 7 ratios, one call and stream, each instruction set",
    fast=True,
    needs_shared=True,
)
def best_passes_its_gate() -> Figure:
    """Quality "best" holds the figures of its level, whole and streaming, on every instruction set."""
    return _gate("best")


@claim(issue="resample", bar="<= 1e-6 of full scale, for 72 ratios and 3 qualities; equal bits in every cut", fast=True)
def low_latency_agrees_with_blocks() -> Figure:
    """With latency="low" outputs are within 1e-6 of the block form, and are the same bits however the signal is cut."""
    worst: dict[str, float] = {}
    unequal = 0
    random = np.random.default_rng(1)
    noise, signs = random.uniform(-1, 1, 6000), random.choice([-0.5, 0.5], 6000)  # half, so within full scale between its samples
    for in_rate, out_rate in RATIOS:
        signals = {"noise": noise, "random signs": signs}
        if in_rate > out_rate:
            signals["tones above the band"] = np.sin(np.pi * 1.01 * out_rate / in_rate * np.arange(6000))
        for quality, (name, signal) in itertools.product(("fast", "high", "best"), signals.items()):
            samples = signal.astype(np.float32)
            stream = ResampleStream(in_rate, out_rate, quality=quality, latency="low")
            whole = np.concatenate([stream.push(samples), stream.flush()])
            pieces = [stream.push(piece) for piece in np.split(samples, [1, 2, 700, 701, 4096])]
            unequal += not np.array_equal(np.concatenate([*pieces, stream.flush()]), whole)
            blocks = resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)
            worst[name] = max(worst.get(name, 0.0), float(np.abs(whole - blocks).max()))
    text = ", ".join(f"{error:.1e} on {name}" for name, error in worst.items())
    return Figure(f"{text}; {unequal} unequal cuts", met=max(worst.values()) <= 1e-6 and not unequal)


@claim(issue="resample", bar="every length 1 to 5 000 of 72 ratios, the last sample within 1e-6 of the truth", fast=True)
def no_tail_is_lost() -> Figure:
    """An impulse in the last sample comes out whole for every length from 1 to 5 000 and every ratio."""
    wrong, worst = [], 0.0
    for in_rate, out_rate in RATIOS:
        samples = np.zeros(5000, np.float32)
        # What an impulse gives depends only on where the outputs stand beside it, which the ratio's terms repeat.
        down = in_rate // math.gcd(in_rate, out_rate)
        truth = {}
        for length in range(1, 5001):
            samples[length - 1] = 1.0
            found = resample(samples[:length], in_rate=in_rate, out_rate=out_rate)
            samples[length - 1] = 0.0
            phase = (length - 1) % down
            if phase not in truth:
                truth[phase] = _last_of_impulse(phase, in_rate, out_rate)
            expected = truth[phase][-len(found) :]
            error = float(np.abs(found[-len(expected) :] - expected).max())
            worst = max(worst, error)
            if len(found) != -(-length * out_rate // in_rate) or not error <= 1e-6:
                wrong.append(f"{length} at {in_rate}:{out_rate}")
    return Figure(
        f"{len(RATIOS) * 5000 - len(wrong)} of {len(RATIOS) * 5000}, worst {worst:.1e}", not wrong, "; ".join(wrong[:5])
    )


@claim(issue="resample", bar="every length 1 to 5 000 of 3 ratios: equal bits; every 7th of 4 ratios of libsoxr's", fast=True)
def no_stream_loses_a_tail() -> Figure:
    """Two channels in two pieces come out with the bits of one call, whichever the length, the form and what computes it."""
    cases = [
        (rates, latency, 1) for rates in ((44_100, 16_000), (16_000, 48_000), (11_025, 8_000)) for latency in ("block", "low")
    ]
    cases += [(rates, "block", 7) for rates in ((22_000, 16_000), (44_100, 16_001), (48_000, 11_000), (97_000, 96_000))]
    signal = np.random.default_rng(2).uniform(-1, 1, (2, 5000)).astype(np.float32)
    wrong, count = [], 0
    for (in_rate, out_rate), latency, step in cases:
        stream = ResampleStream(in_rate, out_rate, num_channels=2, latency=latency)  # type: ignore[arg-type]
        for length in range(1, 5001, step):
            samples = signal[:, -length:]
            pieces = [stream.push(samples[:, : length // 3]), stream.push(samples[:, length // 3 :]), stream.flush()]
            found = np.concatenate(pieces, axis=1)
            if latency == "block":
                whole = resample(samples, in_rate=in_rate, out_rate=out_rate)
            else:
                whole = np.concatenate([stream.push(samples), stream.flush()], axis=1)
            if found.shape[1] != -(-length * out_rate // in_rate) or not np.array_equal(found, whole):
                wrong.append(f"{length} at {in_rate}:{out_rate}, {latency}")
            count += 1
    return Figure(f"{count - len(wrong)} of {count}", not wrong, "; ".join(wrong[:5]))


@claim(issue="resample", bar=">= 2 times as fast as soxr HQ, for each of 5 ratios at 60 s", fast=False)
def high_is_twice_as_fast_as_soxr_hq() -> Figure:
    """Quality "high" takes at most half of soxr HQ's time for the ratios that speech comes in."""
    return _faster("high", 2.0)


@claim(issue="resample", bar=">= 1.2 times as fast as soxr HQ, for each of 5 ratios at 60 s", fast=False)
def best_is_faster_than_soxr_hq() -> Figure:
    """Quality "best", whose figures are those of soxr HQ, takes at most 1/1.2 of its time."""
    return _faster("best", 1.2)


@claim(issue="resample", bar=">= 1 time as fast, for each of 72 ratios: fast beside MQ, best beside HQ", fast=False)
def no_ratio_is_slower_than_soxr() -> Figure:
    """For no ratio between 8, 11.025, 16, 22.05, 24, 32, 44.1, 48 and 96 kHz is libsoxr faster at equal quality."""
    entries = measured("resampling", "--qualities", "fast", "best", "--seconds", "10", "--rounds", "5")["resampling"]
    slowest = sorted(entries, key=lambda one: float(one["ratio"]["median"]))
    text = f"{len(entries)} races; the narrowest: " + ", ".join(_shown(one) for one in slowest[:4])
    return Figure(text, met=len(entries) == 2 * len(RATIOS) and slowest[0]["ratio"]["median"] >= 1)


@claim(issue="resample", bar="faster than mixing to float32 and resampling one after the other", fast=False)
def pcm16_in_one_pass_pays() -> Figure:
    """16-bit stereo becomes 16 kHz mono in one pass, with the same bits, in less time than in two."""
    found = measured("resampling", "--ratios", NAMED[0], "--qualities", "high", "--pcm16", "--rounds", "7")["pcm16"]
    text = f"{found['ratio']['median']:.2f} times ({found['ours']['median'] * 1e3:.2f} ms for 60 s at 44.1 kHz)"
    return Figure(text, met=found["ratio"]["median"] > 1)


def _last_of_impulse(phase: int, in_rate: int, out_rate: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The last 20 outputs when the last sample, number `phase` of its period, is 1 and all others are 0."""
    scale = min(1.0, out_rate / in_rate)
    end = -(-(phase + 1) * out_rate // in_rate)
    times = np.arange(end - 20, end) * in_rate / out_rate - phase
    return scale * kernel(times * scale, "high")


def _gate(level: str) -> Figure:
    told, failed = [], []
    for isa in AVAILABLE:
        for stream in ("stream", "low"):
            with temporary_folder() as folder:
                report = folder / "quality.json"
                names = [f"acceptance.resample_levels:{level}", "--stream", f"acceptance.resample_levels:{level}_{stream}"]
                command: list[str | Path] = [sys.executable, shared() / "golden" / "resample_quality.py", *names]
                command += ["--gate", level, "--json", report]
                ended = run(command, deadline_s=300, cwd=TESTS, environment={VARIABLE: isa}, accept=(0, 1))
                if not report.exists():
                    raise CommandError(f"the measure wrote no report\n{ended.stdout}")
                (rows,) = json.loads(report.read_text("utf-8")).values()
            if ended.returncode:
                failed.append(f"{isa}, {stream}")
            if stream == "stream":
                told.append(f"{isa}: {_worst(rows)}")
    return Figure("; ".join(told), not failed, f"fails: {'; '.join(failed)}" if failed else "")


def _worst(rows: dict[str, dict[str, Any]]) -> str:
    """The worst figures of all ratios."""
    ripple = max(row["ripple_db"] for row in rows.values())
    least = {name: min(row[name] for row in rows.values()) for name in ("stop_1.0_db", "stop_1.1_db", "sinad_db", "sweep_snr_db")}
    return f"ripple {ripple:.4f} dB, " + ", ".join(f"{name.removesuffix('_db')} {value:.0f}" for name, value in least.items())


def _faster(quality: str, bar: float) -> Figure:
    entries = [one for one in _named_ratios() if one["quality"] == quality]
    text = ", ".join(f"{_shown(one)} ({one['ours']['median'] * 1e3:.2f} ms)" for one in entries)
    return Figure(text, met=len(entries) == len(NAMED) and all(one["ratio"]["median"] >= bar for one in entries))


def _shown(entry: dict[str, Any]) -> str:
    return f"{entry['in_rate']}:{entry['out_rate']} {entry['quality']} {entry['ratio']['median']:.2f}"


def _named_ratios() -> list[dict[str, Any]]:
    """The ratios of the claims at 60 s."""
    found: list[dict[str, Any]] = measured("resampling", "--ratios", *NAMED, "--qualities", "high", "best")["resampling"]
    return found
