"""Times ours beside the peers: `python -m benchmarks.peers.compare --seconds 10 30 60 --out FILE.json`.

Each comparison has a process of its own, kept on one core, in which every library uses one thread. In it both sides get the same
audio; their answers are compared, and only then are they timed, in turns.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import record
from benchmarks.peers import asrfront_whisper, kaldi_fbank, librosa_mel, scipy_rfft, transformers_extractors
from benchmarks.peers.comparison import Comparison, UnequalAnswersError, compare
from benchmarks.signals import speech
from benchmarks.timing import pin
from phonograph.isa import AVAILABLE, ISA

COMPARISONS: dict[str, Comparison] = {
    one.name: one
    for module in (asrfront_whisper, librosa_mel, scipy_rfft, transformers_extractors, kaldi_fbank)
    for one in module.COMPARISONS
}
NEEDS_EXTRA = "needs the extra `bench`: {missing} not installed; `pip install -e '.[bench]'` in a checkout"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.alone:
        print(json.dumps(_measure(COMPARISONS[options.alone], options.seconds, options.rounds)))
        return 0
    chosen = [COMPARISONS[name] for name in options.only or COMPARISONS]
    missing = record.missing_peers(sorted({one.peer for one in chosen}))
    if missing:
        sys.exit(NEEDS_EXTRA.format(missing=", ".join(missing)))
    measured = []
    for one in chosen:
        found = _in_process(one, options)
        measured.append(found)
        for entry in found["lengths"]:
            print(f"{one.name:32} {entry['seconds']:4g} s  {_shown(entry)}", flush=True)
    record.write(options.out, {"rounds": options.rounds, "comparisons": measured})
    print(f"written to {options.out}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.compare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 30, 60], help="lengths of the audio (10 30 60)")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, help="only these comparisons")
    parser.add_argument("--isa", choices=AVAILABLE, help="our kernels' instruction set, instead of the best")
    parser.add_argument("--alone", choices=COMPARISONS, help=argparse.SUPPRESS)  # one comparison, in this very process
    record.add_options(parser, "peers", rounds=15)
    return parser.parse_args(arguments)


def _in_process(one: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    lengths = [f"{seconds:g}" for seconds in options.seconds]
    arguments = ["benchmarks.peers.compare", "--alone", one.name, "--rounds", str(options.rounds), "--seconds", *lengths]
    found: dict[str, Any] = record.in_process(arguments, isa=options.isa)
    return found


def _measure(one: Comparison, lengths: Sequence[float], rounds: int) -> dict[str, Any]:
    core = pin()
    pair = one.prepare()
    entries = []
    for seconds in lengths:
        try:
            found = compare(one, pair, speech(seconds), rounds=rounds)
        except UnequalAnswersError as error:
            sys.exit(f"{error}, for {seconds:g} s of audio; nothing is timed")
        entries.append(
            {
                "seconds": seconds,
                "deviation": float(f"{found.deviation:.3g}"),
                "ours_s": found.race.ours.as_json(),
                "theirs_s": found.race.theirs.as_json(),
                "ratio": found.race.ratio.as_json(),
            }
        )
    return {
        "name": one.name,
        "peer": one.peer,
        "version": record.peer_versions()[one.peer],
        "frontend": one.frontend,
        "how": one.how,
        "tolerance": one.tolerance,
        "isa": ISA,
        "peer_isa": pair.instructions,
        "core": core,
        "lengths": entries,
    }


def _shown(entry: dict[str, Any]) -> str:
    ours, theirs, ratio = entry["ours_s"], entry["theirs_s"], entry["ratio"]
    quartiles = f"quartiles {ratio['lower']:.2f} to {ratio['upper']:.2f}"
    times = f"ours {ours['median'] * 1e3:.3f} ms, theirs {theirs['median'] * 1e3:.3f} ms"
    return f"{times}: {ratio['median']:.2f} times as fast ({quartiles}), answers within {entry['deviation']:.1e}"


if __name__ == "__main__":
    sys.exit(main())
