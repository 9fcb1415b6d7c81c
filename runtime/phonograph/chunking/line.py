"""Runs a line of nodes on a record in one piece and in chunks, without an engine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from phonograph.item import Item
from phonograph.node import Emitted, Node
from phonograph.streaming import Gathered, Stretches, chunks_of


def chunk_lengths(seed: int, sample_rate: int = 16_000) -> Iterator[int]:
    """Lengths of chunks in samples, without end: from one to three seconds, short ones as likely as long ones."""
    chance = random.Random(seed)
    while True:
        yield int((3.0 * sample_rate) ** chance.random())


def run_whole(nodes: Sequence[Node[Any]], item: Item) -> list[Item]:
    """What a line of open nodes makes of a record in one piece, as in batch."""
    items = [item]
    for one in nodes:
        items = [made for before in items for made in _conversed(one, before)]
    return items


def run_chunked(nodes: Sequence[Node[Any]], item: Item, lengths: int | Iterable[int]) -> list[Item]:
    """What a line of open nodes makes of the same record when its audio comes in chunks, as in a session.

    Args:
        lengths: of the chunks in samples; what they leave is one more. A number is a seed for `chunk_lengths`.
    """
    cuts = chunk_lengths(lengths, item.audio.sample_rate) if isinstance(lengths, int) else lengths
    items = chunks_of(item, cuts, session="session")
    for one in nodes:
        items = list(_streamed(one, items))
    return items


def _streamed(one: Node[Any], items: Sequence[Item]) -> Iterator[Item]:
    """What comes of the items of a stream, numbered and named anew."""
    if one.spec.streaming_with(one.params) == "whole":
        state = Stretches(lambda item: Gathered(item, one.node_id))
        joined = [piece for item in items for piece in state.push(item)] + state.end()
        made = [value for item in joined for value in _conversed(one, item)]
    else:
        own = one.start()
        made = [value for item in items for value in _listed(one.process(item, own))] + _listed(one.flush(own))
    for index, value in enumerate(made):
        yield msgspec.structs.replace(value, key=f"{value.session}#{index:04d}", index=index)


def _conversed(one: Node[Any], item: Item) -> list[Item]:
    state = one.start()
    return [*_listed(one.process(item, state)), *_listed(one.flush(state))]


def _listed(emitted: Emitted) -> list[Item]:
    return [] if emitted is None else [emitted] if isinstance(emitted, Item) else list(emitted)
