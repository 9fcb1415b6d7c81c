"""Times decoding beside what it is made of, and beside peers: `python -m benchmarks.audio_speed PART --out FILE.json`.

All of it is speech of 30 s, stereo at 44.1 kHz (48 kHz for Opus), written by our own sinks where there is one. Each race has
both sides called from Python as their users call them, on one core, in turns; ratios are taken within a round. PART is one of

- `made-of`: `load` to 16 kHz mono float32 beside PyAV decoding the file, frames thrown away, plus `resample` of one channel; WAV
  beside `resample` alone.
- `peers`: beside soundfile, librosa, asrfront and miniaudio, where they read the format. soundfile and miniaudio give a file's
  own rate and channels best, and are raced for that; all are raced for 16 kHz mono too. Lengths and answers are compared first:
  a peer may leave an encoder's delay in, so the answers are laid over each other where they agree best.
- `batch`: what a second thread gains `batch_decode` beside what it gains PyAV's decoding, and `librosa.load` in a loop, over 200
  files. On the wall.
- `first`: the first `load` of a process beside importing PyAV and decoding with it to an array, each in fresh processes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import record
from benchmarks.audio_files import COMPRESSED, PCM, Audio, make, mixed, rate_of, stereo
from benchmarks.audio_readers import as_stored, compared, decode_only, mono_16k, peers
from benchmarks.signals import SAMPLE_RATE
from benchmarks.timing import Race, Spread, pin, race
from phonograph_nodes import resample, resample_pcm16
from phonograph_nodes.audio import batch_decode, load

SECONDS = 30.0
MOST_OTHERS = 0.1  # of a core, that other programs may have had in a turn on the wall
MOST_TRIES = 3  # rounds on the wall for each that is wanted


def made_of(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Ours over decoding and resampling, format by format."""
    entries = []
    for name in (*COMPRESSED, *PCM):
        path = make(folder, name, stereo(SECONDS, rate_of(name)), rate_of(name))
        mono, rate = load(path, sr=None)
        one = np.ascontiguousarray(mono, np.float32)
        is_pcm = name in PCM

        def parts(path: Path = path, one: Audio = one, rate: int = rate, is_pcm: bool = is_pcm) -> None:
            if not is_pcm:
                decode_only(path)
            resample(one, in_rate=rate, out_rate=SAMPLE_RATE)

        answer = mono_16k(path)
        if not np.allclose(answer, resample(one, in_rate=rate, out_rate=SAMPLE_RATE), atol=1e-6):
            raise SystemExit(f"{name}: `load` and `resample` of what it decodes differ; nothing is timed")
        found = race(partial(mono_16k, path), parts, rounds=rounds)
        entries.append({"format": name, "beside": "resample" if is_pcm else "PyAV decoding + resample", **_times(found)})
    return entries + _made_of_wav(folder, rounds)


def _made_of_wav(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """16-bit WAV beside `resample` of its own pairs, which are mixed on the way, and of a file that has one channel."""
    channels = stereo(SECONDS, 44_100)
    path, mono = make(folder, "wav", channels, 44_100), make(folder, "wav", channels[:1], 44_100, "mono")
    content = path.read_bytes()
    pairs = np.ascontiguousarray(np.rint(as_stored(path).T * 32768).astype(np.int16))
    one = as_stored(mono)[0]

    def alone() -> Audio:
        return resample_pcm16(pairs, in_rate=44_100, out_rate=SAMPLE_RATE)

    sides: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("resample_pcm16 of its pairs", lambda: mono_16k(path), alone),
        ("resample_pcm16 of its pairs, the file in memory", lambda: load(content, sr=SAMPLE_RATE), alone),
        (
            "resample, of a mono file",
            lambda: mono_16k(mono),
            lambda: resample(one, in_rate=44_100, out_rate=SAMPLE_RATE),
        ),
    ]
    return [{"format": "wav", "beside": beside, **_times(race(ours, theirs, rounds=rounds))} for beside, ours, theirs in sides]


