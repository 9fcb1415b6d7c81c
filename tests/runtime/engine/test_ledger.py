"""Ledger: the conservation law."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.engine.ledger import Ledger
from phonograph.errors import ConservationError
from phonograph.item import Outcome


def ledger_and_ends() -> tuple[Ledger[str], dict[str, Outcome]]:
    ends: dict[str, Outcome] = {}
    return Ledger(lambda ordinal, key, outcome, facts: ends.update({key: outcome})), ends


def test_a_record_ends_with_its_last_item() -> None:
    """A record is live until all items made from it have ended."""
    ledger, ends = ledger_and_ends()
    ordinal = ledger.read("a")
    ledger.add(ordinal, 1)
    ledger.end(ordinal, Outcome.COMPLETED)
    assert ends == {}
    ledger.end(ordinal, Outcome.COMPLETED)
    assert ends == {"a": Outcome.COMPLETED}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome.FILTERED, Outcome.COMPLETED], Outcome.COMPLETED),
        ([Outcome.FILTERED, Outcome.FILTERED], Outcome.FILTERED),
        ([Outcome.COMPLETED, Outcome.DEAD_LETTERED], Outcome.DEAD_LETTERED),
        ([Outcome.DEAD_LETTERED, Outcome.CANCELLED], Outcome.DEAD_LETTERED),
        ([Outcome.SKIPPED, Outcome.COMPLETED], Outcome.SKIPPED),
        ([Outcome.DROPPED, Outcome.SKIPPED], Outcome.DROPPED),
    ],
)
def test_the_gravest_outcome_of_its_items_wins(outcomes: list[Outcome], expected: Outcome) -> None:
    """A lost part outweighs a kept one, in either order."""
    for order in (outcomes, outcomes[::-1]):
        ledger, ends = ledger_and_ends()
        ordinal = ledger.read("a")
        ledger.add(ordinal, len(order) - 1)
        for outcome in order:
            ledger.end(ordinal, outcome)
        assert ends == {"a": expected}


def test_ending_an_ended_record_is_an_error() -> None:
    """No record ends twice."""
    ledger, _ = ledger_and_ends()
    ordinal = ledger.read("a")
    ledger.end(ordinal, Outcome.COMPLETED)
    with pytest.raises(ConservationError, match="after its record had ended"):
        ledger.end(ordinal, Outcome.COMPLETED)


def test_a_live_record_fails_the_balance() -> None:
    """The balance refuses a record without an outcome."""
    ledger, _ = ledger_and_ends()
    ledger.read("a")
    with pytest.raises(ConservationError, match="1 without an outcome"):
        ledger.balance()


def test_cancelling_ends_everything_in_flight() -> None:
    """After cancel_all nothing is live, and what had failed already stays dead-lettered."""
    ledger, ends = ledger_and_ends()
    ledger.read("a")
    failed = ledger.read("b")
    ledger.add(failed, 1)
    ledger.end(failed, Outcome.DEAD_LETTERED)
    ledger.cancel_all()
    assert ends == {"a": Outcome.CANCELLED, "b": Outcome.DEAD_LETTERED}
    assert ledger.balance().cancelled == 1


@given(st.lists(st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=5), max_size=30))
def test_outcomes_sum_to_the_records_read(records: list[list[Outcome]]) -> None:
    """Whatever happens to the items, the six counts sum to the records read."""
    ledger, ends = ledger_and_ends()
    for number, outcomes in enumerate(records):
        ordinal = ledger.read(str(number))
        ledger.add(ordinal, len(outcomes) - 1)
        for outcome in outcomes:
            ledger.end(ordinal, outcome)
    counts = ledger.balance()
    assert counts.read == len(records) == len(ends) == sum(getattr(counts, outcome.value) for outcome in Outcome)


def test_cancelling_stands_ends_that_happen_meanwhile() -> None:
    """What is told of an end may end other records, and each still ends once."""
    ends: list[str] = []

    def on_end(ordinal: int, key: str, outcome: Outcome, facts: Mapping[str, str]) -> None:
        ends.append(key)
        if key == "0":
            ledger.end(2, Outcome.CANCELLED)

    ledger: Ledger[str] = Ledger(on_end)
    for number in range(4):
        ledger.read(str(number))
    ledger.cancel_all()
    assert sorted(ends) == ["0", "1", "2", "3"]
    assert ledger.balance().cancelled == 4


def test_parts_of_a_composite_end_as_it_does() -> None:
    """An item made of two records keeps both live, and ends both."""
    ended: list[tuple[str, Outcome]] = []
    ledger: Ledger[str] = Ledger(lambda ordinal, key, outcome, facts: ended.append((key, outcome)))
    first, second = ledger.read("a"), ledger.read("b")
    pair = ledger.gather([first, second], "a+b")
    assert (pair < 0, ledger.identity(pair), ledger.num_live) == (True, "a+b", 2)
    ledger.add(pair, 1)
    ledger.end(pair, Outcome.COMPLETED)
    assert ended == []
    ledger.end(pair, Outcome.DEAD_LETTERED)
    assert ended == [("a", Outcome.DEAD_LETTERED), ("b", Outcome.DEAD_LETTERED)]
    assert ledger.balance().dead_lettered == 2


def test_a_composite_may_take_several_parts_of_one_record() -> None:
    """Each part of a record that went into a composite is one live item of the record."""
    ledger: Ledger[str] = Ledger(lambda ordinal, key, outcome, facts: None)
    record, other = ledger.read("a"), ledger.read("b")
    ledger.add(record, 2)
    pair = ledger.gather([record, record, other], "pair")
    ledger.end(pair, Outcome.COMPLETED)
    assert ledger.num_live == 1
    ledger.end(record, Outcome.FILTERED)
    assert ledger.balance().completed == 2


def test_cancelling_reaches_through_composites_of_composites() -> None:
    """Records in flight inside a composite of composites end once each."""
    ended: list[str] = []
    ledger: Ledger[str] = Ledger(lambda ordinal, key, outcome, facts: ended.append(key))
    ordinals = [ledger.read(key) for key in "abc"]
    inner = ledger.gather(ordinals[:2], "ab")
    ledger.gather([inner, ordinals[2]], "abc")
    ledger.cancel_all()
    assert sorted(ended) == ["a", "b", "c"]
    assert ledger.balance().cancelled == 3


def test_an_end_has_the_facts_of_its_own_outcome() -> None:
    """What was said of a drop goes with the record that ends as dropped, the parts of a composite too, and with no other."""
    told: dict[str, str | None] = {}
    ledger: Ledger[str] = Ledger(lambda ordinal, key, outcome, facts: told.update({key: facts.get("policy")}))
    ordinals = [ledger.read(key) for key in "abcd"]
    ledger.add(ordinals[2], 1)
    ledger.end(ledger.gather(ordinals[:2], "ab"), Outcome.DROPPED, {"policy": "oldest"})
    ledger.end(ordinals[2], Outcome.DROPPED, {"policy": "oldest"})
    ledger.end(ordinals[2], Outcome.DEAD_LETTERED)
    ledger.end(ordinals[3], Outcome.COMPLETED)
    assert told == {"a": "oldest", "b": "oldest", "c": None, "d": None}


def test_a_mark_is_followed_and_counts_nowhere() -> None:
    """What is no record ends when all that is made of it has; records and their counts do not change by it."""
    marks: list[tuple[str, Outcome]] = []
    ledger: Ledger[str] = Ledger(lambda ordinal, key, outcome, facts: None, lambda key, outcome: marks.append((key, outcome)))
    mark = ledger.mark("end")
    ledger.add(mark, 1)
    ledger.end(mark, Outcome.COMPLETED)
    assert (marks, ledger.num_live, ledger.has_lost_of_marks) == ([], 0, False)
    ledger.end(mark, Outcome.DEAD_LETTERED)
    assert (marks, ledger.has_lost_of_marks) == ([("end", Outcome.DEAD_LETTERED)], True)
    assert ledger.balance().read == 0
