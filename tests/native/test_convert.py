"""The conversions' C without Python around it: every variant on this processor, on older ones, on ARM's, under sanitizers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from native.building import AARCH64, HASWELL, HERE, OLDEST_X86_64, Driver, Workshop, output, run
from phonograph.isa import AVAILABLE
from phonograph_nodes.kernels import _convert

CONVERT = Driver("convert_driver.c", ("C_FLAGS", "CONVERT_FLAGS"), "convert/*.c")
PLACES = {
    **{f"{isa} here": (HERE, isa) for isa in AVAILABLE},
    "portable on the oldest x86-64": (OLDEST_X86_64, "portable"),
    "avx2 without AVX-512": (HASWELL, "avx2"),
    "portable on aarch64": (AARCH64, "portable"),
}
SHAPES = [(1, 1003), (2, 1031), (7, 150), (19, 117)]  # of convert_driver.c
WIDTHS = {"u8": 1, "i16": 2, "i24": 3, "i32": 4, "f32": 4, "f64": 8, "alaw": 1, "mulaw": 1}
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("convert"))


@pytest.mark.parametrize("place", PLACES)
def test_conversions_are_the_same_bits_everywhere(workshop: Workshop, place: str) -> None:
    """Each variant gives what the extension gives: every pair of formats in every layout, counts of NaN, mixes."""
    processor, variant = PLACES[place]
    assert output(processor, workshop.build(processor, CONVERT), variant) == b"".join(expected())


def expected() -> list[bytes]:
    """What the driver is to write, by way of the extension."""
    codes, written = _convert.CODES, []
    for source in sorted(codes, key=lambda name: codes[name]):
        for num_channels, num_samples in SHAPES:
            count = num_channels * num_samples
            samples = np.empty(count * WIDTHS[source], np.uint8)
            _convert.convert(noise(count).view(np.uint8), codes["f64"], samples, codes[source])
            for target in sorted(codes, key=lambda name: codes[name]):
                out = np.empty(count * WIDTHS[target], np.uint8)
                num_nan = _convert.convert(samples, codes[source], out, codes[target])
                written += [out.tobytes(), np.int64(num_nan).tobytes()]
                num_nan = _convert.interleave(samples, codes[source], num_channels, out, codes[target])
                written += [out.tobytes(), np.int64(num_nan).tobytes()]
                num_nan = _convert.deinterleave(samples, codes[source], num_channels, out, codes[target])
                written += [out.tobytes(), np.int64(num_nan).tobytes()]
            for interleaved in (False, True):
                weights: NDArray[np.float64] = 1.0 - 0.3 * np.arange(num_channels, dtype=np.float64)
                out = np.empty(num_samples * 4, np.uint8)
                _convert.mix(samples, codes[source], interleaved, weights, float(num_channels), out)
                written.append(out.tobytes())
    return written


def noise(count: int) -> NDArray[np.float64]:
    samples, state = np.empty(count), 1
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        samples[i] = np.nan if i % 29 == 7 else (state / 2**31 - 1) * 1.25
    return samples


@pytest.mark.parametrize("variant", AVAILABLE)
def test_there_is_nothing_for_a_sanitizer(workshop: Workshop, variant: str) -> None:
    """No access outside of an array and no undefined behaviour, in arrays of exactly the promised lengths at any byte."""
    ended = run(HERE, workshop.build(HERE, CONVERT, sanitized=True), variant, environment=SANITIZER_OPTIONS)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("header", "text", "other", "report"),
    [
        ("converters.h", "i + PG_TURN <= count", "i < count", "heap-buffer-overflow"),
        ("converters.h", "(size_t)(count - i) * IN_BYTES", "PG_TURN * IN_BYTES", "AddressSanitizer"),
        ("channels.h", "PG_BLOCK / count", "PG_BLOCK", "buffer-overflow"),
        ("channels.h", "uint16_t __attribute__((aligned(1), may_alias))", "uint16_t", "misaligned address"),
    ],
)
def test_a_fault_in_a_header_is_found(
    workshop: Workshop, tmp_path: Path, header: str, text: str, other: str, report: str
) -> None:
    """The same kernels with one slip end with a report that names the fault and the file."""
    changed = shutil.copytree(workshop.kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("*.so"))
    path = changed / "convert" / header
    before = path.read_text("utf-8")
    assert before.count(text) == 1, f"{header} is to hold {text!r} once"
    path.write_text(before.replace(text, other), "utf-8")
    ended = run(HERE, workshop.build(HERE, CONVERT, sanitized=True, changed=changed), "portable", environment=SANITIZER_OPTIONS)
    assert ended.returncode != 0
    assert report in ended.stderr.decode()
    assert header in ended.stderr.decode()
