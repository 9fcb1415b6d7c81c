"""Counts what a stream allocates once it runs: `python -m benchmarks.allocations --out FILE.json`.

A process with a counting malloc (native/malloc_count.c) pushes audio into one stream of each causal front end and pops the rows
into an array that it gives, and looks at three accounts over the same number of pushes: calls of malloc and of mmap, which all of
C ends in; the bytes of arrays, from NumPy's own account; and what tracemalloc says has grown. The interpreter's small objects,
such as the view that `pop` returns, come out of its pools and are not calls of malloc; that they do not pile up is what
tracemalloc shows.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import os
import sys
import tempfile
import tracemalloc
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import native, record
from benchmarks.signals import SAMPLE_RATE, Samples, speech
from phonograph import _memory
from phonograph_nodes import LogMelStream
from phonograph_nodes.features.named import FRONT_ENDS

LENGTHS = (320, 160, 480, 37, 1600, 1, 800)  # samples of a push, over and over
WARM_UP = 200
MOST_ROWS = 32


def chunks(pushes: int) -> list[Samples]:
    """Consecutive pieces of speech, one for each push."""
    lengths = [LENGTHS[number % len(LENGTHS)] for number in range(pushes)]
    samples = speech(sum(lengths) / SAMPLE_RATE)
    return np.split(samples, np.cumsum(lengths)[:-1])


class PushingStream:
    """A stream in its steady state, with an array for what it gives."""

    def __init__(self, frontend: str) -> None:
        self._stream = LogMelStream(frontend)
        self._out = np.empty((MOST_ROWS, self._stream.num_columns), np.float32)
        self.push(chunks(WARM_UP))

    def push(self, pieces: Sequence[Samples]) -> int:
        """Push each, and pop what it gives; returns how many rows that were."""
        rows = 0
        for piece in pieces:
            if self._stream.push(piece):
                rows += len(self._stream.pop(out=self._out))
        return rows


def measure(frontend: str, pushes: int, counter: ctypes.CDLL) -> dict[str, Any]:
    """The three accounts of one front end's stream."""
    stream, pieces = PushingStream(frontend), chunks(pushes)
    gc.collect()
    gc.disable()
    mallocs, mmaps = counter.malloc_calls(), counter.mmap_calls()
    rows = stream.push(pieces)
    mallocs, mmaps = counter.malloc_calls() - mallocs, counter.mmap_calls() - mmaps
    account = _memory.ArrayAccount()
    previous = account.enter()
    try:
        stream.push(pieces)
    finally:
        _memory.leave(previous)
    grown = _growth(stream, pieces)
    gc.enable()
    return {
        "frontend": frontend,
        "pushes": pushes,
        "rows": rows,
        "malloc_calls": mallocs,
        "mmap_calls": mmaps,
        "array_bytes": account.peak_bytes,
        "traced_growth_bytes": grown,
    }


def _growth(stream: PushingStream, pieces: Sequence[Samples]) -> int:
    """Bytes by which what Python holds grows with each pass: a leak does so in every one, two equal numbers that become two
    objects only in one."""
    tracemalloc.start()
    held = array("q", bytes(8 * 4))  # bare numbers, for int objects that a list keeps would count
    for number in range(len(held)):
        stream.push(pieces)
        held[number] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return max(0, min(later - earlier for earlier, later in itertools.pairwise(held)))


def counted(pushes: int) -> list[dict[str, Any]]:
    """The accounts of every causal front end, in a process with the counting malloc.

    Raises:
        RuntimeError: the counter does not count.
    """
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-") as folder:
        library = native.build("malloc_count", Path(folder))
        arguments = ["benchmarks.allocations", "--alone", "--pushes", str(pushes)]
        found: list[dict[str, Any]] = record.in_process(arguments, more={"LD_PRELOAD": str(library)})
    return found


def _alone(pushes: int) -> list[dict[str, Any]]:
    counter = ctypes.CDLL(os.environ["LD_PRELOAD"])
    before = counter.malloc_calls()
    kept = np.empty(100_000)
    if counter.malloc_calls() == before:
        raise RuntimeError(f"an array of {kept.nbytes} bytes was made and no call of malloc counted")
    causal = [name for name, front_end in FRONT_ENDS.items() if front_end.streaming == "causal"]
    return [measure(name, pushes, counter) for name in causal]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.allocations", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pushes", type=int, default=1000, help="pushes that are watched (1000)")
    parser.add_argument("--out", type=Path, default=record.RESULTS / "allocations.json", help="where the figures go")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # in this very process, under the counter
    options = parser.parse_args(arguments)
    if options.alone:
        print(json.dumps(_alone(options.pushes)))
        return 0
    found = counted(options.pushes)
    for entry in found:
        print(", ".join(f"{name} {value}" for name, value in entry.items()))
    record.write(options.out, {"streams": found})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
