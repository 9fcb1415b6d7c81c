"""What a second thread gains, beside what it gains a loop of multiply-adds: `python -m benchmarks.threads --out FILE.json`.

Each thread is kept on a core of its own and makes the same number of calls. Scaling is the calls a second of two threads, from
their common start to the later end, over those of one thread alone, on either core. The loop in registers shows what the machine
has to give in that very round. A round in which another program had a thread's core meanwhile is measured again.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import native, record
from benchmarks.signals import speech
from benchmarks.timing import Spread, repeats_for, seconds_per_call
from phonograph.isa import ISA
from phonograph_nodes import log_mel

FLAGS = {
    "avx512": ("-DLANES=16", "-mavx512f", "-mfma"),
    "avx2": ("-DLANES=8", "-mavx2", "-mfma"),
    "portable": ("-DLANES=4",),
}
TURN_S = 0.02  # of one thread, so that starting threads does not count
MOST_TRIES = 10  # rounds for each that is wanted
PAUSE_S = 0.3  # after a disturbed round, for the other program to come to its end
MOST_WAITED = 0.005  # of a turn, that a thread may have waited for its core
FRONT_END = "whisper"


def fma_loop(isa: str, folder: Path) -> Callable[[int], object]:
    """A loop of so many rounds of eight multiply-adds in registers, compiled for the instruction set; drops the GIL."""
    function = ctypes.CDLL(str(native.build("fma_loop", folder, FLAGS[isa]))).fma_loop
    function.argtypes, function.restype = (ctypes.c_long,), ctypes.c_float
    return function


def wall_s(work: Callable[[], object], cores: Sequence[int]) -> tuple[float, bool]:
    """Seconds from a common start until the work is done once on each of the cores; and whether all had their cores."""
    ready, ended, waited = threading.Barrier(len(cores) + 1), [], []

    def on(core: int) -> None:
        os.sched_setaffinity(threading.get_native_id(), {core})
        ready.wait()
        before = _waited_s()
        work()
        ended.append(time.perf_counter())
        waited.append(_waited_s() - before)

    threads = [threading.Thread(target=on, args=(core,)) for core in cores]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = max(ended) - started
    return seconds, max(waited) <= MOST_WAITED * seconds


def _waited_s() -> float:
    """Seconds for which this thread could have run, and another program had its core; waiting for a lock does not count."""
    return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) * 1e-9


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    """The call, as often as fills a turn."""
    times = range(max(1, round(TURN_S / seconds_per_call(call, repeats_for(call)))))

    def work() -> None:
        for _ in times:
            call()

    return work


def scaling(work: Callable[[], object], cores: tuple[int, int]) -> tuple[float, bool]:
    """Two threads' calls a second over one's, before and after on either core; and whether all had their cores."""
    (first, kept_first), (both, kept_both), (second, kept_second) = (wall_s(work, on) for on in (cores[:1], cores, cores[1:]))
    return (first + second) / both, kept_first and kept_both and kept_second


def undisturbed(sides: Sequence[Callable[[], object]], cores: tuple[int, int], rounds: int) -> list[list[float]]:
    """The sides' scaling in each of so many rounds in which no thread waited for its core.

    Raises:
        SystemExit: the machine is too busy for that.
    """
    found: list[list[float]] = []
    for _ in range(MOST_TRIES * rounds):
        measured = [scaling(side, cores) for side in sides]
        if all(kept for _, kept in measured):
            found.append([gain for gain, _ in measured])
            if len(found) == rounds:
                return found
        else:
            time.sleep(PAUSE_S)
    raise SystemExit(
        f"in {MOST_TRIES * rounds} rounds there were {len(found)} in which no thread waited for its core; "
        f"expected {rounds}; try again when the machine has nothing else to do"
    )


def measure(seconds: float, rounds: int) -> dict[str, Any]:
    """The scaling of log_mel and of the loop in turns, with their ratio round by round.

    Raises:
        SystemExit: there is only one core, or others use it too much.
    """
    cores = sorted(os.sched_getaffinity(0))[-2:]
    if len(cores) < 2:
        raise SystemExit(f"only core {cores[0]} is at hand; two threads need two")
    samples = speech(seconds)
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-") as folder:
        loop = fma_loop(ISA, Path(folder))
        sides = [repeated(lambda: log_mel(samples, frontend=FRONT_END)), repeated(lambda: loop(1_000_000))]
        pairs = undisturbed(sides, (cores[0], cores[1]), rounds)
    ours, loops = zip(*pairs, strict=True)
    return {
        "frontend": FRONT_END,
        "seconds": seconds,
        "rounds": rounds,
        "isa": ISA,
        "scaling": Spread.of(ours).as_json(),
        "loop_scaling": Spread.of(loops).as_json(),
        "share": Spread.of([our / loop for our, loop in pairs]).as_json(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60], help="lengths of the audio (10 60)")
    record.add_options(parser, "threads", rounds=21)
    options = parser.parse_args(arguments)
    entries = [measure(seconds, options.rounds) for seconds in options.seconds]
    for entry in entries:
        gains = ", ".join(f"{name} {entry[name]['median']:.3f}" for name in ("scaling", "loop_scaling", "share"))
        print(f"{entry['seconds']:g} s: {gains} ({entry['share']['lower']:.3f} to {entry['share']['upper']:.3f})")
    record.write(options.out, {"threads": entries})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
