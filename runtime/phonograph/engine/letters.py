"""Dead letters on their way: one that no reader ends well lands in the run directory in the end.

A posted letter counts what is live of it, just as a ticket does: its copies for each reader, and all that is made of them. When
something of it was stored, or the manifest chose to let it through no further, it is kept. When the last of it has been settled
and it is not, because every reader failed, skipped it or was stopped, it is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from phonograph.flow.tickets import Carried, Reach
from phonograph.journal import DeadLetter


class Posted(Carried):
    """A dead letter that nodes of the manifest read."""

    __slots__ = ("_is_kept", "_letters", "_live", "letter")

    def __init__(self, letter: DeadLetter, letters: Letters) -> None:
        self.letter = letter
        self._letters = letters
        self._live = 0
        self._is_kept = False

    def enter(self, ports: Iterable[int]) -> None:
        self._live += 1

    def leave(self, ports: Iterable[int]) -> None:
        self._live -= 1
        if not self._live:
            self._letters.settled(self, is_kept=self._is_kept)

    def ports_in(self, reach: Reach) -> tuple[int, ...] | None:
        return ()

    def ended_well(self) -> None:
        self._is_kept = True


class Letters:
    """Every letter of a run that is on its way.

    Args:
        give_back: is called with each that no reader kept.
    """

    def __init__(self, give_back: Callable[[DeadLetter], None]) -> None:
        self._give_back = give_back
        self._on_their_way: dict[Posted, None] = {}

    def post(self, letter: DeadLetter) -> Posted:
        posted = Posted(letter, self)
        self._on_their_way[posted] = None
        return posted

    def settled(self, posted: Posted, *, is_kept: bool) -> None:
        """Nothing of it is live any more."""
        if posted in self._on_their_way:
            del self._on_their_way[posted]
            if not is_kept:
                self._give_back(posted.letter)

    def close(self) -> None:
        """The run has ended, and what is still on its way reaches nobody."""
        for posted in list(self._on_their_way):
            self.settled(posted, is_kept=False)
