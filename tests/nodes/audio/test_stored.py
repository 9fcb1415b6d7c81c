"""Tests of the bytes of a file on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio import info, load
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.stored import HEAD_BYTES, StoredBytes
from reference.audio_files import noise, wav

CONTENT = np.random.default_rng(1).bytes(3 * HEAD_BYTES + 5)
PLACES = st.integers(-len(CONTENT) - 9, len(CONTENT) + 9) | st.sampled_from(
    [HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, 2**62, 2**70]
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredBytes:
    path = tmp_path_factory.mktemp("stored") / "bytes"
    path.write_bytes(CONTENT)
    return StoredBytes(os.open(path, os.O_RDONLY))


@forall(start=st.none() | PLACES, stop=st.none() | PLACES)
def test_a_slice_is_that_of_the_bytes(stored: StoredBytes, start: int | None, stop: int | None) -> None:
    """Within the head, behind it, across its end, beyond the end of the file, the wrong way round, and without an end."""
    assert stored[start:stop] == CONTENT[start:stop]
    assert len(stored) == len(CONTENT)


def test_an_array_is_filled_or_the_file_ends_before(stored: StoredBytes) -> None:
    """From any place on; nothing is made up."""
    out = np.zeros(5000, np.uint8)
    stored.read_into(out, 4001)
    assert out.tobytes() == CONTENT[4001:9001]
    with pytest.raises(EOFError):
        stored.read_into(out, len(CONTENT) - 4999)


def test_what_is_closed_is_not_read(tmp_path: Path) -> None:
    """Its descriptor may be another file's by then. Closing it again does nothing."""
    (tmp_path / "a").write_bytes(CONTENT)
    closed = StoredBytes(os.open(tmp_path / "a", os.O_RDONLY))
    for _ in range(2):
        closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed[HEAD_BYTES : HEAD_BYTES + 5]


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    """And closed: a folder, a device, which would give bytes for ever."""
    for path in (tmp_path, "/dev/zero"):
        number = os.open(path, os.O_RDONLY)
        with pytest.raises(OSError, match="it is no plain file"):
            StoredBytes(number)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc/self/fd")
def test_no_file_stays_open(tmp_path: Path) -> None:
    """After a load, one that fails, whose error is kept, and a source that is dropped without closing it."""
    (tmp_path / "a.wav").write_bytes(wav(noise(3000).tobytes()))
    (tmp_path / "broken.wav").write_bytes(b"RIFF1234WAVE" + b"x" * 5000)
    before = len(os.listdir("/proc/self/fd"))
    load(tmp_path / "a.wav")
    info(tmp_path / "a.wav")
    with open(tmp_path / "a.wav", "rb") as file:
        load(file)
    with pytest.raises(AudioDecodeError) as kept:
        load(tmp_path / "broken.wav")
    given = Given(tmp_path / "a.wav")
    given.head()
    del given
    assert len(os.listdir("/proc/self/fd")) == before
    assert kept.value.file == str(tmp_path / "broken.wav")
