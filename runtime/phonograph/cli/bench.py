"""`run-pipeline bench`: times a manifest over several runs, and compares with a baseline of another day."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import ManifestName, manifest_options
from phonograph.cli.result_file import ResultFile, require_storable

if TYPE_CHECKING:  # imported when runs are timed: `run-pipeline --help` must not wait for NumPy
    from phonograph.benching.document import Figures, Setting, Work
    from phonograph.benching.runs import Run, Told
    from phonograph.graph.model import Graph

_INTERRUPTED = 130
_PERCENT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?) ?%")
_TOLERANCE = 0.1


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
@click.option("--baseline", "path", type=ResultFile(), metavar="FILE", help="Compare with what --save wrote there.")
@click.option("--save", type=ResultFile(), metavar="FILE", help="Store the figures; missing folders are made, links followed.")
@click.option("--tolerance", type=Tolerance(), metavar="N%", help="How much slower is still the same.  [default: 10%]")
@click.option("--judge-waiting", is_flag=True, help="Time on the wall counts too: for nodes that wait, on an idle machine.")
@click.option("--compare-anyway", is_flag=True, help="Compare with a baseline of another machine, version or work too.")
@click.option("format_", "--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    manifest: str,
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    runs: int,
    warmup: int,
    path: Path | None,
    save: Path | None,
    tolerance: float | None,
    judge_waiting: bool,
    compare_anyway: bool,
    format_: str,
) -> int:
    """Run MANIFEST several times, and tell how long it takes: medians and quartiles, for each node, in all.

    Outputs go into a temporary folder (TMPDIR says where) that is new for each run and removed after it.

    With --baseline: something is slower when the lower quartile of its processor time is above the baseline's upper one by more
    than the tolerance, and its fastest run above the fastest one by as much; for a node, the difference is also more than 1 % of
    the total. The peak of the memory is judged alike. Time on the wall is shown, and judged with --judge-waiting. A baseline of
    another processor, instruction set, Python, NumPy or of other work is refused.

    Exit status: 0 measured, nothing is slower; 1 something is, or a run failed, or the figures could not be stored; 2 wrong
    manifest, command line or baseline; 130 interrupted.
    """
    from phonograph.errors import BaselineError, GraphError, PhonographError

    given = (("--tolerance", tolerance is not None), ("--judge-waiting", judge_waiting), ("--compare-anyway", compare_anyway))
    _refuse_contradictions(path, save, [option for option, is_given in given if is_given])
    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    from phonograph.benching import document  # these not before: they need kernels that can run here
    from phonograph.cli.complaints import show_complaints

    try:
        baseline = None if path is None else _Baseline(path, document.read(path), compare_anyway)
        if save is not None:
            require_storable("--save", save, graph.secrets.clean)
        setting, work = _told(graph)
        if baseline is not None:
            baseline.hold_against(setting, work)
        figures = asyncio.run(_measure(graph, runs, warmup, setting, work, _telling(baseline)))
    except GraphError as error:  # it is fine as a part of something, and cannot run by itself
        show_complaints(error.complaints, sys.stderr)
        return 2
    except PhonographError as error:
        click.echo(f"error: {graph.secrets.clean(str(error))}", err=True)
        return 2 if isinstance(error, BaselineError) else 1
    except asyncio.CancelledError:
        click.echo("interrupted: nothing is stored", err=True)
        return _INTERRUPTED
    is_slower = _report(figures, baseline, _TOLERANCE if tolerance is None else tolerance, judge_waiting, format_)
    try:
        if save is not None:
            document.write(save, figures)
    except PhonographError as error:
        click.echo(f"error: --save {graph.secrets.clean(str(error))}; the figures above are not stored", err=True)
        return 1
    return 1 if is_slower else 0


def _refuse_contradictions(path: Path | None, save: Path | None, need_baseline: Sequence[str]) -> None:
    if need_baseline and path is None:
        raise click.UsageError(f"{need_baseline[0]} without --baseline; expected a baseline to compare with; add --baseline FILE")
    if save is not None and path is not None and os.path.realpath(save) == os.path.realpath(path):
        raise click.UsageError(f"--save {save}: the baseline itself; expected another file, or no --baseline")


class _Baseline:
    """What is compared with: refuses what cannot be, or, where it is to be compared all the same, keeps what differs."""

    def __init__(self, path: Path, figures: Figures, compare_anyway: bool) -> None:
        self.figures = figures
        self.differences: list[str] = []
        self._path = path
        self._compare_anyway = compare_anyway
        self._has_seen_a_run = False

    def hold_against(self, setting: Setting, work: Work) -> None:
        """Raises BaselineError: another machine, or other work."""
        from phonograph.benching.comparison import differences

        self._add(list(differences(setting, work, self.figures)))

    def hear_of(self, run: Run) -> None:
        """Raises BaselineError after the first run, so that no others are waited for: other records, or another amount."""
        from phonograph.benching.comparison import other_amounts

        if not self._has_seen_a_run:
            self._has_seen_a_run = True
            self._add(list(other_amounts(run.amounts, self.figures.amounts)))

    def _add(self, found: Sequence[str]) -> None:
        from phonograph.errors import BaselineError

        self.differences += found
        if found and not self._compare_anyway:
            remedy = "store one here with --save, or give --compare-anyway"
            told = "".join(f"\n  {one}" for one in found)
            raise BaselineError(
                str(self._path), "is not comparable", "a baseline of the same work on the same machine", remedy + told
            )


def _told(graph: Graph) -> tuple[Setting, Work]:
    from phonograph.benching.setting import setting, work
    from phonograph.engine.plan import make_plan

    return setting(), work(make_plan(graph))


async def _measure(graph: Graph, runs: int, warmup: int, setting: Setting, work: Work, told: Told) -> Figures:
    """Measure, and stop at once when asked to; the temporary folder is removed then too."""
    from phonograph.benching.runs import measure

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await measure(graph, runs=runs, warmup=warmup, setting=setting, work=work, told=told)


def _telling(baseline: _Baseline | None) -> Told:
    """Tells a person at a terminal how far it is, and the baseline what was run."""

    def told(name: str, run: Run) -> None:
        if baseline is not None:
            baseline.hear_of(run)
        if sys.stderr.isatty():
            click.echo(f"{name}: {run.metrics.total_time_ms:.0f} ms", err=True)

    return told


def _report(figures: Figures, baseline: _Baseline | None, tolerance: float, judge_waiting: bool, format_: str) -> bool:
    """Print all that was found; whether something is slower."""
    from phonograph.benching.comparison import compare, notes
    from phonograph.cli.bench_table import Comparison, as_json, lines
    from phonograph.cli.complaints import say

    comparison = None
    if baseline is not None:
        rows = compare(figures, baseline.figures, tolerance, judge_waiting=judge_waiting)
        comparison = Comparison(baseline.figures, tolerance, baseline.differences, rows)
    noted = list(notes(figures, baseline.figures if baseline is not None else None, tolerance))
    if format_ == "json":
        say(json.dumps(as_json(figures, comparison, noted), indent=1), sys.stdout)
    else:
        say("\n".join(lines(figures, comparison, noted)), sys.stdout)
    return comparison is not None and bool(comparison.slower)
