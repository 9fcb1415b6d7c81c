"""Which keys have been seen, in a few bytes a key.

A list may have millions of rows, and a Python set of their keys would take over 100 bytes a key. Here a key is a 64-bit digest in
an open-addressing table that is doubled when half full: 16 to 32 bytes a key, so 16 to 32 MB for a million, half as much again
while it is doubled. Two different keys share a digest with a probability of n^2 / 2^65: 3 in 10^8 for a million keys.
"""

from __future__ import annotations

import hashlib

import numpy as np

_FIRST_SLOTS = 1 << 10
_EMPTY = 0  # a digest of 0 is stored as 1


class SeenKeys:
    """A set of keys that can only be added to."""

    def __init__(self) -> None:
        self._slots = np.zeros(_FIRST_SLOTS, np.uint64)
        self._count = 0

    def add(self, key: str) -> bool:
        """Remember a key; False when it was seen before. Lone surrogates are taken as they are."""
        digest = int.from_bytes(hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest(), "little") or 1
        slot, known = self._slot_of(digest)
        if known:
            return False
        self._slots[slot] = digest
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._double()
        return True

    def _slot_of(self, digest: int) -> tuple[int, bool]:
        """Where the digest stands, or the free place for it."""
        mask = len(self._slots) - 1
        slot = digest & mask
        while True:
            found = int(self._slots[slot])
            if found in (digest, _EMPTY):
                return slot, found == digest
            slot = (slot + 1) & mask

    def _double(self) -> None:
        old, self._slots = self._slots, np.zeros(2 * len(self._slots), np.uint64)
        for digest in old[old != _EMPTY]:
            self._slots[self._slot_of(int(digest))[0]] = digest
