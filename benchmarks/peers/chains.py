"""Other ways to run items through a chain of functions that do nothing.

Each gives, for a number of nodes, a call that runs so many items through them and returns how many came out. What is set up
once is set up before; what has to be done for each run, such as starting threads, belongs to the call. None of them keeps a
journal, counts what became of each item, guards or times its nodes. SPDL, Haystack and remotemedia-client are called as their
documentation says.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

Chain = Callable[[int], int]
BUFFER = 16  # items between two nodes, as ours have


def pass_on(item: Any) -> Any:
    return item


def asyncio_queues(num_nodes: int) -> Chain:
    """A task for each node, a bounded queue in front of each; the functions run in the event loop."""
    end = object()

    async def node(taken: asyncio.Queue[Any], given: asyncio.Queue[Any]) -> None:
        while (item := await taken.get()) is not end:
            await given.put(pass_on(item))
        await given.put(end)

    async def chain(num_items: int) -> int:
        queues: list[asyncio.Queue[Any]] = [asyncio.Queue(BUFFER) for _ in range(num_nodes + 1)]

        async def feed() -> None:
            for number in range(num_items):
                await queues[0].put(number)
            await queues[0].put(end)

        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            for taken, given in pairwise(queues):
                group.create_task(node(taken, given))
            num_out = 0
            while await queues[-1].get() is not end:
                num_out += 1
        return num_out

    return lambda num_items: asyncio.run(chain(num_items))


def run_in_executor(num_nodes: int) -> Chain:
    """One item after the other, each function called in a thread pool."""

    async def chain(num_items: int) -> int:
        loop, num_out = asyncio.get_running_loop(), 0
        with ThreadPoolExecutor(1) as pool:
            for number in range(num_items):
                item = number
                for _ in range(num_nodes):
                    item = await loop.run_in_executor(pool, pass_on, item)
                num_out += item == number
        return num_out

    return lambda num_items: asyncio.run(chain(num_items))


def spdl(num_nodes: int) -> Chain:
    """`PipelineBuilder().pipe(function)` for each node, as many threads as nodes."""
    builder_type = import_module("spdl.pipeline").PipelineBuilder

    def chain(num_items: int) -> int:
        builder = builder_type().add_source(range(num_items))
        for _ in range(num_nodes):
            builder = builder.pipe(pass_on)
        pipeline = builder.add_sink(BUFFER).build(num_threads=num_nodes)
        with pipeline.auto_stop():
            return sum(1 for _ in pipeline)

    return chain


def haystack(num_nodes: int) -> Chain:
    """A `Pipeline` of components, run for each item."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    library = import_module("haystack")

    class Pass:
        def run(self, item: int) -> dict[str, int]:
            return {"item": pass_on(item)}

    Pass.run = library.component.output_types(item=int)(Pass.run)  # type: ignore[method-assign]
    component = library.component(Pass)
    pipeline = library.Pipeline()
    for number in range(num_nodes):
        pipeline.add_component(f"n{number}", component())
    for number in range(num_nodes - 1):
        pipeline.connect(f"n{number}.item", f"n{number + 1}.item")
    last = f"n{num_nodes - 1}"

    def chain(num_items: int) -> int:
        return sum(pipeline.run({"n0": {"item": number}})[last]["item"] == number for number in range(num_items))

    return chain


def remotemedia(num_nodes: int) -> Chain:
    """Its Python `Pipeline` over a stream of items; nodes without state, no metrics."""
    logging.getLogger("remotemedia").setLevel(logging.ERROR)
    pipeline_type, node_type = import_module("remotemedia.core.pipeline").Pipeline, import_module("remotemedia.core.node").Node

    class Pass(node_type):  # type: ignore[misc, valid-type]  # a peer has no types that are known here
        def process(self, data: Any) -> Any:
            return pass_on(data)

    async def chain(num_items: int) -> int:
        async def stream() -> AsyncIterator[int]:
            for number in range(num_items):
                yield number

        pipeline = pipeline_type([Pass(name=f"n{number}", enable_state=False) for number in range(num_nodes)])
        await pipeline.initialize()
        try:
            return sum([1 async for _ in pipeline.process(stream())])
        finally:
            await pipeline.cleanup()

    return lambda num_items: asyncio.run(chain(num_items))


_PACKAGES: dict[str, tuple[str, Callable[[int], Chain]]] = {
    "SPDL": ("spdl.pipeline", spdl),
    "Haystack": ("haystack", haystack),
    "remotemedia-client": ("remotemedia", remotemedia),
}


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


CHAINS: dict[str, Callable[[int], Chain]] = {
    "asyncio queues": asyncio_queues,
    "run_in_executor": run_in_executor,
    **{name: prepare for name, (module, prepare) in _PACKAGES.items() if _is_there(module)},
}
"""Name -> what makes a chain of so many nodes."""
ABSENT = tuple(name for name in _PACKAGES if name not in CHAINS)
"""Those that are not installed."""
