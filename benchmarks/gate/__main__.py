"""Runs the gate: `python -m benchmarks.gate`; `--accept` stores the ratios that later runs are held against."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.gate import floors
from benchmarks.gate.floors import Accepted, Floors, FloorsError, Key, Measured
from benchmarks.gate.references import compiled
from benchmarks.gate.sitting import ENVIRONMENT
from benchmarks.gate.subjects import ANY, SUBJECTS
from benchmarks.gate.verdict import FAILING, FIRST, MOST, STEP, Verdict, in_doubt, judge, missing
from phonograph.benching.setting import processor
from phonograph.isa import AVAILABLE

ACCEPTING = 9  # sittings of each subject when its ratio is to be stored
PATIENCE_S = 180.0  # for which a run waits in all until it has a core to itself


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        stored = floors.read(options.floors)
        keys = list(_keys(options.isa, options.only))
        if not keys:
            names = "\n  ".join(one.name for one in SUBJECTS)
            raise FloorsError(f"no subject is called like {' or '.join(options.only)}; expected a part of one of\n  {names}")
        kind = processor()
        before = stored.of(kind)
        everything = not options.only and set(options.isa) == set(AVAILABLE)
        gone = [key for key in before if everything and key not in keys]
        with tempfile.TemporaryDirectory(prefix="phonograph-gate-") as folder:
            sittings = Sittings(keys, Path(folder), None if options.accept else stored.alone.get(kind))
            if options.accept:
                return _accept(sittings, options, stored, kind, gone)
            measured = _measure(sittings, before)
    except FloorsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = [judge(key, one, before.get(key), kind) for key, one in measured.items()]
    verdicts += [missing(key, before[key]) for key in gone]
    print("\n".join(_report(verdicts, kind)))
    left = {one.status for one in verdicts}
    return 1 if left & FAILING or (options.strict and left - {"passed"}) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate",
        description="Times kernels, decoder and scheduler beside work that never changes, and fails when one has become slower.",
        epilog="Exit status: 0 nothing is slower; 1 something is; 2 wrong arguments or stored ratios. What has no accepted ratio "
        "for this processor is named, and fails with --strict only.",
    )
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="only subjects so named; repeatable")
    parser.add_argument("--isa", nargs="+", choices=AVAILABLE, default=list(AVAILABLE), help="instruction sets (all)")
    parser.add_argument("--strict", action="store_true", help="fail also when something could not be compared or measured")
    parser.add_argument("--accept", action="store_true", help="store the ratios measured now, which takes a minute or two")
    parser.add_argument("--reason", default="", metavar="TEXT", help="with --accept: why floors may sink; stored beside them")
    parser.add_argument("--floors", type=Path, default=floors.FLOORS, help="the stored ratios (benchmarks/floors.json)")
    options = parser.parse_args(arguments)
    if options.reason and not options.accept:
        parser.error("--reason says why floors may sink; expected --accept beside it")
    return options


def _keys(isas: Sequence[str], only: Sequence[str]) -> Iterator[Key]:
    for subject in SUBJECTS:
        if not only or any(part in subject.name for part in only):
            yield from ((isa, subject.name) for isa in (isas if subject.has_kernels else [ANY]))


class Sittings:
    """Asks for sittings, a process each, and keeps what they gave.

    Args:
        keys: what may be asked for.
        folder: for the compiled references; the caller removes it.
        alone: the figure of a core without a second thread, where it is known; see `benchmarks.gate.core`.
    """

    def __init__(self, keys: Sequence[Key], folder: Path, alone: float | None) -> None:
        self.keys = keys
        self.alone = alone
        self._patience_s = PATIENCE_S
        self._folder = folder
        self._libraries: dict[str, Path] = {}
        self._ratios: dict[Key, list[float | None]] = {key: [] for key in keys}
        self._basis: dict[Key, Mapping[str, str]] = {}

    def take(self, keys: Sequence[Key]) -> None:
        """One sitting of each."""
        for isa in dict.fromkeys(isa for isa, _ in keys):
            used = AVAILABLE[0] if isa == ANY else isa
            arguments = ["--library", str(self._library(used)), "--patience", str(self._patience_s)]
            arguments += [] if self.alone is None else ["--alone", str(self.alone)]
            arguments += [name for other, name in keys if other == isa]
            found: Mapping[str, Any] = record.in_process(["benchmarks.gate.sitting", *arguments], isa=used, more=ENVIRONMENT)
            self.alone = found["alone"]
            self._patience_s = max(0.0, self._patience_s - found["waited_s"])
            for name, one in found["subjects"].items():
                self._ratios[isa, name].append(one["ratio"])
                self._basis[isa, name] = one["basis"]

    def measured(self, key: Key) -> Measured:
        """What there is of it so far."""
        ratios = self._ratios[key]
        return Measured([one for one in ratios if one is not None], len(ratios), self._basis.get(key, {}))

    def _library(self, isa: str) -> Path:
        if isa not in self._libraries:
            folder = self._folder / isa
            folder.mkdir()
            self._libraries[isa] = compiled(isa, folder)
        return self._libraries[isa]


def _measure(sittings: Sittings, before: Mapping[Key, Accepted]) -> dict[Key, Measured]:
    """A few sittings of everything, then more of what is in doubt."""
    going: Sequence[Key] = sittings.keys
    number = FIRST
    while going:
        for _ in range(number):
            sittings.take(going)
        going = [key for key in going if in_doubt(sittings.measured(key), before.get(key))]
        number = STEP
    return {key: sittings.measured(key) for key in sittings.keys}


def _accept(sittings: Sittings, options: argparse.Namespace, stored: Floors, kind: str, gone: Sequence[Key]) -> int:
    for _ in range(ACCEPTING):
        sittings.take(sittings.keys)
    for _ in range(MOST - ACCEPTING):
        if disturbed := [key for key in sittings.keys if len(sittings.measured(key).ratios) < ACCEPTING // 2]:
            sittings.take(disturbed)
    measured = {key: sittings.measured(key) for key in sittings.keys}
    few = [f"{name} ({isa})" for (isa, name), one in measured.items() if len(one.ratios) < FIRST]
    if few:
        raise FloorsError(f"other programs disturbed {', '.join(few)}; nothing is stored; try again on an idle machine")
    before = stored.of(kind)
    changes = floors.accept(before, measured, reason=options.reason.strip(), gone=gone)
    after = {key: one for key, one in before.items() if key not in changes}
    after |= {key: one.now for key, one in changes.items() if one.now is not None}
    floors.write(options.floors, stored.with_those_of(kind, after, sittings.alone))
    rows = [("subject", "kernels", "before", "measured", "")]
    for key, one in changes.items():
        ratio = f"{measured[key].ratio:.4g}" if key in measured else ""
        rows.append((key[1], key[0], f"{one.before.ratio:.4g}" if one.before else "", ratio, one.kind))
    print("\n".join([kind, *_table(rows), f"written to {options.floors}"]))
    return 0


def _report(verdicts: Sequence[Verdict], kind: str) -> Iterator[str]:
    """A table, then a paragraph for each that did not pass; those that share a reason share the paragraph."""
    rows = [("subject", "kernels", "ratio", "accepted", "floor", "of accepted", "")]
    for one in verdicts:
        accepted, floor = (f"{one.accepted.ratio:.4g}", f"{one.accepted.floor:.4g}") if one.accepted else ("", "")
        share = f"{one.ratio / one.accepted.ratio:.1%}" if one.ratio and one.accepted else ""
        status = "passed" if one.status == "passed" else one.status.upper()
        rows.append((one.name, one.isa, f"{one.ratio:.4g}" if one.ratio else "", accepted, floor, share, status))
    yield kind
    yield from _table(rows)
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in verdicts:
        if one.status != "passed":
            reasons.setdefault((one.status.upper(), one.why), []).append(f"{one.name} ({one.isa})")
    for (status, why), names in reasons.items():
        yield f"\n{status}: {', '.join(names)}: {why}"
    counts = {status: sum(one.status == status for one in verdicts) for status in dict.fromkeys(one.status for one in verdicts)}
    yield "\n" + ", ".join(f"{count} {status}" for status, count in counts.items())


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = (0, 1, len(widths) - 1)  # columns of words; the others are of figures
    for row in rows:
        cells = (
            cell.ljust(width) if at in words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


if __name__ == "__main__":
    sys.exit(main())
