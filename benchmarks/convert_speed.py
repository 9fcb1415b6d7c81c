"""Times conversions of a minute beside copies of as many bytes: `python -m benchmarks.convert_speed --out FILE.json`.

What a copy costs is np.copyto between two arrays, each half as long as what the conversion reads and writes together: so as many
bytes are moved. Every result goes into an array that is there already. Arrays begin where NumPy puts them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.timing import ONE_THREAD, Spread, pin, race, repeats_for, seconds_per_call
from phonograph.isa import ISA
from phonograph_nodes.convert import Layout, convert, mix_to_mono

MINUTES = {"mono 16 kHz": (1, 960_000), "stereo 44.1 kHz": (2, 2_646_000)}  # channels, samples of each
MILLION = 1_000_000
SEED = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """A conversion of a minute: from a format to a format, in a layout or to another one."""

    minute: str
    source: str
    target: str
    layout: Layout | None = None

    @property
    def name(self) -> str:
        turn = {None: "", "planar": ", interleaved to planar", "interleaved": ", planar to interleaved"}[self.layout]
        return f"{self.minute} {self.source} to {self.target}{turn}"


SUBJECTS = (
    *(Subject(minute, *formats) for minute in MINUTES for formats in (("f32", "i16"), ("i16", "f32"))),
    Subject("stereo 44.1 kHz", "f32", "f32", "planar"),
    Subject("stereo 44.1 kHz", "f32", "f32", "interleaved"),
    Subject("stereo 44.1 kHz", "i16", "i16", "planar"),
    Subject("stereo 44.1 kHz", "i16", "i16", "interleaved"),
    Subject("stereo 44.1 kHz", "i16", "f32", "planar"),
    Subject("stereo 44.1 kHz", "f32", "i16", "interleaved"),
)


def noise(sample_format: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Normal noise at -14 dBFS, in some format."""
    values = np.random.default_rng(SEED).standard_normal(shape, np.float32) * np.float32(0.2)
    return convert(values, dtype=sample_format)


def measure(rounds: int) -> dict[str, Any]:
    """Seconds and ratios of each of SUBJECTS; of a stereo minute mixed to mono; seconds of a million samples from i16 to f32."""
    pin()
    entries = [beside_a_copy(subject.name, *prepared(subject), rounds) for subject in SUBJECTS]
    stereo = noise("i16", MINUTES["stereo 44.1 kHz"][::-1])
    mono = np.empty((1, len(stereo)), np.float32)
    mixing: Callable[[], object] = lambda: mix_to_mono(stereo, layout="interleaved", out=mono)  # noqa: E731
    mix = beside_a_copy("stereo 44.1 kHz i16 interleaved to mono f32", mixing, stereo.nbytes + mono.nbytes, rounds)
    return {"isa": ISA, "rounds": rounds, "minute": entries, "mix": mix, "million": million(rounds)}


def prepared(subject: Subject) -> tuple[Callable[[], object], int]:
    """The call, after its answer has been checked, and how many bytes it reads and writes."""
    num_channels, num_samples = MINUTES[subject.minute]
    planar = noise(subject.source, (num_channels, num_samples))
    samples = np.ascontiguousarray(planar.T) if subject.layout == "planar" else planar
    expected = convert(planar, dtype=subject.target)
    expected = np.ascontiguousarray(expected.T) if subject.layout == "interleaved" else expected
    out = np.zeros_like(expected)

    def call() -> object:
        return convert(samples, dtype=subject.target, layout=subject.layout, out=out)

    call()
    assert np.array_equal(out, expected), f"{subject.name}: another answer than by way of NumPy"
    return call, samples.nbytes + out.nbytes


def beside_a_copy(name: str, call: Callable[[], object], num_bytes: int, rounds: int) -> dict[str, Any]:
    """A call raced against a copy that moves as many bytes."""
    half = np.ones(num_bytes // 2, np.uint8)
    copy = np.zeros_like(half)
    found = race(call, lambda: np.copyto(copy, half), rounds=rounds)
    return {
        "name": name,
        "bytes": num_bytes,
        "seconds_per_call": found.ours.as_json(),
        "copy_s": found.theirs.as_json(),
        "ratio": found.ratio.as_json(),
    }


def million(rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of a million samples from i16 to f32, from Python, into a given array and into a new one."""
    samples, out = noise("i16", (MILLION,)), np.zeros(MILLION, np.float32)
    calls: dict[str, Callable[[], object]] = {
        "given array": lambda: convert(samples, dtype="f32", out=out),
        "new array": lambda: convert(samples, dtype="f32"),
    }
    return {
        name: Spread.of([seconds_per_call(call, repeats_for(call)) for _ in range(rounds)]).as_json()
        for name, call in calls.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert_speed", description=(__doc__ or "").partition("\n")[0])
    record.add_options(parser, "convert_speed", rounds=31)
    options = parser.parse_args(arguments)
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        module = [sys.executable, "-m", "benchmarks.convert_speed"]
        os.execve(sys.executable, [*module, *(arguments or sys.argv[1:])], record.environment())
    found = measure(options.rounds)
    for entry in (*found["minute"], found["mix"]):
        print(f"{entry['name']:60} {entry['seconds_per_call']['median'] * 1e6:6.0f} us, copy / ours {json.dumps(entry['ratio'])}")
    print({name: f"{spread['median'] * 1e6:.1f} us" for name, spread in found["million"].items()})
    record.write(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
