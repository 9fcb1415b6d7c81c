"""Budget: how many records of a run may fail."""

from __future__ import annotations

from phonograph.engine.course import Course
from phonograph.errors import ErrorBudgetError
from phonograph.item import Outcome

_AFTER = 100  # records; a rate over fewer says little


class Budget:
    """Stops a run of which too many records fail.

    Args:
        error_rate: share of dead-lettered records that is allowed.
    """

    def __init__(self, course: Course, error_rate: float) -> None:
        self._course = course
        self._error_rate = error_rate
        if course.run_directory.redrive is None:  # which does only what has failed again, so that its rate says nothing
            course.on_end.append(self._record_ended)

    def is_exceeded(self, *, all_count: bool) -> bool:
        """At the end: more records failed than allowed; or, if `all_count`, all did, whatever is allowed."""
        all_failed = 0 < self._num_failed == self._num_ended
        return self._exceeds_rate or (all_failed and all_count)

    def error(self) -> ErrorBudgetError:
        rate = f"limits.error_rate allows {self._error_rate:.2%}" if self._exceeds_rate else "not one went through"
        where = self._course.run_directory.dead_letters_path
        return ErrorBudgetError(f"{self._num_failed} of {self._num_ended} records failed; {rate}; see {where}")

    def _record_ended(self, outcome: Outcome) -> None:
        if outcome is Outcome.DEAD_LETTERED and self._num_ended >= _AFTER and self._exceeds_rate:
            self._course.fail(self.error())

    @property
    def _num_failed(self) -> int:
        return self._course.ledger.counts[Outcome.DEAD_LETTERED]

    @property
    def _num_ended(self) -> int:
        return self._course.ledger.num_read - self._course.ledger.num_live

    @property
    def _exceeds_rate(self) -> bool:
        return self._num_failed > self._error_rate * self._num_ended
