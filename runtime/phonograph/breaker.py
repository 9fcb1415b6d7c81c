"""CircuitBreaker: a pure closed / open / half-open machine for one node, with the time passed in.

Theory of operation. A breaker watches records, not attempts: a record that failed after its retries is one failure, one that
went through is one success, in the order in which they end. Bad input is neither.

    state      event                            next
    closed     failure number threshold in row  open for reset_timeout
    closed     success                          closed, the row starts again
    open       admit before `probe_at`          refused
    open       admit from `probe_at` on         half-open, admitted as a probe
    half-open  admit, probes all out            refused
    half-open  probe succeeds                   closed
    half-open  probe fails                      open for reset_timeout

A result tells when its record was admitted (`began`); one that began before the latest state change says nothing about the node
as it is now and is ignored. Nothing here waits, locks or logs: one event loop owns each breaker, workers only read `is_closed`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

WhenOpen = Literal["wait", "shed", "skip"]


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a node's breaker opens, for how long, and what happens to records meanwhile.

    Args:
        failure_threshold: consecutive failed records that open it.
        reset_timeout_s: seconds until a probe is let through.
        half_open_probes: probes that may be out at once.
        when_open: `wait` holds the input, `shed` dead-letters at once with `breaker_open`, `skip` passes over the node.
        max_open_s: with `wait`, how long the node may be out (failed probes included) before records are shed instead of held.
    """

    failure_threshold: int = 5
    reset_timeout_s: float = 30.0
    half_open_probes: int = 1
    when_open: WhenOpen = "wait"
    max_open_s: float = 600.0


class CircuitBreaker:
    """The state of one node's breaker. Times are seconds on any monotonic clock."""

    __slots__ = ("changed_at", "failures", "is_closed", "opens", "out_since", "policy", "probes_out", "state")

    def __init__(self, policy: BreakerPolicy) -> None:
        self.policy = policy
        self.state = BreakerState.CLOSED
        self.is_closed = True  # what workers read on the fast path
        self.changed_at = float("-inf")
        self.out_since = float("-inf")  # when it last left `closed`
        self.failures = 0
        self.probes_out = 0
        self.opens = 0

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
        self.failures = 0
        if self.state is BreakerState.CLOSED:
            return False
        self._enter(BreakerState.CLOSED, now)
        return True

    def fail(self, began: float, now: float) -> bool:
        """A record admitted at `began` failed after its retries. True when that changed the state."""
        if began < self.changed_at or self.state is BreakerState.OPEN:
            return False
        self.failures += 1
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

    def _enter(self, state: BreakerState, now: float) -> None:
        self.state = state
        self.is_closed = state is BreakerState.CLOSED
        self.changed_at = now
        self.failures = 0
        self.probes_out = 0
