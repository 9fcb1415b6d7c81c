"""Claims about how fast audio is read: beside what it is made of, beside peers, in threads, and the first time.

Figures are ratios within one run; `benchmarks/audio_speed.py` says how they are measured: in processor time on one core, but for
threads, where the wall counts. Times are ours over the other's, as the bars are: lower is better.
"""

from __future__ import annotations

from typing import Any

from acceptance.claims import Figure, claim
from acceptance.measured import measured, needs_bench

PEERS = ("soundfile", "librosa", "asrfront", "miniaudio")
COMPRESSED = ("mp3", "flac", "opus", "vorbis", "m4a")


@claim(issue="audio-in", bar="each <= 1.15 x (PyAV decoding alone + resample)", fast=False)
@needs_bench(*PEERS)
def compressed_audio_costs_its_decoding() -> Figure:
    """MP3, FLAC, Opus, Vorbis and M4A to 16 kHz mono float32 take little more than PyAV's decoding alone and our resampling."""
    times = {one["format"]: 1 / one["ratio"]["median"] for one in _measured("made-of") if one["format"] in COMPRESSED}
    slow = [name for name, over in times.items() if over > 1.15]
    text = ", ".join(f"{name} {over:.3f}" for name, over in times.items())
    return Figure(text, len(times) == len(COMPRESSED) and not slow, f"above the bar: {', '.join(slow)}" if slow else "")


@claim(issue="audio-in", bar="<= 1.2 x resample alone", fast=False)
@needs_bench(*PEERS)
def wav_costs_its_resampling() -> Figure:
    """16-bit WAV to 16 kHz mono float32 takes little more than resampling what is in memory already."""
    found = [one for one in _measured("made-of") if one["format"] not in COMPRESSED]
    times = {(one["format"], one["beside"]): 1 / one["ratio"]["median"] for one in found}
    files = {beside: over for (name, beside), over in times.items() if name == "wav" and not beside.endswith("in memory")}
    slow = [beside for beside, over in files.items() if over > 1.2]
    text = "; ".join(f"{name} beside {beside} {over:.2f}" for (name, beside), over in times.items())
    cause = f"above the bar beside {', '.join(slow)}; the system's copy of the file's bytes is a fifth of a resampling by itself"
    return Figure(text, len(files) == 3 and not slow, cause if slow else "")


@claim(issue="audio-in", bar="<= 1 x the time of each peer, for each format that it reads; the answers agree", fast=False)
@needs_bench(*PEERS)
def no_peer_is_faster_to_16_khz_mono() -> Figure:
    """To 16 kHz mono float32, no format that soundfile, librosa, asrfront or miniaudio read takes longer here."""
    return _beside_peers([one for one in _measured("peers") if not one["peer"].endswith("as stored")])


@claim(issue="audio-in", bar="<= 1 x the time of each peer, for each format that it reads; the answers agree", fast=False)
@needs_bench(*PEERS)
def no_peer_is_faster_as_stored() -> Figure:
    """At the file's own rate and channels, which soundfile and miniaudio give best, no format takes longer here."""
    return _beside_peers([one for one in _measured("peers") if one["peer"].endswith("as stored")])


@claim(issue="audio-in", bar=">= 0.95 of the two-thread scaling of the decoders alone", fast=False)
@needs_bench(*PEERS)
def batches_scale_as_decoders() -> Figure:
    """batch_decode of 200 mixed files gains as much from a second thread as PyAV's decoding alone."""
    (found,) = _measured("batch")
    text = f"share {_spread(found['share'])}: {found['scaling']['median']:.2f}, the decoders {found['decoders']['median']:.2f}"
    return Figure(text, found["share"]["median"] >= 0.95, _busy(found))


@claim(issue="audio-in", bar=">= 3 x as fast", fast=False)
@needs_bench(*PEERS)
def batches_are_faster_than_librosa_in_a_loop() -> Figure:
    """batch_decode with 2 threads is three times as fast as librosa.load in a loop, over the mixed files that librosa reads."""
    (found,) = _measured("batch")
    times = found["librosa_processor_time"]["median"]
    text = f"{_spread(found['librosa'])} over {found['librosa_files']} files; in processor time {times:.2f}"
    return Figure(text, found["librosa"]["median"] >= 3, _busy(found))


@claim(issue="audio-in", bar="each <= 1.5 x (import av + decode)", fast=False)
@needs_bench(*PEERS)
def the_first_load_of_a_process_is_quick() -> Figure:
    """The first load() of a fresh process takes at most half as long again as importing PyAV and decoding to an array with it."""
    found = _measured("first")
    text = "; ".join(
        f"{one['format']} {one['seconds']:g} s, {one['side']} {one['ratio']['median']:.2f} of {one['theirs_ms']} ms"
        for one in found
    )
    return Figure(text, bool(found) and all(one["ratio"]["median"] <= 1.5 for one in found))


def _beside_peers(entries: list[dict[str, Any]]) -> Figure:
    times = {f"{one['format']} beside {one['peer']}": 1 / one["ratio"]["median"] for one in entries}
    slow = [f"{name} {over:.2f}" for name, over in times.items() if over > 1]
    unequal = [f"{one['format']} of {one['peer']}: r = {one['correlation']}" for one in entries if not one["agree"]]
    slowest = sorted(times.items(), key=lambda one: -one[1])[:4]
    text = f"{len(entries)} races; the slowest: " + ", ".join(f"{name} {over:.2f}" for name, over in slowest)
    causes = ["slower: " + ", ".join(slow)] * bool(slow) + ["answers differ: " + ", ".join(unequal)] * bool(unequal)
    return Figure(text, bool(entries) and not causes, "; ".join(causes))


def _busy(found: dict[str, Any]) -> str:
    return "" if found["quiet"] else f"other programs had {found['others']['median']:.0%} of a core meanwhile"


def _spread(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['lower']:.2f} - {found['upper']:.2f})"


def _measured(part: str) -> list[dict[str, Any]]:
    """What `benchmarks.audio_speed` stores of a part."""
    found: list[dict[str, Any]] = measured("audio_speed", part, one_thread=True)["entries"]
    return found
