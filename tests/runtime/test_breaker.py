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


def test_probes_that_end_behind_the_first_decide_nothing() -> None:
    """The first probe that ends closes or opens the breaker; what others that were out then come to says no more of it."""
    policy = BreakerPolicy(failure_threshold=1, reset_timeout_s=1.0, half_open_probes=3)
    for first_fails in (False, True):
        breaker = CircuitBreaker(policy)
        breaker.fail(0.0, 0.0)
        assert [breaker.admit(1.0) for _ in range(3)] == [True] * 3
        assert breaker.fail(1.0, 2.0) if first_fails else breaker.succeed(1.0, 2.0)
        state = breaker.state
        assert not breaker.fail(1.0, 3.0) and not breaker.succeed(1.0, 3.0)
        breaker.release(1.0)
        assert (breaker.state, breaker.probes_out) == (state, 0)


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


def test_failures_of_a_window_need_not_be_in_a_row() -> None:
    """With a window of five, the third failure among the latest five records opens it; older ones have left."""
    windowed = BreakerPolicy(failure_threshold=3, window=5)
    failing = CircuitBreaker(windowed)
    results = [True, False, True, False, True]
    assert [failing.fail(0.0, 1.0) if failed else failing.succeed(0.0, 1.0) for failed in results] == [*[False] * 4, True]
    spread = CircuitBreaker(windowed)
    for failed in [True, False, False, True, False, False] * 5:
        assert not (spread.fail(0.0, 1.0) if failed else spread.succeed(0.0, 1.0))
    assert spread.is_closed and spread.failures == 1


def test_a_window_without_failures_is_at_rest() -> None:
    """When the last failure has left the window, nothing is counted until the next one."""
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=2, window=3))
    breaker.fail(0.0, 1.0)
    counts = []
    for _ in range(3):
        breaker.succeed(0.0, 2.0)
        counts.append(breaker.failures)
    assert counts == [1, 1, 0]
    breaker.fail(0.0, 3.0)
    assert breaker.failures == 1 and breaker.is_closed


def test_transitions_are_kept_with_their_times() -> None:
    """Every change of state is told and kept, in order; of more than a thousand the first ones and the last."""
    told: list[tuple[BreakerState, float]] = []
    breaker = CircuitBreaker(
        BreakerPolicy(failure_threshold=1, reset_timeout_s=10.0), lambda state, now: told.append((state, now))
    )
    breaker.fail(0.0, 1.0)
    breaker.admit(11.0)
    breaker.fail(11.0, 12.0)
    breaker.admit(22.0)
    breaker.succeed(22.0, 23.0)
    states = [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    assert breaker.transitions == list(zip([1.0, 11.0, 12.0, 22.0, 23.0], states, strict=True))
    assert told == [(state, at) for at, state in breaker.transitions]
    for turn in range(2000):
        breaker.fail(100.0 + turn, 100.0 + turn)
        breaker.admit(1e6 + turn)
        breaker.succeed(1e6 + turn, 100.5 + turn)
    assert len(breaker.transitions) == 1000
    assert breaker.transitions[-1][0] > breaker.transitions[998][0]
