"""`run-pipeline MANIFEST`: one run, with its progress, its log, its closing summary."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from phonograph.cli import heed_interrupts
from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import F, ManifestName, manifest_options
from phonograph.cli.result_file import ResultFile, require_storable

if TYPE_CHECKING:  # imported when a run starts: `run-pipeline --help` must not wait for NumPy
    from rich.progress import Progress, TaskID

    from phonograph.executor import Executor, RunReport
    from phonograph.graph.model import Graph
    from phonograph.journal.earlier import Resume
    from phonograph.log import Logger

_PROGRESS_EVERY_S = 0.1
_RESUMES = ("same", "verify", "reuse", "new")


def writing_options(command: F) -> F:
    """Give a command what it needs to tell of a run, as `sync_every`, `metrics`, `log_format`, `log_level`."""
    options = (
        click.option(
            "--sync-every",
            type=click.FloatRange(min=0),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="How long it may take until the end of a record is on the disk.",
        ),
        click.option(
            "--metrics",
            type=ResultFile(),
            metavar="FILE",
            help="Write the metrics JSON here too; missing folders are made, links followed.",
        ),
        click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True),
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="warning", show_default=True
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class RunCommand(click.Command):
    """A command whose `--resume` may stand alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click would take the next word of the line for its value.

        Raises:
            click.UsageError: the next word is one.
        """
        for word, value in itertools.pairwise(args):
            if word == "--resume" and value in _RESUMES and not os.path.exists(value):
                raise click.UsageError(f"found '--resume {value}'; expected '--resume={value}', as one word", ctx)
        return super().parse_args(ctx, ["--resume=same" if word == "--resume" else word for word in args])


@click.command("run", cls=RunCommand)
@click.argument("manifest", type=ManifestName())
@manifest_options
@click.option("--dry-run", is_flag=True, help="Stop before the run, and show what would run.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Run N records alone, shared out over the sources.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads for nodes that do not say how many.  [default: one a core]")
@click.option("--check-arrays", is_flag=True, help="Fail items whose arrays a node changes that others read; slower.")
@click.option("--run-dir", type=click.Path(file_okay=False), help="Folder for journal, dead letters, metrics.")
@click.option(
    "--resume",
    type=click.Choice(_RESUMES),
    metavar="[=verify|reuse|new]",
    help="Go on where the run before stopped, if it was of the same manifest; verify: read all that it wrote; reuse: whatever it "
    "was of; new: if it was of another, begin anew.",
)
@writing_options
def command(
    manifest: str,
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    dry_run: bool,
    sample: int | None,
    workers: int | None,
    check_arrays: bool,
    run_dir: str | None,
    resume: Resume | None,
    sync_every: float,
    metrics: Path | None,
    log_format: str,
    log_level: str,
) -> int:
    """Run MANIFEST, a YAML file or the name of a shipped one.

    Exit status: 0 done, 1 failed, 2 wrong manifest or command line (nothing ran), 130 interrupted. Ctrl-C and SIGTERM let what
    is in flight end; a second one stops at once. SIGUSR1 logs what every thread is doing.
    """
    from phonograph.cli.complaints import show_complaints
    from phonograph.errors import GraphError

    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    from phonograph.engine.outside import refuse_inputs  # these not before: they need kernels that can run here
    from phonograph.executor import Executor

    try:
        refuse_inputs(graph)
    except GraphError as error:  # it is fine as a part of something, and cannot run by itself
        show_complaints(error.complaints, sys.stderr)
        return 2
    if dry_run:
        _show_plan(Executor(graph, run_dir=run_dir, workers=workers), workers)
        return 0

    def made(log: Logger) -> Executor:
        return Executor(
            graph,
            run_dir=run_dir,
            workers=workers,
            sample=sample,
            resume=resume,
            sync_every=sync_every,
            check_arrays=check_arrays,
            log=log,
        )

    return carry_out(graph, made, metrics=metrics, log_format=log_format, log_level=log_level)


def carry_out(graph: Graph, make: Callable[[Logger], Executor], *, metrics: Path | None, log_format: str, log_level: str) -> int:
    """Run an executor with progress, log and closing summary. Returns the exit status."""
    from phonograph.cli.summary import summarise
    from phonograph.errors import PhonographError
    from phonograph.log import command_logger

    executor: Executor | None = None
    try:
        if metrics is not None:
            require_storable("--metrics", metrics, graph.secrets.clean)
        heed_interrupts()
        with _progress_on_terminal(log_format) as show:  # first, because it replaces the standard error that the log goes to
            log = command_logger("json" if log_format == "json" else "console", log_level)
            for warning in graph.warnings:
                if warning.severity == "warning":
                    log.warning("manifest_warning", code=warning.code, place=str(warning.position), message=warning.words)
            executor = make(log)
            asyncio.run(_run(executor, show))
    except asyncio.CancelledError:
        pass  # the second Ctrl-C; the report says what became of the records
    except PhonographError as error:
        click.echo(f"error: {graph.secrets.clean(str(error))}", err=True)
        return 1
    report = executor.report if executor is not None else None
    assert executor is not None
    assert report is not None
    click.echo(summarise(report, executor.graph))
    if report.error is not None:
        click.echo(f"error: {report.error}", err=True)
    try:
        _copy_metrics(report, metrics)
    except PhonographError as error:
        click.echo(f"error: {graph.secrets.clean(str(error))}", err=True)
        return report.exit_code or 1
    return report.exit_code


def _show_plan(executor: Executor, workers: int | None) -> None:
    from phonograph.cli.complaints import say
    from phonograph.cli.explain import short_lines
    from phonograph.explaining import explain

    found = explain(executor.plan, run_directory=executor.run_directory, workers=workers)
    say("\n".join([*short_lines(found), "dry run: nothing was opened or written"]), sys.stdout)


async def _run(executor: Executor, show: Show | None) -> None:
    """Run with Ctrl-C and SIGTERM draining first, stopping at once when they come again."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    presses = 0

    def interrupt() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            click.echo("stopping: what is in flight will end; interrupt again to stop at once", err=True)
            executor.stop()
        else:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    loop.add_signal_handler(signal.SIGUSR1, executor.tell_running)
    watching = asyncio.create_task(_watch(executor, show)) if show is not None else None
    try:
        await executor.run_async()
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch(executor: Executor, show: Show) -> None:
    while True:
        show(executor)
        await asyncio.sleep(_PROGRESS_EVERY_S)


class Show:
    """Draws a progress line on a terminal."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def __call__(self, executor: Executor) -> None:
        from phonograph.item import Outcome

        progress = executor.progress()
        if progress is None:
            return
        ended = progress.read - progress.in_flight
        failed = progress.counts[Outcome.DEAD_LETTERED]
        text = f"{ended} records done, {progress.in_flight} in flight, {ended / max(progress.elapsed_s, 1e-9):.0f}/s"
        if failed:
            text += f", {failed} failed"
        self._bar.update(self._task, description=text)


@contextlib.contextmanager
def _progress_on_terminal(log_format: str) -> Iterator[Show | None]:
    if not sys.stderr.isatty() or log_format == "json":
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Show(bar, bar.add_task("starting", total=None))


def _copy_metrics(report: RunReport, metrics: Path | None) -> None:
    if metrics is not None:
        from phonograph.journal.directory import METRICS
        from phonograph.sink import FilePart

        content = (report.run_directory / METRICS).read_bytes()
        FilePart(os.path.abspath(metrics), lambda file: _write(file, content)).commit()


def _write(file: IO[bytes], content: bytes) -> None:
    file.write(content)
