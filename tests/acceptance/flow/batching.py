"""Claims about batches: what one call for several items gains, what a bad item costs the others, what is padded together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from phonograph.audio import AudioChunk
from phonograph.engine.forming import RATIO
from phonograph.errors import BadInputError
from phonograph.executor import Executor, RunReport
from phonograph.item import Item, Record
from phonograph.language.manifest import load_manifest
from phonograph.node import Emitted, Node, Params, Source, node
from small_runs import dead_letters, node_metrics, registry_with, run_text

CALL_S = 0.02
SIZES = (2, 4, 8, 16)
NUM_CLIPS = 2000
CALLS: list[list[Item]] = []
"""What was in each call of the latest run."""


class _Noting(Node[Params]):
    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        CALLS.append(list(items))
        return list(items)


@node("claim.costs", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Costs(_Noting):
    """Take the same time for a call, whatever is in it."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        time.sleep(CALL_S)
        return super().process_batch(items, states)


class PickyParams(Params, frozen=True):
    bad: list[int]


@node("claim.picky", inputs={"record": "record"}, outputs={"record": "record"})
class Picky(Node[PickyParams]):
    """Fail whenever one of these numbers is in the call, and do not say which."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        CALLS.append(list(items))
        if {item.payload["record"]["number"] for item in items} & set(self.params.bad):
            raise BadInputError("one of them is bad")
        return list(items)


@node("claim.clips", outputs={"audio": "audio"}, attributes={"duration": "float"})
class Clips(Source[Params]):
    """Clips of 0.3 to 30 s, the logarithms of their durations evenly spread."""

    def read(self) -> Iterator[Record]:
        numbers = random.Random(7)
        for number in range(NUM_CLIPS):
            chunk = AudioChunk(np.zeros((1, round(300 * 100 ** numbers.random())), np.float32), 1000)
            yield Record(key=f"clip-{number}", payload={"audio": chunk}, attributes={"duration": chunk.duration_s})


@node("claim.pads", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Pads(_Noting):
    """Would pad the clips of a call to the longest of them."""


GRAPH = """
limits: {error_rate: 1.0}
defaults: {breaker: {failure_threshold: 1000}}
nodes:
  first: {type: SOURCE}
  work: {type: TYPE, input: {PORT: {from: first, queue: {items: 256}, batch: {BATCH}}}, workers: 1}
  out: {type: testing.discard, input: work}
"""


@claim(issue="flow", bar="the time of the node falls by the size of the batch, within 10 %", fast=True)
def a_fixed_cost_is_shared_by_a_batch() -> Figure:
    """A node whose call takes 20 ms, whatever is in it, gains what the size of the batch says."""
    spent: dict[int, float] = {}
    is_full = True
    with temporary_folder() as folder:
        for size in (1, *SIZES) * 2:  # the better of two runs, for other programs have the processor at times
            report = _run(folder, "testing.numbers, params: {count: 96}", "claim.costs", f"max_items: {size}, max_wait: 1h")
            found = node_metrics(report)["work"]
            is_full = is_full and found.batches.mean_items == size and report.records.completed == 96
            spent[size] = min(found.wall_ms, spent.get(size, found.wall_ms))
    gains = {size: spent[1] / spent[size] for size in SIZES}
    text = ", ".join(f"batches of {size}: {gain:.2f} x" for size, gain in gains.items())
    return Figure(text, is_full and all(gain >= 0.9 * size for size, gain in gains.items()))


NUM_SESSIONS, NUM_CHUNKS = 16, 24

SERVED = """\
version: 1
name: live
inputs: {record: {type: record}}
outputs: {out: work}
nodes:
  work: {type: claim.costs, input: {record: {from: inputs.record, batch: {max_items: SIZE}}}, workers: 1}
