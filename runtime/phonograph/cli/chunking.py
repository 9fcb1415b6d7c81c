"""What `run-pipeline check --chunking` says: for each node, how it streams and how far chunks are from one piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from phonograph.chunking.trial import Trial, Verdict, try_chunking

if TYPE_CHECKING:
    from phonograph.errors import Complaint
    from phonograph.graph.model import Graph


def tried(graph: Graph, *, seeds: int, sample: int) -> tuple[Trial | None, Sequence[Complaint]]:
    """Run a graph in one piece and in chunks; None, and complaints, when that cannot be."""
    from phonograph.chunking.subject import subject_of
    from phonograph.cli.loading import complaints_in
    from phonograph.errors import PhonographError

    try:
        return try_chunking(graph, subject_of(graph), seeds=seeds, sample=sample), ()
    except PhonographError as error:
        return None, complaints_in(error, graph.manifest.position.file)


def lines_of(manifest: str, trial: Trial, seeds: int) -> Iterator[str]:
    """A trial for people: a line for each node, and one for all."""
    rows = [(one.compared.node.id, one.compared.node.spec.type, one.compared.streaming, _figure(one)) for one in trial.verdicts]
    widths = [max(len(row[column]) for row in (("node", "type", "streams", ""), *rows)) for column in range(3)]
    for row in (("node", "type", "streams", "largest difference"), *rows):
        yield ("  " + "  ".join(text.ljust(width) for text, width in zip(row, (*widths, 0), strict=True))).rstrip()
    beyond = sum(not one.holds for one in trial.verdicts)
    ways = f"{trial.num_records} records, each cut in {seeds} ways"
    if not trial.num_records:
        yield f"{manifest}: nothing was compared, for no audio came"
    elif beyond:
        yield f"{manifest}: chunks give something else than one piece at {beyond} of {len(rows)} nodes ({ways})"
    else:
        yield f"{manifest}: chunks give what one piece gives ({ways})"


def as_json_of(manifest: str, trial: Trial) -> Mapping[str, object]:
    """The same as plain values; a difference that has no figure is null."""
    return {
        "manifest": manifest,
        "records": trial.num_records,
        "holds": trial.holds,
        "nodes": [
            {
                "id": one.compared.node.id,
                "type": one.compared.node.spec.type,
                "streaming": one.compared.streaming,
                "tolerance": one.compared.tolerance,
                "deviation": one.deviation.largest if one.deviation.largest < float("inf") else None,
                "where": one.deviation.where,
                "key": one.key,
                "seed": one.seed,
                "holds": one.holds,
            }
            for one in trial.verdicts
        ],
    }


def _figure(one: Verdict) -> str:
    if not one.deviation.largest:
        return "0"
    figure = "" if one.deviation.largest == float("inf") else f"{one.deviation.largest:.3g}: "
    allowed = f" (declared: {one.compared.tolerance:g})" if one.holds else ""
    return f"{figure}{one.deviation.where}; {one.key}, seed {one.seed}{allowed}"
