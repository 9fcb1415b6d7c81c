"""Claims about how fast log-mel features are: beside peers, in real time, from Python, with other instruction sets, on two cores.

All are ratios within one run, or times of a whole call from Python, medians on one core with one thread, in processor time (but
for two threads, where the wall counts); how they are measured is written in `benchmarks/`. Bars are for a machine with AVX-512.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acceptance.claims import Figure, claim
from acceptance.measured import measured, needs_bench

PEERS = ("asrfront", "kaldi-native-fbank", "librosa", "scipy", "transformers")
LENGTHS = (10, 30, 60)  # seconds of audio
BEST = "avx512"
REAL_TIME = 40_000
QUIET = 1.8  # what two threads gain a loop in registers, at least, on a machine that does nothing else


@claim(issue="logmel", bar=">= 2.3 times as fast at 10, 30 and 60 s", fast=False)
@needs_bench(*PEERS)
def whisper_is_faster_than_asrfront() -> Figure:
    """Whisper's 80 mel bins take less than half the time of asrfront, in the peer's layout."""
    return _faster_than("asrfront", 2.3)


@claim(issue="logmel", bar=">= 10 times as fast at 10, 30 and 60 s", fast=False)
@needs_bench(*PEERS)
def whisper_is_faster_than_librosa() -> Figure:
    """Whisper's 80 mel bins take a tenth of the time of librosa's mel spectrogram with the logarithm on top."""
    return _faster_than("librosa", 10)


@claim(issue="logmel", bar=">= 70 times as fast at 10, 30 and 60 s", fast=False)
@needs_bench(*PEERS)
def kaldi_is_faster_than_kaldi_native_fbank() -> Figure:
    """Kaldi's filter banks take a seventieth of the time of kaldi-native-fbank, called from Python as it documents."""
    figure = _faster_than("kaldi-native-fbank", 70)
    arithmetic = _shown(_beside("kaldi-native-fbank-arithmetic"))
    return Figure(f"{figure.text}; of its arithmetic alone, without its conversions: {arithmetic}", figure.met, figure.cause)


@claim(issue="logmel", bar=">= 20 times as fast at 10, 30 and 60 s", fast=False)
@needs_bench(*PEERS)
def w2v_bert_is_faster_than_transformers() -> Figure:
    """The features of w2v-BERT 2.0 take a twentieth of the time of transformers' extractor."""
    return _faster_than("transformers-w2v-bert", 20)


@claim(issue="logmel", bar=">= 1 times as fast at 10, 30 and 60 s", fast=False)
@needs_bench(*PEERS)
def portable_kernels_are_no_slower_than_librosa() -> Figure:
    """Without any vector extension that the processor must have, Whisper's features take no longer than librosa's."""
    return _faster_than("librosa", 1, isa="portable")


@claim(issue="logmel", bar="each >= 40 000 times real time at 60 s", fast=False)
def every_front_end_is_40_000_times_real_time() -> Figure:
    """Every named 16 kHz front end computes a minute of audio in 1.5 ms, on one core, validation and result array included."""
    found = {entry["name"]: 60 / entry["seconds_per_call"][BEST]["median"] for entry in _front_ends() if entry["seconds"] == 60}
    slow = [name for name, times in found.items() if times < REAL_TIME]
    text = ", ".join(f"{name} {times:,.0f}" for name, times in sorted(found.items(), key=lambda one: one[1]))
    return Figure(text, met=bool(found) and not slow, cause=f"below the bar: {'; '.join(slow)}" if slow else "")


@claim(issue="logmel", bar="each <= 30 us", fast=False)
def a_second_of_audio_costs_30_microseconds() -> Figure:
    """Calling log_mel from Python on 1 s of audio, validation included, costs 30 us for every named 16 kHz front end."""
    found = {entry["name"]: entry["seconds_per_call"][BEST]["median"] * 1e6 for entry in _front_ends() if entry["seconds"] == 1}
    slow = [name for name, microseconds in found.items() if microseconds > 30]
    text = ", ".join(f"{name} {microseconds:.1f}" for name, microseconds in sorted(found.items(), key=lambda one: -one[1]))
    return Figure(f"us: {text}", met=bool(found) and not slow, cause=f"above the bar: {'; '.join(slow)}" if slow else "")


