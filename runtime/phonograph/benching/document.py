"""The figures of one measurement, which is also what a baseline file holds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from phonograph.errors import BaselineError
from phonograph.metrics import RecordCounts
from phonograph.sink import FilePart
from phonograph.spec import Kind

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Median and quartiles of one quantity over the runs, and the least of them; with one run all four are its value."""

    median: NotNegative
    lower: NotNegative
    upper: NotNegative
    least: NotNegative

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value. Quartiles are interpolated between the values beside them."""
        quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        lower, median, upper = (round(value, 6) for value in quartiles)
        return cls(median, lower, upper, round(min(values), 6))

    @property
    def width(self) -> float:
        """Between the quartiles, as a share of the median; 0 when that is 0."""
        return (self.upper - self.lower) / self.median if self.median else 0.0


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where something was measured. `versions` are those of phonograph, Python and NumPy; `isa` that of the kernels."""

    processor: str
    cores: Annotated[int, msgspec.Meta(ge=1)]
    isa: str
    versions: dict[str, str]


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was run.

    Args:
        name: of the manifest.
        params: the values of its parameters, as text; `***` for a secret.
        nodes: id -> digest of all that the node does: type, version, parameters but where it writes, inputs, workers.
        fingerprint: digest of `nodes`.
    """

    name: str
    params: dict[str, str]
    nodes: dict[str, str]
    fingerprint: str


class NodeAmounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What went through one node in a run: items, and seconds of audio to the millisecond; null where runs differ in it."""

    items_in: int | None
    items_out: int | None
    audio_seconds: float | None


class Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much was done in a run, which tells workloads apart that one manifest reads under one name.

    Args:
        records: how the records of a run ended; the same in every run.
        bytes_read: sizes of the files behind the records, where they have any; the same in every run.
        nodes: by node id.
    """

    records: RecordCounts
    bytes_read: int
    nodes: dict[str, NodeAmounts]


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node, in a run, summed over its workers.

    Args:
        execution_time_ms: time on the wall that it was busy, waiting included.
        processor_time_ms: what its own calls took of a processor; null where that is not measured: a node that gathers, or that
            nothing reached.
    """

    id: str
    type: str
    kind: Kind
    execution_time_ms: Spread
    processor_time_ms: Spread | None


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a baseline file.

    Args:
        version: of this format.
        date: UTC, ISO 8601.
        runs: how many were measured.
        amounts: how much each of them did.
        total_time_ms: wall time of a run. processor_time_ms: what the process took of all cores during one.
        process_peak_mb: the most memory that the process had resident during one.
    """

    version: Literal[2]
    date: str
    setting: Setting
    work: Work
    runs: Annotated[int, msgspec.Meta(ge=1)]
    amounts: Amounts
    total_time_ms: Spread
    processor_time_ms: Spread
    process_peak_mb: Spread
    nodes: tuple[NodeFigures, ...]


def read(path: Path) -> Figures:
    """The figures in a file.

    Raises:
        BaselineError: there is no such file, or it holds something else.
    """
    remedy = "`run-pipeline bench MANIFEST --save FILE` writes one"
    try:
        figures = msgspec.json.decode(path.read_bytes(), type=Figures)
    except OSError as error:
        raise BaselineError(str(path), f"cannot be read: {error.strerror}", "a baseline", remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one, and names the place inside
        raise BaselineError(str(path), f"is no baseline: {error}", "a file as this release writes it", remedy) from error
    damage = next(_damage(figures), None)
    if damage is not None:
        raise BaselineError(str(path), f"is damaged: {damage}", "figures as they were measured", remedy)
    return figures


def _damage(figures: Figures) -> Iterator[str]:
    """What no measurement gives."""
    spreads: list[tuple[str, Spread | None]] = [
        ("total_time_ms", figures.total_time_ms),
        ("processor_time_ms", figures.processor_time_ms),
        ("process_peak_mb", figures.process_peak_mb),
    ]
    for node in figures.nodes:
        amounts = figures.amounts.nodes.get(node.id)
        if node.execution_time_ms.median or amounts is None or amounts.items_in or amounts.items_out:
            spreads.append((f"execution_time_ms of {node.id}", node.execution_time_ms))  # else nothing reached it
        spreads.append((f"processor_time_ms of {node.id}", node.processor_time_ms))
    for name, spread in spreads:
        if spread is None:
            continue
        if not spread.median:
            yield f"the median of {name} is 0"
        if not spread.least <= spread.lower <= spread.median <= spread.upper:
            yield f"least, lower, median and upper of {name} are not in this order"


def write(path: Path, figures: Figures) -> None:
    """Store figures, as a whole or not at all.

    Raises:
        OutputError: they cannot be stored there.
    """
    content = msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"

    def put(file: object) -> None:
        file.write(content)  # type: ignore[attr-defined]

    FilePart(str(path.absolute()), put).commit()


def records_in_words(records: RecordCounts) -> str:
    """`5 read = 4 completed, 1 dead-lettered`: outcomes that no record had are left out."""
    ended = [f"{count} {name.replace('_', '-')}" for name, count in msgspec.structs.asdict(records).items() if count][1:]
    return f"{records.read} read" + (f" = {', '.join(ended)}" if ended else "")
