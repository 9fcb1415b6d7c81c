"""`flow.zip`: brings together what comes to its inputs in the same place of the order."""

from __future__ import annotations

from collections import deque

import msgspec

from phonograph.flow.gather import MAX_PARTS, Gather, Left, Made, Part, Results, child_order, merged, ports_of_their_own
from phonograph.flow.lineup import Lineup
from phonograph.flow.tickets import Lost, Ticket
from phonograph.node import Params, node
from phonograph.spec import Ports


class ZipParams(Params, frozen=True):
    pass


def _ports(params: ZipParams, connected: tuple[str, ...]) -> Ports:
    ports = ports_of_their_own(connected)
    return ports, ports


@node(
    "flow.zip",
    cardinality="N:1",
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    variadic=True,
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          again: {type: source.files, params: {paths: samples}}
          one: {type: audio.decode, input: clips}
          other: {type: audio.decode, input: again}
          pairs: {type: flow.zip, input: {left: one, right: other}}
          out: {type: sink.wav, input: pairs.left, params: {path: out}}
        """,
)
class Zip(Gather[ZipParams]):
    """Bring the n-th item of each input together, in the order in which their sources read them.

    The outputs are named as the inputs, which may come from different sources. What is filtered on the way does not count; what
    fails keeps its place, so that its partner becomes a dead letter and no other item moves up. So does what is left over in
    the end. The key of a pair is that of its first part with the node's id and the number of the pair, from 0:
    `clips/a.wav+pairs-0003`.
    """

    def __init__(self, params: ZipParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._lineup = Lineup()
        self._lines: dict[int, deque[Part | None]] = {}  # by port; None keeps the place of an item that failed
        self._ended: set[int] = set()
        self._number = 0

    @classmethod
    def mixes(cls, params: Params) -> bool:
        return True

    def arrive(self, part: Part) -> Results:
        refused = self._lineup.add(part)
        if refused is None:
            return []
        part.ticket.lost.append(Lost(part.item.key, (part.port,), True))
        return [refused]

    def closed(self, ticket: Ticket) -> Results:
        results: Results = []
        for turn, parts in self._lineup.closed(ticket):
            places: list[tuple[tuple[int, ...], int, Part | None]] = [
                (child_order(part.item.key), part.port, part) for part in parts
            ]
            places += [(child_order(lost.key), port, None) for lost in turn.lost for port in lost.ports]
            places.sort(key=lambda place: place[:2])
            for _, port, part in places:
                line = self._line(port)
                if part is not None and len(line) >= MAX_PARTS:
                    results.append(Left(part, f"{MAX_PARTS} items wait at {self._named(port)} already, which is as many as may"))
                    line.append(None)
                else:
                    line.append(part)
        return results + self._paired()

    def port_ended(self, port: int) -> Results:
        self._ended.add(port)
        return self._paired()

    def ended(self) -> Results:
        self._ended.update(range(len(self.ports)))
        parts = [part for line in self._lines.values() for part in line if part is not None] + self._lineup.rest()
        self._lines.clear()
        return [Left(part, "the other inputs have ended") for part in parts]

    def _line(self, port: int) -> deque[Part | None]:
        return self._lines.setdefault(port, deque())

    def _paired(self) -> Results:
        results: Results = []
        lines = [self._line(port) for port in range(len(self.ports))]
        while all(lines):
            results += self._matched([line.popleft() for line in lines])
        short = [port for port in self._ended if not lines[port] and not self._lineup.has(port)]
        if short:
            reason = f"{self._named(min(short))} has ended after {self._number} items"
            for line in lines:
                results += [Left(part, reason) for part in line if part is not None]
                line.clear()
        return results

    def _matched(self, places: list[Part | None]) -> Results:
        number = self._number
        self._number += 1
        parts = tuple(part for part in places if part is not None)
        if len(parts) < len(places):
            failed = self._named(places.index(None))
            return [Left(part, f"its partner at {failed}, number {number}, failed or was dropped") for part in parts]
        first = parts[0].item
        payload = {self.ports[part.port]: part.value for part in parts}
        key = f"{first.key}+{self.node_id.replace('/', '.')}-{number:04d}"
        parents = tuple(part.item.key for part in parts)
        made = msgspec.structs.replace(first, key=key, payload=payload, parents=parents, attributes=merged(parts))
        return [Made(parts, made)]

    def _named(self, port: int) -> str:
        return f"input {self.ports[port]!r}"
