"""RetryPolicy: which failures are tried again, how often, after how long; the last two by tenacity's predicates."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tenacity

from phonograph.errors import BadInputError, NodeContractError, OutputError, TransientError, WorkerDiedError

TRANSIENT: tuple[type[Exception], ...] = (TransientError, TimeoutError, ConnectionError, MemoryError)
"""What every policy retries: errors that can heal without anyone changing the input."""

NEVER: tuple[type[Exception], ...] = (BadInputError, NodeContractError, OutputError, WorkerDiedError)
"""What none retries, whatever it names: the same would come of it, or nobody would know what is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off: `base_delay_s * factor**n`, at most `max_delay_s`, plus up to `jitter_s` at random.

    Args:
        max_retries: attempts after the first; 0 turns retrying off.
        base_delay_s, max_delay_s, jitter_s: seconds.
        budget: share of the items whose failures may be tried again, see `RetryBudget`; None: all.
        retryable: exceptions that count as transient besides `TRANSIENT`, but for what is in `NEVER`.
    """

    max_retries: int = 3
    base_delay_s: float = 0.1
    factor: float = 2.0
    max_delay_s: float = 0.8
    jitter_s: float = 0.0
    budget: float | None = None
    retryable: tuple[type[Exception], ...] = ()
    _stop: Callable[[tenacity.RetryCallState], Any] = field(init=False, repr=False, compare=False)
    _wait: Callable[[tenacity.RetryCallState], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wait: tenacity.wait.wait_base = tenacity.wait_exponential(
            multiplier=self.base_delay_s, exp_base=self.factor, max=self.max_delay_s
        )
        object.__setattr__(self, "_stop", tenacity.stop_after_attempt(self.max_retries + 1))
        object.__setattr__(self, "_wait", wait)

    def may_heal(self, error: BaseException) -> bool:
        """Whether it is an error that is tried again, if there are attempts left."""
        return isinstance(error, TRANSIENT + self.retryable) and not isinstance(error, NEVER)

    def delay_after(self, attempt: int, error: BaseException, draw: Callable[[], float] = random.random) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Args:
            attempt: number of the attempt that failed, from 1.
            error: what it raised.
            draw: gives numbers from 0 to 1 for the jitter.
        """
        state = tenacity.RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # only the predicates look at it
        state.attempt_number = attempt
        if not self.may_heal(error) or self._stop(state):
            return None
        return float(self._wait(state)) + (self.jitter_s * draw() if self.jitter_s else 0.0)


class RetryBudget:
    """Bounds the retries of one node to a share of its items, so that a service that is down is not called all the more.

    Theory of operation. Each item brings `share` of a retry when its first attempt has ended, however it did; each retry takes a
    whole one. At most `RESERVE` are kept, and as many there are to begin with, so that a few failures here and there are always
    tried again. While everything fails, calls are at most 1 + `share` for an item. (Finagle's retry budget, counted by items.)
    """

    RESERVE = 10.0

    __slots__ = ("_left", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = self.RESERVE

    def earn(self) -> None:
        """The first attempt for an item has ended."""
        self._left = min(self.RESERVE, self._left + self._share)

    @property
    def is_left(self) -> bool:
        """Whether there is a retry to be had."""
        return self._left >= 1.0

    def spend(self) -> None:
        """An item is tried again."""
        self._left -= 1.0
