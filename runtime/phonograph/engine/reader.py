"""SourceReader: reads a source's records in batches, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import Any

from phonograph import cancellation
from phonograph._memory import leave
from phonograph.cancellation import NEVER, CancellationToken
from phonograph.engine.emission import payload_bytes
from phonograph.errors import NodeContractError, naming_node
from phonograph.graph.model import GraphNode
from phonograph.item import Record
from phonograph.journal.earlier import EarlierRecords
from phonograph.journal.records import Again, RecordRow
from phonograph.journal.redrive import RedrivenRecords
from phonograph.metrics import NodeStats, NodeTotals
from phonograph.node import Source

_BATCH_RECORDS = 64  # pays for the thread hop of a fast source
_BATCH_ROWS = 1024  # of what is taken over
_BATCH_NS = 1_000_000  # a slow source hands over each record
_BATCH_BYTES = 16 * 2**20  # and one with large payloads what it has by then: records in a batch are not admitted yet
_END = object()

Found = Record | RecordRow | Again
"""What a source found: a new record, how one ended in an earlier run that is taken over, or one that is done again."""


class SourceReader:
    """One open source. Every method but `take` and `hurry` runs in the source's thread.

    Attributes:
        token: by which it learns that nobody waits for its next record any more.

    Args:
        earlier: what earlier runs have done of its records; None: nothing.
    """

    def __init__(
        self, plan: GraphNode, totals: NodeTotals | None, earlier: EarlierRecords | RedrivenRecords | None = None
    ) -> None:
        with naming_node(plan.id, "could not be made"):
            source = plan.spec.factory(plan.params, plan.id)
        assert isinstance(source, Source)
        self._source: Source[Any] = source
        self._account = totals.account if totals is not None else None
        self._stats = totals.new_worker() if totals is not None else NodeStats()
        self._records: Iterator[Any] | None = None
        self._error: BaseException | None = None
        self._is_open = False
        self._earlier = earlier
        self._read: deque[Found] = deque()  # whose operations at either end are atomic
        self._most = 1
        self._is_late = False
        self.token = CancellationToken() if plan.is_timed else NEVER

    @property
    def node_id(self) -> str:
        return self._source.node_id

    def open(self) -> None:
        with naming_node(self._source.node_id, "could not be opened"):
            self._source.open()
            self._is_open = True
            self._records = iter(self._source.read()) if self._earlier is None else self._earlier.read(self._source)

    def read_on(self, clock_ns: Callable[[], int] = perf_counter_ns) -> bool:
        """Read some more records, which `take` hands over; False when the source has ended.

        As many as it read of late within a millisecond, so that a source that waits for its records does not keep one back.
        An error of the source is raised once the records that it gave before have been handed over.
        """
        assert self._records is not None
        if self._error is not None:
            raise self._error
        self._is_late = False
        reset = cancellation.enter(self.token)
        previous = self._account.enter() if self._account is not None else None
        start_ns = end_ns = clock_ns()
        num_found = num_read = num_bytes = 0  # what is taken over costs next to nothing, and nobody waits for it
        try:
            while num_read < self._most and num_found < _BATCH_ROWS and num_bytes < _BATCH_BYTES:
                if num_read and end_ns - start_ns >= _BATCH_NS:
                    break
                if self._is_late and num_found:  # not before: nothing read means that the source has ended
                    break
                found: Any = next(self._records, _END)
                end_ns = clock_ns()
                if found is _END:
                    break
                if isinstance(found, Record):
                    num_read += 1
                    num_bytes += payload_bytes(found.payload)
                elif self._earlier is None:
                    raise NodeContractError(f"the source yielded {type(found).__name__}; expected Record")
                elif isinstance(found, Again):
                    num_read += 1
                    num_bytes += payload_bytes(found.record.payload)
                self._read.append(found)
                num_found += 1
        except BaseException as error:
            self._stats.errors += 1
            self._error = error
            if not num_found:
                raise
        finally:
            cancellation.leave(reset)
            if self._account is not None:
                leave(previous)
        self._stats.called(start_ns, end_ns)
        self._most = max(1, min(_BATCH_RECORDS, 2 * self._most, num_read * _BATCH_NS // max(1, end_ns - start_ns)))
        return num_found > 0

    def hurry(self) -> None:
        """Let `read_on` return with the next record, for it has taken long. For the event loop."""
        self._is_late = True

    def take(self) -> list[Found]:
        """What has been read and not been taken yet. For the event loop, also while `read_on` waits for a record."""
        return [self._read.popleft() for _ in range(len(self._read))]

    def close(self) -> None:
        with naming_node(self._source.node_id, "could not be closed"):
            try:
                if self._records is not None and hasattr(self._records, "close"):
                    self._records.close()
            finally:
                if self._is_open:
                    self._source.close()


def shares(sample: int | None, sources: Sequence[str]) -> dict[str, int | None]:
    """How many records each source may read, as equal as can be; None: all."""
    if sample is None:
        return dict.fromkeys(sources)
    each, more = divmod(sample, max(1, len(sources)))
    return {source: each + (number < more) for number, source in enumerate(sources)}
