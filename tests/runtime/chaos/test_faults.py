"""What a seed brings."""

from __future__ import annotations

from phonograph.chaos.faults import CallFault, Done, Faults, History

DONE = Done({"part.synced": 3, "run.ended": 1}, num_calls=40, num_writes=10)


def test_what_a_call_meets_is_decided_by_seed_node_and_item() -> None:
    """In whatever order it is asked for, a seed answers the same; another seed answers otherwise."""
    calls = [(node, str(number)) for node in ("a", "b") for number in range(50)]

    def drawn(seed: int, order: int) -> dict[tuple[str, str], CallFault | None]:
        faults = Faults(seed, rate=0.5)
        return {call: faults.at_call(*call, max_retries=3, is_timed=False) for call in calls[::order]}

    assert drawn(1, 1) == drawn(1, -1)
    assert drawn(1, 1) != drawn(2, 1)


def test_transient_errors_end_before_the_retries_do() -> None:
    """What is to heal can heal; a node that is not tried again meets none that could."""
    for key in map(str, range(300)):
        retried = Faults(1, ("error",), 1.0).at_call("a", key, max_retries=3, is_timed=False)
        alone = Faults(1, ("error",), 1.0).at_call("a", key, max_retries=0, is_timed=False)
        assert retried is not None
        assert alone is not None
        assert alone.times is None
        assert (retried.times is not None) == (retried.name == "transient error")
        assert retried.times is None or 1 <= retried.times <= 3


def test_only_the_kinds_that_are_asked_for_come() -> None:
    """Without errors and delays calls are left alone, without crashes and torn writes nothing stops."""
    for seed in range(50):
        still, calls = Faults(seed, ("crash", "torn", "disk"), 1.0), Faults(seed, ("error", "delay"), 1.0)
        assert still.at_call("a", "1", max_retries=1, is_timed=True) is None
        assert still.at_read("a", "1") is None
        assert calls.stop_of(0, DONE) is None
        assert calls.full_of(0, DONE) is None
    losses = {stop.loss for seed in range(100) if (stop := Faults(seed, ("crash",)).stop_of(0, DONE)) is not None}
    assert losses == {"nothing"}
    losses = {stop.loss for seed in range(100) if (stop := Faults(seed, ("torn",)).stop_of(0, DONE)) is not None}
    assert losses == {"content", "half", "names"}


def test_stops_and_full_disks_lie_within_what_a_run_does() -> None:
    """No fault waits for a call that never comes in an undisturbed run."""
    for seed in range(200):
        stop, full = Faults(seed).stop_of(0, DONE), Faults(seed).full_of(0, DONE)
        assert stop is None or 1 <= stop.number <= (DONE.steps[stop.step] if stop.step else DONE.num_calls)
        assert full is None or 1 <= full.first <= DONE.num_writes


def test_a_fault_is_met_as_often_as_it_says() -> None:
    """Each meeting is told, with node and item; one without a number never ends."""
    history = History()
    twice, always = CallFault("transient error", 2), CallFault("bad input", None)
    assert [history.meets("a", "1", twice) for _ in range(4)] == [True, True, False, False]
    assert all(history.meets("a", "2", always) for _ in range(4))
    assert not history.meets("a", "3", None)
    assert str(history.events[0]) == "transient error at a, 1"
    assert len(history.events) == 6
