"""Whatever bytes a PCM file has, its header gives a layout within the file, nothing, or a typed error; and takes no memory."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from memory import most_allocated
from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio.containers import pcm_layout
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.pcm import open_pcm
from phonograph_nodes.audio.reader import MAX_CHANNELS, RATES, Limits
from reference.pcm_files import aiff, au, levels, riff, sphere, w64

RAW = levels("i16", 60)
INFO = b"LIST\x12\0\0\0INFOINAM\x05\0\0\0title\0"
GOOD = {
    "wav": riff(RAW, "i16", before=INFO, after=INFO),
    "extensible": riff(RAW, "i16", num_channels=2, mask=3),
    "rifx": riff(RAW, "i16", big_endian=True),
    "rf64": riff(RAW, "i16", long_size=len(RAW)),
    "w64": w64(RAW, "i16"),
    "aiff": aiff(RAW, "i16", before=b"CHAN\0\0\0\x0c" + bytes(12) + b"NAME\0\0\0\x04song"),
    "aifc": aiff(levels("f64", 60, big_endian=True), "f64"),
    "au": au(RAW, "i16"),
    "sphere": sphere(RAW, sample_count=60, sample_n_bytes=2, channel_count=1, sample_rate=8000, sample_byte_format="01"),
}
MOST_MEMORY = 2**20  # errors and their traces; the sizes that are claimed go up to 2^63
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF]


def parse(content: bytes) -> None:
    """Fails unless the outcome is one of the three that there may be."""
    try:
        layout = pcm_layout(memoryview(content), "file")
    except AudioDecodeError as error:
        assert str(error).startswith("file: probe failed: ")
        return
    if layout is None:
        return
    assert layout.sample_rate in RATES
    assert 1 <= layout.num_channels <= MAX_CHANNELS
    assert 0 <= layout.first_byte <= layout.first_byte + layout.num_samples * layout.stride <= len(content)
    assert layout.declared_samples is None or layout.declared_samples >= 0


def read(content: bytes) -> None:
    """The same of a whole reading."""
    try:
        reader = open_pcm(Given(content), Limits())
    except AudioDecodeError:
        return
    if reader is not None:
        samples = reader.read()
        assert samples.shape == (reader.info.num_channels, reader.info.num_samples)


@pytest.mark.parametrize("name", GOOD)
def test_a_file_cut_off_at_any_byte(name: str) -> None:
    """Every beginning of a good file."""
    for length in range(len(GOOD[name])):
        parse(GOOD[name][:length])
        if length:
            read(GOOD[name][:length])


@pytest.mark.parametrize("name", GOOD)
def test_any_byte_changed(name: str) -> None:
    """Every byte of a good header, to the values at which numbers turn over; all together they take hardly any memory."""
    good = GOOD[name]

    def every() -> None:
        for place in range(min(len(good), 256)):
            for value in INTERESTING:
                parse(good[:place] + bytes([value]) + good[place + 1 :])

    assert most_allocated(every) < MOST_MEMORY


@forall(magic=st.sampled_from([good[:16] for good in GOOD.values()]), rest=st.binary(max_size=200))
def test_random_bytes_behind_a_good_beginning(magic: bytes, rest: bytes) -> None:
    """Sixteen bytes that name the container, then anything."""
    parse(magic + rest)
    parse(rest)


@forall(
    name=st.sampled_from(sorted(GOOD)),
    changes=st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12),
    cut=st.integers(0, 1200),
)
def test_good_headers_with_bytes_written_over(name: str, changes: list[tuple[int, bytes]], cut: int) -> None:
    """Several words replaced, put in or cut out; what then has a layout can be read."""
    content = bytearray(GOOD[name])
    for anywhere, words in changes:
        place = anywhere % (len(content) or 1)
        content[place : place + (len(words) if words[0] % 2 else 0)] = words
    if cut < len(content):
        del content[cut:]
    parse(bytes(content))
    if content:
        read(bytes(content))


@forall(
    chunks=st.lists(
        st.tuples(
            st.sampled_from([b"fmt ", b"data", b"LIST", b"ds64", b"COMM", b"SSND", b"CHAN", b"NAME", b"INFO"]),
            st.sampled_from([0, 1, 8, 16, 18, 40, 2**31, 2**32 - 1]) | st.integers(0, 64),
            st.binary(max_size=64),
        ),
        max_size=8,
    ),
    form=st.sampled_from(
        [b"RIFF\0\0\0\0WAVE", b"RIFX\0\0\0\0WAVE", b"RF64\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"FORM\0\0\0\0AIFC"]
    ),
)
def test_chunks_of_any_kind_in_any_order(form: bytes, chunks: list[tuple[bytes, int, bytes]]) -> None:
    """Sizes that are right, too small, too large or missing."""
    order: Literal["little", "big"] = "big" if form[:4] in (b"RIFX", b"FORM") else "little"
    content = form + b"".join(name + size.to_bytes(4, order) + words for name, size, words in chunks)
    parse(content)
    read(content)


def test_many_chunks_come_to_an_end() -> None:
    """A file of nothing but empty chunks is given up, however long."""
    assert pcm_layout(memoryview(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 200_000), "file") is None
    assert pcm_layout(memoryview(w64(b"", "i16")[:40] + (b"x" * 16 + (24).to_bytes(8, "little")) * 100_000), "file") is None
