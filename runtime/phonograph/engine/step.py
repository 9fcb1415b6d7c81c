"""One node in one worker: how it is called, what is counted of it, and what the next node sees of what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from phonograph.audio import AudioChunk
from phonograph.breaker import CircuitBreaker
from phonograph.engine.emission import Emission
from phonograph.engine.port_contract import Contract
from phonograph.errors import NodeContractError
from phonograph.graph.model import GraphNode, Link
from phonograph.item import Item
from phonograph.metrics import NodeTotals
from phonograph.node import Emitted, Node
from phonograph.sink import Sink, at_work

if TYPE_CHECKING:
    from phonograph.engine.guard import Guard


class Step:
    """One node in one worker."""

    __slots__ = (
        *("account", "audio_in", "audio_out", "began", "breaker", "call", "contract", "guard"),
        *("has_fallback", "node", "onward", "sees_audio", "spec", "stats", "weigh"),
    )

    def __init__(self, plan: GraphNode, breaker: CircuitBreaker, totals: NodeTotals | None, link: Link | None) -> None:
        self.spec = plan.spec
        self.contract = Contract(plan.spec, plan.ports, plan.unproven)
        self.node: Node[Any] = self.spec.factory(plan.params, plan.id)
        self.breaker = breaker
        self.has_fallback = bool(plan.fallback)
        self.began: float | None = None  # of the latest attempt, where that is bounded
        self.guard: Guard | None = None
        self.stats = totals.new_worker() if totals is not None else None
        self.account = totals.account if totals is not None else None
        # The item as the next step sees it; None when it goes another way. At the end of the segment nobody asks.
        self.onward: Callable[[Item], Item | None] = lambda item: item
        if link is not None:
            self.onward = selector(link, chooses=plan.spec.chooses)
        self.call: Callable[[Item], Emitted]
        self.weigh: Callable[[int], None] | None = None  # is told the bytes that an item of a batch takes and becomes
        if isinstance(self.node, Sink):
            self.call = self._store
        elif self.spec.stateful:
            self.call = self._converse
        else:
            self.call = self._process
        if plan.unproven:
            call = self.call
            self.call = lambda item: call(self.contract.admit(item))
        self.audio_in = next((port.name for port in plan.ports[0] if port.type.family == "audio"), None)
        self.audio_out = next((port.name for port in plan.ports[1] if port.type.family == "audio"), None)
        self.sees_audio = self.audio_in is not None or self.audio_out is not None

    def _process(self, item: Item) -> Emitted:
        return self.node.process(item, None)

    def _converse(self, item: Item) -> Emitted:
        if self.spec.cardinality == "1:N":
            return self._conversation(item)
        state = self.node.start()
        result = self.node.process(item, state)
        if type(result) is Item and not (rest := self.node.flush(state)):
            return result  # the usual case, and the fast one
        emitted = self.contract.gathered(result)  # to its end, before the flush
        emitted += self.contract.gathered(rest if type(result) is Item else self.node.flush(state))
        return emitted[0] if self.spec.cardinality == "1:1" and len(emitted) == 1 else emitted

    def _conversation(self, item: Item) -> Iterator[Item]:
        state = self.node.start()
        yield from self.contract.each(self.node.process(item, state))
        yield from self.contract.each(self.node.flush(state))

    def _store(self, item: Item) -> Emitted:
        sink: Sink[Any] = self.node  # type: ignore[assignment]  # chosen for sinks alone
        at_work(sink.writer, item.ordinal)
        part = sink.stage(item)
        try:
            if self.guard is not None:
                self.guard.begin_final()
            sink.writer.stored(part.commit())
        except BaseException:
            part.discard()
            raise
        return item

    def several(self, emitted: Emitted, item: Item, position: int, given: int) -> Item | Emission:
        """What the node gave that is not simply an item, held against its contract; of a generator the first stretch.

        Args:
            given: how many items of a generator were handed on by attempts before.
        """
        if self.spec.cardinality == "1:N" and isinstance(emitted, Iterator):
            emission = Emission(position, item, emitted, given)
            emission.fill(self.contract)
            return emission
        accepted = self.contract.accept(emitted, item)
        if not isinstance(accepted, list):
            return accepted
        emission = Emission(position, item, None, len(accepted))
        emission.ready.extend(accepted)
        return emission

    def audio_seconds(self, made: Iterable[Item], item: Item | None) -> float:
        """Seconds of audio that the node took or, where it takes none, made.

        Args:
            item: what it took; None when that was counted before.
        """
        if self.audio_in is not None:
            return 0.0 if item is None else _audio_seconds(item, self.audio_in)
        return 0.0 if self.audio_out is None else sum(_audio_seconds(one, self.audio_out) for one in made)


def selector(link: Link, *, chooses: bool) -> Callable[[Item], Item | None]:
    """What tells an item as the far end of a link sees it; None when it goes another way. Raises NodeContractError.

    Args:
        chooses: the node that the link leaves sends an item over some of its links only.
    """
    if chooses:
        return partial(select_if_chosen, link)
    if len(link.ports) != 1 or link.ports[0][0] != link.ports[0][1]:
        return partial(select, link)
    ((name, _),) = link.ports

    def unchanged(item: Item) -> Item:
        payload = item.payload
        return item if name in payload and len(payload) == 1 else select(link, item)

    return unchanged


def select(link: Link, item: Item) -> Item:
    """The item as the far end of a link sees it: payloads under the names of the target's ports.

    Raises:
        NodeContractError: the producer left out a port that the link needs.
    """
    payload = item.payload
    try:
        return item.with_payload({target: payload[source] for source, target in link.ports})
    except KeyError as error:
        raise NodeContractError(
            f"node {link.source!r} returned ports {sorted(payload)}; expected {error.args[0]!r} among them, "
            f"which {link.target!r} reads"
        ) from None


def select_if_chosen(link: Link, item: Item) -> Item | None:
    """The same for an item of a node that chooses: None when it does not leave by this link."""
    if not all(source in item.payload for source, _ in link.ports):
        return None
    return select(link, item)


def _audio_seconds(item: Item, port: str) -> float:
    chunk = item.payload.get(port)
    return chunk.duration_s if type(chunk) is AudioChunk else 0.0
