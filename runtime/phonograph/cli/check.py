"""`run-pipeline check`: everything that can be said about manifests without running them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from phonograph.cli.loading import load_checked
from phonograph.cli.options import FORMAT_VERSION, ManifestName, manifest_options

if TYPE_CHECKING:
    from phonograph.chunking.trial import Trial
    from phonograph.errors import Complaint
    from phonograph.graph.model import Graph


@click.command("check")
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=ManifestName())
@manifest_options
@click.option("format_", "--format", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--chunking", is_flag=True, help="Also run them, on audio in one piece and in chunks, and compare.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="With --chunking: ways of cutting a record.")
@click.option("--sample", type=click.IntRange(1), default=3, show_default=True, help="With --chunking: records to read.")
def command(
    manifests: tuple[str, ...],
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    format_: str,
    strict: bool,
    chunking: bool,
    seeds: int,
    sample: int,
) -> int:
    """Check manifests without running them, or with --chunking also whether a stream gives what a file gives.

    Language, parameters, wiring, types, paths that are read, and what is odd. All complaints come at once, each as
    FILE:LINE:COLUMN: CODE and words. A (warning) is about something that runs and is hardly meant, a (note) is worth knowing.

    With --chunking, audio from the manifest's sources (or noise, where it has inputs) goes through its nodes in one piece, and
    in a session in random chunks, from one sample to three seconds. Each node is told with the largest difference of what it
    made. Nothing is written.

    Exit status: 0 no error; 1 with --chunking, a difference beyond what the node's type declares; 2 at least one error (with
    --strict: or a warning).
    """
    from phonograph.cli.complaints import say, show_complaints
    from phonograph.cli.redaction import redaction
    from phonograph.cli.sarif import as_sarif

    if chunking:  # not at the top: the engine and NumPy come with it
        from phonograph.cli.chunking import as_json_of, lines_of, tried

    found: dict[str, Sequence[Complaint]] = {}
    trials: dict[str, Trial] = {}
    for manifest in manifests:
        found[manifest], graph = _checked(manifest, params, overrides)
        if chunking and graph is not None and not any(one.severity == "error" for one in found[manifest]):
            trial, about_it = tried(graph, seeds=seeds, sample=sample)
            found[manifest] = [*found[manifest], *about_it]
            if trial is not None:
                trials[manifest] = trial
    complaints = [complaint for group in found.values() for complaint in group]
    if format_ == "json":
        more = {"chunking": [as_json_of(name, trial) for name, trial in trials.items()]} if chunking else {}
        click.echo(json.dumps({**as_json(complaints), **more}, indent=1))
    elif format_ == "sarif":
        click.echo(json.dumps(as_sarif(complaints), indent=1))
    else:
        for manifest, group in found.items():
            show_complaints(group, sys.stdout, redact=redaction(manifest, params, overrides))
            say(f"{manifest}: {_verdict(group)}", sys.stdout)
            for line in lines_of(manifest, trials[manifest], seeds) if manifest in trials else ():
                say(line, sys.stdout)
    fatal = {"error", "warning"} if strict else {"error"}
    if any(complaint.severity in fatal for complaint in complaints):
        return 2
    return 0 if all(trial.holds for trial in trials.values()) else 1


def complaints_about(
    manifest: str, params: Sequence[tuple[str, str]], overrides: Sequence[tuple[str, str]]
) -> Sequence[Complaint]:
    """Every complaint about a manifest, in the order of its text."""
    return _checked(manifest, params, overrides)[0]


def _checked(
    manifest: str, params: Sequence[tuple[str, str]], overrides: Sequence[tuple[str, str]]
) -> tuple[Sequence[Complaint], Graph | None]:
    checked = load_checked(manifest, params, overrides)
    notes = [] if checked.graph is None else _notes(checked.graph)
    return sorted([*checked.complaints, *notes], key=lambda complaint: complaint.position), checked.graph


def as_json(complaints: Iterable[Complaint]) -> Mapping[str, object]:
    """The complaints as plain values, for programs."""
    return {
        "version": FORMAT_VERSION,
        "complaints": [
            {
                "file": complaint.position.file,
                "line": complaint.position.line,
                "column": complaint.position.column,
                "code": complaint.code,
                "severity": complaint.severity,
                "found": complaint.found,
                "expected": complaint.expected,
                "candidates": list(complaint.candidates),
                "note": complaint.position.note,
            }
            for complaint in complaints
        ],
    }


def _notes(graph: Graph) -> list[Complaint]:
    """What holds for a node because of where it runs."""
    from phonograph.errors import Complaint

    processes = [
        Complaint(
            "process",
            node.position,
            f"node {node.id!r} ({node.spec.type}) runs in processes of its own: what it takes and makes is copied there and back",
            severity="note",
        )
        for node in graph.nodes.values()
        if node.run == "process"
    ]
    return processes + [
        Complaint(
            "inline",
            node.position,
            f"node {node.id!r} ({node.spec.type}) runs inline, in the event loop: a call of it cannot be given a time-out",
            severity="note",
        )
        for node in graph.nodes.values()
        if node.run == "inline" and node.spec.kind == "transform" and not _only_steers(node.spec.type)
    ]


def _only_steers(node_type: str) -> bool:
    """Whether the type is one of the runtime's own that hand items on without touching their payloads."""
    return node_type.startswith("flow.")


def _verdict(complaints: Sequence[Complaint]) -> str:
    counts = Counter(complaint.severity for complaint in complaints)
    words = [
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in ("error", "warning", "note")
        if counts[severity]
    ]
    return ", ".join(words) or "no complaints"
