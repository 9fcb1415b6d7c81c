"""What a run measures, and metrics.json, the document it leaves.

How to read it. `execution_time_ms` sums the busy time of all attempts in all workers, so it may exceed the wall time.
`queue_wait_ms` far above it names a node that is a bottleneck: items wait there. `latency_ms` are single
calls, for a source batches of records, for a node that takes batches those.
`array_peak_mb` is the most NumPy memory that the node's own code held at one time, arrays it handed on included until they die;
of a node that runs in processes, the sum of what each of them held at most.
`native_peak_mb` is null where a node uses memory that cannot be seen (FFmpeg, soxr), and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, Literal

import msgspec

from phonograph._memory import ArrayAccount
from phonograph._meter import CallMeter, bucket_of, upper_edge

NodeStatus = Literal["success", "retried", "skipped", "failed"]
RunStatus = Literal["success", "completed_with_errors", "failed", "interrupted"]


class Histogram:
    """Counts of nanoseconds in log-linear buckets: constant memory, any range.

    Args:
        counts: by bucket, counted on; None: there are none yet.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {} if counts is None else counts

    def add(self, nanoseconds: int) -> None:
        bucket = bucket_of(nanoseconds)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def quantile(self, share: float) -> float:
        """Upper edge, in nanoseconds, of the bucket that holds the value at `share` (0 to 1); 0 when empty."""
        rank = share * sum(self.counts.values())
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return float(upper_edge(bucket))
        return 0.0


class NodeStats(CallMeter):
    """What one worker measured of one node. Written by that worker alone, so without locks.

    Args:
        account: made the current one at each call; None: memory is not counted.
    """

    __slots__ = ("array_peak_bytes", "audio_seconds", "items_changed")

    def __init__(self, account: ArrayAccount | None = None) -> None:
        super().__init__(None if account is None else account.enter)
        self.array_peak_bytes = 0  # of a worker process; threads share an account
        self.items_changed = 0  # of an inserted conversion
        self.audio_seconds = 0.0

    @property
    def latency(self) -> Histogram:
        """How long single calls took."""
        return Histogram(self.buckets)

    def merge(self, other: NodeStats) -> None:
        if other.calls:
            self.first_ns = min(self.first_ns, other.first_ns) if self.calls else other.first_ns
            self.last_ns = max(self.last_ns, other.last_ns)
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency.merge(other.latency)

    def __reduce__(self) -> tuple[Callable[..., NodeStats], tuple[Any, ...]]:
        return _stats_with, ({name: getattr(self, name) for name in _FIELDS}, self.buckets)


_SUMMED = ("audio_seconds", "busy_ns", "calls", "errors", "items_changed", "items_in", "items_out")
_FIELDS = (*_SUMMED, "array_peak_bytes", "first_ns", "last_ns")


def _stats_with(fields: dict[str, Any], buckets: dict[int, int]) -> NodeStats:
    """What another process measured."""
    stats = NodeStats()
    for name, value in fields.items():
        setattr(stats, name, value)
    stats.buckets.update(buckets)
    return stats


BreakerStateName = Literal["closed", "open", "half-open"]


class BreakerTransition(msgspec.Struct, frozen=True):
    """A breaker has changed its state: when, in milliseconds from the beginning of the run, and into which."""

    at_ms: float
    state: BreakerStateName


class BreakerMetrics(msgspec.Struct, frozen=True):
    """The circuit breaker of a node at the end of the run, and how it came there: of many transitions the first and the last."""

    state: BreakerStateName
    opens: int
    transitions: tuple[BreakerTransition, ...] = ()


class LatencyMetrics(msgspec.Struct, frozen=True):
    """Quantiles of single calls, in milliseconds, at most 6 % high."""

    p50: float
    p95: float
    p99: float


class BatchMetrics(msgspec.Struct, frozen=True):
    """The batches of a node: how many were formed, and the items in one on average. Parts of a batch that failed do not count."""

    formed: int
    mean_items: float


class NodeMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `items_in` counts items, not attempts; `errors` counts failed attempts.

    `refused_retries` counts the attempts that the retry budget did not allow; `timeouts` the failed attempts that took too long.
    `items_dropped` are those that the queue in front of it dropped, as its policy says; `items_to_fallback` those that its
    fallback took.
    """

    id: str
    type: str
    status: NodeStatus
    execution_time_ms: float
    memory_mb: float
    wall_ms: float
    queue_wait_ms: float
    items_in: int
    items_out: int
    items_dropped: int
    items_to_fallback: int
    errors: int
    retries: int
    retried_items: int
    refused_retries: int
    timeouts: int
    array_peak_mb: float
    native_peak_mb: float | None
    breaker: BreakerMetrics
    latency_ms: LatencyMetrics
    audio_seconds: float
    batches: BatchMetrics | None = None


class RecordCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many records ended in which outcome; the six outcomes sum to `read`."""

    read: int
    completed: int
    filtered: int
    skipped: int
    dropped: int
    dead_lettered: int
    cancelled: int


class ConversionMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was inserted because two ends of an edge differ, or for the sake of order.

    `changes` says what it does, `loses` what is lost by that for certain or maybe (empty when nothing is), `items_changed` how
    many items it did not hand on as they were.
    """

    node: str
    changes: str
    loses: str
    items_changed: int


class MemoryLimitMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What `limits.memory` did.

    `pauses` counts how often a source or a sender was held back, `paused_ms` for how long, summed over all of them; `forced` the
    records that were let in although they did not fit, because nothing else was in flight or could move; `refused` those that
    their senders were told to keep. `record_mb` is what a record weighs at one node, by the latest heavy ones.
    """

    limit_mb: float
    pauses: int
    paused_ms: float
    forced: int
    refused: int
    record_mb: float


class LeftBehindMetrics(msgspec.Struct, frozen=True):
    """A call that did not end when it was told to, after its time-out, so that its thread was left behind.

    `key` is that of the item, empty for a source; `waited_ms` how long the call had been running by then; `returned` whether it
    came back before the run ended.
    """

    node: str
    key: str
    waited_ms: float
    returned: bool


class FailureMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Items that were given up for one reason: the same code, node, line of code, and words but for keys, paths, numbers.

    `example` is the key of the first of them, `message` what was said of it, with the remedy where one is known; `meaning` says
    what the code stands for; `place` is where in the node's code it was raised, for errors that are not phonograph's own. `count`
    is at least so many where a run has hundreds of reasons.
    """

    node: str
    code: str
    count: int
    example: str
    message: str
    place: str
    meaning: str


class RedriveMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What `run-pipeline redrive` did.

    Of `records` that were to be done again, `healed` ended well, `failed_again` as dead letters, and `gone` were no longer in
    their source; the rest were stopped or never begun.
    """

    records: int
    healed: int
    failed_again: int
    gone: int


class StallMetrics(msgspec.Struct, frozen=True):
    """Nothing in the run had moved for `stalled_ms`, and this call was running: of a node, for an item, or empty for a source."""

    node: str
    key: str
    stalled_ms: float


class PipelineMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one manifest. `isa` is the instruction set that the kernels use; `memory_limit` is null without a limit.

    `resumed` counts those of `records` that had ended in earlier runs, and were taken over as they were. Nodes saw nothing of
    them. `redrive` is null for a run that is none; `records` has what it healed among those that ended well.
    `failures` are the most frequent reasons for which items were given up, at most 50; `failures_untold` counts items of others.
    """

    name: str
    status: RunStatus
    total_time_ms: float
    process_peak_mb: float
    isa: str
    records: RecordCounts
    nodes: tuple[NodeMetrics, ...]
    conversions: tuple[ConversionMetrics, ...] = ()
    memory_limit: MemoryLimitMetrics | None = None
    resumed: int = 0
    redrive: RedriveMetrics | None = None
    failures: tuple[FailureMetrics, ...] = ()
    failures_untold: int = 0
    left_behind: tuple[LeftBehindMetrics, ...] = ()
    stalls: tuple[StallMetrics, ...] = ()


class MetricsDocument(msgspec.Struct, frozen=True):
    """The content of metrics.json."""

    pipeline_execution: PipelineMetrics


class NodeTotals:
    """All that a run knows about one node: the workers' stats, merged, beside what the scheduler counted."""

    def __init__(self, node_id: str, type_name: str, *, sees_native_memory: bool) -> None:
        self.node_id = node_id
        self.type_name = type_name
        self.sees_native_memory = sees_native_memory
        self.account = ArrayAccount()
        self.workers: list[NodeStats] = []
        self.queue_wait_s = 0.0
        self.retries = 0
        self.retried_items = 0
        self.healed_items = 0
        self.refused_retries = 0
        self.timeouts = 0
        self.items_dropped = 0
        self.items_to_fallback = 0
        self.passed_over = 0
        self.records_read = 0
        self.records_resumed = 0
        self.batches = 0
        self.batched_items = 0
        self.stopped_the_run = False

    def new_worker(self) -> NodeStats:
        stats = NodeStats(self.account)
        self.workers.append(stats)
        return stats

    def fix(self, stats: NodeStats) -> NodeStats:
        """Let what a worker measured stand as it is now, whatever it measures later; gives what stands."""
        fixed = copy(stats)
        self.workers[self.workers.index(stats)] = fixed
        return fixed

    @property
    def items_changed(self) -> int:
        """Items that an inserted conversion did not hand on as they were."""
        return sum(stats.items_changed for stats in self.workers)

    def summarise(self, breaker: BreakerMetrics) -> NodeMetrics:
        merged = NodeStats()
        for stats in self.workers:
            merged.merge(stats)
        array_peak_mb = _rounded((self.account.peak_bytes + sum(stats.array_peak_bytes for stats in self.workers)) / 1e6)
        status: NodeStatus = "success"
        if self.stopped_the_run:
            status = "failed"
        elif self.healed_items:
            status = "retried"
        elif self.passed_over or not merged.calls:
            status = "skipped"
        return NodeMetrics(
            id=self.node_id,
            type=self.type_name,
            status=status,
            execution_time_ms=_rounded(merged.busy_ns / 1e6),
            memory_mb=array_peak_mb,
            wall_ms=_rounded((merged.last_ns - merged.first_ns) / 1e6),
            queue_wait_ms=_rounded(self.queue_wait_s * 1e3),
            items_in=merged.items_in,
            items_out=merged.items_out + self.records_read - self.records_resumed,
            items_dropped=self.items_dropped,
            items_to_fallback=self.items_to_fallback,
            errors=merged.errors,
            retries=self.retries,
            retried_items=self.retried_items,
            refused_retries=self.refused_retries,
            timeouts=self.timeouts,
            array_peak_mb=array_peak_mb,
            native_peak_mb=0.0 if self.sees_native_memory else None,
            breaker=breaker,
            latency_ms=LatencyMetrics(*(_rounded(merged.latency.quantile(share) / 1e6) for share in (0.5, 0.95, 0.99))),
            audio_seconds=_rounded(merged.audio_seconds),
            batches=BatchMetrics(self.batches, _rounded(self.batched_items / self.batches)) if self.batches else None,
        )


def process_peak_mb() -> float:
    """The most memory that this process ever had resident, in MB."""
    # ru_maxrss would carry the parent's peak across fork and exec; VmHWM is this program's own.
    status = Path("/proc/self/status").read_bytes()  # bytes: it holds the process's name, in any encoding
    return _rounded(int(status.partition(b"VmHWM:")[2].split()[0]) * 1024 / 1e6)


def _rounded(value: float) -> float:
    return round(value, 6)
