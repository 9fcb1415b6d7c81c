"""The figures of `run-pipeline bench` as a table for people, and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from phonograph.benching.comparison import Row, compare
from phonograph.benching.document import Figures, Spread, records_in_words

FORMAT_VERSION = 2  # raised when a key of `as_json` changes its meaning or goes

_NUM_LEFT = 2  # columns before the numbers
_MARKS = {
    ("slower", "ms"): "SLOWER",
    ("slower", "MB"): "MORE",
    ("faster", "ms"): "faster",
    ("faster", "MB"): "less",
    ("same", "ms"): "",
    ("same", "MB"): "",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What figures were held against.

    Args:
        differences: why the two should not be compared, where that was asked for all the same.
    """

    before: Figures
    tolerance: float
    differences: Sequence[str]
    rows: Sequence[Row]

    @property
    def slower(self) -> list[Row]:
        return [row for row in self.rows if row.judgement == "slower"]


def as_json(figures: Figures, comparison: Comparison | None, notes: Sequence[str]) -> dict[str, object]:
    """Everything as plain values, for programs."""
    compared = None
    if comparison is not None:
        compared = {
            "baseline": msgspec.to_builtins(comparison.before),
            "tolerance": comparison.tolerance,
            "differences": list(comparison.differences),
            "quantities": [
                {**msgspec.to_builtins(row), "name": row.name, "unit": row.unit, "change": row.change} for row in comparison.rows
            ],
            "slower": [row.name for row in comparison.slower],
        }
    return {"version": FORMAT_VERSION, "figures": msgspec.to_builtins(figures), "comparison": compared, "notes": list(notes)}


def lines(figures: Figures, comparison: Comparison | None, notes: Sequence[str]) -> Iterator[str]:
    """A table for people, with the verdict below it, and last what makes it say less than it seems to."""
    setting, records = figures.setting, figures.amounts.records
    yield f"{figures.work.name}: {_count(figures.runs, 'run')} of {_count(records.read, 'record')}: {records_in_words(records)}"
    versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
    yield f"{setting.processor}, {_count(setting.cores, 'core')}, {setting.isa} kernels; {versions}"
    if comparison is not None:
        yield from _about_the_baseline(figures, comparison)
    yield ""
    rows = compare(figures, figures, 0.0) if comparison is None else comparison.rows
    yield from _table(list(_cells(rows, is_compared=comparison is not None)))
    if comparison is not None:
        yield from ("", *_verdict(comparison))
    if notes:
        yield from ("", *(f"note: {note}" for note in notes))


def _about_the_baseline(figures: Figures, comparison: Comparison) -> Iterator[str]:
    before = comparison.before
    if before.setting.versions != figures.setting.versions:
        told = ", ".join(f"{name} {version}" for name, version in before.setting.versions.items())
        yield f"baseline of {before.date}: {told}"
    if comparison.differences:
        yield "compared all the same, although these differ:"
        yield from (f"  {one}" for one in comparison.differences)


def _verdict(comparison: Comparison) -> Iterator[str]:
    tolerance = f"{comparison.tolerance * 100:.4g} %"
    for row in comparison.slower:
        assert row.now is not None and row.before is not None
        how = "takes" if row.unit == "ms" else "is"
        now, was = f"{row.now.median:.4g} {row.unit}", f"{row.before.median:.4g} {row.unit}"
        yield f"{row.name} {how} {now}, where it was {was}; tolerance {tolerance}"
    if not comparison.slower:
        yield f"nothing is slower by more than {tolerance} and more than the spread of the runs"
    if any(row.judgement == "longer" for row in comparison.rows):
        yield (
            "what is marked `longer` is no evidence by itself: on the wall it may wait for the disk, a lock, a service or a core "
            "(--judge-waiting counts it); a sink's work is mostly the file system's; short runs mostly start and end"
        )


def _cells(rows: Sequence[Row], *, is_compared: bool) -> Iterator[tuple[str, ...]]:
    """Of the process, then a block of nodes for each kind of time."""
    heads = ("", "", "median", "quartiles", "baseline", "quartiles", "change", "")
    width = len(heads) if is_compared else 4
    yield heads[:width]
    block = ""
    for row in rows:
        if row.node and row.quantity != block:
            block = row.quantity
            yield (f"{block} of nodes", *[""] * (width - 1))
        change = "" if row.change is None else f"{row.change:+.1%}"
        mark = _MARKS.get((row.judgement, row.unit), row.judgement)
        name = f"  {row.node}" if row.node else row.quantity
        yield (name, row.type, *_spread(row.now, row.unit), *_spread(row.before, row.unit), change, mark)[:width]


def _spread(spread: Spread | None, unit: str) -> tuple[str, str]:
    if spread is None:
        return "", ""
    return f"{spread.median:.4g} {unit}", f"{spread.lower:.4g} to {spread.upper:.4g}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    # A heading stands over the columns beside it and does not widen its own.
    widths = [max(len(row[column]) for row in rows if any(row[1:])) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if _NUM_LEFT <= column < 7 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
