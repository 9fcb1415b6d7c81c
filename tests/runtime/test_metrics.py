"""Histogram and node totals."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from phonograph.metrics import BreakerMetrics, Histogram, NodeStats, NodeTotals

CLOSED = BreakerMetrics("closed", 0)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_quantiles_are_at_most_a_sixteenth_high(values: list[int], share: float) -> None:
    """A quantile lies between the true value and 1/16 above it."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    rank = max(1, -(-int(share * len(values) * 1000) // 1000))
    true = sorted(values)[min(rank, len(values)) - 1]
    assert true <= histogram.quantile(share) <= true * (1 + 1 / 16) + 1


def test_an_empty_histogram_has_zero_quantiles() -> None:
    """Nothing measured gives 0, not an error."""
    assert Histogram().quantile(0.5) == 0


def test_workers_are_merged() -> None:
    """Busy time adds up over workers; wall time spans from the first call to the last."""
    totals = NodeTotals("mel", "features.log_mel", sees_native_memory=True)
    for start in (1_000_000, 3_000_000):
        stats = totals.new_worker()
        stats.items_in += 1
        stats.called(start, start + 2_000_000)
    metrics = totals.summarise(CLOSED)
    assert (metrics.items_in, metrics.execution_time_ms, metrics.wall_ms) == (2, 4.0, 4.0)


def test_a_node_that_never_ran_is_skipped() -> None:
    """Status `skipped` names a node without a call."""
    assert NodeTotals("a", "b", sees_native_memory=True).summarise(CLOSED).status == "skipped"


def test_unseen_native_memory_is_null() -> None:
    """Memory that cannot be seen is null, never 0."""
    assert NodeTotals("a", "b", sees_native_memory=False).summarise(CLOSED).native_peak_mb is None
    assert NodeTotals("a", "b", sees_native_memory=True).summarise(CLOSED).native_peak_mb == 0.0


def test_calls_are_counted_as_they_begin_and_end() -> None:
    """A call that returned counts what came out, one that raised counts as an error, and a retry takes nothing new in."""
    stats = NodeStats()
    stats.begin()
    stats.fail()
    stats.begin(False)
    stats.end(3)
    assert (stats.items_in, stats.items_out, stats.errors, stats.calls) == (1, 3, 1, 2)
    assert sum(stats.latency.counts.values()) == 2
    assert 0 <= stats.busy_ns <= stats.last_ns - stats.first_ns


def test_what_another_process_measured_arrives_whole() -> None:
    """Every figure of a worker process survives its way to the run, and adds to what is there."""
    sent = NodeStats()
    sent.items_in = sent.items_out = 4
    sent.audio_seconds, sent.items_changed, sent.array_peak_bytes = 1.5, 2, 4096
    for end in (900, 1000, 70_000):
        sent.called(500, end)
    arrived = pickle.loads(pickle.dumps(sent))
    merged = NodeStats()
    for _ in range(2):
        merged.merge(arrived)
    assert (merged.items_in, merged.items_out, merged.items_changed, merged.audio_seconds) == (8, 8, 4, 3.0)
    assert (merged.calls, merged.first_ns, merged.last_ns, merged.busy_ns) == (6, 500, 70_000, 2 * sent.busy_ns)
    assert (arrived.array_peak_bytes, arrived.latency.quantile(0.5)) == (4096, sent.latency.quantile(0.5))
