"""RetryPolicy: which failures are tried again, how often, after how long; tenacity's predicates decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tenacity

from phonograph.errors import TransientError

TRANSIENT: tuple[type[Exception], ...] = (TransientError, TimeoutError, ConnectionError, MemoryError)
"""What every policy retries: errors that can heal without anyone changing the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off: `base_delay_s * factor**n`, at most `max_delay_s`, plus up to `jitter_s` at random.

    Args:
        max_retries: attempts after the first; 0 turns retrying off.
        base_delay_s, max_delay_s, jitter_s: seconds.
        retryable: exceptions that count as transient besides `TRANSIENT`.
    """

    max_retries: int = 3
    base_delay_s: float = 0.1
    factor: float = 2.0
    max_delay_s: float = 0.8
    jitter_s: float = 0.0
    retryable: tuple[type[Exception], ...] = ()
    _retry: Callable[[tenacity.RetryCallState], Any] = field(init=False, repr=False, compare=False)
    _stop: Callable[[tenacity.RetryCallState], Any] = field(init=False, repr=False, compare=False)
    _wait: Callable[[tenacity.RetryCallState], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wait: tenacity.wait.wait_base = tenacity.wait_exponential(
            multiplier=self.base_delay_s, exp_base=self.factor, max=self.max_delay_s
        )
        if self.jitter_s:
            wait = wait + tenacity.wait_random(0, self.jitter_s)
        object.__setattr__(self, "_retry", tenacity.retry_if_exception_type(TRANSIENT + self.retryable))
        object.__setattr__(self, "_stop", tenacity.stop_after_attempt(self.max_retries + 1))
        object.__setattr__(self, "_wait", wait)

    def delay_after(self, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Args:
            attempt: number of the attempt that failed, from 1.
            error: what it raised.
        """
        state = tenacity.RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # only the predicates look at it
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        if not self._retry(state) or self._stop(state):
            return None
        return float(self._wait(state))
