"""The figures of one measurement, which is also what a baseline file holds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from phonograph.errors import BaselineError
from phonograph.metrics import RecordCounts
from phonograph.sink import FilePart

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Median and quartiles of one quantity over the runs; with one run all three are its value."""

    median: NotNegative
    lower: NotNegative
    upper: NotNegative

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value. Quartiles are interpolated between the values beside them."""
        quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        lower, median, upper = (round(value, 6) for value in quartiles)
        return cls(median, lower, upper)


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


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node: milliseconds that it was busy in a run, summed over its workers."""

    id: str
    type: str
    execution_time_ms: Spread


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a baseline file.

    Args:
        version: of this format.
        date: UTC, ISO 8601.
        runs: how many were measured.
        records: how the records of a run ended; the same in every run.
        total_time_ms: wall time of a run. process_peak_mb: the most memory that the process had resident during one.
    """

    version: Literal[1]
    date: str
    setting: Setting
    work: Work
    runs: Annotated[int, msgspec.Meta(ge=1)]
    records: RecordCounts
    total_time_ms: Spread
    process_peak_mb: Spread
    nodes: tuple[NodeFigures, ...]


def read(path: Path) -> Figures:
    """The figures in a file.

    Raises:
        BaselineError: there is no such file, or it holds something else.
    """
    remedy = "`run-pipeline bench MANIFEST --save FILE` writes one"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Figures)
    except OSError as error:
        raise BaselineError(str(path), f"cannot be read: {error.strerror}", "a baseline", remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one, and names the place inside
        raise BaselineError(str(path), f"is no baseline: {error}", "a file as this release writes it", remedy) from error


def write(path: Path, figures: Figures) -> None:
    """Store figures, as a whole or not at all.

    Raises:
        OutputError: they cannot be stored there.
    """
    content = msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"

    def put(file: object) -> None:
        file.write(content)  # type: ignore[attr-defined]

    FilePart(str(path.absolute()), put).commit()
