"""The C of decoded blocks and of the FLAC decoder without Python around it: here, on ARM's processors, under sanitizers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from native.building import AARCH64, HERE, OLDEST_X86_64, Driver, Workshop, output, run
from nodes.test_flac_frames import SIGNALS, flac, is_poured, packets_of
from phonograph_nodes.kernels._frames import SampleBuffer
from reference.audio_files import RATE

FLAC = Driver("flac_driver.c", ("C_FLAGS",), "no_files_of_their_own/*.c")
FRAMES = Driver("frames_driver.c", ("C_FLAGS",), "no_files_of_their_own/*.c")
PLACES = {"here": HERE, "on the oldest x86-64": OLDEST_X86_64, "on aarch64": AARCH64}
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid
OPTIONS: tuple[dict[str, str], ...] = ({}, {"compression_level": "12"}, {"lpc_type": "none"}, {"ch_mode": "mid_side"})
DTYPES = ("u1", "<i2", "<i4", "<i8", "<f4", "<f8")
SHAPES = [(1, 1003), (2, 1031), (2, 512), (7, 150), (17, 513)]  # of frames_driver.c


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def streams() -> list[bytes]:
    return [flac(rows, **options) for rows in SIGNALS.values() for options in OPTIONS]


@pytest.fixture(scope="module")
def frames(streams: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What flac_driver.c reads: the first two frames of each stream."""
    path = tmp_path_factory.mktemp("flac") / "frames"
    packets = [packet for stream in streams for packet in packets_of(stream)[:2]]
    path.write_bytes(b"".join(len(packet).to_bytes(4, "little") + packet for packet in packets))
    return path


@pytest.mark.parametrize("place", PLACES)
def test_flac_frames_are_the_same_bits_everywhere(workshop: Workshop, streams: list[bytes], frames: Path, place: str) -> None:
    """Every kind of frame decodes to what the extension gives."""
    written = output(PLACES[place], workshop.build(PLACES[place], FLAC), str(frames), "0")
    at = 0
    for stream in streams:
        for packet in packets_of(stream)[:2]:
            out = SampleBuffer(2, RATE, False, 0)
            assert is_poured([packet], out)
            rows = out.finish()
            np.testing.assert_array_equal(np.frombuffer(written, "<f4", rows.size, at).reshape(rows.shape), rows)
            assert np.frombuffer(written, "<i4", 1, at + rows.nbytes)[0] == 1
            at += rows.nbytes + 8
    assert at == len(written)


def test_damaged_flac_frames_end_the_same_everywhere(workshop: Workshop, frames: Path) -> None:
    """With damage behind a right checksum another processor decodes as many frames, to the same samples."""
    written = [output(place, workshop.build(place, FLAC), str(frames), "20") for place in (HERE, AARCH64)]
    assert written[0] == written[1]


@pytest.mark.parametrize(("driver", "times"), [(FLAC, "500"), (FRAMES, "")], ids=["FLAC", "blocks"])
def test_there_is_nothing_for_a_sanitizer(workshop: Workshop, frames: Path, driver: Driver, times: str) -> None:
    """No access outside of an array and no undefined behaviour: 20 000 damaged frames of FLAC, blocks of every format."""
    arguments = [str(frames), times] if times else []
    ended = run(HERE, workshop.build(HERE, driver, sanitized=True), *arguments, environment=SANITIZER_OPTIONS)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("driver", "header", "text", "other", "report"),
    [
        (FLAC, "flac.h", "b->end - b->next >= 8", "b->end - b->next >= 1", "AddressSanitizer"),
        (FLAC, "flac.h", "p ? p * length : order", "p * length", "heap-buffer-overflow"),
        (FLAC, "flac.h", "(p + 1) * length - start", "(p + 1) * length", "heap-buffer-overflow"),
        (FLAC, "flac.h", "run < 0 || run + 1 >= bits", "0", "runtime error"),
        (FRAMES, "frames.h", "float left[PG_FRAME_BLOCK]", "float left[PG_FRAME_BLOCK - 1]", "stack-buffer-overflow"),
        (FRAMES, "frames.h", "in[i * step]", "in[(i + 1) * step]", "heap-buffer-overflow"),
    ],
)  # fmt: skip
def test_a_fault_in_a_header_is_found(
    workshop: Workshop, frames: Path, tmp_path: Path, driver: Driver, header: str, text: str, other: str, report: str
) -> None:
    """The same code with one slip ends with a report that names the fault and the file."""
    changed = shutil.copytree(workshop.kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("*.so"))
    before = (changed / header).read_text("utf-8")
    assert before.count(text) == 1, f"{header} is to hold {text!r} once"
    (changed / header).write_text(before.replace(text, other), "utf-8")
    spoilt = Workshop(workshop.kernels.parents[2], tmp_path)
    spoilt.kernels = changed
    arguments = [str(frames), "500"] if driver is FLAC else []
    ended = run(HERE, spoilt.build(HERE, driver, sanitized=True), *arguments, environment=SANITIZER_OPTIONS)
    assert ended.returncode != 0
    assert report in ended.stderr.decode()
    assert header in ended.stderr.decode()


@pytest.mark.parametrize("place", PLACES)
def test_blocks_are_the_same_bits_everywhere(workshop: Workshop, place: str) -> None:
    """Each format, planar and packed, gives what NumPy computes in double precision, and counts what is not finite."""
    written = output(PLACES[place], workshop.build(PLACES[place], FRAMES))
    at, random = 0, _Noise()
    for dtype in map(np.dtype, DTYPES):
        for num_channels, num_samples in SHAPES:
            for packed in (False, True):
                stored = random.bytes(num_channels * num_samples * dtype.itemsize).view(dtype)
                rows = stored.reshape(num_samples, num_channels).T if packed else stored.reshape(num_channels, num_samples)
                channels, wild = _floats(rows)
                for row, count in zip(channels, wild, strict=True):
                    np.testing.assert_array_equal(np.frombuffer(written, "<f4", num_samples, at), row)
                    assert np.frombuffer(written, "<i8", 1, at + row.nbytes)[0] == count
                    at += row.nbytes + 8
                mean = _mean(channels)
                np.testing.assert_array_equal(np.frombuffer(written, "<f4", num_samples, at), mean)
                assert np.frombuffer(written, "<i8", 1, at + mean.nbytes)[0] == sum(wild)
                at += mean.nbytes + 8
    assert at == len(written)


class _Noise:
    """The generator of frames_driver.c."""

    def __init__(self) -> None:
        self._state = 1

    def bytes(self, count: int) -> NDArray[np.uint8]:
        made = np.empty(count, np.uint8)
        for i in range(count):
            self._state = (self._state * 1664525 + 1013904223) % 2**32
            made[i] = self._state >> 24
        return made


def _floats(rows: NDArray[np.generic]) -> tuple[NDArray[np.float32], list[int]]:
    if rows.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            values = rows.astype(np.float32)
        finite = np.isfinite(values)
        return np.where(finite, values, np.float32(0)), [int(count) for count in (~finite).sum(axis=1)]
    offset, scale = (128, 2.0**7) if rows.dtype.kind == "u" else (0, 2.0 ** (8 * rows.dtype.itemsize - 1))
    return ((rows.astype(np.float64) - offset) / scale).astype(np.float32), [0] * len(rows)


def _mean(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum in the order of the channels, in float64, divided once."""
    total = np.zeros(channels.shape[1])
    for row in channels:
        total += row.astype(np.float64)
    return (total / len(channels)).astype(np.float32)
