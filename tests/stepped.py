"""A lane whose pumps go from call to call when a test says so; its workers do what they are told."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from phonograph.breaker import CircuitBreaker
from phonograph.engine.assembly import connect
from phonograph.engine.course import Course
from phonograph.engine.delivery import Entry
from phonograph.engine.identity import Identity
from phonograph.engine.judge import Judge
from phonograph.engine.lane import NodeRun
from phonograph.engine.load import TURN_NS
from phonograph.engine.pump import Pump
from phonograph.engine.settling import Settling
from phonograph.engine.threads import resolve
from phonograph.engine.worker import Pass
from phonograph.item import Item, Outcome
from phonograph.journal import RunDirectory
from phonograph.log import command_logger
from phonograph.metrics import NodeTotals
from small_runs import executor_for

ResultT = TypeVar("ResultT")
PATIENCE_S = 30.0  # until a test that waits in vain fails
GOES_ON = -1
LINE = """
nodes:
  numbers: {type: testing.numbers}
  work: {type: testing.flaky, input: {record: {from: numbers, queue: {QUEUE}}}, workers: 1}
  out: {type: testing.discard, input: work}
"""


class Steps:
    """A thread that makes its calls when it is told to. Each takes `call_ns`, by its clock."""

    def __init__(self, call_ns: int) -> None:
        self.calls: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self.num_called = 0
        self._call_ns = call_ns
        self._now_ns = 0

    def call(self, function: Callable[..., ResultT], *arguments: Any) -> asyncio.Future[ResultT]:
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self.calls.append((future, partial(function, *arguments)))
        self.num_called += 1
        return future

    def clock_ns(self) -> int:
        self._now_ns += self._call_ns
        return self._now_ns

    def make(self) -> Callable[[], None]:
        """Make the next call; what is returned tells the event loop of it."""
        future, function = self.calls.popleft()
        return partial(resolve, future, function(), None)

    async def step(self) -> None:
        """Make the next call, and let everything come of it that can."""
        self.make()()
        await at_rest()

    def stop(self) -> None:
        raise AssertionError("nobody stops it")

    def join(self, timeout_s: float | None = None) -> None:
        raise AssertionError("nobody waits for its end")


class Place:
    """Where a worker works, in such a thread."""

    def __init__(self, member: Worker, thread: Steps) -> None:
        self.member = member
        self.thread = thread

    def call(self, function: Callable[..., ResultT], *arguments: Any, entry: Entry | None = None) -> asyncio.Future[ResultT]:
        return self.thread.call(function, *arguments)


async def nobody_comes(place: object) -> None:
    raise AssertionError("nobody is left behind")


async def at_rest() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Worker:
    """Hands items on, except those for which it was told something else."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.errors: dict[int, Exception] = {}
        self.paused: set[int] = set()

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        self.ran.append(item.ordinal)
        if item.ordinal in self.errors:
            outcome = Pass()
            outcome.fail(0, item, self.errors.pop(item.ordinal))
            return outcome
        if item.ordinal in self.paused:
            outcome = Pass([item.child(0, item.payload)], [0])
            outcome.paused_at = 0
            return outcome
        return item

    def go_on(self) -> Pass:
        self.ran.append(GOES_ON)
        return Pass([], [0])


class Bench:
    """The lane of one node, with a pump for each worker, as in a run.

    Args:
        queue: keys of its queue, as in a YAML flow mapping. call_ns: how long a call takes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        queue: str = "items: 20",
        call_ns: int = TURN_NS,
        num_workers: int = 1,
        worker: type[Worker] = Worker,
    ) -> None:
        executor = executor_for(folder, LINE.replace("QUEUE", queue))
        self.nodes = {
            node.id: NodeRun(node, NodeTotals(node.id, node.spec.type, sees_native_memory=True), CircuitBreaker(node.breaker))
            for node in executor.graph.nodes.values()
        }
        self._directory = RunDirectory(folder / "run")
        self.course = Course(
            self.nodes, ["numbers"], self._directory, command_logger("console", "critical", io.StringIO()), sync_every_s=1.0
        )
        judge = Judge(self.course)
        self.assembly = connect(executor.plan, self.nodes, self.course, judge, measure=False)
        self.lane = next(lane for lane in self.assembly.lanes if lane.plan.name == "work")
        self.course.on_abort = self._abandon
        self.workers = [worker() for _ in range(num_workers)]
        self.threads = [Steps(call_ns) for _ in range(num_workers)]
        settling = Settling(self.course, judge)
        self.pumps = [
            Pump(self.lane, Place(worker, thread), self.course, settling, nobody_comes)  # type: ignore[arg-type]  # as it knows
            for worker, thread in zip(self.workers, self.threads, strict=True)
        ]
        self.tasks: list[asyncio.Task[None]] = []

    def put(self, count: int) -> None:
        """So many records come."""
        for _ in range(count):
            self.lane.queue.append(self.entry())

    def entry(self) -> Entry:
        """The next record, which is nowhere yet."""
        ordinal = self.course.ledger.read(Identity(f"r{self.course.ledger.num_read}"))
        return Entry(Item(key=f"r{ordinal}", ordinal=ordinal, payload={"record": {"number": ordinal}}), self.course.now())

    def fill_reader(self) -> None:
        """Leave no room in the queue behind the lane."""
        (outlet,) = self.lane.exit.outlets
        while outlet.queue.has_room_for(0):
            outlet.queue.append(self.entry())

    async def start(self) -> None:
        self.tasks = [asyncio.create_task(pump.run()) for pump in self.pumps]
        await at_rest()

    async def end(self) -> list[int]:
        """Let all calls be made, nothing more coming; the ordinals of what was run."""
        if not self.tasks:
            await self.start()
        self.lane.queue.close()
        await at_rest()
        while any(thread.calls for thread in self.threads):
            for thread in self.threads:
                if thread.calls:
                    await thread.step()
        await asyncio.wait_for(asyncio.gather(*self.tasks), PATIENCE_S)
        return [ordinal for worker in self.workers for ordinal in worker.ran]

    def outcomes(self) -> dict[Outcome, int]:
        """How records have ended, once what was handed on is counted as kept."""
        for lane in self.assembly.lanes:
            while (entry := lane.queue.get_nowait()) is not None:
                self.course.ledger.end(entry.item.ordinal, Outcome.COMPLETED)
        self.course.ledger.balance()
        return {outcome: count for outcome, count in self.course.ledger.counts.items() if count}

    async def close(self) -> None:
        await self.course.scribe.close()
        self._directory.__exit__(None, None, None)

    def _abandon(self) -> None:
        for entry in self.lane.abandon():
            self.course.cancel(entry)


def stepped(scenario: Callable[[Bench], Coroutine[Any, Any, None]], folder: Path, **options: Any) -> None:
    """Run a scenario on a bench."""

    async def main() -> None:
        bench = Bench(folder, **options)
        try:
            await scenario(bench)
        finally:
            await bench.close()
            for task in bench.tasks:
                task.cancel()

    asyncio.run(main())
