"""Histogram and node totals."""

from hypothesis import given
from hypothesis import strategies as st

from phonograph.metrics import BreakerMetrics, Histogram, NodeTotals

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
