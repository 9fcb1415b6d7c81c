"""`run-pipeline redrive`: runs records again that ended as dead letters, and no others."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phonograph.cli.loading import complaints_in, load
from phonograph.cli.options import Assignments, manifest_options
from phonograph.cli.run import carry_out, writing_options

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.errors import PhonographError
    from phonograph.executor import Executor
    from phonograph.graph.model import Graph
    from phonograph.journal.origin import Origin
    from phonograph.log import Logger


@click.command("redrive")
@click.argument("letters", metavar="FILE|RUN_DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Of the letters in FILE.  [default: its folder]"
)
@manifest_options
@click.option("--reuse", is_flag=True, help="Also where manifest, code or models are not those of the run any more.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads for nodes that do not say how many.  [default: one a core]")
@writing_options
def command(
    letters: Path,
    run_dir: Path | None,
    params: Assignments,
    overrides: Assignments,
    reuse: bool,
    workers: int | None,
    sync_every: float,
    metrics: Path | None,
    log_format: str,
    log_level: str,
) -> int:
    """Run records again that ended as dead letters, through the manifest of their run, into its outputs.

    RUN_DIR means all of them, FILE those whose letters are in it: dead_letters.jsonl, or some of its lines. What heals leaves
    dead_letters.jsonl, and counts and outputs are those of a run in which it had not failed. The manifest is read where it was,
    with the parameters of then; what --param and --set give comes on top. Relative paths start where the run was started.

    Exit status: as of a run.
    """
    from phonograph.errors import PhonographError as Wrong
    from phonograph.errors import RunDirectoryError
    from phonograph.journal.directory import JOURNAL
    from phonograph.journal.earlier import refuse_changes
    from phonograph.journal.fingerprint import fingerprint
    from phonograph.journal.origin import origin_in

    letters = letters.absolute()
    folder = letters if letters.is_dir() else letters.parent if run_dir is None else run_dir.absolute()
    try:
        origin = origin_in(folder)
    except RunDirectoryError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    try:
        with _started_in(origin.folder):
            asked = _loaded(origin, params, overrides)
            if (params or overrides) and not reuse:  # what they change is meant; what else has changed is not
                hidden = [(name, value) for name, value in params if _is_hidden(origin.params.get(name))]
                refuse_changes(folder / JOURNAL, fingerprint(_loaded(origin, hidden, ())))
    except RunDirectoryError as error:
        click.echo(f"error: {error}", err=True)
        return 1
    except Wrong as error:
        return _complain(error, origin, params, overrides)

    def made(log: Logger) -> Executor:
        from phonograph.executor import Executor

        return Executor(
            asked,
            run_dir=folder,
            redrive=True if letters.is_dir() else letters,
            resume="reuse" if reuse or params or overrides else None,
            workers=workers,
            sync_every=sync_every,
            log=log,
        )

    return carry_out(asked, made, metrics=metrics, log_format=log_format, log_level=log_level)


def _loaded(origin: Origin, params: Assignments, overrides: Assignments) -> Graph:
    """The graph of a run, with other values for some of what it was given."""
    given = [(name, value) for name, value in origin.params.items() if not _is_hidden(value)]
    return load(origin.manifest, [*given, *params], [*_apart(origin.overrides), *overrides])


def _complain(error: PhonographError, origin: Origin, params: Assignments, overrides: Assignments) -> int:
    from phonograph.cli.complaints import show_complaints
    from phonograph.cli.redaction import redaction

    redact = redaction(origin.manifest, params, [*_apart(origin.overrides), *overrides])
    show_complaints(complaints_in(error, origin.manifest), sys.stderr, redact=redact)
    hidden = [name for name, value in origin.params.items() if _is_hidden(value)]
    if hidden:
        click.echo(f"what was given as {', '.join(hidden)} is secret and was not kept; give it again with --param", err=True)
    return 2


def _is_hidden(value: object) -> bool:
    from phonograph.redaction import HIDDEN

    return isinstance(value, str) and HIDDEN in value


def _apart(overrides: Sequence[str]) -> list[tuple[str, str]]:
    return [(path, value) for path, _, value in (text.partition("=") for text in overrides)]


@contextlib.contextmanager
def _started_in(folder: str) -> Iterator[None]:
    """Relative paths start where they did; if that is gone, where they do now."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(contextlib.chdir(folder))
        yield
