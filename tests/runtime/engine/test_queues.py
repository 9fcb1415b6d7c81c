"""BoundedQueue: order, bounds, closing, cancellation, what it drops."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.engine.queues import BoundedQueue
from phonograph.graph.model import Full


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def keeping(dropped: list[int]) -> Callable[[int], bool]:
    """A drop that keeps what it is given."""

    def drop(entry: int) -> bool:
        dropped.append(entry)
        return True

    return drop


def test_put_waits_for_room_by_items() -> None:
    """A full queue holds the sender until a reader takes something."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(1, 100)
        await queue.put(1, 0)
        sending = asyncio.create_task(queue.put(2, 0))
        await settle()
        assert not sending.done()
        assert queue.get_nowait() == 1
        await sending
        assert queue.get_nowait() == 2

    asyncio.run(scenario())


def test_put_waits_for_room_by_bytes() -> None:
    """Bytes bound the queue as items do."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(100, 10)
        await queue.put(1, 8)
        sending = asyncio.create_task(queue.put(2, 3))
        await settle()
        assert not sending.done()
        queue.get_nowait()
        await sending
        assert queue.num_bytes == 3

    asyncio.run(scenario())


def test_an_entry_larger_than_the_bound_passes_alone() -> None:
    """A record bigger than the byte bound enters an empty queue."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(4, 10)
        await asyncio.wait_for(queue.put(1, 1000), 5)
        assert len(queue) == 1

    asyncio.run(scenario())


def test_closing_wakes_readers_and_keeps_entries() -> None:
    """A reader that waits is woken by close; what is queued can still be read."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(4, 10)
        waiting = asyncio.create_task(queue.wait())
        await settle()
        queue.close()
        await waiting
        assert queue.is_exhausted

    asyncio.run(scenario())


def test_a_cancelled_sender_does_not_swallow_the_wake_up() -> None:
    """When the woken sender is cancelled, the next one gets its room."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(1, 10)
        await queue.put(0, 0)
        first, second = asyncio.create_task(queue.put(1, 0)), asyncio.create_task(queue.put(2, 0))
        await settle()
        queue.get_nowait()  # wakes the first
        first.cancel()
        await asyncio.wait_for(second, 5)
        assert queue.get_nowait() == 2

    asyncio.run(scenario())


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 5), st.integers(1, 30))
def test_everything_sent_arrives_in_order_within_the_bounds(sizes: list[int], max_items: int, max_bytes: int) -> None:
    """Every entry arrives once, in order, and the bounds hold but for a single large entry."""

    async def scenario() -> list[int]:
        queue: BoundedQueue[int] = BoundedQueue(max_items, max_bytes)
        received: list[int] = []

        async def send() -> None:
            for number, size in enumerate(sizes):
                await queue.put(number, size)
                assert len(queue) <= max_items
                assert queue.num_bytes <= max_bytes or len(queue) == 1
            queue.close()

        async def receive() -> None:
            while not queue.is_exhausted:
                entry = queue.get_nowait()
                if entry is None:
                    await queue.wait()
                else:
                    received.append(entry)

        await asyncio.wait_for(asyncio.gather(send(), receive()), 10)
        return received

    assert asyncio.run(scenario()) == list(range(len(sizes)))


def test_a_full_queue_drops_the_newest() -> None:
    """What comes to a full queue is dropped, and what waits stays."""

    async def scenario() -> None:
        dropped: list[int] = []
        queue: BoundedQueue[int] = BoundedQueue(2, 100, full="newest")
        queue.drop = keeping(dropped)
        for number in range(4):
            await queue.put(number, 10)
        assert (dropped, [queue.get_nowait(), queue.get_nowait()], queue.num_bytes) == ([2, 3], [0, 1], 0)

    asyncio.run(scenario())


def test_a_full_queue_drops_the_oldest() -> None:
    """What has waited longest makes room, as much of it as the newcomer needs."""

    async def scenario() -> None:
        dropped: list[int] = []
        queue: BoundedQueue[int] = BoundedQueue(3, 100, full="oldest")
        queue.drop = keeping(dropped)
        for number in range(4):
            await queue.put(number, 10)
        assert dropped == [0]
        await queue.put(4, 85)
        assert (dropped, queue.get_nowait(), queue.num_bytes) == ([0, 1, 2], 3, 85)

    asyncio.run(scenario())


@pytest.mark.parametrize("full", ["newest", "oldest"])
def test_what_may_not_be_dropped_waits(full: Full) -> None:
    """Where everything that could go has to stay, a queue that drops holds the sender as any other."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(2, 100, full=full)
        queue.drop = lambda entry: entry > 0
        await queue.put(-1, 0)
        await queue.put(1, 0)
        sending = asyncio.create_task(queue.put(-2, 0))
        await settle()
        assert sending.done() == (full == "oldest")  # which drops 1
        last = asyncio.create_task(queue.put(-3, 0))
        await settle()
        assert not last.done()
        assert queue.get_nowait() == -1
        await settle()
        assert queue.get_nowait() == (-2 if full == "oldest" else 1)
        await asyncio.gather(sending, last)

    asyncio.run(scenario())


def test_some_entries_are_taken_in_order_within_both_bounds() -> None:
    """As many as asked for, none behind the one with which the bytes are reached; whoever waited for their room goes on."""

    async def scenario() -> None:
        queue: BoundedQueue[int] = BoundedQueue(4, 100)
        for entry in range(4):
            await queue.put(entry, 4)
        sending = [asyncio.create_task(queue.put(entry, 4)) for entry in (4, 5)]
        await settle()
        assert queue.get_some(3, 8) == [0, 1]
        await asyncio.gather(*sending)
        assert queue.get_some(3, 100) == [2, 3, 4]
        assert (queue.get_some(3, 100), queue.get_some(3, 100), queue.num_bytes) == ([5], [], 0)

    asyncio.run(scenario())


def test_what_is_put_back_is_the_oldest_again() -> None:
    """It has its place before all others, also where the queue is full."""
    queue: BoundedQueue[int] = BoundedQueue(2, 100)
    queue.append(1, 5)
    queue.append(2, 5)
    queue.put_back(0, 5)
    assert (queue.num_bytes, queue.get_some(3, 100)) == (15, [0, 1, 2])
