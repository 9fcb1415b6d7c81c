"""What runs in a worker process: a SegmentWorker, with its sessions, that is told over a channel what to do.

The process belongs to the one that started it. It is killed with it, leaves Ctrl-C and SIGTERM to it, writes no core file, and
offers itself first when the kernel needs memory. It leads a process group, with which what its nodes have started is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import logging.handlers
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from phonograph.breaker import CircuitBreaker
from phonograph.engine.batch_call import Guest, Outcome
from phonograph.engine.blocks import Blocks
from phonograph.engine.channel import ARENA_BYTES, Channel, ChannelClosedError
from phonograph.engine.conversation import Conversations, Kept, LivePass
from phonograph.engine.delivery import END
from phonograph.engine.emission import Emission
from phonograph.engine.guard import Allowances
from phonograph.engine.manner import Manner
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.process_messages import LEFT_TO_THE_RUN, Answer, Assignment, Result
from phonograph.engine.step import Step
from phonograph.engine.worker import Failure, Pass, SegmentWorker
from phonograph.errors import MemoryLimitError, NodeContractError, in_words
from phonograph.graph.conversion import Converting
from phonograph.graph.model import GraphNode, QueueBounds
from phonograph.item import Item
from phonograph.language.units import size_in_words
from phonograph.metrics import NodeStats, NodeTotals
from phonograph.pickling import dumps

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_LOGGER = logging.getLogger(__name__)


class _Told:
    """What the other process said of a node's breaker."""

    __slots__ = ("is_closed",)

    def __init__(self) -> None:
        self.is_closed = True


class _Worker(SegmentWorker):
    """Says which node it calls where that can be read if the call never returns."""

    def __init__(self, assignment: Assignment, channel: Channel) -> None:
        nodes = assignment.blueprint.made()
        plan = SegmentPlan(nodes=nodes, run="process", num_workers=1, queue=QueueBounds())
        self.told = {node.id: _Told() for node in nodes}
        self.totals = None
        if assignment.measure:
            self.totals = {node.id: NodeTotals(node.id, node.spec.type, sees_native_memory=True) for node in nodes}
        super().__init__(plan, cast(dict[str, CircuitBreaker], self.told), self.totals)
        self._channel = channel
        self._allowances = Allowances(nodes)
        self._memory = assignment.memory
        self._live = _Sessions(self, nodes)
        self._session = ""  # of the chunk that came last

    def _call(self, step: Step, item: Item, position: int, attempt: int, given: int) -> Item | Emission:
        with self.said(step, position, (item,)):
            return super()._call(step, item, position, attempt, given)

    def _take(self, step: Step, emission: Emission) -> None:
        with self.said(step, emission.position, (emission.item,)):
            super()._take(step, emission)

    def _call_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome]:
        with self.said(self.steps[0], 0, items):
            return super()._call_batch(items, num_new)

    @contextlib.contextmanager
    def said(self, step: Step, position: int, items: Sequence[Item] = ()) -> Iterator[None]:
        """Around each call of a node; one that is about no items may take as long as it likes."""
        now, limit_s = time.monotonic(), self._allowances.limit_s(position, items) if items else inf
        step.began = None if limit_s == inf else now
        self._channel.mark(position, now, now + limit_s)
        try:
            yield
        except KeyboardInterrupt as error:  # the node's own, for Ctrl-C is left to the run
            raise NodeContractError(f"{step.spec.type} raised KeyboardInterrupt; expected an Exception") from error
        except MemoryError as error:
            if self._memory is None:
                raise
            raise MemoryLimitError(
                f"node {step.node.node_id!r} needed more than its memory limit of {size_in_words(self._memory)}; expected less; "
                "raise its `memory`, or give it smaller records"
            ) from error
        finally:
            if limit_s < inf:
                self._channel.mark(position)

    def run_as_told(
        self, item: Item, position: int, attempt: int, is_probe: bool, given: int, closed: tuple[bool, ...]
    ) -> Pass | Item:
        """As `run`; `closed`: whether each node's breaker is. An item that failed as it came does not travel back."""
        self._hear(closed)
        result = self.run(item, position, attempt, is_probe, given)
        return result if isinstance(result, Item) else _without(item, result)

    def go_on_as_told(self, closed: tuple[bool, ...]) -> Pass:
        """As `go_on`."""
        self._hear(closed)
        item, _ = self._paused[-1]
        return _without(item, self.go_on())

    def converse(
        self, item: Item, position: int, attempt: int, is_probe: bool, num_given: int, closed: tuple[bool, ...]
    ) -> LivePass | Item:
        """As `Conversations.run`; `num_given`: how many items the last node has given to the session in processes before."""
        assert item.session is not None
        self._hear(closed)
        self._session = item.session
        self._live.go_on_from(item.session, num_given)
        result = self._live.run(item, position, attempt, is_probe)
        return result if isinstance(result, Item) else _without(item, result)

    def converse_batch(self, items: Sequence[Item], num_new: int, num_given: Sequence[int]) -> list[Outcome] | Exception:
        """As `Conversations.run_batch`."""
        for item, number in zip(items, num_given, strict=True):
            if item.session is not None:
                self._live.go_on_from(item.session, number)
        return self._live.run_batch(items, num_new)

    def control(self, item: Item, message: object, num_given: int, closed: tuple[bool, ...]) -> LivePass:
        """As `Conversations.control`."""
        assert item.session is not None
        self._hear(closed)
        self._session = item.session
        self._live.go_on_from(item.session, num_given)
        return self._live.control(item, message)

    def forget(self, session: str) -> None:
        """As `Conversations.forget`."""
        self._live.forget(session)

    def _hear(self, closed: tuple[bool, ...]) -> None:
        for told, is_closed in zip(self.told.values(), closed, strict=True):
            told.is_closed = is_closed

    def refused(self, unsent: Result, error: Exception) -> Result:
        """What comes of a call whose result cannot be sent."""
        position = self._channel.position
        step = self.steps[position]
        words = (
            f"{step.spec.type} returned what cannot be handed to another process: {in_words(error)}; expected what can be pickled"
        )
        if isinstance(unsent, list):  # of a batch
            return [one if _can_travel(one) else NodeContractError(words) for one in unsent]
        if isinstance(unsent, Exception):
            return NodeContractError(words)
        outcome = Pass()
        if isinstance(unsent, LivePass) or (isinstance(unsent, Item) and unsent.session is not None):
            outcome = self._live.refused(unsent, self._session, position)
        elif isinstance(unsent, Pass) and unsent.paused_at is not None:
            self._paused.pop()
        outcome.fail(position, None, NodeContractError(words))  # type: ignore[arg-type]  # as above
        return outcome

    def peaks(self) -> tuple[int, ...]:
        return () if self.totals is None else tuple(totals.account.peak_bytes for totals in self.totals.values())

    def taken_stats(self) -> dict[int, NodeStats]:
        """What was measured since this was last asked."""
        taken = {}
        for position, step in enumerate(self.steps):
            if step.stats is None or not step.stats.calls:
                continue
            if isinstance(step.node, Converting):
                step.stats.items_changed, step.node.num_changed = step.node.num_changed, 0
            taken[position], step.stats = step.stats, NodeStats(step.account)
        return taken


