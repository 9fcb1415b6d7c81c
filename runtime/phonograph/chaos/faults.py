"""Which faults a seed brings: decided by the seed and by what they happen to, and not by when, so that a run can be told again.

What a call meets is drawn for each node and item alone. So the order of a run changes nothing of it, an item meets the same when
the run is gone on with, and it is known from the start which items must heal: those whose faults end before their retries do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["error", "delay", "crash", "torn", "disk"]
KINDS: tuple[Kind, ...] = ("error", "delay", "crash", "torn", "disk")
MARK = "injected by chaos"

Loss = Literal["nothing", "content", "half", "names"]
"""What a stop takes of what was not synced: nothing, as when a process is killed; content; content but for its first half;
content and names, as when the power goes."""

DISTURBED_RUNS = 3
"""That a seed disturbs at most, one going on with the other. The one behind them is left alone."""

_LONG_S = 24 * 3600.0  # longer than any time-out is meant to be
_SOURCE_SHARE = 0.1  # an error of a source ends a run, and one of a node is one of many


class Event(NamedTuple):
    """Something that chaos has done.

    Args:
        name: what, such as `transient error`. node, key: to which call; empty for what happened to the run as a whole.
        place: where in the run it happened, for those.
    """

    name: str
    node: str = ""
    key: str = ""
    place: str = ""

    def __str__(self) -> str:
        where = f" at {self.node}, {self.key}" if self.node else ""
        return f"{self.name}{where}" + (f" {self.place}" if self.place else "")


@dataclass(frozen=True, slots=True)
class CallFault:
    """What the calls of a node for one item meet.

    Args:
        times: how many of its calls; None: all, as long as the run is disturbed.
        is_late: the error comes when the node has done its work, which is lost then.
        delay_s: simulated seconds that the call takes; an error has none.
    """

    name: str
    times: int | None
    is_late: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run stops dead: behind a step of storing (see `phonograph.points`), or behind a call to the file system.

    Args:
        step: its name; empty: calls are counted. number: which of them, from 1.
    """

    step: str
    number: int
    loss: Loss


@dataclass(frozen=True, slots=True)
class Full:
    """The disk has no room for so many writes, from this one on."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Done:
    """How much an undisturbed run does, which faults are spread over: steps of storing, calls that change files, writes."""

    steps: Mapping[str, int] = field(default_factory=dict)
    num_calls: int = 0
    num_writes: int = 0


class Faults:
    """The faults of one seed.

    Args:
        kinds: those that it may bring. rate: share of the items at each node that meet one.
    """

    def __init__(self, seed: int, kinds: Collection[str] = KINDS, rate: float = 0.1) -> None:
        self.seed = seed
        self._kinds = frozenset(kinds)
        self._rate = rate

    def at_call(self, node: str, key: str, *, max_retries: int, is_timed: bool) -> CallFault | None:
        """What the calls of a node for an item meet; None: nothing."""
        draw = self._draw("call", node, key)
        kinds = sorted(self._kinds & {"error", "delay"})
        if not kinds or draw.random() >= self._rate:
            return None
        if draw.choice(kinds) == "delay":
            return CallFault("delay", max(1, max_retries), delay_s=draw.choice((0.5, 5.0, 30.0, _LONG_S if is_timed else 60.0)))
        is_late = draw.random() < 0.5
        name = draw.choice(("transient error", "transient error", "bad input", "fault of the node"))
        if name == "transient error" and max_retries:
            return CallFault(name, draw.randint(1, max_retries), is_late)
        return CallFault(name, None, is_late)

    def at_read(self, node: str, key: str) -> CallFault | None:
        """What the source meets before it gives a record."""
        draw = self._draw("read", node, key)
        if "error" in self._kinds and draw.random() < self._rate * _SOURCE_SHARE:
            return CallFault("error of a source", 1)
        if "delay" in self._kinds and draw.random() < self._rate:
            return CallFault("delay", 1, delay_s=draw.choice((0.5, 5.0, 30.0)))
        return None

    def stop_of(self, number: int, done: Done) -> Stop | None:
        """Where a run stops dead.

        Args:
            number: of the disturbed run, from 0. done: what an undisturbed one does.
        """
        draw = self._draw("stop", str(number))
        losses: list[Loss] = []
        if "crash" in self._kinds:
            losses += ["nothing", "nothing", "nothing"]
        if "torn" in self._kinds:
            losses += ["content", "half", "names"]
        if not losses or draw.random() < 0.3 or not done.num_calls:
            return None
        loss = draw.choice(losses)
        if draw.random() < 0.5 and done.steps:
            step = draw.choice(sorted(done.steps))
            return Stop(step, draw.randint(1, done.steps[step]), loss)
        return Stop("", draw.randint(1, done.num_calls), loss)

    def full_of(self, number: int, done: Done) -> Full | None:
        """When the disk has no room in a run; as of `stop_of`."""
        draw = self._draw("disk", str(number))
        if "disk" not in self._kinds or not done.num_writes or draw.random() < 0.7:
            return None
        return Full(draw.randint(1, done.num_writes), draw.choice((1, 2, done.num_writes)))

    def _draw(self, *place: str) -> random.Random:
        return random.Random("\0".join((str(self.seed), *place)))


class History:
    """What has been done in the runs of a seed, in order, and how often each call has met its fault."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._met: Counter[tuple[str, str]] = Counter()

    def meets(self, node: str, key: str, fault: CallFault | None) -> bool:
        """Whether a call meets its fault, which is noted then."""
        if fault is None or (fault.times is not None and self._met[node, key] >= fault.times):
            return False
        self._met[node, key] += 1
        self.events.append(Event(fault.name, node, key))
        return True

    def add(self, name: str, place: str) -> None:
        """Something happened to the run as a whole."""
        self.events.append(Event(name, place=place))