"""


@claim(issue="flow", bar=f">= {NUM_SESSIONS // 2} x the chunks a second; no call has two chunks of a session", fast=True)
def sessions_share_the_cost_of_a_call() -> Figure:
    """Of 16 live sessions, each of which sends when it has heard the last, a node with a fixed cost serves many in one call."""
    with temporary_folder() as folder:
        alone, _ = _live(folder, 1)
        together, sizes = _live(folder, NUM_SESSIONS)
    is_one_of_each = all(len({item.session for item in call}) == len(call) for call in CALLS)
    mean = sum(sizes) / len(sizes)
    text = f"{alone / together:.2f} x the chunks a second, {mean:.1f} chunks in a call; one of each session: {is_one_of_each}"
    return Figure(text, alone / together >= NUM_SESSIONS / 2 and is_one_of_each)


def _live(folder: Path, size: int) -> tuple[float, list[int]]:
    """Seconds that the sessions take; the sizes of the calls."""
    CALLS.clear()
    path = folder / "live.yaml"
    path.write_text(SERVED.replace("SIZE", str(size)))

    async def talk(executor: Executor) -> None:
        async with executor.session() as session:
            for number in range(NUM_CHUNKS):
                await session.send({"record": {"number": number}})
                item = await session.receive()
                assert item is not None and item.payload["out"] == {"number": number}
            await session.finish()

    async def scenario() -> float:
        async with Executor(load_manifest(path), registry=registry_with(Costs)) as executor:
            began = time.perf_counter()
            await asyncio.gather(*(talk(executor) for _ in range(NUM_SESSIONS)))
            return time.perf_counter() - began

    return asyncio.run(scenario()), [len(call) for call in CALLS]


@claim(issue="flow", bar="the 3 and no other; at most 1 + 2 x 15 = 31 calls, wherever the 3 are", fast=True)
def bad_items_cost_nobody_else() -> Figure:
    """Of a batch of 64 with 3 bad items exactly those 3 are dead letters, after a bounded number of calls."""
    # A call fails when a bad item is in it: of those for 64, 32, 16, 8, 4, 2 items at most 1, 2, 3, 3, 3, 3; each is cut in two.
    numbers = random.Random(7)
    placements = [[0, 1, 2], [61, 62, 63], [0, 16, 32], [5, 27, 50], *(numbers.sample(range(64), 3) for _ in range(16))]
    num_calls, is_exact = [], True
    with temporary_folder() as folder:
        for bad in placements:
            work = f"claim.picky, params: {{bad: {bad}}}"
            report = _run(folder, "testing.numbers, params: {count: 64}", work, "max_items: 64, max_wait: 1h")
            num_calls.append(len(CALLS))
            lost = {letter["key"] for letter in dead_letters(report)}
            is_exact = is_exact and lost == {f"first/{number}" for number in bad} and report.records.completed == 61
    text = f"{min(num_calls)} to {max(num_calls)} calls, over {len(placements)} placements of the 3; none else lost: {is_exact}"
    return Figure(text, is_exact and max(num_calls) <= 31)


@claim(issue="flow", bar="no clip of a batch 1.415 x as long as another; <= 15 % of what is padded is padding", fast=True)
def clips_of_a_batch_are_alike() -> Figure:
    """With `bucket: duration`, of 2 000 clips of 0.3 to 30 s only those of like duration are padded together."""
    with temporary_folder() as folder:
        mixed, _, mixed_size = _padded(folder, "max_items: 16, max_wait: 1h")
        padding, ratio, size = _padded(folder, "max_items: 16, max_wait: 1h, bucket: duration")
    text = (
        f"longest over shortest at most {ratio:.3f}; padding {padding:.1%} of the work, {mixed:.1%} without; "
        f"{size:.1f} clips in a batch, {mixed_size:.1f} without"
    )
    return Figure(text, ratio <= RATIO * (1 + 1e-6) and padding <= 0.15)


def _padded(folder: Path, batch: str) -> tuple[float, float, float]:
    """Share of padding in what is padded; the largest ratio of two durations in a batch; clips in a batch on average."""
    report = _run(folder, "claim.clips", "claim.pads", batch, port="audio")
    assert report.records.completed == NUM_CLIPS
    durations = [[item.audio.duration_s for item in call] for call in CALLS]
    work = sum(len(one) * max(one) for one in durations)
    ratio = max(max(one) / min(one) for one in durations)
    return 1 - sum(map(sum, durations)) / work, ratio, NUM_CLIPS / len(durations)


def _run(folder: Path, source: str, work: str, batch: str, port: str = "record") -> RunReport:
    CALLS.clear()
    text = GRAPH
    for name, value in {"SOURCE": source, "TYPE": work, "PORT": port, "BATCH": batch}.items():
        text = text.replace(name, value)
    return run_text(folder, text, Costs, Picky, Clips, Pads)
