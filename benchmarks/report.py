"""Writes RESULTS.md from the stored results: `python -m benchmarks.report`, or with `--check` only says whether it is right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT

RESULTS = CHECKOUT / "benchmarks" / "results"
PAGE = CHECKOUT / "benchmarks" / "RESULTS.md"
KINDS = ("peers", "front_ends", "threads", "allocations")

OPENING = """\
# Results

Written by `python -m benchmarks.report` from the JSON files in `results/`; not edited by hand. Times are medians, with quartiles
in brackets. A ratio is taken within each round, in which both sides had a turn on the same core; what is given is the median of
the ratios. Every library uses one thread; times are processor time, but on the wall for two threads. The audio is the bundled
speech, repeated, with seeded noise at -80 dBFS.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 when RESULTS.md differs from the stored results")
    options = parser.parse_args(arguments)
    text = render(RESULTS)
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text("utf-8") != text:
        print(f"{PAGE.relative_to(CHECKOUT)} differs from the results; run `python -m benchmarks.report`", file=sys.stderr)
        return 1
    return 0


def render(folder: Path) -> str:
    """The page for the results that are in the folder, a section for each kind."""
    sections = {"peers": _peers, "front_ends": _front_ends, "threads": _threads, "allocations": _allocations}
    parts = [OPENING]
    for kind in KINDS:
        path = folder / f"{kind}.json"
        if path.exists():
            stored = json.loads(path.read_text("utf-8"))
            parts += ["\n".join(sections[kind](stored)) + "\n", _measured_on(stored)]
    return "\n".join(parts)


def _peers(stored: Mapping[str, Any]) -> Iterable[str]:
    yield "## Beside the peers\n"
    rows, calls = [], []
    for one in stored["comparisons"]:
        theirs = " ".join(part for part in (one["peer"], one["version"], one["peer_isa"]) if part)
        calls.append(f"- **{one['name']}** ({theirs}; ours `{one['frontend']}`, {one['isa']}): {one['how']}.")
        rows += [
            (
                one["name"],
                f"{entry['seconds']:g}",
                _milliseconds(entry["ours_s"]),
                _milliseconds(entry["theirs_s"]),
                _spread(entry["ratio"]),
                f"{entry['deviation']:.1e} of {one['tolerance']:.0e}",
            )
            for entry in one["lengths"]
        ]
    yield from _table(("comparison", "audio, s", "ours, ms", "theirs, ms", "theirs / ours", "deviation, of allowed"), rows)
    yield "\nHow each is called:\n"
    yield from calls


def _front_ends(stored: Mapping[str, Any]) -> Iterable[str]:
    yield "## Each front end, for each instruction set\n"
    yield "`log_mel(samples, frontend=...)` from Python, validation and the array for the features included.\n"
    isas = stored["isas"]
    rows = []
    for entry in stored["front_ends"]:
        times = entry["seconds_per_call"]
        cells = [f"{_milliseconds(times[isa])}, {entry['seconds'] / times[isa]['median']:,.0f} x" for isa in isas]
        rows.append((entry["name"], f"{entry['seconds']:g}", *cells, *(_spread(entry["slower"][isa]) for isa in isas[1:])))
    heads = [f"{isa}: ms, times real time" for isa in isas] + [f"{isa} / {isas[0]}" for isa in isas[1:]]
    yield from _table(("front end", "audio, s", *heads), rows)


def _threads(stored: Mapping[str, Any]) -> Iterable[str]:
    yield "## Two threads\n"
    yield "Calls a second of two threads over those of one, beside the same for a loop of multiply-adds in registers.\n"
    rows = [
        (
            f"{entry['frontend']}, {entry['isa']}",
            f"{entry['seconds']:g}",
            _spread(entry["scaling"]),
            _spread(entry["loop_scaling"]),
            _spread(entry["share"]),
        )
        for entry in stored["threads"]
    ]
    yield from _table(("front end", "audio, s", "log_mel", "loop", "log_mel / loop"), rows)


def _allocations(stored: Mapping[str, Any]) -> Iterable[str]:
    yield "## Allocations of a running stream\n"
    yield "`LogMelStream.push` of pieces between 1 and 1600 samples, each followed by `pop(out=...)`, after a warm-up.\n"
    heads = ("front end", "pushes", "rows", "calls of malloc", "calls of mmap", "array bytes", "traced growth, bytes")
    keys = ("frontend", "pushes", "rows", "malloc_calls", "mmap_calls", "array_bytes", "traced_growth_bytes")
    yield from _table(heads, [tuple(str(entry[key]) for key in keys) for entry in stored["streams"]])


def _measured_on(stored: Mapping[str, Any]) -> str:
    machine = stored["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in stored["versions"].items() if name in _NAMED)
    where = f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}"
    where += f", {', '.join(stored['instruction_sets'])}"
    return f"Measured on {stored['date'][:10]} at commit {_short(stored['commit'])}: {where}; {versions}.\n"


_NAMED = ("python", "numpy", "numba")


def _short(commit: str) -> str:
    name, plus, changes = commit.partition("+")
    return f"{name[:12]}{plus}{changes}"


def _milliseconds(spread: Mapping[str, float]) -> str:
    return _spread({name: value * 1e3 for name, value in spread.items()})


def _spread(spread: Mapping[str, float]) -> str:
    return f"{_number(spread['median'])} ({_number(spread['lower'])} - {_number(spread['upper'])})"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.exit(main())
