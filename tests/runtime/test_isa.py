"""The choice of the kernels' instruction set: by the processor, by PHONOGRAPH_ISA, and what a wrong one is told."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import project
from phonograph.errors import InstructionSetError, PhonographError
from phonograph.isa import AVAILABLE, KNOWN, VARIABLE, InstructionSet, chosen

REMEDY = "unset PHONOGRAPH_ISA, and the fastest that this processor has is taken"
# What the operating system says that a processor must have -> the instruction set.
FEATURES: dict[InstructionSet, set[str]] = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx2": {"avx2", "fma"},
    "portable": set(),
}


def python(code: str, isa: str | None) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, under PHONOGRAPH_ISA or without it."""
    return run([sys.executable, "-c", code], isa)


def run(command: list[str], isa: str | None, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if isa is not None:
        environment[VARIABLE] = isa
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def run_pipeline(isa: str | None, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-c", "from phonograph.cli import main; main()", *arguments], isa, folder)


def test_what_is_available_is_what_the_operating_system_lists() -> None:
    """A set is available exactly when all of its features are in /proc/cpuinfo; portable comes last, and on ARM alone."""
    flags = {flag for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags") for flag in line.split()}
    assert tuple(name for name in KNOWN if FEATURES[name] <= flags) == AVAILABLE
    assert AVAILABLE[-1] == "portable"
    if platform.machine() == "aarch64":
        assert AVAILABLE == ("portable",)


@pytest.mark.parametrize("name", KNOWN)
def test_each_instruction_set_can_be_asked_for(name: str) -> None:
    """PHONOGRAPH_ISA is what the process uses; where the processor lacks it, the import says so."""
    ended = python("from phonograph.isa import ISA; print(ISA)", name)
    if name in AVAILABLE:
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{name}\n", "")
    else:
        assert ended.returncode == 1
        assert f"{name!r} is not on this processor" in ended.stderr


@pytest.mark.parametrize("asked", [None, ""], ids=["unset", "empty"])
def test_without_a_wish_the_fastest_is_taken(asked: str | None) -> None:
    """An unset variable and an empty one leave the choice to the processor."""
    assert python("from phonograph.isa import ISA; print(ISA)", asked).stdout == f"{AVAILABLE[0]}\n"


def test_capitals_do_not_count() -> None:
    """AVX2, as vendors write it, asks for avx2."""
    assert chosen("AVX2", ("avx512", "avx2", "portable")) == "avx2"


@pytest.mark.parametrize("asked", ["sse2", "AVX", "avx2 ", "native"])
def test_an_unknown_name_is_refused(asked: str) -> None:
    """The error gives place, what was found, what this processor has, and the remedy, as words and as attributes."""
    with pytest.raises(InstructionSetError) as caught:
        chosen(asked, ("avx2", "portable"))
    error = caught.value
    assert error.place == "environment variable PHONOGRAPH_ISA"
    assert error.found == f"{asked!r} is no instruction set that kernels are compiled for"
    assert error.expected == "avx2 or portable"
    assert str(error) == f"{error.place}: {error.found}; expected {error.expected}; {REMEDY}"


def test_a_set_that_the_processor_lacks_is_refused() -> None:
    """A name that others could use is refused in other words, and nothing slower is taken in its place."""
    with pytest.raises(InstructionSetError, match="'avx512' is not on this processor; expected avx2 or portable; unset"):
        chosen("avx512", ("avx2", "portable"))
    with pytest.raises(InstructionSetError, match="'avx2' is not on this processor; expected portable; unset"):
        chosen("avx2", ("portable",))


def test_a_refused_set_does_not_look_like_a_missing_package() -> None:
    """A program that goes on without what it cannot import gets an error of phonograph's own tree instead."""
    assert issubclass(InstructionSetError, PhonographError)
    code = "try:\n    from phonograph import Executor\nexcept ImportError:\n    print('went on')\n"
    ended = python(code, "nope")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].startswith("phonograph.errors.InstructionSetError: environment variable PHONOGRAPH_ISA")


def test_asking_for_the_name_imports_next_to_nothing() -> None:
    """A program that only wants to know waits neither for NumPy nor for the rest of phonograph."""
    code = "import sys; from phonograph.isa import ISA; print(*sorted(m for m in sys.modules if m.split('.')[0] in {names}))"
    ended = python(code.replace("{names}", "('numpy', 'phonograph', 'msgspec', 'dataclasses')"), None)
    assert ended.stdout == "phonograph phonograph._isa phonograph.isa\n"


@pytest.mark.parametrize("verb", [[], ["check"], ["explain"], ["graph"], ["test"]], ids=" ".join)
def test_run_pipeline_refuses_a_wrong_name_as_a_wrong_manifest(tmp_path: Path, verb: list[str]) -> None:
    """One line with place, found, expected and remedy; exit status 2, nothing ran, no traceback."""
    project(tmp_path)
    ended = run_pipeline("nope", tmp_path, *verb, "line.yaml")
    assert ended.returncode == 2
    (line, *rest) = (ended.stderr or ended.stdout).splitlines()
    assert line.startswith("line.yaml:1:1: instruction_set environment variable PHONOGRAPH_ISA: 'nope' is no instruction set")
    assert line.endswith(f"expected {' or '.join(AVAILABLE)}; {REMEDY}")
    assert "Traceback" not in "".join(rest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "line.yaml"]


def test_help_is_given_whatever_the_environment_says(tmp_path: Path) -> None:
    """What needs no kernel works under a wrong name."""
    assert run_pipeline("nope", tmp_path, "--help").returncode == 0


@pytest.mark.parametrize("name", AVAILABLE)
def test_metrics_and_doctor_name_what_the_kernels_use(tmp_path: Path, name: str) -> None:
    """`isa` of the metrics document and the processor's line of doctor follow PHONOGRAPH_ISA."""
    project(tmp_path)
    run_pipeline(name, tmp_path, "line.yaml", "--metrics", "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text("utf-8"))["pipeline_execution"]["isa"] == name
    ended = run_pipeline(name, tmp_path, "doctor")
    assert ended.returncode == 0
    assert f"; the kernels use: {name}\n" in ended.stdout


def test_doctor_tells_a_wrong_name_as_a_problem(tmp_path: Path) -> None:
    """The check-up goes on, names the fault with its remedy, and ends with status 1."""
    ended = run_pipeline("nope", tmp_path, "doctor", "--format", "json")
    told = json.loads(ended.stdout)
    (problem,) = [one for one in told["checks"] if one["subject"] == "kernels"]
    assert (ended.returncode, ended.stderr, told["status"]) == (1, "", "problem")
    assert (problem["level"], problem["remedy"]) == ("problem", REMEDY)
    assert problem["found"].startswith("environment variable PHONOGRAPH_ISA: 'nope' is no instruction set")
    assert {one["area"] for one in told["checks"]} == {"machine", "packages", "audio", "nodes", "shipped", "folders"}
