"""What a run says of itself: a report when it has ended, a glance at its progress before."""

from __future__ import annotations

from pathlib import Path

import msgspec

from phonograph.errors import PhonographError
from phonograph.item import Outcome
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.metrics import FailureMetrics, MetricsDocument, RecordCounts, RedriveMetrics, RunStatus

_EXIT_CODES: dict[RunStatus, int] = {"success": 0, "completed_with_errors": 0, "failed": 1, "interrupted": 130}


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    Args:
        status: `success`; `completed_with_errors` (some records failed, within the budget, or calls did not come back after
            their time-outs); `failed`; `interrupted`.
        records: how many ended in which outcome; sums to `records.read`.
        metrics: what metrics.json holds; None when measuring was off.
        run_directory: where plan, journal, dead letters and metrics lie.
        error: why the run failed, else None.
        resumed: how many of the records had ended in earlier runs and were taken over.
        gone: how many records of earlier runs the sources no longer have; what was made of them stays.
        redrive: what became of those that were done again; None where none were to be.
        failures: the reasons for which items were given up, most frequent first; `failures_untold` counts those of others.
        notes: what a redrive has to say of single records, the first few.
    """

    status: RunStatus
    records: RecordCounts
    metrics: MetricsDocument | None
    run_directory: Path
    error: PhonographError | None
    total_time_s: float
    resumed: int = 0
    gone: int = 0
    redrive: RedriveMetrics | None = None
    failures: tuple[FailureMetrics, ...] = ()
    failures_untold: int = 0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What a program that runs the manifest exits with: 0, 1 or 130."""
        return _EXIT_CODES[self.status]

    @property
    def dead_letters_path(self) -> Path:
        return self.run_directory / DEAD_LETTERS


class Progress(msgspec.Struct, frozen=True):
    """A glance at a run under way: records read, in flight, and ended by outcome."""

    read: int
    in_flight: int
    counts: dict[Outcome, int]
    elapsed_s: float
