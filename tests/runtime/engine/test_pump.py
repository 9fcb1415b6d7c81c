"""Pumps: what a worker is given ahead, when it is not, and what becomes of it; step by step, in the order that a test chooses."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from phonograph.engine.load import TURN_NS
from phonograph.engine.worker import Pass
from phonograph.errors import BadInputError
from phonograph.item import Item, Outcome
from stepped import GOES_ON, PATIENCE_S, Bench, Worker, at_rest, stepped


async def slow_and_ahead(bench: Bench) -> None:
    """Records 0 to 3, of which 0 has shown that they take long; 1 is to be run, and 2 is ahead."""
    bench.put(4)
    await bench.start()
    await bench.threads[0].step()
    assert (bench.workers[0].ran, len(bench.threads[0].calls), len(bench.lane.queue)) == ([0], 2, 1)


def test_a_slow_worker_has_one_item_ahead(tmp_path: Path) -> None:
    """While a call that lasts a turn is made, the next one waits behind it, and no more than that; all end, in their order."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.put(10)
        for ordinal in range(1, 8):
            assert [entry.item.ordinal for entry in bench.lane.loads[0].waiting] == [ordinal, ordinal + 1]
            await bench.threads[0].step()
        assert await bench.end() == list(range(14))
        assert bench.outcomes() == {Outcome.COMPLETED: 14}

    stepped(scenario, tmp_path)


