"""Mutations of audio files, told by a seed and a number alone, so that any of them can be made again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

MOST_BYTES = 192 * 1024  # of a file; what is longer is cut, because most of what is worth breaking stands in front
_HEADER_BYTES = 512
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)
_NOT_AUDIO = {".jsonl", ".txt", ".md", ".json"}

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def originals(folders: Sequence[Path]) -> list[tuple[str, bytes]]:
    """(name, content) of every audio file below some folders, in the order of their names."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix not in _NOT_AUDIO)
    return [("/".join(path.parts[-2:]), path.read_bytes()[:MOST_BYTES]) for path in paths]


def mutant(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The name of the file that it was made of, and the mutant."""
    chance = random.Random(f"{seed}/{number}")
    name, content = files[chance.randrange(len(files))]
    mutated = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        chance.choice(MUTATIONS)(mutated, chance, [other for _, other in files])
    return name, bytes(mutated)


def _flip_bits(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        if content:
            content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _cut(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    del content[_place(content, chance) :]


def _set_extreme(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """A number of 1, 2, 4 or 8 bytes, as sizes, counts and rates are written."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        width, start = chance.choice((1, 2, 4, 4, 8)), _place(content, chance)
        number = chance.choice(_EXTREMES) & (1 << 8 * width) - 1
        content[start : start + width] = number.to_bytes(width, chance.choice(("little", "big")))


def _set_non_finite(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    value = chance.choice((float("nan"), float("inf"), float("-inf"), 3e38))
    start = _place(content, chance)
    content[start : start + 4] = struct.pack(chance.choice("<>") + "f", value)


def _duplicate_block(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    start, end = _block(content, chance)
    if len(content) < 2 * MOST_BYTES:
        content[end:end] = content[start:end] * chance.choice((1, 1, 7))


def _drop_block(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    start, end = _block(content, chance)
    del content[start:end]


def _swap_blocks(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    start, end = _block(content, chance)
    size = end - start
    other = chance.randrange(max(1, len(content) - size))
    content[start:end], content[other : other + size] = content[other : other + size], content[start:end]


def _fill_block(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    start, end = _block(content, chance)
    content[start:end] = chance.choice((bytes(end - start), b"\xff" * (end - start), chance.randbytes(end - start)))


def _splice_header(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """The header of another file in place of, or before, the one that it has."""
    header = chance.choice(others)[: chance.choice((4, 12, 16, 44, 128, 1024))]
    content[: len(header) if chance.random() < 0.5 else 0] = header


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _flip_bits, _cut, _set_extreme, _set_extreme, _set_extreme, _set_non_finite),
    *(_duplicate_block, _drop_block, _swap_blocks, _fill_block, _splice_header),
)


def _place(content: bytearray, chance: random.Random) -> int:
    """An index, half of the time in the header."""
    length = len(content) if chance.random() < 0.5 else min(len(content), _HEADER_BYTES)
    return chance.randrange(max(1, length))


def _block(content: bytearray, chance: random.Random) -> tuple[int, int]:
    start = _place(content, chance)
    return start, min(len(content), start + chance.choice((1, 4, 16, 64, 512, 4096)))
