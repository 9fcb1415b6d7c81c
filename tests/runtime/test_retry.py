"""RetryPolicy: delays and which errors are tried again."""

import pytest

from phonograph.errors import AudioDecodeError, BadInputError, NodeContractError, OutputError, TransientError, WorkerDiedError
from phonograph.retry import RetryBudget, RetryPolicy


def test_delays_grow_by_the_factor_up_to_the_cap() -> None:
    """The default policy waits 100, 200, 400 ms and then gives up."""
    policy = RetryPolicy()
    delays = [policy.delay_after(attempt, TransientError()) for attempt in (1, 2, 3, 4)]
    assert delays == [pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.4), None]


def test_delay_is_capped() -> None:
    """No delay is longer than max_delay."""
    policy = RetryPolicy(max_retries=10)
    assert policy.delay_after(9, TransientError()) == pytest.approx(0.8)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), MemoryError(), TransientError()])
def test_errors_that_can_heal_are_retried(error: Exception) -> None:
    """Time-outs, connections, memory and TransientError are tried again."""
    assert RetryPolicy().delay_after(1, error) is not None


@pytest.mark.parametrize("error", [ValueError(), BadInputError(), AudioDecodeError(), FileNotFoundError(), KeyError()])
def test_errors_that_cannot_heal_are_not_retried(error: Exception) -> None:
    """Parse errors, bad input and missing files are given up at once."""
    assert RetryPolicy().delay_after(1, error) is None


def test_a_node_can_name_further_errors() -> None:
    """`retryable` adds to what every policy retries."""
    policy = RetryPolicy(retryable=(KeyError,))
    assert policy.delay_after(1, KeyError()) is not None
    assert policy.delay_after(1, TimeoutError()) is not None


def test_zero_retries_turns_retrying_off() -> None:
    """max_retries 0 gives up after the first attempt."""
    assert RetryPolicy(max_retries=0).delay_after(1, TransientError()) is None


def test_jitter_stays_in_its_range() -> None:
    """Jitter adds at most jitter_s to the delay."""
    policy = RetryPolicy(jitter_s=0.05)
    delays = [policy.delay_after(1, TransientError()) or 0.0 for _ in range(50)]
    assert all(0.1 <= delay <= 0.15 for delay in delays)
    assert len(set(delays)) > 1


def test_jitter_is_drawn_by_who_asks() -> None:
    """With a generator of one's own, delays are the same each time."""
    policy = RetryPolicy(jitter_s=0.05)
    assert policy.delay_after(1, TransientError(), lambda: 0.5) == pytest.approx(0.125)


def test_a_budget_allows_a_share_of_retries() -> None:
    """When everything fails, retries are a tenth of the items beyond the reserve, however many are asked for."""
    budget, retries = RetryBudget(0.1), 0
    for _ in range(1000):
        budget.earn()
        for _ in range(3):
            if budget.is_left:
                budget.spend()
                retries += 1
    assert 100 <= retries <= 100 + RetryBudget.RESERVE


def test_a_budget_does_not_save_up_for_ever() -> None:
    """After a long time without failures, no more than the reserve may be tried again at once."""
    budget = RetryBudget(0.5)
    for _ in range(1000):
        budget.earn()
    burst = 0
    while budget.is_left:
        budget.spend()
        burst += 1
    assert burst == RetryBudget.RESERVE


@pytest.mark.parametrize("error", [BadInputError(), NodeContractError(), OutputError(), WorkerDiedError("n", "died")])
def test_what_never_heals_is_not_retried_though_it_is_named(error: Exception) -> None:
    """Whoever names Exception means no bad input, no node that breaks its contract, no lost output, no crash."""
    assert RetryPolicy(retryable=(Exception,)).delay_after(1, error) is None
