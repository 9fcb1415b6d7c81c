"""The kernels' C under address and undefined-behaviour sanitizers, and what those say of kernels that are wrong."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from native.building import HERE, LOG_MEL, Workshop, run
from phonograph.isa import AVAILABLE

OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}  # a leak check needs to trace the process, which containers forbid


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault that a slip could make: in a header, `text` becomes `other`, and a sanitizer says `report`."""

    header: str
    text: str
    other: str
    report: str


MUTATIONS = {
    "rows of lanes that hold no window": Mutation(
        "log_mel/log_mel.h", "by_row && lane < lanes_used", "by_row && lane < PG_LANES", "heap-buffer-overflow"
    ),
    "a workspace that is too small": Mutation(
        "log_mel/log_mel.h", "pg_stage_sizes(plan).total)", "pg_stage_sizes(plan).total - 64)", "use-after-poison"
    ),
    "a part of the workspace that is too small": Mutation(
        "log_mel/log_mel.h", "PG_PART(spare, PG_LANES *", "PG_PART(spare, 0 *", "use-after-poison"
    ),
    "a vector read as if it were aligned": Mutation(
        "vectors.h", "return *(const pg_vec_anywhere *)at;", "return *(const pg_vec *)at;", "misaligned address"
    ),
}


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("sanitized"))


def sanitized(workshop: Workshop, variant: str, changed: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return run(HERE, workshop.build(HERE, LOG_MEL, sanitized=True, changed=changed), variant, environment=OPTIONS)


@pytest.mark.parametrize("variant", AVAILABLE)
def test_log_mel_has_nothing_for_a_sanitizer(workshop: Workshop, variant: str) -> None:
    """No access outside of an array and no undefined behaviour on any front end, in arrays of exactly the promised lengths."""
    ended = sanitized(workshop, variant)
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
    ended = sanitized(workshop, "portable", changed)
    assert ended.returncode != 0
    assert mutation.report in ended.stderr.decode()
    assert mutation.header.rpartition("/")[2] in ended.stderr.decode()
