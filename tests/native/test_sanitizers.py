"""The kernels' C under address and undefined-behaviour sanitizers, and what those say of kernels that are wrong."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from native.building import HERE, LOG_MEL, SAMPLES, Driver, Workshop, run
from phonograph.isa import AVAILABLE

OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault that a slip could make: in a header, `text` becomes `other`, and a sanitizer says `report`."""

    driver: Driver
    header: str
    text: str
    other: str
    report: str


MUTATIONS = {
    "a block too many": Mutation(SAMPLES, "energy.h", "t + PG_SUMS <= count", "t <= count", "heap-buffer-overflow"),
    "a sample too many": Mutation(SAMPLES, "convert.h", "i < count", "i <= count", "heap-buffer-overflow"),
    "a sum without its sign's room": Mutation(
        SAMPLES, "convert.h", "(uint32_t)in[3 * i + 2] << 24", "in[3 * i + 2] << 24", "left shift"
    ),
    "rows of lanes that hold no window": Mutation(
        LOG_MEL, "log_mel/log_mel.h", "by_row && lane < lanes_used", "by_row && lane < PG_LANES", "heap-buffer-overflow"
    ),
    "a workspace that is too small": Mutation(
        LOG_MEL, "log_mel/log_mel.h", "pg_stage_sizes(plan).total)", "pg_stage_sizes(plan).total - 64)", "use-after-poison"
    ),
    "a part of the workspace that is too small": Mutation(
        LOG_MEL, "log_mel/log_mel.h", "PG_PART(spare, PG_LANES *", "PG_PART(spare, 0 *", "use-after-poison"
    ),
    "a vector read as if it were aligned": Mutation(
        LOG_MEL, "vectors.h", "return *(const pg_vec_anywhere *)at;", "return *(const pg_vec *)at;", "misaligned address"
    ),
}


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("sanitized"))


def sanitized(
    workshop: Workshop, driver: Driver, variant: str, changed: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    program = workshop.build(HERE, driver, sanitized=True, changed=changed)
    return run(HERE, program, *([variant] if driver is LOG_MEL else []), environment=OPTIONS)


@pytest.mark.parametrize("variant", AVAILABLE)
def test_log_mel_has_nothing_for_a_sanitizer(workshop: Workshop, variant: str) -> None:
    """No access outside of an array and no undefined behaviour on any front end, in arrays of exactly the promised lengths."""
    ended = sanitized(workshop, LOG_MEL, variant)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


def test_samples_have_nothing_for_a_sanitizer(workshop: Workshop) -> None:
    """The same of conversions between sample formats and of signal power."""
    ended = sanitized(workshop, SAMPLES, "portable")
    assert (ended.returncode, ended.stderr.decode()) == (0, "")


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_in_a_header_is_found(workshop: Workshop, tmp_path: Path, name: str) -> None:
    """The same kernels with one slip end with a report that names the fault and the file."""
    mutation = MUTATIONS[name]
    changed = shutil.copytree(workshop.kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("*.so"))
    header = changed / mutation.header
    before = header.read_text("utf-8")
    assert before.count(mutation.text) == 1, f"{mutation.header} is to hold {mutation.text!r} once"
    header.write_text(before.replace(mutation.text, mutation.other), "utf-8")
    ended = sanitized(workshop, mutation.driver, "portable", changed)
    assert ended.returncode != 0
    assert mutation.report in ended.stderr.decode()
    assert mutation.header.rpartition("/")[2] in ended.stderr.decode()
