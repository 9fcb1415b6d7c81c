"""`flow.join`: brings the branches of an item together again, by key."""

from __future__ import annotations

from collections import deque
from typing import Annotated, ClassVar

import msgspec

from phonograph.flow.gather import (
    MAX_PARTS,
    Gather,
    Left,
    Made,
    Opening,
    Part,
    Results,
    merged,
    ports_of_their_own,
    refuse_no_time,
)
from phonograph.flow.tickets import Ticket
from phonograph.language.units import duration_in_words
from phonograph.node import Duration, Params, node
from phonograph.spec import Ports


class JoinParams(Params, frozen=True):
    timeout: Annotated[
        Duration | None, msgspec.Meta(description="how long an item waits for its partners, with a unit; null: for ever")
    ] = None

    def __post_init__(self) -> None:
        refuse_no_time(self.timeout)


def _ports(params: JoinParams, connected: tuple[str, ...]) -> Ports:
    ports = ports_of_their_own(connected)
    return ports, ports


class _Meeting:
    """What is known of one ticket."""

    __slots__ = ("absent", "gone", "num_waiting", "seen", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, dict[int, Part]] = {}  # key -> port -> part
        self.num_waiting = 0
        self.seen: set[int] = set()  # ports that something came to
        self.absent: int | None = None  # a port that nothing came to, or will
        self.gone: set[str] = set()  # keys whose time was up

    def remove(self, key: str) -> tuple[Part, ...]:
        parts = self.waiting.pop(key)
        self.num_waiting -= len(parts)
        return tuple(part for _, part in sorted(parts.items()))


@node(
    "flow.join",
    cardinality="N:1",
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    variadic=True,
    joins=True,
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          mel: {type: features.log_mel, input: mono}
          speech: {type: vad.energy, input: mono}
          both: {type: flow.join, input: {features: mel, segments: speech.segments}, params: {timeout: 60s}}
          out: {type: sink.npy, input: both.features, params: {path: out}}
        """,
)
class Join(Gather[JoinParams]):
    """Bring the branches of an item together again, by key.

    The outputs are named as the inputs. All branches must part at one node. When a branch lets nothing through, because it
    filters, fails or was not chosen, the others' items end as filtered, at once. An item whose partners came under other keys
    or not in time becomes a dead letter; so does, in a live session, a chunk whose partner a node has kept to give it later.
    """

    opening: ClassVar[Opening] = "split"

    def __init__(self, params: JoinParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self.timeout_s = params.timeout
        self._meetings: dict[Ticket, _Meeting] = {}
        self._deadlines: deque[tuple[float, Ticket, str]] = deque()  # in their order, because arrivals are in theirs

    def arrive(self, part: Part) -> Results:
        meeting = self._meetings.setdefault(part.ticket, _Meeting())
        meeting.seen.add(part.port)
        key = part.item.key
        if meeting.absent is not None:
            return [Left(part, self._late(part.ticket, meeting.absent))]
        if key in meeting.gone:
            return [
                Left(part, f"it came later than {self._patience} after its partners; raise 'timeout' if they may wait longer")
            ]
        if part.port in meeting.waiting.get(key, ()):
            return [Left(part, f"input {self.ports[part.port]!r} has an item with this key already")]
        if meeting.num_waiting >= MAX_PARTS:
            return [Left(part, f"{MAX_PARTS} items of the same origin wait here already, which is as many as may")]
        if key not in meeting.waiting and self.timeout_s is not None:
            self._deadlines.append((part.arrived + self.timeout_s, part.ticket, key))
        there = meeting.waiting.setdefault(key, {})
        there[part.port] = part
        meeting.num_waiting += 1
        return [self._joined(meeting.remove(key))] if len(there) == len(self.ports) else []

    def settled(self, ticket: Ticket, port: int) -> Results:
        meeting = self._meetings.setdefault(ticket, _Meeting())
        if port in meeting.seen or meeting.absent is not None:
            return []
        meeting.absent = port
        reason = self._late(ticket, port)
        return [Left(part, reason) for key in list(meeting.waiting) for part in meeting.remove(key)]

    def closed(self, ticket: Ticket) -> Results:
        meeting = self._meetings.pop(ticket, _Meeting())
        left = {key: set(there) for key, there in meeting.waiting.items()}
        return [Left(part, self._missed(key, ports, left)) for key, ports in left.items() for part in meeting.remove(key)]

    def due(self) -> float | None:
        while self._deadlines:
            deadline, ticket, key = self._deadlines[0]
            if ticket in self._meetings and key in self._meetings[ticket].waiting:
                return deadline
            self._deadlines.popleft()
        return None

    def expired(self, now: float) -> Results:
        results: Results = []
        while (deadline := self.due()) is not None and deadline <= now:
            _, ticket, key = self._deadlines.popleft()
            meeting = self._meetings[ticket]
            meeting.gone.add(key)
            lacking = self._named(set(range(len(self.ports))) - set(meeting.waiting[key]))
            reason = f"nothing came to {lacking} within {self._patience}"
            results += [Left(part, reason) for part in meeting.remove(key)]
        return results

    def ended(self) -> Results:
        return [result for ticket in list(self._meetings) for result in self.closed(ticket)]

    @property
    def _patience(self) -> str:
        return duration_in_words(self.timeout_s or 0)

    def _late(self, ticket: Ticket, port: int) -> str | None:
        """Why nothing comes to a port with a ticket, if that was not left out on purpose."""
        if port not in ticket.late:
            return None
        return (
            f"{self._named({port})} has nothing for this chunk, because a node before it gives later than it takes; in a session "
            "expected that both come of one chunk; join before such a node, or give each branch an output of its own"
        )

    def _joined(self, parts: tuple[Part, ...]) -> Made:
        first = parts[0].item
        payload = {self.ports[part.port]: part.value for part in parts}
        return Made(parts, msgspec.structs.replace(first, payload=payload, attributes=merged(parts)))

    def _missed(self, key: str, ports: set[int], left: dict[str, set[int]]) -> str | None:
        """Why a key is left over: its partner was filtered, or came under a key of another kind.

        Children of one item are of one kind, so that `#0003` alone has lost its partner, and not met `#0004` by mistake.
        """
        stem = key.rpartition("#")[0]
        for other, there in left.items():
            if there - ports and other.rpartition("#")[0] != stem:
                came = self._named(there - ports)
                return f"its partner at {came} has another key, {other!r}; a join brings together what has the same key"
        return None

    def _named(self, ports: set[int]) -> str:
        names = [repr(self.ports[port]) for port in sorted(ports)]
        return ("input " if len(names) == 1 else "inputs ") + " and ".join(names)
