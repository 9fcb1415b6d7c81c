"""Blocks: what one process gives and another has, without a copy and without either noticing the other."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.engine import blocks as blocks_module
from phonograph.engine.blocks import KEPT_BYTES, Blocks, Views

SIZE = 300_000


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    made = Blocks()
    yield made
    made.close()


def given(blocks: Blocks, value: int = 1, size: int = SIZE) -> tuple[int, NDArray[np.uint8]]:
    """A block full of a value: its place, and the array that lies in it."""
    block = blocks.lend(size)
    assert block is not None
    content = blocks.occupy(block)[:size]
    content[:] = value
    return block.place, content


def test_block_is_lent_again_when_its_last_array_has_gone(blocks: Blocks) -> None:
    """A view keeps the whole block, and the block that was freed last is lent first."""
    place, content = given(blocks)
    view = content[5:6]
    del content
    other = blocks.lend(SIZE)
    assert other is not None and other.place != place
    del view
    again = blocks.lend(SIZE)
    assert again is not None and again.place == place


@pytest.mark.parametrize("size", [1, 2**16, 2**16 + 1, 2**24])
def test_blocks_are_large_enough_and_apart(blocks: Blocks, size: int) -> None:
    """All blocks of a size lie apart from each other, and hold that size."""
    lent = []
    while (block := blocks.lend(size)) is not None:
        lent.append(block)
    starts = sorted(block.place for block in lent)
    assert len(lent) == 128
    assert all(after - before >= lent[0].num_bytes >= size for before, after in pairwise(starts))


def test_nothing_is_lent_that_is_larger_than_the_largest_block(blocks: Blocks) -> None:
    """More than 16 MiB go another way."""
    assert blocks.lend(2**24 + 1) is None


def test_where_addresses_are_limited_nothing_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that may not map so much runs its processes without blocks."""
    mapped = mmap.mmap

    def limited(descriptor: int, length: int) -> mmap.mmap:
        if length > 2**20:
            raise OSError(errno.ENOMEM, "limited")
        return mapped(descriptor, length)

    monkeypatch.setattr(mmap, "mmap", limited)
    made = Blocks()
    assert made.lend(1) is None
    assert made.place_of(np.ones(10, np.uint8).data) == -1
    made.close()


def test_free_blocks_keep_so_much_memory_and_no_more(blocks: Blocks) -> None:
    """Of blocks that were full and are free, the bound is kept, and what goes back to the kernel reads as zeros."""
    content = [given(blocks, value=7, size=2**22) for _ in range(8)]
    places = [place for place, _ in content]
    del content
    full = sum(blocks.content[place] == 7 for place in places)
    assert full * 2**22 == KEPT_BYTES


def test_arrays_outlive_their_blocks(blocks: Blocks) -> None:
    """After `close`, arrays are what they were, and may go in any order."""
    made = Blocks()
    _, first = given(made, 1)
    _, second = given(made, 2)
    made.close()
    assert first.min() == first.max() == 1
    del first
    assert second.min() == second.max() == 2


def test_part_of_an_array_is_found_where_it_lies(blocks: Blocks) -> None:
    """Each place in an occupied block gives the bytes there, whatever the size of the block."""
    for size in (1000, 100_000, 3_000_000):
        place, content = given(blocks, size=size)
        content[500] = 9
        assert blocks.place_of(content[500:600].data) == place + 500
        assert blocks.lying(place + 500, 100).tolist() == [9] + [1] * 99


def test_place_that_nobody_occupies_is_refused(blocks: Blocks) -> None:
    """A place that a process made up gives an error and no memory of others."""
    with pytest.raises(ValueError, match="nothing lies at 65536"):
        blocks.lying(65536, 10)


def test_what_lies_elsewhere_has_no_place(blocks: Blocks) -> None:
    """Memory of NumPy's own is in no block."""
    assert blocks.place_of(np.ones(1000, np.uint8).data) == -1


def test_writing_into_a_view_leaves_the_block(blocks: Blocks) -> None:
    """A node that writes into its input changes nothing for others, and what it wrote is not taken for what lies in the block."""
    place, content = given(blocks)
    view = Views(blocks).at(place + 64, SIZE - 64)
    view[100] = 5
    assert content.max() == 1
    assert view[100] == 5


@pytest.mark.parametrize("offset", [0, 64, 4096, 4160])
def test_view_that_was_not_written_to_has_a_place(blocks: Blocks, offset: int) -> None:
    """Reading leaves an array where it lies; a write to its first or last byte gives it pages of its own."""
    place, _ = given(blocks)
    views = Views(blocks)
    size = SIZE - offset
    first, last = views.at(place + offset, size), views.at(place + offset, size)
    assert first.sum() == size
    assert views.place_of(first.data) == views.place_of(last.data) == place + offset
    assert views.place_of(first[: size // 2].data) == place + offset
    first[0] = 1  # though it is what was there
    last[-1] = 2
    assert views.place_of(first.data) == views.place_of(last.data) == -1


def test_without_the_kernels_word_everything_counts_as_written(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the state of pages cannot be read, arrays are copied and not taken for unchanged."""

    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError

    place, _ = given(blocks)
    views = Views(blocks)
    view = views.at(place, SIZE)
    monkeypatch.setattr(blocks_module, "open", refused, raising=False)
    assert views.place_of(view.data) == -1


def test_view_that_is_kept_is_told_of_until_it_goes(blocks: Blocks) -> None:
    """At each call it is known what there is still of those before."""
    place, _ = given(blocks)
    views = Views(blocks)
    assert views.begin() == []
    assert views.at(place, SIZE)[0] == 1
    assert views.begin() == []
    view = views.at(place, SIZE)
    part = view[5:10]
    del view
    assert views.begin() == [place]
    assert views.begin() == [place]
    del part
    assert views.begin() == []


def test_view_of_a_call_before_has_no_place(blocks: Blocks) -> None:
    """What a node kept and gives later is copied, for the block may not be there as long as the item is."""
    place, _ = given(blocks)
    views = Views(blocks)
    view = views.at(place, SIZE)
    views.begin()
    assert views.place_of(view.data) == -1


def test_settled_views_are_copies(blocks: Blocks) -> None:
    """What comes into the block later is not seen in an array of before."""
    place, content = given(blocks)
    views = Views(blocks)
    view = views.at(place, SIZE)
    views.settle()
    content[:] = 3
    assert view.min() == view.max() == 1
    assert views.place_of(view.data) == -1


def test_node_that_keeps_much_gets_copies(blocks: Blocks) -> None:
    """Of what is kept, a bounded number of blocks and descriptors is held; the rest is the process's own memory."""
    place, content = given(blocks)
    views = Views(blocks)
    kept = [views.at(place, SIZE) for _ in range(40)]
    content[:] = 3
    assert [int(view[0]) for view in kept] == [3] * 32 + [1] * 8


def test_small_arrays_are_copied(blocks: Blocks) -> None:
    """A mapping of its own costs more than copying little."""
    place, content = given(blocks, size=1000)
    view = Views(blocks).at(place, 1000)
    content[:] = 3
    assert view.max() == 1


def test_descriptors_go_with_the_last_array() -> None:
    """A run's blocks leave nothing open once nothing lies in them."""
    before = len(os.listdir("/proc/self/fd"))
    made = Blocks()
    place, content = given(made)
    view = Views(made).at(place, SIZE)
    made.close()
    del content, view, made
    assert len(os.listdir("/proc/self/fd")) == before
