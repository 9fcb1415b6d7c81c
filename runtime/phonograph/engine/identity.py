"""What tells a record for ever, and who sent it in."""

from __future__ import annotations

from typing import Protocol

import msgspec

from phonograph.errors import PhonographError
from phonograph.item import Item, Outcome
from phonograph.journal.letters import DeadLetter
from phonograph.journal.records import RecordRow


class Owner(Protocol):
    """Who sent a record in, and wants to know what becomes of it: a request or a session.

    Attributes:
        is_live: it is a session, whose items keep their order everywhere and meet the state that they left.
        is_gone: nobody waits any more; what waits of it ends as cancelled.
        ends: at how many of its links the end of the session has come to a node that gathers, by its id; the names of segments
            that it has passed.
    """

    is_live: bool
    is_gone: bool
    ends: dict[str, int]

    def deliver(self, output: str, item: Item, num_bytes: int) -> None:
        """An item has come to an output of the manifest."""

    def letter(self, letter: DeadLetter, error: PhonographError | None) -> None:
        """Something of a record was given up; with an error where that is to fail all of it."""

    def record_ended(self, outcome: Outcome) -> None: ...


class Identity(msgspec.Struct, frozen=True):
    """What tells a record for ever, and whether its file has changed: see `Record`.

    `owner` is None for what a source read. `source` and `place` say which of the sources, and as which of its records, from 0.
    `before` is how it ended in an earlier run, where it is done again.
    """

    key: str
    size: int | None = None
    mtime_ns: int | None = None
    owner: Owner | None = None
    source: int = 0
    place: int = -1
    digest: str = ""
    before: RecordRow | None = None