class _Sessions(Conversations):
    """The same of what is kept for sessions."""

    def __init__(self, worker: _Worker, nodes: Sequence[GraphNode]) -> None:
        super().__init__(nodes, worker.steps)
        self._worker = worker

    def go_on_from(self, session: str, num_given: int) -> None:
        last = self._kept(session)[-1]
        last.num_given = max(last.num_given, num_given)

    def refused(self, unsent: LivePass | Item, session: str, position: int) -> LivePass:
        """What is to be told of a pass whose result cannot be sent, beside why: how far the end of the session has come."""
        outcome = LivePass()
        if isinstance(unsent, LivePass):
            outcome.has_ended = unsent.has_ended
            outcome.rest = [(at, item) for at, item in unsent.rest if item.payload is END]
        if not outcome.has_ended:
            self._kept(session)[position].fail("")
        return outcome

    def _call(self, step: Step, how: Manner | None, mine: Kept, item: Item, attempt: int) -> list[Item]:
        with self._worker.said(step, self._steps.index(step), (item,)):
            return super()._call(step, how, mine, item, attempt)

    def _call_batch(self, guests: Sequence[Guest], num_new: int) -> list[Outcome]:
        with self._worker.said(self._steps[0], 0, [guest.item for guest in guests]):
            return super()._call_batch(guests, num_new)

    def _answer(self, step: Step, mine: Kept, item: Item, message: object) -> list[Item]:
        with self._worker.said(step, self._steps.index(step)):
            return super()._answer(step, mine, item, message)