def beside_peers(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Ours beside each peer, format by format."""
    entries = []
    for name in (*PCM, *COMPRESSED):
        path = make(folder, name, stereo(SECONDS, rate_of(name)), rate_of(name))
        for peer in peers():
            if name not in peer.reads:
                continue
            entry: dict[str, Any] = {"format": name, "peer": peer.name, "how": peer.how}
            entry |= compared(np.atleast_2d(peer.ours(path)), peer.fetched(peer.call(path)))
            found = race(partial(peer.ours, path), partial(peer.call, path), rounds=rounds)
            entries.append(entry | _times(found))
    return entries


def batch(folder: Path, rounds: int, num_files: int = 200) -> list[dict[str, Any]]:
    """Two threads over one, ours beside PyAV's; and librosa's loop over ours with two."""
    paths = list(mixed(folder, num_files))
    librosa_load = importlib.import_module("librosa").load
    readable = [path for path in paths if path.suffix != ".m4a"]  # librosa reads no AAC

    def ours(workers: int, sources: Sequence[Path] = paths) -> None:
        failed = [result.error for result in batch_decode(sources, workers=workers, sr=SAMPLE_RATE) if result.error]
        if failed:
            raise SystemExit(f"batch_decode: {failed[0]}")

    def decoders(workers: int) -> None:
        with ThreadPoolExecutor(workers) as pool:
            sum(pool.map(decode_only, paths))

    def loop() -> None:
        for path in readable:
            librosa_load(path, sr=SAMPLE_RATE)

    turns: dict[str, Callable[[], None]] = {
        "ours_2": lambda: ours(2),
        "decoders_2": lambda: decoders(2),
        "ours_1": lambda: ours(1),
        "decoders_1": lambda: decoders(1),
        "librosa": loop,
        "ours_for_librosa": lambda: ours(2, readable),
    }
    for name in ("librosa", "ours_2", "decoders_2"):  # what is imported and compiled at the first call
        turns[name]()
    quiet: list[dict[str, Clocks]] = []
    busy: list[dict[str, Clocks]] = []
    while len(quiet) < rounds and len(quiet) + len(busy) < MOST_TRIES * rounds:
        found = {name: clocks(turn) for name, turn in turns.items()}
        (busy if any(one.others > MOST_OTHERS for one in found.values()) else quiet).append(found)
    is_quiet = len(quiet) == rounds
    chosen = quiet if is_quiet else sorted(busy + quiet, key=lambda one: max(clock.others for clock in one.values()))[:rounds]
    scaling, theirs = ([one[f"{name}_1"].wall_s / one[f"{name}_2"].wall_s for one in chosen] for name in ("ours", "decoders"))
    figures = {
        "scaling": scaling,
        "decoders": theirs,
        "share": [our / their for our, their in zip(scaling, theirs, strict=True)],
        "librosa": [one["librosa"].wall_s / one["ours_for_librosa"].wall_s for one in chosen],
        "librosa_processor_time": [one["librosa"].processor_s / one["ours_for_librosa"].processor_s for one in chosen],
        "two_threads_s": [one["ours_2"].wall_s for one in chosen],
        "others": [max(clock.others for clock in one.values()) for one in chosen],
    }
    spreads = {name: Spread.of(values).as_json() for name, values in figures.items()}
    return [{"files": len(paths), "librosa_files": len(readable), "quiet": is_quiet, **spreads}]


class Clocks(NamedTuple):
    """What a turn took, and how much of a core other programs had meanwhile."""

    wall_s: float
    processor_s: float
    others: float


def clocks(turn: Callable[[], None]) -> Clocks:
    """Run a turn."""
    began, busy, own = time.perf_counter(), _busy_s(), time.process_time()
    turn()
    wall_s, busy_s, own_s = time.perf_counter() - began, _busy_s() - busy, time.process_time() - own
    return Clocks(wall_s, own_s, max(busy_s - own_s, 0.0) / wall_s)


def _busy_s() -> float:
    """Seconds for which the machine's cores have worked, for whatever program; those of a hypervisor count too."""
    numbers = [int(one) for one in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = numbers[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


FIRST = {
    "PyAV": """
import av, numpy as np
with av.open(path) as container:
    np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
""",
    "load, as stored": """
from phonograph_nodes.audio import load
load(path, sr=None, mono=False)
""",
    "load, 16 kHz mono": """
from phonograph_nodes.audio import load
load(path, sr=16000)
""",
}
_TIMED = "import sys, time\npath = sys.argv[1]\nbegan = time.process_time()\n{}\nprint(time.process_time() - began)\n"


def first(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Seconds of processor time from the first import to the samples, in fresh processes, in turns."""
    entries = []
    for name, seconds in (("mp3", 3.0), ("mp3", SECONDS), ("flac", SECONDS), ("wav", SECONDS)):
        rate = rate_of(name)
        path = make(folder, name, stereo(seconds, rate), rate, f"first-{seconds:g}")
        times: dict[str, list[float]] = {side: [] for side in FIRST}
        for _ in range(rounds + 1):
            for side, code in FIRST.items():
                command = [sys.executable, "-c", _TIMED.format(code), str(path)]
                ended = subprocess.run(command, env=record.environment(), capture_output=True, text=True, check=True)
                times[side].append(float(ended.stdout))
        baseline = times.pop("PyAV")[1:]  # the first turn of each fills the page cache
        for side, taken in times.items():
            ratio = Spread.of([one / other for one, other in zip(taken[1:], baseline, strict=True)])
            entries.append({
                "format": name, "seconds": seconds, "side": side, "ratio": ratio.as_json(),
                "ours_ms": round(statistics.median(taken[1:]) * 1e3, 1), "theirs_ms": round(statistics.median(baseline) * 1e3, 1),
            })  # fmt: skip
    return entries


def _times(found: Race) -> dict[str, Any]:
    """`ratio`: theirs / ours, above 1 ours is faster."""
    return {"ours": found.ours.as_json(), "theirs": found.theirs.as_json(), "ratio": found.ratio.as_json()}


PARTS = {"made-of": made_of, "peers": beside_peers, "batch": batch, "first": first}
ROUNDS = {"made-of": 11, "peers": 7, "batch": 3, "first": 7}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audio_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    record.add_options(parser, "audio_speed", rounds=0)
    options = parser.parse_args(arguments)
    rounds = options.rounds or ROUNDS[options.part]
    if options.part != "batch":
        pin()
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-") as folder:
        entries = PARTS[options.part](Path(folder), rounds)
    for entry in entries:
        print({key: value["median"] if isinstance(value, dict) else value for key, value in entry.items()}, flush=True)
    record.write(options.out, {"part": options.part, "rounds": rounds, "cores": len(os.sched_getaffinity(0)), "entries": entries})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
