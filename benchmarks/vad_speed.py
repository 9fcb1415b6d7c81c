"""Times the energy VAD beside reading its samples, and a push of 30 ms: `python -m benchmarks.vad_speed --out FILE.json`.

What a read costs is np.dot(x, x) of the same array, with one thread. Arrays begin at a multiple of 64 bytes, where reading is
fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.signals import SAMPLE_RATE, Samples, speech
from benchmarks.timing import ONE_THREAD, Spread, pin, race, repeats_for, seconds_per_call
from phonograph.isa import ISA
from phonograph_nodes import EnergyVadStream, energy_vad

MINUTE_S = 60
PIECE = SAMPLE_RATE * 30 // 1000

SETTINGS: Mapping[str, Mapping[str, float]] = {
    "smoothed": {"min_silence_ms": 200, "min_speech_ms": 90},  # as the shipped manifests have it
    "margin": {"margin_db": 6, "min_silence_ms": 200, "min_speech_ms": 90},
    "plain": {},
    "no speech": {"threshold": 1.0},
}


def aligned(samples: Samples) -> Samples:
    """A copy that begins at a multiple of 64 bytes."""
    memory = np.empty(len(samples) + 16, np.float32)
    first = -memory.ctypes.data % 64 // 4
    copy = memory[first : first + len(samples)]
    copy[:] = samples
    return copy


def measure(rounds: int) -> dict[str, Any]:
    """Seconds and ratios of a minute for each of SETTINGS, and seconds of a push."""
    pin()
    minute = aligned(speech(MINUTE_S))
    entries = []
    for name, parameters in SETTINGS.items():
        found = race(lambda chosen=parameters: energy_vad(minute, **chosen), lambda: np.dot(minute, minute), rounds=rounds)  # type: ignore[misc]
        entries.append(
            {
                "name": name,
                "parameters": dict(parameters),
                "segments": len(energy_vad(minute, **parameters).segments),  # type: ignore[arg-type]
                "seconds_per_call": found.ours.as_json(),
                "read_s": found.theirs.as_json(),
                "ratio": found.ratio.as_json(),
            }
        )
    return {"isa": ISA, "rounds": rounds, "minute": entries, "push": pushes(minute, rounds)}


def pushes(samples: Samples, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds a push of 30 ms, from Python, result included."""
    pieces = [samples[first : first + PIECE] for first in range(0, len(samples), PIECE)]
    found = {}
    for name in ("plain", "margin"):
        stream = EnergyVadStream(**SETTINGS[name])  # type: ignore[arg-type]

        def push_all(stream: EnergyVadStream = stream) -> None:
            for piece in pieces:
                stream.push(piece)

        repeats = repeats_for(push_all)
        found[name] = Spread.of([seconds_per_call(push_all, repeats) / len(pieces) for _ in range(rounds)]).as_json()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vad_speed", description=(__doc__ or "").partition("\n")[0])
    record.add_options(parser, "vad_speed", rounds=31)
    options = parser.parse_args(arguments)
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.vad_speed", *(arguments or sys.argv[1:])], record.environment()
        )
    found = measure(options.rounds)
    for entry in found["minute"]:
        print(f"{entry['name']:10} {entry['segments']:4} segments, read / ours {json.dumps(entry['ratio'])}")
    print({name: f"{spread['median'] * 1e6:.2f} us a push" for name, spread in found["push"].items()})
    record.write(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
