"""`run-pipeline test`: runs the test cases that manifests carry in their section `tests`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from phonograph.cli.loading import load_checked
from phonograph.cli.options import FORMAT_VERSION, ManifestName, manifest_options

if TYPE_CHECKING:  # imported when cases run: `run-pipeline --help` must not wait for NumPy
    from phonograph.cases import Case
    from phonograph.cases.trial import Verdict
    from phonograph.errors import Complaint
    from phonograph.graph.model import Graph


@click.command("test")
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=ManifestName())
@manifest_options
@click.option(
    "only", "--only", metavar="NAME", multiple=True, help="Run the case of this name, or those it is a glob for; repeatable."
)
@click.option("format_", "--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    manifests: tuple[str, ...],
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    only: tuple[str, ...],
    format_: str,
) -> int:
    """Run the test cases of manifests: what leaves a node, or a line of nodes, for what goes in.

    A case runs a part of the graph with the manifest's own parameters and policies. Nothing is read but what the case names, and
    nothing is written.

    Exit status: 0 all cases passed, 1 a case failed, 2 wrong manifest, wrong cases, or none to run.
    """
    from phonograph.cli.complaints import say, show_complaints
    from phonograph.cli.redaction import redaction

    found, complaints = _read(manifests, params, overrides)
    if not complaints:
        found, complaints = _chosen(found, only, manifests[0])
    if complaints:
        if format_ == "json":
            from phonograph.cli.check import as_json

            wrong = as_json([complaint for group in complaints.values() for complaint in group])
            click.echo(json.dumps({**wrong, "cases": [], "passed": 0, "failed": 0}, indent=1))
        for manifest, group in complaints.items() if format_ == "text" else ():
            show_complaints(group, sys.stderr, redact=redaction(manifest, params, overrides))
        return 2
    verdicts = _run(found)
    if format_ == "json":
        told = list(verdicts)
        click.echo(json.dumps(as_json_of(told), indent=1))
        return 0 if all(verdict.passed for verdict in told) else 1
    num_failed = num_passed = 0
    for verdict in verdicts:
        num_passed += verdict.passed
        num_failed += not verdict.passed
        for line in lines_of(verdict):
            say(line, sys.stdout)
    say(f"{num_passed} passed, {num_failed} failed", sys.stdout)
    return 1 if num_failed else 0


def lines_of(verdict: Verdict) -> Iterator[str]:
    """A verdict for people: a line, and one for each difference."""
    word = "ok" if verdict.passed else "FAILED"
    yield f"{word:6}  {verdict.case.name}  ({verdict.case.position})"
    for difference in verdict.differences:
        yield f"        {difference.place}: expected {difference.expected}; got {difference.got}"


def as_json_of(verdicts: Iterable[Verdict]) -> Mapping[str, object]:
    """Verdicts as plain values, for programs."""
    verdicts = list(verdicts)
    return {
        "version": FORMAT_VERSION,
        "complaints": [],
        "cases": [
            {
                "name": verdict.case.name,
                "file": verdict.case.position.file,
                "line": verdict.case.position.line,
                "column": verdict.case.position.column,
                "passed": verdict.passed,
                "differences": [
                    {"place": difference.place, "expected": difference.expected, "got": difference.got}
                    for difference in verdict.differences
                ],
            }
            for verdict in verdicts
        ],
        "passed": sum(verdict.passed for verdict in verdicts),
        "failed": sum(not verdict.passed for verdict in verdicts),
    }


Found = Sequence[tuple["Graph", Sequence["Case"]]]
Wrong = Mapping[str, Sequence["Complaint"]]
"""What is wrong, by manifest."""


def _read(
    manifests: Sequence[str], params: Sequence[tuple[str, str]], overrides: Sequence[tuple[str, str]]
) -> tuple[Found, Wrong]:
    """The cases of all manifests, and everything that is wrong with them."""
    from phonograph.errors import Complaint

    found: list[tuple[Graph, Sequence[Case]]] = []
    wrong: dict[str, Sequence[Complaint]] = {}
    for manifest in dict.fromkeys(manifests):
        checked = load_checked(manifest, params, overrides, inputs_in_place=False)
        errors = [complaint for complaint in checked.complaints if complaint.severity == "error"]
        if errors:
            wrong[manifest] = errors
        elif checked.graph is not None and checked.graph.manifest.tests is None:
            expected = "a section 'tests' with at least one case"
            place = checked.graph.manifest.position
            wrong[manifest] = [Complaint("missing_key", place, "the manifest has no test cases", expected)]
        elif checked.graph is not None:
            found.append((checked.graph, checked.cases))
    return found, wrong


def _chosen(found: Found, only: Sequence[str], manifest: str) -> tuple[Found, Wrong]:
    """The cases that `--only` names; each of its names has to fit one."""
    from phonograph.errors import Complaint, Position, nearest

    if not only:
        return found, {}
    names = [case.name for _, cases in found for case in cases]
    unfit = [
        Complaint(
            "unknown_reference",
            Position(manifest, 1, 1),
            f"no case is called {wanted!r}, which --only names",
            f"one of {', '.join(repr(name) for name in names)}",
            nearest(wanted, names),
        )
        for wanted in only
        if not any(_fits(name, wanted) for name in names)
    ]
    chosen = [(graph, [case for case in cases if any(_fits(case.name, wanted) for wanted in only)]) for graph, cases in found]
    return chosen, {manifest: unfit} if unfit else {}


def _fits(name: str, wanted: str) -> bool:
    return name == wanted or fnmatchcase(name, wanted)


def _run(found: Found) -> Iterator[Verdict]:
    from phonograph.cases.trial import run_case

    for graph, cases in found:
        for case in cases:
            yield run_case(case, graph)