class _Logged(logging.handlers.QueueHandler):
    """Sends log records to the other process, at once, so that they are there even if this one ends in the next moment."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]  # only `enqueue` uses it
        self._connection = connection
        self._late: list[bytes] = []
        self._has_logged = False

    def enqueue(self, record: logging.LogRecord) -> None:
        self._has_logged = True
        pickled = dumps(record.__dict__)
        try:
            self._connection.send(pickled, socket.MSG_DONTWAIT)
        except OSError:  # full, or the record is too large for it
            self._late.append(pickled)

    def told(self) -> tuple[bool, tuple[bytes, ...]]:
        """Whether there were records since this was last asked, and those that are still here."""
        has_logged, self._has_logged = self._has_logged, False
        late, self._late = tuple(self._late), []
        return has_logged, late


PassT = TypeVar("PassT", bound=Pass)


def _without(item: Item, outcome: PassT) -> PassT:
    for event in outcome.trail:
        if isinstance(event, Failure) and event.item is item:
            event.item = None  # type: ignore[assignment]  # put back by `ProcessWorker`
    return outcome


def _can_travel(value: object) -> bool:
    try:
        dumps(value, [])
    except Exception:  # noqa: BLE001  # which exception is up to what cannot be pickled
        return False
    return True


def main(parent: int, connection: int, log_connection: int, arena: int, blocks: int) -> None:
    """Work until told to close, or the other process has gone.

    Args:
        parent: process that started this one. Descriptors: of the channel, and of the socket for log records.
    """
    for descriptor in (connection, log_connection, arena, blocks):
        os.set_inheritable(descriptor, False)
    _belong_to(parent)
    memory = open(arena, "r+b", buffering=0)  # noqa: SIM115  # open as long as the process is
    memory.seek(ARENA_BYTES)
    faulthandler.enable(memory, all_threads=False)  # where a crash was, for the process that starts the next one
    channel = Channel(socket.socket(fileno=connection), arena, Blocks(blocks))
    _disown_forks(channel, memory)
    try:
        _serve(channel, _Logged(socket.socket(fileno=log_connection)))
    except ChannelClosedError:
        os._exit(0)  # nobody is there to be told anything
    if _threads_left():  # the interpreter would wait for them
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)


def _serve(channel: Channel, logged: _Logged) -> None:
    assignment: Assignment = channel.receive()
    logging.getLogger().addHandler(logged)
    for name, level in assignment.log_levels.items():
        logging.getLogger(name).setLevel(level)
    worker, error = None, None
    try:
        worker = _Worker(assignment, channel)
        _limit(assignment.memory)
    except Exception as raised:  # noqa: BLE001  # whatever the code of nodes raises
        error = raised
    channel.send(Answer(None, error, {}, (), *logged.told()))
    while worker is not None:
        name, *arguments = channel.receive()
        result, error = None, None
        try:
            result = getattr(worker, name)(*arguments)
        except Exception as raised:  # noqa: BLE001  # whatever the code of nodes raises
            error = raised
        if name == "close" and (left := _threads_left()):
            _LOGGER.warning("node %r left threads running: %s; they end with its process", "+".join(worker.told), ", ".join(left))
        _answer(channel, worker, result, error, logged)
        if name == "close":
            return
        del arguments, result, error  # a waiting worker must not hold an item


def _answer(channel: Channel, worker: _Worker, result: Result, error: Exception | None, logged: _Logged) -> None:
    measured = worker.taken_stats(), worker.peaks()
    told = logged.told()
    try:
        channel.send(Answer(result, error, *measured, *told), in_block=isinstance(result, Item))
    except ChannelClosedError:
        raise
    except Exception as unpicklable:  # noqa: BLE001  # which exception is up to what cannot be pickled
        channel.send(Answer(worker.refused(result, unpicklable), error, *measured, *told))


def _belong_to(parent: int) -> None:
    """End when the process that started this one does."""
    _end_with(parent)
    for number in LEFT_TO_THE_RUN:
        # Not SIG_IGN: that would be passed on to programs that a node starts, and wants to end with a signal.
        signal.signal(number, lambda number, frame: None)
        signal.siginterrupt(number, False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_THE_RUN)
    for number in (signal.SIGTTIN, signal.SIGTTOU):  # its group is not the terminal's, which would stop it for ever
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # a system may forbid it, and then the kernel chooses by size alone
        Path("/proc/self/oom_score_adj").write_text("500")


def _end_with(parent: int) -> None:
    """Be killed when the thread ends that started this process."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has gone already, before the kernel was asked
        os._exit(0)


def _disown_forks(channel: Channel, memory: BinaryIO) -> None:
    """Leave forks of this process nothing of it but the socket for log records, which nobody waits at."""
    process, main_thread = os.getpid(), threading.get_ident()
    blocked = threading.local()

    def before() -> None:  # a signal to the fork waits until that has its own ways with it
        blocked.signals = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_RUN)
        channel.settle()

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked.signals)

    def in_fork() -> None:
        faulthandler.disable()
        with contextlib.suppress(BufferError):  # another thread was reading or writing at that moment
            channel.close()
        memory.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in LEFT_TO_THE_RUN[1:]:
            signal.signal(number, signal.SIG_DFL)
        after()
        # Others may end before what they have forked does; and a fork of a fork answers to that.
        if threading.get_ident() == main_thread and os.getppid() == process:
            _end_with(process)

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=in_fork)


def _threads_left() -> list[str]:
    """Threads that Python waits for at its end, by name."""
    return [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]


def _limit(memory: int | None) -> None:
    """Refuse memory above what this process has now and `memory` bytes more.

    Of all limits that there are, the one on data counts what is allocated and written, and neither files that are mapped, nor
    libraries, nor address space that is only reserved.
    """
    if memory is None:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + memory, resource.RLIM_INFINITY))
