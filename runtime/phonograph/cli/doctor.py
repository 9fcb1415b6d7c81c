"""`run-pipeline doctor`: what is wrong with an installation or its machine, and what to do about it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # `run-pipeline --help` must not wait for what a check-up imports
    from phonograph.cli.checkup import Finding

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


@click.command("doctor")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(format_: str) -> int:
    """Look for what is in the way of a run: packages, codecs, node types, disk, the folder where you are.

    A small file is written here, synced, renamed and removed again. Nothing is looked up in a network.

    Exit status: 0 no problem (notes are none), 1 at least one.
    """
    from importlib.metadata import version

    from phonograph.cli.checkup import check_up

    isa, refused = _instruction_set()
    findings = [*refused, *check_up(isa=isa, working_folder=Path.cwd())]
    healthy = all(finding.level != "problem" for finding in findings)
    if format_ == "json":
        checks = [dataclasses.asdict(finding) for finding in findings]
        status = "ok" if healthy else "problem"
        click.echo(json.dumps({"phonograph": version("phonograph"), "status": status, "checks": checks}, indent=1))
    else:
        click.echo("\n".join([f"phonograph {version('phonograph')}", *_lines(findings), "", _verdict(findings)]))
    return 0 if healthy else 1


def _instruction_set() -> tuple[str, list[Finding]]:
    """What the kernels use, and what is wrong with it."""
    from phonograph.cli.checkup import Finding
    from phonograph.errors import InstructionSetError

    try:
        from phonograph.isa import ISA
    except InstructionSetError as error:
        found = f"{error.place}: {error.found}; expected {error.expected}"
        return "nothing, for they are refused", [Finding("machine", "kernels", "problem", found, error.remedy)]
    return ISA, []


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            yield from ("", area)
        yield f"  {_MARKS[finding.level]:8} {finding.subject.ljust(width)}  {finding.found}"
        if finding.remedy:
            yield f"  {'':8} {''.ljust(width)}  -> {finding.remedy}"


def _verdict(findings: Sequence[Finding]) -> str:
    problems, notes = (sum(finding.level == level for finding in findings) for level in ("problem", "note"))
    return f"{_count(problems, 'problem')}, {_count(notes, 'note')}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
