"""Times every named 16 kHz front end, for each instruction set: `python -m benchmarks.front_ends --out FILE.json`.

The instruction set of the kernels is chosen when they are imported, so each has a process of its own. All of them are kept on the
same core and take turns; their answers are compared before any is timed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks import CHECKOUT, record
from benchmarks.peers.comparison import UnequalAnswersError
from benchmarks.signals import SAMPLE_RATE, Features, speech
from benchmarks.timing import Spread, judged, pin, repeats_for, seconds_per_call
from phonograph.isa import AVAILABLE, ISA
from phonograph_nodes import log_mel
from phonograph_nodes.features.named import FRONT_ENDS

MORE_BINS: Mapping[str, int] = {"whisper": 128, "nemo": 128}
TOLERANCE = 1e-2  # between instruction sets, in the unit of the features: a wrong result is far off, each one's parity is tested


def names() -> list[str]:
    """The named 16 kHz front ends; "whisper, 128 bins" where a name has a second number of bins."""
    found = []
    for name, front_end in FRONT_ENDS.items():
        if front_end.sample_rate == SAMPLE_RATE:
            found.append(name)
            if name in MORE_BINS:
                found.append(f"{name}, {MORE_BINS[name]} bins")
    return found


def caller(name: str, seconds: float) -> Callable[[], Features]:
    """The public function on that much speech, as a user calls it."""
    frontend, _, bins = name.partition(", ")
    num_mel_bins = int(bins.split()[0]) if bins else None
    samples = speech(seconds)
    return lambda: log_mel(samples, frontend=frontend, n_mels=num_mel_bins)


class Runner:
    """A process that computes with one instruction set, and does what it is asked for only."""

    def __init__(self, isa: str, scope: ExitStack) -> None:
        self.isa = isa
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.front_ends", "--serve"],
            cwd=CHECKOUT,
            env=record.environment(isa),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        scope.callback(self._end)

    def ask(self, **request: Any) -> Any:
        """One request, one answer. Raises RuntimeError when the process has died."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        asked.write(json.dumps(request) + "\n")
        asked.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError(f"the process for {self.isa} ended with status {self._process.wait()}; it says why above")
        return json.loads(answer)

    def _end(self) -> None:
        self._process.communicate()


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more: name and seconds, and either where to store the features or how often to call."""
    core = pin()
    calls: dict[tuple[str, float], tuple[Callable[[], Features], int]] = {}
    for line in requests:
        request = json.loads(line)
        answer: Any = {"isa": ISA, "core": core}
        if request:
            wanted = request["name"], request["seconds"]
            if "store" in request:
                call = caller(*wanted)
                np.save(request["store"], call())
                calls[wanted] = call, repeats_for(call)
            else:
                answer = seconds_per_call(*calls[wanted])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def measure(isas: Sequence[str], chosen: Sequence[str], lengths: Sequence[float], rounds: int) -> list[dict[str, Any]]:
    """Time front ends with each instruction set in turns; entries of name, seconds, and figures by instruction set.

    Raises:
        UnequalAnswersError: the instruction sets do not compute the same.
    """
    entries = []
    with ExitStack() as scope:
        folder = Path(scope.enter_context(tempfile.TemporaryDirectory(prefix="phonograph-bench-")))
        runners = [Runner(isa, scope) for isa in isas]
        for runner in runners:
            if (found := runner.ask()["isa"]) != runner.isa:
                raise RuntimeError(f"asked for the kernels of {runner.isa}, got those of {found}")
        for name in chosen:
            for seconds in lengths:
                deviation = _deviation(runners, name, seconds, folder)
                times: dict[str, list[float]] = {runner.isa: [] for runner in runners}
                for number in range(rounds):
                    for runner in runners if number % 2 == 0 else reversed(runners):
                        times[runner.isa].append(runner.ask(name=name, seconds=seconds))
                entries.append({"name": name, "seconds": seconds, "deviation": deviation, **_figures(times, isas[0])})
    return entries


def _deviation(runners: Sequence[Runner], name: str, seconds: float, folder: Path) -> float:
    """How far the other instruction sets' features are from the first one's, at most."""
    answers = []
    for runner in runners:
        path = folder / f"{runner.isa}.npy"
        runner.ask(name=name, seconds=seconds, store=str(path))
        answers.append(np.load(path))
    first = answers[0]
    if not first.size or not np.isfinite(first).all():
        raise UnequalAnswersError(f"{name}, {seconds:g} s: no features, or some that are not finite, in shape {first.shape}")
    if any(other.shape != first.shape for other in answers):
        shapes = ", ".join(f"{runner.isa} {answer.shape}" for runner, answer in zip(runners, answers, strict=True))
        raise UnequalAnswersError(f"{name}, {seconds:g} s: shapes differ: {shapes}")
    largest = max((float(np.abs(other - first).max()) for other in answers[1:]), default=0.0)
    if not largest <= TOLERANCE:
        raise UnequalAnswersError(f"{name}, {seconds:g} s: answers deviate by {largest:.3g}; expected at most {TOLERANCE:g}")
    return float(f"{largest:.3g}")


def _figures(times: Mapping[str, Sequence[float]], first: str) -> dict[str, Any]:
    """Seconds a call by instruction set; and, for each after the first, its time over the first one's, round by round."""
    return {
        "seconds_per_call": {isa: Spread.of(values).as_json() for isa, values in times.items()},
        "slower": {isa: judged(times[first], values).ratio.as_json() for isa, values in times.items() if isa != first},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.front_ends", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 60], help="lengths of the audio (1 60)")
    parser.add_argument("--isa", nargs="+", choices=AVAILABLE, default=list(AVAILABLE), help="instruction sets (all)")
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), help="only these front ends")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    record.add_options(parser, "front_ends", rounds=15)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(sys.stdin, sys.stdout)
        return 0
    try:
        entries = measure(options.isa, options.only, options.seconds, options.rounds)
    except UnequalAnswersError as error:
        sys.exit(f"{error}; it is not timed")
    for entry in entries:
        print(f"{entry['name']:20} {entry['seconds']:4g} s  {_shown(entry)}")
    record.write(options.out, {"rounds": options.rounds, "isas": options.isa, "front_ends": entries})
    print(f"written to {options.out}")
    return 0


def _shown(entry: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{isa} {spread['median'] * 1e6:.1f} us = {entry['seconds'] / spread['median']:.0f} x real time"
        for isa, spread in entry["seconds_per_call"].items()
    )


if __name__ == "__main__":
    sys.exit(main())
