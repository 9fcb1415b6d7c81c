"""The energy VAD's C without Python around it: every variant on this processor, on older ones, on ARM's, under sanitizers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import reference.energy_vad
from native.building import AARCH64, HASWELL, HERE, OLDEST_X86_64, Driver, Workshop, output, run
from phonograph.isa import AVAILABLE
from phonograph_nodes.kernels._energy import stretch_levels
from reference.energy_vad import Rules

ENERGY = Driver("energy_driver.c", ("C_FLAGS",), "energy/*.c")
PLACES = {
    **{f"{isa} here": (HERE, isa) for isa in AVAILABLE},
    "portable on the oldest x86-64": (OLDEST_X86_64, "portable"),
    "avx2 without AVX-512": (HASWELL, "avx2"),
    "portable on aarch64": (AARCH64, "portable"),
}
NUM_SAMPLES, FLOOR_FRAMES = 1003, 7  # of energy_driver.c
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("energy"))


@pytest.mark.parametrize("place", PLACES)
def test_levels_and_decisions_are_the_same_bits_everywhere(workshop: Workshop, place: str) -> None:
    """Each variant gives the extension's energies and RMS bit for bit, and the truth's decisions."""
    processor, variant = PLACES[place]
    assert output(processor, workshop.build(processor, ENERGY), variant) == b"".join(expected())


def expected() -> list[bytes]:
    """What the driver is to write, by way of the extension."""
    samples, state = np.empty(NUM_SAMPLES, np.float32), 1
    for i in range(NUM_SAMPLES):
        state = (state * 1664525 + 1013904223) % 2**32
        samples[i] = np.float32(state / 2**31 - 1) * np.float32(0.5 if i // 37 % 3 else 0.01)
    written = []
    length = 1
    while length <= 2 * NUM_SAMPLES:
        energy = np.empty(-(-NUM_SAMPLES // length))
        rms = np.empty(len(energy), np.float32)
        assert stretch_levels(samples, length, energy, rms)
        rules = Rules(0.1, 2.0, FLOOR_FRAMES, min_silence=3, min_speech=2, hangover=1)
        written += [energy.tobytes(), rms.tobytes(), bytes(reference.energy_vad.decide(rms.tolist(), rules))]
        length = 3 * length + 1
    return written


@pytest.mark.parametrize("variant", AVAILABLE)
def test_there_is_nothing_for_a_sanitizer(workshop: Workshop, variant: str) -> None:
    """No access outside of an array and no undefined behaviour, in arrays of exactly the promised lengths."""
    ended = run(HERE, workshop.build(HERE, ENERGY, sanitized=True), variant, environment=SANITIZER_OPTIONS)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("count - count % PG_SUMS", "count - count % PG_SUMS + PG_SUMS"),
        ("num_samples - start < length ? num_samples - start : length", "length"),
    ],
)
def test_a_fault_in_the_kernel_is_found(workshop: Workshop, tmp_path: Path, text: str, other: str) -> None:
    """The same kernel with one slip ends with a report of a wrong access that names the file."""
    changed = shutil.copytree(workshop.kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("*.so"))
    path = changed / "energy" / "energy.h"
    before = path.read_text("utf-8")
    assert before.count(text) == 1, f"energy.h is to hold {text!r} once"
    path.write_text(before.replace(text, other), "utf-8")
    ended = run(HERE, workshop.build(HERE, ENERGY, sanitized=True, changed=changed), "portable", environment=SANITIZER_OPTIONS)
    assert ended.returncode != 0
    assert "heap-buffer-overflow" in ended.stderr.decode()
    assert "energy.h" in ended.stderr.decode()
