"""The conservation law: every record that is read ends in exactly one outcome.

A record is live while any item made from it is. Each item that ends reports an outcome; when the last one has, the record ends
in the gravest of them: a lost part outweighs a kept one, and `filtered` only stands when nothing else happened.

Where items of several records become one, that item is a composite with a negative ordinal of its own. Each part stays live until
the composite ends, and ends as it does. A composite of nothing is a mark, such as the end of a session: it is followed like a
record, and counts nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, TypeVar

from phonograph.errors import ConservationError
from phonograph.item import Outcome
from phonograph.metrics import RecordCounts

IdentityT = TypeVar("IdentityT")

NO_FACTS: Mapping[str, str] = MappingProxyType({})

# From the lightest to the gravest.
_GRAVITY = (
    Outcome.FILTERED,
    Outcome.COMPLETED,
    Outcome.SKIPPED,
    Outcome.DROPPED,
    Outcome.CANCELLED,
    Outcome.DEAD_LETTERED,
)
_RANK = {outcome: rank for rank, outcome in enumerate(_GRAVITY)}


class Ledger(Generic[IdentityT]):
    """Counts live items per record and records per outcome; memory is that of the records in flight.

    Args:
        on_end: called when a record ends, with its ordinal, what `read` was given, the outcome, and the facts that it was ended
            with first.
        on_mark_end: called with what `mark` was given, and the outcome.

    Attributes:
        num_adopted: records that had ended before.
        has_lost_of_marks: something of a mark failed, was dropped or cancelled.
    """

    def __init__(
        self,
        on_end: Callable[[int, IdentityT, Outcome, Mapping[str, str]], None],
        on_mark_end: Callable[[IdentityT, Outcome], None] = lambda identity, outcome: None,
    ) -> None:
        self._on_end = on_end
        self._on_mark_end = on_mark_end
        self.has_lost_of_marks = False
        self._live: dict[int, list[int]] = {}  # ordinal -> [live items, gravest rank so far]
        self._identities: dict[int, IdentityT] = {}
        self._parts: dict[int, tuple[int, ...]] = {}  # composite ordinal -> an ordinal for each of its parts
        self._facts: dict[int, dict[Outcome, Mapping[str, str]]] = {}
        self._num_gathered = 0
        self.num_read = 0
        self.num_adopted = 0
        self.counts = dict.fromkeys(Outcome, 0)

    def read(self, identity: IdentityT) -> int:
        """A source read a record, which is now one live item. Returns the record's ordinal."""
        ordinal = self.num_read
        self.num_read += 1
        self._live[ordinal] = [1, 0]
        self._identities[ordinal] = identity
        return ordinal

    def adopt(self, outcomes: Sequence[Outcome]) -> int:
        """Records were read that had ended before. Returns the ordinal of the first; `on_end` is not called for them."""
        first = self.num_read
        self.num_read += len(outcomes)
        self.num_adopted += len(outcomes)
        for outcome, count in Counter(outcomes).items():
            self.counts[outcome] += count
        return first

    def add(self, ordinal: int, num_items: int) -> None:
        """More items were made from a live one, which itself is still live; or fewer, where items of one record became one."""
        self._live[ordinal][0] += num_items

    def gather(self, ordinals: Iterable[int], identity: IdentityT) -> int:
        """Live items of several records became one live item. Returns its ordinal, which is negative.

        Args:
            ordinals: one for each part; the same one again where several parts are of one record.
            identity: what `identity` gives for it. `on_end` is not called for composites.
        """
        return self._composite(tuple(ordinals), identity)

    def mark(self, identity: IdentityT) -> int:
        """A live item came that is no record. Returns its ordinal, which is negative."""
        return self._composite((), identity)

    def identity(self, ordinal: int) -> IdentityT:
        """What `read`, `gather` or `mark` was given for what is in flight."""
        return self._identities[ordinal]

    def records(self, ordinal: int) -> frozenset[int]:
        """Ordinals of the records that something in flight is of, or was made of."""
        return frozenset((ordinal,) if ordinal >= 0 else (one for part in self._parts[ordinal] for one in self.records(part)))

    def end(self, ordinal: int, outcome: Outcome, facts: Mapping[str, str] = NO_FACTS) -> None:
        """One item of the record ended.

        Args:
            facts: about that, for the journal.

        Raises:
            ConservationError: the record had ended already.
        """
        entry = self._live.get(ordinal)
        if entry is None:
            raise ConservationError(f"an item of record {ordinal} ended as {outcome.value} after its record had ended")
        if facts:
            self._facts.setdefault(ordinal, {}).setdefault(outcome, facts)
        entry[0] -= 1
        entry[1] = max(entry[1], _RANK[outcome])
        if not entry[0]:
            self._finish(ordinal, _GRAVITY[entry[1]])

    def cancel_all(self) -> None:
        """Every record in flight ends now: as cancelled, or as what it already was if that is graver."""
        while self._live:  # not a loop over a copy: what `on_end` does may end other records
            # A composite ends before what it is made of, which may be composites as well.
            ordinal = next(reversed(self._parts)) if self._parts else next(iter(self._live))
            rank = self._live[ordinal][1]
            self._finish(ordinal, _GRAVITY[max(rank, _RANK[Outcome.CANCELLED])])

    @property
    def num_live(self) -> int:
        """Records in flight; composites and marks are no records."""
        return len(self._live) - len(self._parts)

    @property
    def is_empty(self) -> bool:
        """Nothing is in flight, marks included."""
        return not self._live

    def balance(self) -> RecordCounts:
        """The counts at the end of a run.

        Raises:
            ConservationError: a record is still live, or the outcomes do not sum to the records read.
        """
        total = sum(self.counts.values())
        if self._live or total != self.num_read:
            raise ConservationError(f"{self.num_read} records read, {total} ended, {len(self._live)} without an outcome")
        return RecordCounts(read=self.num_read, **{outcome.value: count for outcome, count in self.counts.items()})

    def _composite(self, parts: tuple[int, ...], identity: IdentityT) -> int:
        self._num_gathered += 1
        ordinal = -self._num_gathered
        self._live[ordinal] = [1, 0]
        self._identities[ordinal] = identity
        self._parts[ordinal] = parts
        return ordinal

    def _finish(self, ordinal: int, outcome: Outcome) -> None:
        del self._live[ordinal]
        identity = self._identities.pop(ordinal)
        facts = self._facts.pop(ordinal, {}).get(outcome, NO_FACTS) if self._facts else NO_FACTS
        if ordinal < 0:
            parts = self._parts.pop(ordinal)
            for part in parts:
                self.end(part, outcome, facts)
            if not parts:
                self.has_lost_of_marks = self.has_lost_of_marks or _RANK[outcome] > _RANK[Outcome.COMPLETED]
                self._on_mark_end(identity, outcome)
            return
        self.counts[outcome] += 1
        self._on_end(ordinal, identity, outcome, facts)
