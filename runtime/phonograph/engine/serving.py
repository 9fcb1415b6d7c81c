"""Runs a plan for a program that sends it requests and opens sessions, from `open` to `close`.

It is a scheduler without sources. What is sent comes in at the entrance as a record of its own and goes from lane to lane as in a
run; there it waits at a seat (`phonograph.engine.seats`) and not in a queue, and at a tap it is handed to whoever sent it. So
back-pressure is no matter of the lanes: so many requests are let in at once, and each session may have so much in flight or
unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec

from phonograph.audio import AudioChunk
from phonograph.engine.assembly import Assembly, connect
from phonograph.engine.batch_turns import BatchTurns
from phonograph.engine.budget import Budget
from phonograph.engine.course import Course
from phonograph.engine.crew import Crew
from phonograph.engine.delivery import END
from phonograph.engine.emission import payload_bytes
from phonograph.engine.identity import Identity, Owner
from phonograph.engine.manner import manner, takes_messages
from phonograph.engine.outside import Tap
from phonograph.engine.plan import ENTRANCE, Plan
from phonograph.engine.port_contract import PortContract
from phonograph.engine.requests import Request, Result, described
from phonograph.engine.seats import ServingLane
from phonograph.engine.sessions import Session, SessionLimits
from phonograph.engine.visits import Visits
from phonograph.errors import (
    AudioFormatError,
    BadInputError,
    Complaint,
    ExecutorClosedError,
    GraphError,
    SessionEndedError,
    WorkerDiedError,
)
from phonograph.item import Item, Outcome
from phonograph.journal import RunDirectory
from phonograph.log import Logger
from phonograph.metrics import NodeMetrics

MAX_REQUESTS = 64
"""Requests that are worked on at one time; others wait, so that not all of many are half done at once."""


class Serving(BatchTurns):
    """A plan that serves. Make it in the event loop that it serves in; `open` it once and `close` it.

    Args:
        plan: of a graph that `phonograph.engine.outside.opened` has closed.
        max_requests: as many are worked on at one time.
    """

    def __init__(
        self,
        plan: Plan,
        run_directory: RunDirectory,
        log: Logger,
        *,
        measure: bool,
        check_arrays: bool = False,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        super().__init__(plan, run_directory, log, measure=measure, check_arrays=check_arrays)
        self._budget = _Unlimited(self._course)
        self._entrance = self._nodes[ENTRANCE]
        self._contracts = {port.name: PortContract(port) for port in self._entrance.plan.ports[1]}
        self._outputs = tuple(node.ports[0][0].name for node in plan.taps)
        self._places = asyncio.Semaphore(max_requests)
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = asyncio.Event()
        self._closing = asyncio.Event()
        self._is_closing = False
        self._num_requests = 0
        self._sessions: dict[str, Session] = {}
        self._num_sessions = 0
        self._group: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """As of a scheduler; whatever ends it, nobody waits for a result any more."""
        try:
            await super().run()
        except KeyboardInterrupt:
            pass  # it has left the event loop already
        finally:
            self._end_sessions()

    def drain(self) -> None:
        """Take in nothing more, and complete no outputs that span records."""
        super().drain()
        self._is_closing = True

    async def open(self) -> None:
        """Open the workers. Raises NodeError, and nothing is left then."""
        # A task of its own and no group around the caller: a fault in here must not cancel what the caller does besides.
        self._running = asyncio.create_task(self.run(), name=f"executor {self._plan.graph.name}")
        opening = asyncio.create_task(self._is_open.wait(), name="opening")
        try:
            await asyncio.wait((self._running, opening), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._cancel()
            raise
        finally:
            opening.cancel()
            await asyncio.wait((opening,))
        if self._running.done():
            self._running.result()
            assert self.error is not None, "a run that has not begun has a reason"
            raise self.error

    async def close(self, *, at_once: bool = False) -> None:
        """End: sessions at once, requests when they are done, or also at once. Nothing of it is left then."""
        self._is_closing = True
        for lane in self._lanes:
            lane.seats.nudge()  # batches wait for nobody now
        assert self._running is not None
        self._end_sessions()
        try:
            if at_once:  # outputs that span records are not completed then
                self.drain()
                self._course.abort()
            while self._num_requests and not self._running.done():
                self._idle.clear()
                idle = asyncio.create_task(self._idle.wait())
                await asyncio.wait((self._running, idle), return_when=asyncio.FIRST_COMPLETED)
                idle.cancel()
            self._closing.set()
            self._entrance.exit.close()
            self._entrance.letters.close()
            await asyncio.wait((self._running,))
        except asyncio.CancelledError:
            await self._cancel()
            raise
        self._running.result()

    async def submit(self, inputs: Mapping[str, Any], key: str | None, attributes: Mapping[str, Any] | None) -> Result:
        """See `Executor.submit`."""
        payload = self.checked(inputs)
        self.require_open()
        request = Request(self._outputs)
        self._num_requests += 1
        try:
            async with self._places:
                waiting = self.admitted(request, payload, key or f"request-{self.ledger.num_read}")
                if waiting is not None:
                    await waiting
                self._require_running()
                key = key or f"request-{self.ledger.num_read}"
                entering = self.let_in(
                    request, Item(key=key, ordinal=0, payload=payload, attributes=described(payload, attributes))
                )
                if entering is not None:
                    await asyncio.shield(entering)
                result = await request.result()
        except asyncio.CancelledError:
            self.dismiss(request)
            raise
        finally:
            self._num_requests -= 1
            if not self._num_requests:
                self._idle.set()
        if result.metrics.outcome is Outcome.CANCELLED:
            raise ExecutorClosedError(f"record {key!r}", self.error)
        return result

    def require_open(self) -> None:
        """Raises ExecutorClosedError, with what ended it as its cause."""
        if self._is_closing:
            raise ExecutorClosedError(self._plan.graph.name, self.error)
        self._require_running()

    def _require_running(self) -> None:
        """As `require_open`; but while it is being closed, what was sent before is let in."""
        if self._running is None or self._running.done() or self._course.is_draining:
            raise ExecutorClosedError(self._plan.graph.name, self.error)

    def checked(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is sent, by input of the manifest.

        Raises:
            BadInputError, AudioFormatError: it is not what the manifest's inputs are.
        """
        if not isinstance(inputs, Mapping):
            raise BadInputError(
                f"got {type(inputs).__name__}; expected a mapping of the manifest's inputs, {', '.join(self._contracts)}"
            )
        if inputs.keys() != self._contracts.keys():
            raise BadInputError(f"got inputs {sorted(inputs)}; expected {sorted(self._contracts)}, all of the manifest's inputs")
        for name, contract in self._contracts.items():
            breach = contract.breach(inputs[name])
            if breach is not None:
                error = AudioFormatError if isinstance(inputs[name], AudioChunk) else BadInputError
                raise error(f"input {name!r} got {breach[0]}; expected {breach[1]}")
        return dict(inputs)

    def admitted(self, owner: Owner, payload: Mapping[str, Any], key: str) -> Coroutine[Any, Any, None] | None:
        """What waits until there is memory for one more record, or its owner is gone; None: nothing limits it.

        Awaited, it raises MemoryLimitError where waiting cannot help.
        """
        return None if self._admission is None else self._admission.enter(payload_bytes(payload), owner, key)

    def let_in(self, owner: Owner, item: Item) -> asyncio.Task[None] | None:
        """Take in one record, or the end of a session, which is none. What is returned is done when it is in; None: it is."""
        is_end = item.payload is END
        ordinal = (self.ledger.mark if is_end else self.ledger.read)(Identity(item.key, owner=owner))
        item = msgspec.structs.replace(item, ordinal=ordinal)
        exit = self._entrance.exit
        parcels = [(outlet, item) for outlet in exit.outlets] if is_end else exit.choose(item)
        if not parcels:
            self.ledger.end(ordinal, Outcome.FILTERED)
            return None
        self.ledger.add(ordinal, len(parcels) - 1)
        if exit.send_all_at_once(parcels, self._now()):
            return None
        assert self._group is not None
        return self._group.create_task(exit.send(parcels))

    def dismiss(self, owner: Owner) -> None:
        """End what waits of a request or session that nobody waits for any more."""
        owner.is_gone = True
        self._let_go(owner)

    def _let_go(self, owner: Owner) -> None:
        if self._admission is not None:
            self._admission.dismiss(owner)
        for lane in self._lanes:
            worker = lane.withdraw(owner)
            if worker is not None and isinstance(owner, Session):
                self._visits[lane.plan.name][worker].forget(owner.id)
        if isinstance(owner, Session):
            for gathering in self._assembly.gatherings:
                gathering.forget(owner.id)

    def control(self, owner: Owner, key: str, message: object) -> None:
        """Give a message to the nodes that take some, wherever the session is."""
        for lane in self._lanes:
            is_over = lane.plan.name in owner.ends
            if not is_over and any(takes_messages(node.plan.spec.factory) for node in lane.nodes):
                lane.seats.tell(owner, key, message)

    def session(self, session_id: str | None, limits: SessionLimits) -> Session:
        """See `Executor.session`."""
        self.require_open()
        self._require_streaming()
        self._num_sessions += 1
        session_id = session_id or f"session-{self._num_sessions}"
        if session_id in self._sessions:
            raise ValueError(f"session {session_id!r} is open already; expected an id of its own, or None")
        session = self._sessions[session_id] = Session(session_id, self, limits, tuple(self._contracts))
        return session

    def session_ended(self, session: Session) -> None:
        """It is over, or about to be dismissed: whatever is still kept for it is let go of."""
        self._sessions.pop(session.id, None)
        self._let_go(session)

    def node_metrics(self) -> tuple[NodeMetrics, ...]:
        return tuple(one for one in super().node_metrics() if one.id in self._plan.graph.manifest.nodes or "~" in one.id)

    def _connect(self) -> Assembly:
        course = self._course
        taps = {node.id: Tap(node.ports[0][0].name, course) for node in self._plan.taps}
        lane = partial(ServingLane, course=course)
        assembly = connect(self._plan, self._nodes, course, self._judge, measure=self._measure, lane=lane, taps=taps)
        for gate in assembly.gates:  # what waits for a retry of one caller must not hold up the others
            gate.share()
        return assembly

    async def _cancel(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait((self._running,))

    def _start(self, group: asyncio.TaskGroup, crew: Crew) -> None:
        self._group = group
        group.create_task(self._closing.wait(), name="entrance")  # there may be nothing else to run
        for lane in self._lanes:
            self._visits[lane.plan.name] = [Visits(lane.plan, post) for post in crew.workers[lane.plan.name]]
            group.create_task(self._serve_lane(lane), name=f"lane {lane.plan.name}")
        for gathering in self._assembly.gatherings:
            group.create_task(gathering.run(), name=f"gathering {gathering.plan.name}")
        self._is_open.set()

    def _abandon(self) -> None:
        super()._abandon()
        if self.error is not None:  # soon, because whoever broke it is in the middle of accounting for it
            asyncio.get_running_loop().call_soon(self._end_sessions)

    def _interrupted(self, task: asyncio.Task[None], interrupt: KeyboardInterrupt) -> None:
        super()._interrupted(task, interrupt)
        asyncio.get_running_loop().call_soon(_leave_loop, interrupt)  # before callers learn what has become of theirs

    def _end_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session.end(ExecutorClosedError(f"session {session.id!r}", self.error))

    def _state_lost(self, session_id: str, died: WorkerDiedError) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            message = f"the process of node {died.node!r} {died.how}, and the session's state with it; open another session"
            session.end_soon(SessionEndedError(session_id, "worker_died", message))

    def _require_streaming(self) -> None:
        """Raises GraphError when a node cannot take the chunks of a session."""
        complaints: list[Complaint] = []
        for lane in self._lanes:
            for node in (run.plan for run in lane.nodes):
                found = f"node {node.id!r} ({node.spec.type})"
                for link in node.fallback:
                    if manner(node) == "state" or manner(node) != manner(self._nodes[link.target].plan):
                        words = (
                            f"{found} has the fallback {link.target!r}, and one of the two keeps something from chunk to chunk"
                        )
                        expected = (
                            "in a session two that take each chunk by itself; what is kept by one is not there in the other"
                        )
                        complaints.append(Complaint("streaming", node.position, words, expected))
                if manner(node) is None:
                    found += " is of a type that takes whole records only"
                    expected = (
                        'in a session one that says how it streams (`streaming="causal"`), or takes audio, which is gathered'
                    )
                    complaints.append(Complaint("streaming", node.position, found, expected))
        if complaints:
            raise GraphError(complaints)


def _leave_loop(interrupt: KeyboardInterrupt) -> None:
    """Called by an event loop, end its running as Ctrl-C does between two calls."""
    raise interrupt


class _Unlimited(Budget):
    """No number of failed records ends a service, whose callers may send what they like."""

    def __init__(self, course: Course) -> None:
        super().__init__(course, 1.0, {})

    def is_exceeded(self, *, all_count: bool) -> bool:
        return False

    def _record_ended(self, outcome: Outcome) -> None:
        pass
