"""How a node learns that nobody waits any more for what it is working on.

from phonograph import cancellation

def process(self, item, state):
    token = cancellation.current()
    for block in blocks:
        token.raise_if_cancelled()
        ...

A call is cancelled when it has taken longer than the manifest allows (`timeout`, `total_timeout`). Nothing interrupts it: a node
that asks from time to time ends soon, and one that does not is left behind after some seconds, with its thread. Where no time-out
is set, `current` gives a token that is never cancelled, so that a node need not care.
"""

from __future__ import annotations

from contextvars import ContextVar
from contextvars import Token as Reset
from dataclasses import dataclass

from phonograph.errors import CallCancelledError

__all__ = ["CancellationToken", "current"]


@dataclass(eq=False, slots=True)
class CancellationToken:
    """Says whether one call is to end. May be asked from any thread, and handed to threads that a node starts.

    Attributes:
        is_cancelled: it is to end; never turns back.
    """

    is_cancelled: bool = False

    def raise_if_cancelled(self) -> None:
        """To be called where a call can end without harm.

        Raises:
            CallCancelledError: it is to end. A node lets it through; the engine knows why it was cancelled.
        """
        if self.is_cancelled:
            raise CallCancelledError("the call was cancelled; nobody waits for what it would give")


NEVER = CancellationToken()
"""The token of calls that nothing bounds. It is nobody's to cancel."""

_CURRENT: ContextVar[CancellationToken] = ContextVar("phonograph-cancellation", default=NEVER)


def current() -> CancellationToken:
    """The token of the call that this thread is in."""
    return _CURRENT.get()


def enter(token: CancellationToken) -> Reset[CancellationToken]:
    """For the engine: a call begins. What is returned ends it, see `leave`."""
    return _CURRENT.set(token)


def leave(reset: Reset[CancellationToken]) -> None:
    """For the engine: the call that began last has ended."""
    _CURRENT.reset(reset)
