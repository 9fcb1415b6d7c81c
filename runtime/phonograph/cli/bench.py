"""`run-pipeline bench`: times a manifest over several runs, and compares with a baseline of another day."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import FORMAT_VERSION, ManifestName, manifest_options

if TYPE_CHECKING:  # imported when runs are timed: `run-pipeline --help` must not wait for NumPy
    from phonograph.benching.comparison import Row
    from phonograph.benching.document import Figures, Setting, Spread, Work
    from phonograph.graph.model import Graph
    from phonograph.metrics import PipelineMetrics

_INTERRUPTED = 130
_PERCENT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?) ?%")


class Tolerance(click.ParamType[float]):
    """A share in per cent, as a number: 0.1 for `10%`."""

    name = "tolerance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _PERCENT.fullmatch(str(value).strip())
        if match is None:
            remedy = f"; write {value}%" if re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(value)) else ""
            raise click.UsageError(f"--tolerance {value}: expected a number of per cent, 0 or more, such as 10%{remedy}", ctx)
        return float(match[1]) / 100


@click.command("bench")
@click.argument("manifest", type=ManifestName())
@manifest_options
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="How many runs to measure.")
@click.option("--warmup", type=click.IntRange(min=0), default=1, show_default=True, help="Runs before those, not measured.")
@click.option(
    "--baseline", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Compare with what --save wrote there."
)
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Store the figures.")
@click.option(
    "--tolerance", type=Tolerance(), default="10%", show_default=True, metavar="N%", help="How much slower is still the same."
)
@click.option("--compare-anyway", is_flag=True, help="Compare with a baseline of another machine, version or manifest too.")
@click.option("format_", "--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    manifest: str,
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    runs: int,
    warmup: int,
    baseline: Path | None,
    save: Path | None,
    tolerance: float,
    compare_anyway: bool,
    format_: str,
) -> int:
    """Run MANIFEST several times, and tell how long it takes: medians and quartiles, for each node, in all.

    Outputs go into a temporary folder (TMPDIR says where) that is new for each run and removed after it.

    With --baseline: something is slower when its median is above the baseline's by more than the tolerance, its lower quartile
    is above the baseline's upper one, and, for a node, the difference is more than 1 % of the total time. The peak of the memory
    is judged alike. A baseline of another processor, instruction set, Python, NumPy or of other work is refused.

    Exit status: 0 measured, nothing is slower; 1 something is, or a run failed; 2 wrong manifest, command line or baseline;
    130 interrupted.
    """
    from phonograph.errors import BaselineError, GraphError, PhonographError

    if save is not None and baseline is not None and save.absolute() == baseline.absolute():
        raise click.UsageError(f"--save {save}: the baseline itself; expected another file, or no --baseline")
    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    from phonograph.benching import document  # these not before: they need kernels that can run here
    from phonograph.cli.complaints import show_complaints

    try:
        before = None if baseline is None else document.read(baseline)
        setting, work = _told(graph)
        if before is not None and not compare_anyway:
            _refuse_other(setting, work, before, baseline)
        figures = asyncio.run(_measure(graph, runs, warmup, setting, work))
        if save is not None:
            document.write(save, figures)
        if before is not None and not compare_anyway:
            _refuse_other_records(figures, before, baseline)
    except GraphError as error:  # it is fine as a part of something, and cannot run by itself
        show_complaints(error.complaints, sys.stderr)
        return 2
    except PhonographError as error:
        click.echo(f"error: {graph.secrets.clean(str(error))}", err=True)
        return 2 if isinstance(error, BaselineError) else 1
    except asyncio.CancelledError:
        click.echo("interrupted: nothing is stored", err=True)
        return _INTERRUPTED
    return _report(figures, before, tolerance, format_)


def _told(graph: Graph) -> tuple[Setting, Work]:
    from phonograph.benching.setting import setting, work
    from phonograph.engine.plan import make_plan

    return setting(), work(make_plan(graph))


async def _measure(graph: Graph, runs: int, warmup: int, setting: Setting, work: Work) -> Figures:
    """Measure, and stop at once when asked to; the temporary folder is removed then too."""
    from phonograph.benching.runs import measure

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await measure(graph, runs=runs, warmup=warmup, setting=setting, work=work, told=_progress)


def _progress(name: str, metrics: PipelineMetrics) -> None:
    if sys.stderr.isatty():
        click.echo(f"{name}: {metrics.total_time_ms:.0f} ms", err=True)


def _refuse_other(setting: Setting, work: Work, before: Figures, baseline: Path | None) -> None:
    from phonograph.benching.comparison import differences

    _refuse(list(differences(setting, work, before)), baseline)


def _refuse_other_records(figures: Figures, before: Figures, baseline: Path | None) -> None:
    from phonograph.benching.comparison import other_records

    _refuse(list(other_records(figures, before)), baseline)


def _refuse(found: Sequence[str], baseline: Path | None) -> None:
    from phonograph.errors import BaselineError

    if found:
        remedy = "store one here with --save, or give --compare-anyway"
        told = "".join(f"\n  {one}" for one in found)
        raise BaselineError(str(baseline), "is not comparable", "a baseline of the same work on the same machine", remedy + told)


def _report(figures: Figures, before: Figures | None, tolerance: float, format_: str) -> int:
    from phonograph.benching.comparison import compare
    from phonograph.cli.complaints import say

    rows = [] if before is None else compare(figures, before, tolerance)
    is_slower = any(row.judgement == "slower" for row in rows)
    if format_ == "json":
        say(json.dumps(as_json(figures, before, rows, tolerance), indent=1), sys.stdout)
    else:
        say("\n".join(lines(figures, before, rows, tolerance)), sys.stdout)
    return 1 if is_slower else 0


def as_json(figures: Figures, before: Figures | None, rows: Sequence[Row], tolerance: float) -> dict[str, object]:
    """Everything as plain values, for programs."""
    import msgspec

    compared = None
    if before is not None:
        quantities = [{**msgspec.to_builtins(row), "change": row.change} for row in rows]
        slower = [row.name for row in rows if row.judgement == "slower"]
        compared = {"baseline": msgspec.to_builtins(before), "tolerance": tolerance, "quantities": quantities, "slower": slower}
    return {"version": FORMAT_VERSION, "figures": msgspec.to_builtins(figures), "comparison": compared}


def lines(figures: Figures, before: Figures | None, rows: Sequence[Row], tolerance: float) -> Iterator[str]:
    """A table for people, with the verdict below it."""
    from phonograph.benching.comparison import Row

    setting, records = figures.setting, figures.records
    yield f"{figures.work.name}: {_count(figures.runs, 'run')} of {_count(records.read, 'record')}"
    versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
    yield f"{setting.processor}, {_count(setting.cores, 'core')}, {setting.isa} kernels; {versions}"
    if before is not None and before.setting.versions != setting.versions:
        told = ", ".join(f"{name} {version}" for name, version in before.setting.versions.items())
        yield f"baseline of {before.date}: {told}"
    shown = rows or [
        Row("total time", "", "ms", figures.total_time_ms, None, "new"),
        Row("peak memory", "", "MB", figures.process_peak_mb, None, "new"),
        *(Row(node.id, node.type, "ms", node.execution_time_ms, None, "new") for node in figures.nodes),
    ]
    heads = ("", "", "median", "quartiles", "baseline", "quartiles", "change", "")
    table = [heads, *(_cells(row, before is not None) for row in shown)]
    if before is None:
        table = [cells[:4] for cells in table]
    yield from ("", *_table(table))
    if before is None:
        return
    slower = [row for row in rows if row.judgement == "slower"]
    yield ""
    for row in slower:
        yield f"{row.name} {_words(row)}; tolerance {tolerance * 100:.4g} %"
    if not slower:
        yield f"nothing is slower by more than {tolerance * 100:.4g} % and more than the spread of the runs"


def _words(row: Row) -> str:
    assert row.now is not None and row.before is not None
    how = "takes" if row.unit == "ms" else "is"
    return f"{how} {row.now.median:.4g} {row.unit}, where it was {row.before.median:.4g} {row.unit}"


def _cells(row: Row, is_compared: bool) -> tuple[str, ...]:
    change = "" if row.change is None else f"{row.change:+.1%}"
    mark = {"slower": "SLOWER" if row.unit == "ms" else "MORE", "faster": "faster" if row.unit == "ms" else "less"}
    word = mark.get(row.judgement, row.judgement if is_compared and row.judgement != "same" else "")
    return (row.name, row.type, *_spread(row.now, row.unit), *_spread(row.before, row.unit), change, word)


def _spread(spread: Spread | None, unit: str) -> tuple[str, str]:
    if spread is None:
        return "", ""
    return f"{spread.median:.4g} {unit}", f"{spread.lower:.4g} to {spread.upper:.4g}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if column in (0, 1, 7) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
