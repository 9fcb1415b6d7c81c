"""CircuitBreaker: a pure closed / open / half-open machine for one node, with the time passed in.

Theory of operation. A breaker watches records, not attempts: a record that failed after its retries is one failure, one that
went through is one success, in the order in which they end. Bad input is neither.

    state      event                            next
    closed     failure number threshold         open for reset_timeout
    closed     success                          closed, the row starts again, or the window moves on
    open       admit before `probe_at`          refused
    open       admit from `probe_at` on         half-open, admitted as a probe
    half-open  admit, probes all out            refused
    half-open  probe succeeds                   closed
    half-open  probe fails                      open for reset_timeout

Failures count in a row or, with a window, among as many of the latest records. Records before the first failure that is in the
window are successes, so nothing need be told of them while there is none: `failures` is 0 then.

A result tells when its record was admitted (`began`); one that began before the latest state change says nothing about the node
as it is now and is ignored. Nothing here waits, locks or logs: one event loop owns each breaker, workers only read `is_closed`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

WhenOpen = Literal["wait", "shed", "skip", "fallback"]


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a node's breaker opens, for how long, and what happens to records meanwhile.

    Args:
        failure_threshold: failed records that open it, in a row.
        window: the same among so many of the latest records, in a row or not; None: in a row.
        reset_timeout_s: seconds until a probe is let through.
        half_open_probes: probes that may be out at once.
        when_open: `wait` holds the input, `shed` dead-letters at once with `breaker_open`, `skip` passes over the node,
            `fallback` sends what comes, and what has failed, to another node that stands in.
        max_open_s: with `wait`, how long the node may be out (failed probes included) before records are shed instead of held.
    """

    failure_threshold: int = 5
    window: int | None = None
    reset_timeout_s: float = 30.0
    half_open_probes: int = 1
    when_open: WhenOpen = "wait"
    max_open_s: float = 600.0


MOST_TRANSITIONS = 1000
"""Of one breaker that are kept; of more, the first ones and the last."""


class CircuitBreaker:
    """The state of one node's breaker. Times are seconds on any monotonic clock.

    Args:
        on_change: is called with each new state, and the time.

    Attributes:
        failures: in the row or window.
        transitions: (time, state that was entered), the earliest first.
    """

    __slots__ = (
        *(
            "_on_change",
            "_window",
            "changed_at",
            "closings",
            "failures",
            "is_closed",
            "opens",
            "out_since",
            "policy",
            "probes_out",
            "state",
        ),
        "transitions",
    )

    def __init__(self, policy: BreakerPolicy, on_change: Callable[[BreakerState, float], None] | None = None) -> None:
        self.policy = policy
        self._on_change = on_change
        self._window: deque[bool] = deque(maxlen=policy.window)  # whether each record failed
        self.transitions: list[tuple[float, BreakerState]] = []
        self.state = BreakerState.CLOSED
        self.is_closed = True  # what workers read on the fast path
        self.changed_at = float("-inf")
        self.out_since = float("-inf")  # when it last left `closed`
        self.failures = 0
        self.probes_out = 0
        self.opens = self.closings = 0

    def admit(self, now: float) -> bool:
        """Whether a record may go to the node now. In half-open a True takes a probe's place until its end is reported."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            if now < self.probe_at:
                return False
            self._enter(BreakerState.HALF_OPEN, now)
        if self.probes_out >= self.policy.half_open_probes:
            return False
        self.probes_out += 1
        return True

    @property
    def probe_at(self) -> float:
        """When an open breaker lets a probe through."""
        return self.changed_at + self.policy.reset_timeout_s

    def succeed(self, began: float, now: float) -> bool:
        """A record admitted at `began` went through. True when that changed the state."""
        if began < self.changed_at or self.state is BreakerState.OPEN:
            return False
        if self.state is BreakerState.CLOSED:
            self._count(False)
            return False
        self.closings += 1
        self._enter(BreakerState.CLOSED, now)
        return True

    def fail(self, began: float, now: float) -> bool:
        """A record admitted at `began` failed after its retries. True when that changed the state."""
        if began < self.changed_at or self.state is BreakerState.OPEN:
            return False
        self._count(True)
        if self.state is BreakerState.CLOSED and self.failures < self.policy.failure_threshold:
            return False
        self.opens += 1
        if self.is_closed:
            self.out_since = now
        self._enter(BreakerState.OPEN, now)
        return True

    def release(self, began: float) -> None:
        """A record admitted at `began` ended without telling anything about the node: bad input, cancelled."""
        if began >= self.changed_at and self.state is BreakerState.HALF_OPEN:
            self.probes_out -= 1

    def _count(self, has_failed: bool) -> None:
        if self.policy.window is None:
            self.failures = self.failures + 1 if has_failed else 0
            return
        leaves = self._window[0] if len(self._window) == self.policy.window else False
        self._window.append(has_failed)
        self.failures += has_failed - leaves
        if not self.failures:
            self._window.clear()

    def _enter(self, state: BreakerState, now: float) -> None:
        self.state = state
        self.is_closed = state is BreakerState.CLOSED
        self.changed_at = now
        self.failures = 0
        self.probes_out = 0
        self._window.clear()
        if len(self.transitions) == MOST_TRANSITIONS:
            self.transitions.pop()
        self.transitions.append((now, state))
        if self._on_change is not None:
            self._on_change(state, now)