@claim(issue="logmel", bar="the same answers; the ratio is reported", fast=False)
def avx2_is_reported_beside_avx512() -> Figure:
    """With AVX2 forced every front end gives the same features, and the time it takes then is known."""
    found = [entry for entry in _front_ends() if entry["seconds"] == 60]
    text = ", ".join(f"{entry['name']} {entry['slower']['avx2']['median']:.2f}" for entry in found)
    deviation = max(entry["deviation"] for entry in found)
    return Figure(f"AVX2's time over AVX-512's: {text}; answers within {deviation:.1e}", met=bool(found))


@claim(issue="logmel", bar=">= 0.95 of the loop's scaling, at 10 and 60 s", fast=False)
def two_threads_scale_as_a_loop_in_registers() -> Figure:
    """Two threads gain as much for log_mel as for a loop of multiply-adds that touches no memory, in the same run."""
    found = measured("threads", "--seconds", "10", "60")["threads"]
    text = "; ".join(
        f"{entry['seconds']:g} s: {entry['scaling']['median']:.3f}, the loop {entry['loop_scaling']['median']:.3f}, "
        f"share {_spread(entry['share'])}"
        for entry in found
    )
    busy = min(entry["loop_scaling"]["median"] for entry in found) < QUIET
    cause = "other work held a core: not even the loop gained a whole one" if busy else ""
    return Figure(text, all(entry["share"]["median"] >= 0.95 for entry in found), cause)


@claim(issue="logmel", bar="no malloc or mmap, 0 bytes of arrays, 0 bytes left, in 1 000 pushes of each", fast=True)
def a_running_stream_allocates_nothing() -> Figure:
    """A running stream of each causal front end, its rows popped into a given array, gets no memory and keeps none."""
    found = measured("allocations", "--pushes", "1000")["streams"]
    text = "; ".join(
        f"{entry['frontend']} ({entry['rows']} rows): malloc {entry['malloc_calls']}, mmap {entry['mmap_calls']}, "
        f"arrays {entry['array_bytes']} B, left {entry['traced_growth_bytes']} B"
        for entry in found
    )
    kept = ("malloc_calls", "mmap_calls", "array_bytes", "traced_growth_bytes")
    met = bool(found) and all(entry["rows"] > 0 and not any(entry[name] for name in kept) for entry in found)
    return Figure(text, met)


def _faster_than(comparison: str, bar: float, *, isa: str = BEST) -> Figure:
    entries = _beside(comparison, isa=isa)
    return Figure(_shown(entries), met=len(entries) == len(LENGTHS) and all(one["ratio"]["median"] >= bar for one in entries))


def _beside(comparison: str, *, isa: str = BEST) -> list[dict[str, Any]]:
    """One comparison's figures, an entry for each length; their answers have been found equal."""
    lengths = [str(seconds) for seconds in LENGTHS]
    found = measured("peers.compare", "--only", comparison, "--isa", isa, "--seconds", *lengths)
    entries: list[dict[str, Any]] = found["comparisons"][0]["lengths"]
    return entries


def _front_ends() -> Sequence[dict[str, Any]]:
    """Every named 16 kHz front end at 1 s and 60 s, with AVX-512 and AVX2."""
    found = measured("front_ends", "--isa", BEST, "avx2", "--rounds", "31", "--seconds", "1", "60")
    entries: list[dict[str, Any]] = found["front_ends"]
    return entries


def _shown(entries: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{one['seconds']:g} s {_spread(one['ratio'])}" for one in entries)


def _spread(spread: dict[str, float]) -> str:
    return f"{spread['median']:.3g} ({spread['lower']:.3g} - {spread['upper']:.3g})"