def test_a_quick_worker_has_nothing_ahead(tmp_path: Path) -> None:
    """Where many items fit into a hop, a second call would take them from others for nothing."""

    async def scenario(bench: Bench) -> None:
        bench.put(12)
        await bench.start()
        while bench.threads[0].calls:
            assert len(bench.threads[0].calls) == 1
            await bench.threads[0].step()
        assert await bench.end() == list(range(12))

    stepped(scenario, tmp_path, call_ns=TURN_NS // 8)


def test_nothing_goes_ahead_of_what_comes_back(tmp_path: Path) -> None:
    """An item that is due again waits for the calls that are given out, and for no other."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.put(8)
        bench.lane.resume(bench.entry())
        assert await bench.end() == [0, 1, 2, 12, *range(3, 12)]

    stepped(scenario, tmp_path)


def test_nothing_is_given_ahead_while_too_much_waits_for_another_attempt(tmp_path: Path) -> None:
    """As many as the queue holds may wait for that; then nothing more is taken from it, by whatever way."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        for _ in range(2):
            bench.lane.back_off(bench.entry(), 3600)
        await bench.threads[0].step()
        await bench.threads[0].step()
        assert (bench.workers[0].ran, len(bench.lane.queue), len(bench.threads[0].calls)) == ([0, 1, 2], 1, 0)
        bench.course.abort()
        assert await bench.end() == [0, 1, 2]

    stepped(scenario, tmp_path, queue="items: 2")


def test_nothing_is_given_ahead_while_another_worker_waits(tmp_path: Path) -> None:
    """Of two items that come when one worker waits and one has just returned, each gets one."""

    async def scenario(bench: Bench) -> None:
        bench.put(1)
        await bench.start()
        busy = next(thread for thread in bench.threads if thread.calls)
        busy.make()()
        bench.put(2)
        await at_rest()
        assert [len(thread.calls) for thread in bench.threads] == [1, 1]
        assert sorted(await bench.end()) == [0, 1, 2]

    stepped(scenario, tmp_path, num_workers=2)


def test_nothing_is_given_ahead_where_items_come_to_more_than_one(tmp_path: Path) -> None:
    """A call ahead would run nothing behind a filter or a node that fails, so it is not made."""

    async def scenario(bench: Bench) -> None:
        bench.workers[0].errors = {ordinal: BadInputError("odd") for ordinal in range(1, 10)}
        bench.put(10)
        assert await bench.end() == list(range(10))
        assert bench.threads[0].num_called == 11, "one was made before it was known"

    stepped(scenario, tmp_path)


def test_a_queue_that_drops_its_oldest_gives_nothing_ahead(tmp_path: Path) -> None:
    """What would wait in the thread is older than all that is dropped."""

    async def scenario(bench: Bench) -> None:
        bench.put(4)
        await bench.start()
        await bench.threads[0].step()
        assert [entry.item.ordinal for entry in bench.lane.loads[0].waiting] == [1]
        assert await bench.end() == [0, 1, 2, 3]

    stepped(scenario, tmp_path, queue="items: 20, full: oldest")


@pytest.mark.parametrize(("call_ns", "shared"), [(TURN_NS, ([2], [3])), (TURN_NS // 8, ([2, 3], []))])
def test_a_worker_with_nothing_to_do_takes_what_a_slow_one_has_ahead(
    tmp_path: Path, call_ns: int, shared: tuple[list[int], list[int]]
) -> None:
    """And nothing of a quick one, which will soon be done."""

    async def scenario(bench: Bench) -> None:
        bench.put(2)
        await bench.start()
        await bench.threads[0].step()
        bench.put(2)
        await at_rest()
        await bench.threads[1].step()
        assert tuple([entry.item.ordinal for entry in load.waiting] for load in bench.lane.loads) == shared
        assert sorted(await bench.end()) == [0, 1, 2, 3]

    stepped(scenario, tmp_path, num_workers=2, call_ns=call_ns)


def test_what_is_ahead_of_a_failure_goes_back_to_the_queue(tmp_path: Path) -> None:
    """While what came of the call is settled, however long that takes, its place is in front of all others again."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.workers[0].paused.add(1)
        bench.fill_reader()
        await bench.threads[0].step()
        await bench.threads[0].step()
        assert not bench.lane.loads[0].waiting
        assert [bench.lane.queue.get_nowait().item.ordinal for _ in range(2)] == [2, 3]  # type: ignore[union-attr]
        bench.course.abort()

    stepped(scenario, tmp_path)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_call_ahead_that_has_more_to_give_goes_on(tmp_path: Path, is_told: bool) -> None:
    """What it gave may be settled before the call is known to have returned; then it is asked for the rest, and others follow."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.workers[0].paused.add(2)
        tell, tell_ahead = bench.threads[0].make(), bench.threads[0].make()
        tell()
        if not is_told:
            await at_rest()
        tell_ahead()
        assert await bench.end() == [0, 1, 2, GOES_ON, 3]
        assert bench.outcomes() == {Outcome.COMPLETED: 4}

    stepped(scenario, tmp_path)


def test_the_last_call_ahead_is_waited_for(tmp_path: Path) -> None:
    """When nothing waits any more and nothing more comes, the pump still has the call that has begun."""
    entered, leave = threading.Event(), threading.Event()

    class Blocked(Worker):
        def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
            if item.ordinal == 3:
                entered.set()
                assert leave.wait(PATIENCE_S)
            return super().run(item, position, attempt, is_probe, given)

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        await bench.threads[0].step()
        tell = bench.threads[0].make()
        running = asyncio.create_task(asyncio.to_thread(bench.threads[0].make))
        assert await asyncio.to_thread(entered.wait, PATIENCE_S)
        tell()
        bench.lane.queue.close()
        await at_rest()
        is_over = bench.tasks[0].done()
        leave.set()
        (await running)()
        assert not is_over
        assert await bench.end() == [0, 1, 2, 3]
        assert bench.outcomes() == {Outcome.COMPLETED: 4}

    stepped(scenario, tmp_path, worker=Blocked)


def test_a_run_that_is_stopped_calls_no_node_for_what_was_ahead(tmp_path: Path) -> None:
    """Nor for what is still in the queue, though calls are out that could take it; all that is cancelled."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.put(6)
        bench.course.abort()
        assert await bench.end() == [0]
        assert bench.outcomes() == {Outcome.COMPLETED: 1, Outcome.CANCELLED: 9}

    stepped(scenario, tmp_path)


def test_a_cancelled_run_calls_no_node_for_what_was_ahead(tmp_path: Path) -> None:
    """The calls that nobody waits for any more find nothing to run."""

    async def scenario(bench: Bench) -> None:
        await slow_and_ahead(bench)
        bench.tasks[0].cancel()
        await at_rest()
        bench.course.abort()
        bench.course.ledger.cancel_all()
        while bench.threads[0].calls:
            await bench.threads[0].step()
        assert bench.workers[0].ran == [0]

    stepped(scenario, tmp_path)
