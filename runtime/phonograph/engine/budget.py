"""Budget: how many records of a run may fail, in all and at single nodes."""

from __future__ import annotations

from collections.abc import Mapping

from phonograph.engine.course import Course
from phonograph.errors import ErrorBudgetError
from phonograph.item import Outcome

_AFTER = 100  # records; a rate over fewer says little


class Budget:
    """Stops a run of which too many records fail.

    Args:
        error_rate: share of dead-lettered records that is allowed.
        of_nodes: share of the records that may fail at each node, dead-lettered or skipped; each that did takes some bytes.
    """

    def __init__(self, course: Course, error_rate: float, of_nodes: Mapping[str, float]) -> None:
        self._course = course
        self._error_rate = error_rate
        self._of_nodes = of_nodes
        self._failed: dict[str, set[int]] = {node: set() for node in of_nodes}
        if of_nodes:
            course.on_failure.append(self._failed_at)
        if course.run_directory.redrive is None:  # which does only what has failed again, so that its rate says nothing
            course.on_end.append(self._record_ended)

    def is_exceeded(self, *, all_count: bool) -> bool:
        """At the end: more records failed than allowed; or, if `all_count`, all did, whatever is allowed."""
        all_failed = 0 < self._num_failed == self._num_ended
        return self._exceeds_rate or self._exceeding_node is not None or (all_failed and all_count)

    def error(self) -> ErrorBudgetError:
        where = f"see {self._course.run_directory.dead_letters_path}"
        if not self._exceeds_rate and (node := self._exceeding_node) is not None:
            return ErrorBudgetError(
                f"{len(self._failed[node])} of {self._num_ended} records failed at node {node!r}; its error_rate allows "
                f"{self._of_nodes[node]:.2%}; {where}"
            )
        rate = f"limits.error_rate allows {self._error_rate:.2%}" if self._exceeds_rate else "not one went through"
        return ErrorBudgetError(f"{self._num_failed} of {self._num_ended} records failed; {rate}; {where}")

    def _failed_at(self, node: str, records: frozenset[int]) -> None:
        if node in self._failed:
            self._failed[node] |= records

    def _record_ended(self, outcome: Outcome) -> None:
        if outcome not in (Outcome.DEAD_LETTERED, Outcome.SKIPPED) or self._num_ended < _AFTER:
            return
        if self._exceeds_rate or self._exceeding_node is not None:
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

    @property
    def _exceeding_node(self) -> str | None:
        for node, rate in self._of_nodes.items():
            if len(self._failed[node]) > rate * self._num_ended:
                return node
        return None
