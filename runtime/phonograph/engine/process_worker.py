"""ProcessWorker: one worker of a segment, as SegmentWorker is, with its nodes in a process of their own.

Theory of operation. The process is a fresh interpreter and no fork: a fork of a process with threads has every lock that some
other thread held at that moment, and nobody to release it. It shares a channel and a socket for log records with this side, and
nothing else. While a call runs, the worker's thread here waits for the answer. When the process ends instead, the record fails
with WorkerDiedError at the node that the process said last it was calling, and a fresh process is started for the next record. A
process that ended before it called any node did so for no fault of the record, which goes to the next process.

What the nodes of a process have started is in its process group, which is killed when the process has ended. The process itself
does not outlive this side: the kernel kills it when the thread that started it ends, also when this whole process is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from time import perf_counter_ns
from typing import TypeVar

from phonograph.breaker import CircuitBreaker
from phonograph.engine.batch_call import Outcome
from phonograph.engine.blocks import Blocks
from phonograph.engine.channel import ARENA_BYTES, Channel, ChannelClosedError, Child, new_arena
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.process_guard import BoundedCalls
from phonograph.engine.process_messages import LEFT_TO_THE_RUN, Answer, Assignment, Result, death, log_levels
from phonograph.engine.worker import Failure, Pass
from phonograph.errors import AttemptTimeoutError, NodeContractError, NodeError, PhonographError, WorkerDiedError, in_words
from phonograph.graph.isolation import Blueprint
from phonograph.item import Item
from phonograph.metrics import NodeTotals

PassT = TypeVar("PassT", bound=Pass)

_NOT_CALLED = -1
_LEAVE_S = 5.0  # for the process to end by itself after its last answer
_CRASH_BYTES = 4096
_MAX_LOG_BYTES = 2**20


class Died(Exception):
    """The process ended during a call that began at `start_ns`, at the node at position `at`."""

    def __init__(self, error: WorkerDiedError | AttemptTimeoutError, at: int, start_ns: int) -> None:
        super().__init__(error)
        self.error = error
        self.at = at
        self.start_ns = start_ns


class ProcessWorker:
    """Runs items through one segment in a process that is started anew whenever it has died. All but `kill` is for one thread.

    Attributes:
        on_death: is called when a process has ended by itself. calls: those that may take only so long.
    """

    def __init__(
        self, plan: SegmentPlan, breakers: Mapping[str, CircuitBreaker], totals: dict[str, NodeTotals] | None, blocks: Blocks
    ) -> None:
        self._ids = tuple(node.id for node in plan.nodes)
        self._breakers = tuple(breakers[node_id] for node_id in self._ids)
        self._stats = () if totals is None else tuple(totals[node_id].new_worker() for node_id in self._ids)
        self._assignment = Assignment(Blueprint.of(plan.nodes), plan.memory, totals is not None, log_levels())
        self.on_death: Callable[[WorkerDiedError], None] = lambda died: None
        self.calls = BoundedCalls(self._ids)
        self._blocks = blocks
        self._lock = threading.Lock()
        self._is_killed = False
        self._is_open = False
        self._paused: list[tuple[_Process, Item, int]] = []  # with what `run` was given
        self._process: _Process | None = self._started()

    def open(self) -> None:
        """Open every node. Raises NodeError; then nothing is open."""
        process = self._process = self._process or self._started()
        try:
            self._take(process.answer())
            self._is_open = True  # also when it fails midway, for then what is open wants to be closed
            self._take(process.ask("open"))
        except ChannelClosedError:
            died = process.end(self._ids[max(process.position, 0)])
            self._process = None
            raise NodeError(died.node, None, f"could not be opened: {in_words(died)}") from died
        except Exception as error:
            with contextlib.suppress(NodeError):
                self.close()
            if isinstance(error, NodeError):
                raise
            raise NodeError(self._ids[0], None, f"could not be made in a process: {in_words(error)}") from error

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        """As `SegmentWorker.run`. What the breakers say is what they said when the call began."""
        if not (is_probe or self._breakers[position].is_closed):
            return _failed(position, item, None)  # no process need be started to be told that
        try:
            arguments = (item, position, attempt, is_probe, given, self.closed())
            outcome = self.call("run_as_told", *arguments, position=position, item=item)
        except Died as died:
            self.count_lost(died, num_new=int(attempt == 1 or died.at > position))
            return _failed(died.at, item, died.error, before=range(position, died.at))
        except Exception as error:  # noqa: BLE001  # nodes that cannot be opened, an item or an answer that cannot be pickled
            return _failed(position, item, transportable(error))
        return outcome if isinstance(outcome, Item) else self._came(outcome, item, position)

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception:
        """As `SegmentWorker.run_batch`. A process that dies fails the call, which leaves it to its parts whose fault that was."""
        return self.call_batch("run_batch", items, num_new)

    def call_batch(self, name: str, items: Sequence[Item], num_new: int, *more: object) -> list[Outcome] | Exception:
        """The same by a method of that name of the worker there."""
        try:
            outcomes = self.call(name, items, num_new, *more, item=items[0])
        except Died as died:
            self.count_lost(died, num_new=num_new)
            return died.error
        except Exception as error:  # noqa: BLE001  # as in `run`
            return transportable(error)
        assert isinstance(outcomes, list | Exception), "a call for a batch gives its outcomes"
        return outcomes

    def go_on(self) -> Pass:
        """As `SegmentWorker.go_on`. What a process that has died had to give is lost."""
        process, item, position = self._paused.pop()
        if process is not self._process:  # it died of an item further on
            return _failed(position, item, WorkerDiedError(self._ids[position], "died of another item"))
        try:
            outcome = self.call("go_on_as_told", self.closed(), position=position, may_repeat=False, item=item)
        except Died as died:
            self.count_lost(died, num_new=int(died.at > position))
            return _failed(died.at, item, died.error)
        except Exception as error:  # noqa: BLE001  # an answer that cannot be pickled
            return _failed(position, item, transportable(error))
        assert not isinstance(outcome, Item), "what goes on gives a Pass"
        return self._came(outcome, item, position)

    def call(self, name: str, *arguments: object, position: int = 0, may_repeat: bool = True, item: Item | None = None) -> Result:
        """Call a method of the worker there.

        Args:
            position: of the first node that it may call. may_repeat: a process that ends before it calls one leaves the call to
                the next process, once. item: that it is about, for calls that may take only so long.

        Raises:
            Died: the process ended meanwhile.
            Exception: nodes cannot be opened, an argument or the answer cannot be pickled; what the method raised.
        """
        start_ns = perf_counter_ns()
        try:
            process = self._opened()
            self.calls.begin(process, item)
            answer = process.ask(name, *arguments)
        except ChannelClosedError:
            at = process.position
            died = self._ended(process, max(at, position))
            late = self.calls.late(max(at, position))
            if at == _NOT_CALLED and may_repeat:
                return self.call(name, *arguments, position=position, may_repeat=False, item=item)
            raise Died(late or died, max(at, position), start_ns) from None
        self.calls.end()
        return self._take(answer)

    @property
    def is_running(self) -> bool:
        """Whether there is a process, as far as has been noticed."""
        return self._process is not None

    def bury(self) -> None:
        """Notice that the process has ended since its last call, if it has."""
        if self._process is not None and not self._process.is_alive:
            self._ended(self._process, 0)

    def closed(self) -> tuple[bool, ...]:
        """Whether each node's breaker is."""
        return tuple(breaker.is_closed for breaker in self._breakers)

    def _came(self, outcome: Result, item: Item, position: int) -> Pass:
        """What the process answered."""
        assert isinstance(outcome, Pass), "a call gives a Pass"
        if outcome.paused_at is not None:
            assert self._process is not None, "it has answered"
            self._paused.append((self._process, item, position))
        return restored(outcome, item)

    def finish(self) -> None:
        """Nothing: only sinks complete outputs, and they run in threads."""

    def close(self) -> None:
        """Close every open node and end the process. Raises NodeError."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self._is_open:
                self._take(process.ask("close"))
        except ChannelClosedError:
            pass  # it has died since its last call; no record is lost by that
        finally:
            self._is_open = False
            process.end("")

    def kill(self) -> None:
        """End the process whatever it does; a call that waits for it fails. May be called from any thread."""
        with self._lock:
            self._is_killed = True
            if self._process is not None:
                self._process.kill()

    def _opened(self) -> _Process:
        """A process with open nodes; another one when the last has died."""
        self.bury()
        if self._process is None:
            self._is_open = False
        if not self._is_open:
            self.open()
        assert self._process is not None
        return self._process

    def _ended(self, process: _Process, position: int) -> WorkerDiedError:
        """See a process to its end that has come by itself."""
        died = process.end(self._ids[position])
        self._process = None
        self.on_death(died)
        return died

    def _started(self) -> _Process:
        with self._lock:
            if self._is_killed:
                raise WorkerDiedError(self._ids[0], "was ended with the run")
            process = _Process(self._ids[0], self._blocks)
        process.tell(self._assignment)
        return process

    def count_lost(self, died: Died, *, num_new: int) -> None:
        """Account for a call that never returned, of which the process could tell nothing."""
        if self._stats:
            stats = self._stats[died.at]
            stats.items_in += num_new
            stats.errors += 1
            stats.called(died.start_ns, perf_counter_ns())

    def _take(self, answer: Answer) -> Result:
        """What an answer gives, once what was measured and logged is where it belongs. Raises what the call raised."""
        for position, stats in answer.stats.items():
            self._stats[position].merge(stats)
        for stats, peak in zip(self._stats, answer.peaks, strict=False):
            stats.array_peak_bytes = max(stats.array_peak_bytes, peak)
        if answer.error is not None:
            raise answer.error
        return answer.result


class _Process:
    """One process, from its start to its end. Descriptors, child and what that has started are gone after `end`."""

    def __init__(self, name: str, blocks: Blocks) -> None:
        ours, theirs = socket.socketpair()
        log_ours, log_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._arena, self._logs = new_arena(), log_ours
        descriptors = (theirs.fileno(), log_theirs.fileno(), self._arena, blocks.descriptor)
        # What is not on the path of a fresh interpreter was put there by this program; `-P` keeps the working directory out.
        start = f"from phonograph.engine.process_child import main; main{(os.getpid(), *descriptors)}"
        code = f"import sys; sys.path[:] = {sys.path!r}; {start}"
        command = [sys.executable, "-P", "-c", code, f"phonograph-{name}"]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_RUN)  # so there too, until it deals with them
        try:
            self._program = subprocess.Popen(command, pass_fds=descriptors, process_group=0)
        except BaseException:
            for descriptor in (ours, log_ours):
                descriptor.close()
            os.close(self._arena)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            log_theirs.close()
        self._child = Child(self._program.pid)
        self._lock = threading.Lock()
        self._is_shut = self._is_over = False
        self._channel = Channel(ours, self._arena, blocks, self._child)
        self._channel.mark(_NOT_CALLED)

    @property
    def is_alive(self) -> bool:
        return self._child.is_alive

    @property
    def position(self) -> int:
        """Of the node that it called last, since it was asked last; -1: of none."""
        return self._channel.position

    @property
    def bounded_call(self) -> tuple[int, float, float] | None:
        """Position, beginning and latest end of the call that runs; None: none does, or it may take for ever."""
        with self._lock:
            if self._is_shut:
                return None
            began, due = self._channel.times
            return None if due == inf else (self._channel.position, began, due)

    def tell(self, message: object) -> None:
        """Send a message and wait for nothing; one that does not arrive is noticed by who waits for the answer."""
        with contextlib.suppress(ChannelClosedError):
            self._channel.send(message)

    def ask(self, name: str, *arguments: object) -> Answer:
        """Call a method of the worker there. Raises ChannelClosedError when the process ends meanwhile."""
        self._channel.mark(_NOT_CALLED)
        self._channel.send((name, *arguments))
        return self.answer()

    def answer(self) -> Answer:
        """The answer to what was asked last."""
        try:
            answer: Answer = self._channel.receive()
        except BaseException:
            self._log()
            raise
        if answer.has_logged:
            self._log(answer.late)
        return answer

    def kill(self) -> None:
        with self._lock:
            if not self._is_over:
                self._kill_group()

    def end(self, node_id: str) -> WorkerDiedError:
        """Wait for its end, which has come or is near; say how it ended while it worked for a node."""
        crash = os.pread(self._arena, _CRASH_BYTES, ARENA_BYTES).decode(errors="replace")
        with self._lock:
            self._is_shut = True
        self._channel.close()
        os.close(self._arena)
        self._logs.close()
        self._child.ends_within(_LEAVE_S)
        with self._lock:
            self._kill_group()  # before the process is reaped, so that no other can have its number
            self._is_over = True
        status = self._program.wait()
        self._channel.give_back()
        self._child.close()
        return death(node_id, status, crash)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.process_id, signal.SIGKILL)

    def _log(self, late: Iterable[bytes] = ()) -> None:
        """Hand on what was logged so far."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while record := self._logs.recv(_MAX_LOG_BYTES, socket.MSG_DONTWAIT):
                _log(record)
        for record in late:
            _log(record)


def _failed(position: int, item: Item, error: Exception | None, before: Iterable[int] = ()) -> Pass:
    """What came of an item that stopped; `error` is None when an open breaker refused it, `before` are calls that returned."""
    outcome = Pass()
    outcome.trail.extend(before)
    outcome.fail(position, item, error).is_unseen = isinstance(error, AttemptTimeoutError)
    return outcome


def restored(outcome: PassT, item: Item) -> PassT:
    """What a process answered, with the item in it again that failed as it came and was not sent back."""
    for event in outcome.trail:
        if isinstance(event, Failure):
            event.item = event.item or item
    return outcome


def transportable(error: Exception) -> PhonographError:
    """What a call failed with that did not fail in a node."""
    if isinstance(error, PhonographError):
        return error
    failure = NodeContractError(f"what cannot be handed to another process: {in_words(error)}; expected what can be pickled")
    failure.__cause__ = error
    return failure


def _log(pickled: bytes) -> None:
    """Hand a record of a worker to the handlers of this process."""
    record = logging.makeLogRecord(pickle.loads(pickled))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
