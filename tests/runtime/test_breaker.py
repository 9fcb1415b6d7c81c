"""CircuitBreaker: the table in its docstring, row by row."""

from phonograph.breaker import BreakerPolicy, BreakerState, CircuitBreaker

POLICY = BreakerPolicy(failure_threshold=3, reset_timeout_s=30.0, half_open_probes=1)


def opened(at: float = 10.0) -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    for _ in range(POLICY.failure_threshold):
        breaker.fail(began=0.0, now=at)
    return breaker


def test_failures_below_the_threshold_keep_it_closed() -> None:
    """Two failures of three leave the breaker closed."""
    breaker = CircuitBreaker(POLICY)
    assert not breaker.fail(0.0, 1.0)
    assert not breaker.fail(0.0, 2.0)
    assert breaker.is_closed and breaker.admit(3.0)


def test_consecutive_failures_open_it() -> None:
    """The third failure in a row opens the breaker."""
    breaker = CircuitBreaker(POLICY)
    assert [breaker.fail(0.0, now) for now in (1.0, 2.0, 3.0)] == [False, False, True]
    assert breaker.state is BreakerState.OPEN
    assert breaker.opens == 1


def test_a_success_starts_the_row_again() -> None:
    """Failures count only when nothing succeeded in between."""
    breaker = CircuitBreaker(POLICY)
    for now in (1.0, 2.0):
        breaker.fail(0.0, now)
    breaker.succeed(0.0, 3.0)
    assert not breaker.fail(0.0, 4.0)
    assert breaker.is_closed


def test_an_open_breaker_refuses_until_the_reset_timeout() -> None:
    """Nothing is admitted before reset_timeout has passed, and one probe after it."""
    breaker = opened(at=10.0)
    assert not breaker.admit(39.9)
    assert breaker.admit(40.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admit(40.0)


def test_successful_probe_closes_the_breaker() -> None:
    """A probe that goes through closes the breaker."""
    breaker = opened(at=10.0)
    assert breaker.admit(41.0)
    assert breaker.succeed(began=41.0, now=42.0)
    assert breaker.is_closed and breaker.admit(42.0)


def test_failed_probe_reopens_the_breaker() -> None:
    """A probe that fails opens the breaker for another reset_timeout."""
    breaker = opened(at=10.0)
    assert breaker.admit(41.0)
    assert breaker.fail(began=41.0, now=45.0)
    assert breaker.opens == 2
    assert not breaker.admit(74.9)
    assert breaker.admit(75.0)


def test_results_from_before_it_opened_are_ignored() -> None:
    """A success or failure that began before the breaker opened does not move it."""
    breaker = opened(at=10.0)
    assert not breaker.succeed(began=9.0, now=11.0)
    assert not breaker.fail(began=9.0, now=11.0)
    assert (breaker.state, breaker.opens) == (BreakerState.OPEN, 1)
    assert breaker.admit(40.0)
    assert not breaker.succeed(began=9.0, now=41.0)
    assert (breaker.state, breaker.opens) == (BreakerState.HALF_OPEN, 1)


def test_a_probe_that_says_nothing_gives_its_place_back() -> None:
    """A probe that turned out to be bad input lets another probe through."""
    breaker = opened(at=10.0)
    assert breaker.admit(40.0)
    breaker.release(began=40.0)
    assert breaker.admit(41.0)


def test_several_probes_may_be_out_at_once() -> None:
    """half_open_probes bounds the probes that are out."""
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1, reset_timeout_s=1.0, half_open_probes=2))
    breaker.fail(0.0, 0.0)
    assert [breaker.admit(1.0) for _ in range(3)] == [True, True, False]


def test_the_time_out_of_service_counts_through_failed_probes() -> None:
    """`out_since` stays at the first opening until a probe closes the breaker."""
    breaker = opened(at=10.0)
    assert breaker.admit(41.0)
    breaker.fail(began=41.0, now=45.0)
    assert breaker.out_since == 10.0
    assert breaker.admit(80.0)
    breaker.succeed(began=80.0, now=81.0)
    for _ in range(POLICY.failure_threshold):
        breaker.fail(began=90.0, now=91.0)
    assert breaker.out_since == 91.0
