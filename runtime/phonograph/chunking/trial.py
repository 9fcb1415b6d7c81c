"""Runs a graph on audio in one piece and in chunks, through the engine itself, and compares what every node makes."""

from __future__ import annotations

import asyncio
import io
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.cases.ends import Keep, KeepParams, Kept, end_node
from phonograph.chunking.comparison import Deviation, deviation
from phonograph.chunking.line import chunk_lengths
from phonograph.chunking.subject import Compared, Subject
from phonograph.executor import Executor
from phonograph.graph.model import Graph, Link
from phonograph.item import Item
from phonograph.journal import DeadLetter
from phonograph.language.about import Limits
from phonograph.log import Logger, command_logger
from phonograph.porttype import Between, OneOf, PortType
from phonograph.streaming import chunks_of

_SINK = "~kept"  # no id of a manifest begins so
_DESCRIBED = ("duration", "sample_rate", "channels")  # attributes that chunks have of their own
_SYNTHETIC_S = (0.0, 0.5, 4.0)
_RATE, _CHANNELS = 16_000, 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a node.

    Args:
        deviation: the largest of all records and seeds. key, seed: where it was; None where there is none.
    """

    compared: Compared
    deviation: Deviation
    key: str | None = None
    seed: int | None = None

    @property
    def holds(self) -> bool:
        return self.deviation.largest <= self.compared.tolerance


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a manifest: a verdict for each node, over so many records."""

    verdicts: tuple[Verdict, ...]
    num_records: int

    @property
    def holds(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts)


def try_chunking(graph: Graph, subject: Subject, *, seeds: int, sample: int) -> Trial:
    """Compare one piece with chunks. For code without an event loop.

    Args:
        graph: the one that the subject is a part of.
        seeds: so many ways of cutting are tried for each record. sample: of the manifest's sources, so many records.

    Raises:
        GraphError: a node cannot take chunks. NodeError: one cannot be opened. PhonographError: nothing could be read.
    """
    audio = _synthetic(subject) if subject.origin is None else _read(graph, subject, sample)
    return asyncio.run(_tried(subject, audio, seeds))


async def _tried(subject: Subject, audio: Sequence[Item], seeds: int) -> Trial:
    verdicts = {one.node.id: Verdict(one, Deviation()) for one in subject.compared}
    if not subject.graph.nodes:  # there are sinks alone, which get what was cut
        return Trial(tuple(verdicts.values()), len(audio))
    async with Executor(subject.graph, workers=1, metrics=False, log=_silent()) as executor:
        for number, item in enumerate(audio):
            whole = await _in_one_piece(executor, subject, item)
            for seed in range(seeds):
                chunked = await _in_chunks(executor, subject, item, number, seed)
                for one in subject.compared:
                    found = _found(one, whole, chunked)
                    if found.largest > verdicts[one.node.id].deviation.largest:
                        verdicts[one.node.id] = Verdict(one, found, item.key, seed)
    return Trial(tuple(verdicts.values()), len(audio))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came to each output, and where something failed: node -> the last of its dead letters."""

    outputs: Mapping[str, Sequence[Item]]
    failures: Mapping[str, DeadLetter]


async def _in_one_piece(executor: Executor, subject: Subject, item: Item) -> _Outcome:
    result = await executor.submit({subject.audio: item.payload[subject.audio]}, key=item.key, attributes=item.attributes)
    return _Outcome(result.outputs, {letter.node: letter for letter in result.dead_letters})


async def _in_chunks(executor: Executor, subject: Subject, item: Item, number: int, seed: int) -> _Outcome:
    outputs: dict[str, list[Item]] = {name: [] for name in subject.graph.outputs}
    rate = item.payload[subject.audio].sample_rate
    attributes = {name: value for name, value in item.attributes.items() if name not in _DESCRIBED}
    chunks = chunks_of(item, chunk_lengths(seed, rate), session=item.key, port=subject.audio)
    async with executor.session(f"{number}-{seed}") as session:

        async def send() -> None:
            for chunk in chunks:
                await session.send(chunk.payload[subject.audio], attributes=attributes)
            await session.finish()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            async for made in session:
                ((name, _),) = made.payload.items()
                outputs[name].append(made)
        return _Outcome(outputs, {letter.node: letter for letter in session.dead_letters})


def _found(one: Compared, whole: _Outcome, chunked: _Outcome) -> Deviation:
    node = one.node.id
    failed = [outcome.failures.get(node) for outcome in (whole, chunked)]
    if (failed[0] is None) != (failed[1] is None):
        told = [f"{letter.code} ({letter.message})" if letter is not None else "no failure" for letter in failed]
        return Deviation(math.inf, f"{told[0]} on one piece, {told[1]} on chunks")
    found = Deviation()
    for name in one.outputs:
        found = found.or_worse(deviation(whole.outputs[name], chunked.outputs[name]))
    return found


def _read(graph: Graph, subject: Subject, sample: int) -> list[Item]:
    """What the manifest's own sources give, up to where audio begins."""
    origin, kept = subject.origin, list[Kept]()
    assert origin is not None
    before = {origin.id}
    for node in reversed(list(graph.nodes.values())):
        if node.id in before:
            before.update(link.source for link in node.inputs)
    link = Link(source=origin.id, target=_SINK, ports=((subject.audio, subject.audio),), queue=None)
    nodes = {
        node.id: replace(
            node,
            outputs=(link,) if node is origin else tuple(one for one in node.outputs if one.target in before),
            dead_letters=(),
        )
        for node in graph.nodes.values()
        if node.id in before
    }
    nodes[_SINK] = end_node(_SINK, "sink", Keep, KeepParams(kept=kept, port=None), (subject.audio,), (), inputs=(link,))
    part = replace(graph, nodes=MappingProxyType(nodes), limits=Limits(), edges=(), conversions=(), warnings=())
    with tempfile.TemporaryDirectory(prefix="phonograph-chunking-") as folder:
        executor = Executor(part, run_dir=Path(folder) / "run", workers=1, metrics=False, log=_silent(), sample=sample)
        report = executor.run()
    if report.error is not None and not kept:
        raise report.error
    return sorted((one.item for one in kept), key=lambda item: (item.ordinal, item.key))


def _synthetic(subject: Subject) -> list[Item]:
    """Bursts of noise with silence between them, of the rate and channels that the input declares."""
    declared = subject.graph.inputs[subject.audio]
    rate, channels = _axis(declared, "rate", _RATE), _axis(declared, "channels", _CHANNELS)
    made = []
    for number, seconds in enumerate(_SYNTHETIC_S):
        random = np.random.default_rng(number)
        num_samples = round(seconds * rate)
        loud = np.repeat(random.random(num_samples * 5 // rate + 1) > 0.4, rate // 5 + 1)[:num_samples]
        samples = (0.3 * loud * random.uniform(-1.0, 1.0, (channels, num_samples))).astype(np.float32)
        payload = {subject.audio: AudioChunk(samples, rate)}
        made.append(Item(key=f"noise of {seconds:g} s", ordinal=number, payload=payload))
    return made


def _axis(declared: PortType, name: str, otherwise: int) -> int:
    bound = declared.axis(name)
    if isinstance(bound, OneOf | Between):
        return bound.nearest(otherwise)
    return bound if isinstance(bound, int) else otherwise


def _silent() -> Logger:
    return command_logger("console", "critical", io.StringIO())
