"""`run-pipeline explain`: what a manifest comes to, with the origin of every value and the reason of every decision."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import FORMAT_VERSION, ManifestName, complete_node, manifest_options

if TYPE_CHECKING:
    from phonograph.explaining import EdgeFacts, Explanation, Fact, NodeFacts, SegmentFacts
    from phonograph.graph.model import Graph

_WIDTH = 100
_VALUE_COLUMN = 22
_NAMED = 4  # nodes in a list; JSON has all of them
_ABSENT = 6  # parameters that are null by default and are listed nevertheless; JSON has all of them


@click.command("explain")
@click.argument("manifest", type=ManifestName())
@manifest_options
@click.option("--node", metavar="ID", shell_complete=complete_node, help="Explain this node alone.")
@click.option("--short", "is_short", is_flag=True, help="A few lines: the segments and what they write.")
@click.option("--workers", type=click.IntRange(min=1), help="As for a run.")
@click.option("--run-dir", type=click.Path(file_okay=False), help="As for a run.")
@click.option("format_", "--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    manifest: str,
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    node: str | None,
    is_short: bool,
    workers: int | None,
    run_dir: str | None,
    format_: str,
) -> int:
    """Explain what MANIFEST comes to, and why.

    Values with their origin, types on every edge, inserted conversions, segments, queues, workers and their reasons.
    Nothing is opened, run or written. Exit status: 0, or 2 for a wrong manifest or command line.
    """
    from phonograph.cli.complaints import say
    from phonograph.engine.plan import make_plan
    from phonograph.explaining import explain
    from phonograph.journal import default_run_directory

    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    if node is not None and node not in graph.nodes:
        _refuse(node, graph)
    directory = Path(run_dir) if run_dir is not None else default_run_directory(graph)
    found = explain(make_plan(graph, workers=workers), run_directory=directory, workers=workers)
    if node is not None:
        found = _only(found, node)
    if format_ == "json":
        say(json.dumps({"version": FORMAT_VERSION, **dataclasses.asdict(found)}, indent=1), sys.stdout)
    else:
        say("\n".join(short_lines(found) if is_short else lines(found, whole=node is None)), sys.stdout)
    return 0


def lines(found: Explanation, *, whole: bool = True) -> Iterator[str]:
    """The explanation as text; not `whole`: of some nodes alone."""
    everywhere = _shared(found.nodes)
    if whole:
        yield f"{found.name}: {found.description}" if found.description else found.name
        yield f"  manifest       {found.manifest}"
        yield f"  run directory  {found.run_directory}"
        yield from _section("Parameters", _table(found.params))
        for subgraph in found.subgraphs:
            yield from _section(f"Parameters of the sub-graph {subgraph.id}, {subgraph.place}", _table(subgraph.params))
        yield from _section("Limits", _table(found.limits))
        yield from _section("Policies of every node", _table(everywhere))
        yield from ("", "Nodes")
    for number, node in enumerate(found.nodes):
        if number:
            yield ""
        yield from _node(node, [fact for fact in node.policies if fact not in everywhere or not whole])
    yield from ("", "Segments: each a line of nodes that a worker runs without a queue in between" if whole else "Segment")
    for segment in found.segments:
        yield from _segment(segment)
    yield from _section("Outputs", _table(found.outputs))
    if whole:
        yield from _section(
            "Dead letters", (f"  of {_some(fact.name.split(', '))} -> {fact.value}" for fact in found.dead_letters)
        )
        yield from _section("Warnings", (f"  {warning}" for warning in found.warnings))


def short_lines(found: Explanation) -> Iterator[str]:
    """The plan in a few lines."""
    yield f"{found.name}: {len(found.nodes)} nodes in {len(found.segments)} segments"
    types = {node.id: node.type for node in found.nodes}
    names = [" -> ".join(segment.nodes) for segment in found.segments]
    width = min(max(map(len, names), default=0), _WIDTH // 2)
    for name, segment in zip(names, found.segments, strict=True):
        yield f"  {name.ljust(width)}  {', '.join(types[node] for node in segment.nodes)}"
    for node in found.nodes:
        if node.changes:
            yield f"converts       {node.id}: {node.changes}" + (f"; {node.loses}" if node.loses else "")
    for fact in found.outputs:
        yield f"output         {fact.value}"
    yield f"run directory  {found.run_directory}"
    for warning in found.warnings:
        yield f"warning        {warning}"


def _section(title: str, body: Iterable[str]) -> Iterator[str]:
    inside = list(body)
    if inside:
        yield from ("", title, *inside)


def _table(facts: Sequence[Fact], indent: str = "  ") -> Iterator[str]:
    """Name, value, origin in columns; a value that is too long for its column has its origin on the next line."""
    name_width = max((len(fact.name) for fact in facts), default=0)
    value_width = max((len(fact.value) for fact in facts if len(fact.value) <= 2 * _VALUE_COLUMN), default=0)
    for fact in facts:
        start = f"{indent}{fact.name.ljust(name_width)}  "
        if len(fact.value) > value_width:
            yield start + fact.value
            if fact.origin:
                yield f"{' ' * len(start)}{''.ljust(value_width)}  {fact.origin}"
        else:
            yield f"{start}{fact.value.ljust(value_width)}  {fact.origin}".rstrip()


def _shared(nodes: Sequence[NodeFacts]) -> Sequence[Fact]:
    """The policies that all nodes of the manifest have alike, for which `defaults` is; inserted nodes have those of others."""
    first, *others = [node.policies for node in nodes if not node.changes] or [()]
    return [fact for fact in first if others and all(fact in policies for policies in others)]


def _node(node: NodeFacts, policies: Sequence[Fact]) -> Iterator[str]:
    from phonograph.explaining import Fact

    yield f"  {node.id}: {node.type}".ljust(_VALUE_COLUMN * 2) + f"  {node.place}"
    if node.changes:
        yield f"    converts {node.changes}"
        yield f"    loses by {node.loses}" if node.loses else "    loses nothing"
    edges = [Fact(edge.port, _from(edge), _types(edge)) for edge in node.inputs if not edge.dead_letters]
    lost: dict[str, list[str]] = {}
    for edge in node.inputs:
        if edge.dead_letters:
            lost.setdefault(edge.port, []).append(edge.source.rpartition(".")[0])
    edges += [Fact(port, f"<- dead letters of {_some(sources)}", "record") for port, sources in lost.items()]
    yield from _table([*edges, *_folded(node.params), *policies], "    ")


def _folded(params: Sequence[Fact]) -> list[Fact]:
    """The parameters; where many are absent by default, these on one line."""
    from phonograph.explaining import Fact

    absent = [fact for fact in params if fact.value == "null" and fact.origin.startswith("default of ")]
    if len(absent) <= _ABSENT:
        return list(params)
    return [*(fact for fact in params if fact not in absent), Fact(f"({len(absent)} others)", "null", absent[0].origin)]


def _from(edge: EdgeFacts) -> str:
    return f"<- what {edge.source.rpartition('.')[0]} cannot take" if edge.fallback else f"<- {edge.source}"


def _types(edge: EdgeFacts) -> str:
    return f"{edge.type}, taken as {edge.taken}" if edge.taken else edge.type


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else ", ".join(names[:_NAMED]) + f" and {more} more"


def _segment(segment: SegmentFacts) -> Iterator[str]:
    yield f"  {' -> '.join(segment.nodes)}"
    yield f"    why      {segment.reason}"
    if segment.run == "process":
        yield "    runs     in processes of its own, which may crash without harm to the run"
    for fact in (segment.workers, segment.queue, segment.batch):
        if fact is not None:
            yield f"    {fact.name.ljust(7)}  {fact.value}" + (f" ({fact.origin})" if fact.origin else "")
    if segment.opens_at:
        yield f"    tickets  open at {_some(segment.opens_at)}"


def _only(found: Explanation, node_id: str) -> Explanation:
    return dataclasses.replace(
        found,
        nodes=tuple(node for node in found.nodes if node.id == node_id),
        segments=tuple(segment for segment in found.segments if node_id in segment.nodes),
        outputs=tuple(fact for fact in found.outputs if fact.name == node_id),
    )


def _refuse(node_id: str, graph: Graph) -> None:
    from phonograph.errors import nearest

    close = nearest(node_id, graph.nodes)
    remedy = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise click.UsageError(f"--node {node_id}: expected one of {', '.join(graph.nodes)}{remedy}")
