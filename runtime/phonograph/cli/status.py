"""`run-pipeline status`: what has been done in a run directory, and who is at it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # loaded when it is used: `run-pipeline --help` must not wait for it
    from phonograph.journal.status import RunStatusDocument


@click.command("status")
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@click.option("format_", "--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(run_dir: Path, format_: str) -> int:
    """Say what has been done in RUN_DIR, the --run-dir of a run, also while that goes on.

    Exit status: 0 the latest run has ended and is complete, 1 there is something left to do, 2 there is no journal.
    """
    import msgspec

    from phonograph.cli.complaints import say
    from phonograph.errors import RunDirectoryError
    from phonograph.journal.status import status_of

    try:
        found = status_of(run_dir)
    except RunDirectoryError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    if format_ == "json":
        say(msgspec.json.format(msgspec.json.encode(found), indent=1).decode(), sys.stdout)
    else:
        say(_text(found, run_dir), sys.stdout)
    return 0 if found.is_complete and not found.to_do and found.holder is None else 1


def _text(found: RunStatusDocument, run_dir: Path) -> str:
    counts = [(name.replace("_", " "), count) for name, count in found.records.items() if name != "ended" and count]
    lines = [
        f"{found.name}: {_state(found)}",
        f"records: {found.records['ended']} ended = " + (" + ".join(f"{count} {name}" for name, count in counts) or "0"),
    ]
    if found.not_met:
        lines.append(f"  {found.not_met} of them in earlier runs; the latest has not come to them, or they are no longer there")
    if found.gone:
        lines.append(f"  {found.gone} of earlier runs are no longer in the sources; what was made of them stays")
    if found.to_do:
        lines.append(f"  {found.to_do} of them would be done again")
    if found.dead_letters:
        letters = "1 dead letter" if found.dead_letters == 1 else f"{found.dead_letters} dead letters"
        lines.append(f"  {letters}: {run_dir / 'dead_letters.jsonl'}")
    if found.garbled:
        lines.append(f"  the journal is garbled in {len(found.garbled)} places; their records are done again")
    if found.holder is None and not (found.is_complete and not found.to_do):
        lines.append("go on with: run-pipeline MANIFEST --resume --run-dir " + str(run_dir))
    return "\n".join(lines)


def _state(found: RunStatusDocument) -> str:
    which = "" if found.run == 1 else f" (run {found.run} of those that went on with each other)"
    if found.holder is not None:
        return f"running since {found.started}, process {found.holder.pid} on {found.holder.host}{which}"
    if found.status is None:
        return f"began {found.started} and was killed{which}"
    return f"began {found.started} and ended: {found.status}{'' if found.is_complete else ', incomplete'}{which}"
