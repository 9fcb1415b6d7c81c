"""Which items come together in one call, as time passes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.engine.forming import RATIO, SHORTEST_S, Forming, range_of
from phonograph.errors import Position
from phonograph.language.batches import Batching

HERE = Position("manifest.yaml", 1, 1)


def forming(**rules: Any) -> Forming[str]:
    return Forming(Batching(**{"max_wait_s": 1.0, **rules}, position=HERE))


def test_a_full_batch_goes_at_once() -> None:
    """Nobody waits for the time to pass when there is no room for more."""
    batches = forming(max_items=2)
    batches.add("a", None, 0.0)
    assert (batches.take(0.0), batches.has_full) == (None, False)
    batches.add("b", None, 0.0)
    assert (batches.has_full, batches.take(0.0), len(batches)) == (True, ["a", "b"], 0)


def test_a_batch_goes_when_its_first_item_has_waited_long_enough() -> None:
    """How long the others have waited does not matter."""
    batches = forming()
    batches.add("a", None, 3.0)
    batches.add("b", None, 3.9)
    assert batches.due == 4.0
    assert batches.take(3.99) is None
    assert batches.take(4.0) == ["a", "b"]
    assert batches.due is None


def test_without_a_wait_goes_what_is_there() -> None:
    """`max_wait: 0s` takes together what has come together, and nothing waits."""
    batches = forming(max_wait_s=0.0)
    for name in "abc":
        batches.add(name, None, 5.0)
    assert batches.take(5.0) == ["a", "b", "c"]


def test_an_item_that_would_be_too_much_audio_opens_another_batch() -> None:
    """The batch before it is as full as it can be."""
    batches = forming(max_audio_s=10.0)
    for name, seconds in (("a", 4.0), ("b", 6.0), ("c", 0.5)):
        batches.add(name, seconds, 0.0)
    assert batches.take(0.0) == ["a", "b"]
    assert batches.take(0.0) is None
    assert batches.take(0.0, is_last=True) == ["c"]


def test_a_clip_longer_than_a_batch_goes_alone() -> None:
    """It goes at once, and those that wait go on waiting for others."""
    batches = forming(max_audio_s=10.0)
    batches.add("short", 1.0, 0.0)
    batches.add("long", 60.0, 0.5)
    assert batches.take(0.5) == ["long"]
    batches.add("other", 9.0, 0.5)
    assert batches.take(1.0) == ["short", "other"]


@pytest.mark.parametrize("rules", [{"max_audio_s": 10.0}, {"by_duration": True}], ids=["max_audio", "bucket"])
def test_an_item_of_unknown_duration_goes_alone_where_durations_matter(rules: dict[str, Any]) -> None:
    """Nothing is guessed about it."""
    batches = forming(**rules)
    batches.add("known", 1.0, 0.0)
    batches.add("unknown", None, 0.0)
    assert batches.take(0.0) == ["unknown"]


def test_durations_do_not_matter_where_no_rule_asks_for_them() -> None:
    """Text comes in batches, too."""
    batches = forming(max_items=2)
    batches.add("a", None, 0.0)
    batches.add("b", 1e9, 0.0)
    assert batches.take(0.0) == ["a", "b"]


def test_short_and_long_clips_do_not_come_together_in_buckets() -> None:
    """Each range fills its own batch, and the one whose first item came first goes first."""
    batches = forming(max_items=2, by_duration=True)
    for number, (name, seconds) in enumerate((("long", 20.0), ("short", 1.2), ("short too", 1.1), ("long too", 19.0))):
        batches.add(name, seconds, float(number))
    assert batches.take(3.0) == ["long", "long too"]
    assert batches.take(3.0) == ["short", "short too"]


def test_a_batch_that_is_due_goes_before_one_that_filled_later() -> None:
    """A rare duration does not wait for ever beside a common one."""
    batches = forming(max_items=2, by_duration=True)
    batches.add("rare", 20.0, 0.0)
    batches.add("common", 1.0, 0.5)
    batches.add("common too", 1.0, 0.5)
    assert batches.take(1.0) == ["rare"]
    assert batches.take(1.0) == ["common", "common too"]


def test_what_is_not_to_be_worked_on_is_given_back_whole() -> None:
    """Full batches as well as open ones."""
    batches = forming(max_items=2)
    for name in "abc":
        batches.add(name, None, 0.0)
    assert (sorted(batches.take_all()), len(batches), batches.due, batches.has_full) == (["a", "b", "c"], 0, None, False)


@pytest.mark.parametrize(
    ("duration_s", "number"),
    [(0.0, 0), (SHORTEST_S, 0), (0.26, 1), (SHORTEST_S * RATIO, 1), (0.36, 2), (0.5, 2), (0.51, 3), (16.0, 12), (16.1, 13)],
)
def test_ranges_double_every_other_step(duration_s: float, number: int) -> None:
    """An end belongs to the range below it: with 16 s to 16 s, no batch mixes with what is longer."""
    assert range_of(duration_s) == number


class Arrival:
    """A clip, and when it comes."""

    def __init__(self, at: float, seconds: float | None) -> None:
        self.at = at
        self.seconds = seconds


arrivals = st.lists(st.builds(Arrival, st.floats(0, 100), st.one_of(st.none(), st.floats(0, 40))), max_size=60).map(
    lambda found: sorted(found, key=lambda one: one.at)
)


@given(
    arrivals=arrivals,
    max_items=st.integers(1, 8),
    max_audio_s=st.one_of(st.none(), st.floats(1, 60)),
    by_duration=st.booleans(),
)
def test_the_law_of_batches(arrivals: list[Arrival], max_items: int, max_audio_s: float | None, by_duration: bool) -> None:
    """Everything goes once, in time, within every bound; only what is long by itself is longer than a batch may be."""
    batches: Forming[Arrival] = Forming(
        Batching(max_items=max_items, max_audio_s=max_audio_s, max_wait_s=1.0, by_duration=by_duration, position=HERE)
    )
    taken: list[tuple[float, list[Arrival]]] = []

    def take(now: float) -> None:
        while (batch := batches.take(now)) is not None:
            taken.append((now, batch))

    for one in arrivals:
        while batches.due is not None and batches.due <= one.at:
            take(batches.due)
        batches.add(one, one.seconds, one.at)
        take(one.at)
    while batches.due is not None:
        take(batches.due)
    assert sorted((one.at, id(one)) for _, batch in taken for one in batch) == sorted((one.at, id(one)) for one in arrivals)
    for now, batch in taken:
        assert len(batch) <= max_items
        assert now <= min(one.at for one in batch) + 1.0
        durations = [math.inf if one.seconds is None else one.seconds for one in batch]
        if len(batch) > 1 and (by_duration or max_audio_s is not None):
            assert sum(durations) <= (math.inf if max_audio_s is None else max_audio_s * (1 + 1e-9))
        if len(batch) > 1 and by_duration:
            assert max(durations) <= max(SHORTEST_S, min(durations) * RATIO * (1 + 1e-6))
