"""The resampler's C without Python around it: every variant on this processor, on older ones, on ARM's, under sanitizers."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from native.building import AARCH64, HASWELL, HERE, OLDEST_X86_64, Driver, Processor, Workshop, output, run
from phonograph.isa import AVAILABLE, ISA
from phonograph_nodes.convert import convert
from phonograph_nodes.kernels import _convert, _resample
from phonograph_nodes.resample.bank import BankPlan
from phonograph_nodes.resample.blocks import BlockPlan, Pcm, PcmFormat
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.plans import Latency, plan_for

RESAMPLE = Driver("resample_driver.c", ("C_FLAGS", "VECTOR_FLAGS"), "resample/*.c")
PLACES = {
    **{f"{isa} here": (HERE, isa) for isa in AVAILABLE},
    "portable on the oldest x86-64": (OLDEST_X86_64, "portable"),
    "avx2 without AVX-512": (HASWELL, "avx2"),
    "portable on aarch64": (AARCH64, "portable"),
}
TOLERANCE = 1e-6  # of full scale: instruction sets differ in the order of sums
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid


@dataclass(frozen=True, slots=True)
class Case:
    """A signal of noise between two rates."""

    in_rate: int
    out_rate: int
    quality: Quality
    latency: Latency = "block"
    samples: PcmFormat = "f32"
    num_channels: int = 1
    num_samples: int = 9001
    big_endian: bool = False
    is_in_file: bool = False

    def plan(self) -> BlockPlan | BankPlan:
        plan = plan_for(self.in_rate, self.out_rate, self.quality, self.latency)
        assert plan is not None
        return plan

    def tables(self) -> Mapping[str, Any]:
        """What the binding would get."""
        with mock.patch.object(_resample, "Blocks", Recorded), mock.patch.object(_resample, "Bank", Recorded):
            plan_for.cache_clear()
            tables: Mapping[str, Any] = self.plan()._kernel.tables  # type: ignore[union-attr]
            plan_for.cache_clear()
        return tables

    def signal(self) -> NDArray[Any]:
        noise = np.random.default_rng(3).uniform(-1, 1, self.num_samples * self.num_channels)
        signal = convert(noise, dtype=self.samples)
        if not self.big_endian:
            return signal
        width = signal.nbytes // noise.size
        return np.ascontiguousarray(signal.reshape(-1).view(np.uint8).reshape(-1, width)[:, ::-1])

    @property
    def num_outputs(self) -> int:
        return -(-self.num_samples * self.out_rate // self.in_rate)


class Recorded:
    """In the place of a class of the binding: keeps the tables."""

    scratch_length = 1

    def __init__(self, **tables: Any) -> None:
        self.tables = tables


CASES = [
    Case(44_100, 16_000, "high"),
    Case(48_000, 16_000, "best", samples="i16"),
    Case(44_100, 16_000, "fast", samples="i16", num_channels=2),
    Case(44_100, 16_000, "fast", samples="i24", num_channels=2),
    Case(48_000, 8_000, "fast", samples="i24", num_samples=5003),
    Case(22_050, 16_000, "fast", samples="i32", num_channels=2),
    Case(44_100, 8_000, "fast", samples="f32", num_channels=2),
    Case(22_050, 16_000, "fast", samples="i16", num_channels=2, big_endian=True),
    Case(22_050, 16_000, "fast", samples="i24", num_channels=2, big_endian=True, is_in_file=True),
    Case(48_000, 16_000, "high", samples="i32", big_endian=True),
    Case(44_100, 16_000, "high", samples="f32", big_endian=True),
    Case(16_000, 48_000, "high", samples="u8", num_channels=2, num_samples=1003),
    Case(8_000, 16_000, "high", samples="alaw", num_channels=2),
    Case(8_000, 16_000, "fast", samples="mulaw", is_in_file=True),
    Case(44_100, 16_000, "high", samples="i16", num_channels=2, num_samples=150_001, is_in_file=True),
    Case(44_100, 22_050, "fast", samples="f32", num_channels=2, num_samples=70_001, is_in_file=True),
    Case(48_000, 16_000, "high", samples="f32", num_samples=9001, is_in_file=True),
    Case(16_000, 48_000, "high", num_samples=1003),
    Case(11_025, 8_000, "best", num_samples=777),
    Case(48_000, 16_000, "high", "low"),
    Case(8_000, 11_025, "fast", "low", num_samples=501),
]


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("resample"))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_outputs_are_those_of_the_extension(workshop: Workshop, tmp_path: Path, place: str, case: Case) -> None:
    """Each variant gives what the extension gives, the same one bit for bit; from a later place on it gives the same bits."""
    processor, variant = PLACES[place]
    found = _computed(workshop, tmp_path, processor, variant, case)
    expected = _by_extension(case)
    assert np.abs(found - expected).max() <= TOLERANCE
    assert (processor, variant) != (HERE, ISA) or found.tobytes() == expected.tobytes()
    plan = case.plan()
    first = 2 * plan.lengths.step_out if isinstance(plan, BlockPlan) else 131
    assert (
        first >= len(found) or _computed(workshop, tmp_path, processor, variant, case, first).tobytes() == found[first:].tobytes()
    )


def _by_extension(case: Case) -> NDArray[np.float32]:
    plan, signal, out = case.plan(), case.signal(), np.empty(case.num_outputs, np.float32)
    if isinstance(plan, BlockPlan) and (case.samples, case.num_channels, case.big_endian) != ("f32", 1, False):
        stored = signal.reshape(-1).view(np.uint8)
        assert plan.fill_from_pcm(Pcm(stored, case.samples, case.big_endian, case.num_channels, case.num_samples), out)
    else:
        assert plan.fill(signal, 0, 0, out)
    return out


def _computed(
    workshop: Workshop, folder: Path, processor: Processor, variant: str, case: Case, first: int = 0
) -> NDArray[np.float32]:
    written = output(processor, workshop.build(processor, RESAMPLE), variant, str(_stored(case, folder, first)))
    assert written[-1:] == b"\1"
    return np.frombuffer(written[:-1], np.float32)


def _stored(case: Case, folder: Path, first: int = 0) -> Path:
    """The case as a file for the driver."""
    tables, signal = case.tables(), case.signal()
    has_blocks = "step_in" in tables
    numbers = ["step_in", "step_out", "lead"] if has_blocks else ["up", "down", "lead"]
    arrays = (
        ["radices_in", "turns_in", "radices_out", "turns_out", "bins", "gains", "turns", "places"] if has_blocks else ["taps"]
    )
    about = [case.is_in_file, _convert.CODES[case.samples], case.big_endian, case.num_channels, 0, case.num_samples]
    parts = [_numbers([has_blocks, first, case.num_outputs, *about]), _array(signal)]
    parts += [_numbers(tables[name] for name in numbers), *(_array(tables[name]) for name in arrays)]
    path = folder / "case.bin"
    path.write_bytes(b"".join(parts))
    return path


def _numbers(numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack("<q", number) for number in numbers)


def _array(array: NDArray[Any]) -> bytes:
    return _numbers([array.nbytes]) + array.tobytes()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("variant", AVAILABLE)
def test_there_is_nothing_for_a_sanitizer(workshop: Workshop, tmp_path: Path, variant: str, case: Case) -> None:
    """No access outside of an array and no undefined behaviour, in arrays of exactly the promised lengths."""
    program = workshop.build(HERE, RESAMPLE, sanitized=True)
    ended = run(HERE, program, variant, str(_stored(case, tmp_path)), environment=SANITIZER_OPTIONS)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("header", "text", "other", "number"),
    [
        ("source.h", "(size_t)(count - i) * (BYTES)", "PG_LANES * (BYTES)", 2),
        ("source.h", "in, until - from, room", "in, length, room", 0),
        ("blocks.h", "(block + PG_LANES) * plan->step_out <= end", "block * plan->step_out <= end", 0),
        ("source.h", "most > PG_PIECE ? most : PG_PIECE", "most / 4", 14),
        ("bank.h", "used == PG_OUTPUTS", "used", 19),
    ],
)
def test_a_fault_in_a_header_is_found(
    workshop: Workshop, tmp_path: Path, header: str, text: str, other: str, number: int
) -> None:
    """The same kernels with one slip end with a report of a wrong access that names the file."""
    changed = shutil.copytree(workshop.kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("*.so"))
    path = changed / "resample" / header
    before = path.read_text("utf-8")
    assert before.count(text) == 1, f"{header} is to hold {text!r} once"
    path.write_text(before.replace(text, other), "utf-8")
    program = workshop.build(HERE, RESAMPLE, sanitized=True, changed=changed)
    ended = run(HERE, program, "portable", str(_stored(CASES[number], tmp_path)), environment=SANITIZER_OPTIONS)
    assert ended.returncode != 0
    assert "heap-buffer-overflow" in ended.stderr.decode()
    assert header in ended.stderr.decode()
