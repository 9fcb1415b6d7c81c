"""run-pipeline doctor: what it finds on a sound machine, and what it says about broken ones."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from phonograph import shipped
from phonograph.cli import checkup
from phonograph.cli.checkup import CONTRACTS, EXTRAS, Finding, Requirement, check_up
from phonograph.cli.doctor import command
from phonograph.cli.machine import Memory, Processor, core_limit, memory_limit, room_at, try_files
from phonograph.graph.registry import Registry
from phonograph.reference.contracts import contracts

X86 = "processor\t: 0\nmodel name\t: Imagined 9\nflags\t\t: fpu sse4_2 avx avx2 fma avx512f rdpid\n\nmodel name\t: Other\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm sve bf16\nCPU implementer\t: 0x41\n"


def found(folder: Path, area: str, subject: str) -> Finding:
    return next(one for one in check_up(isa="portable", working_folder=folder) if (one.area, one.subject) == (area, subject))


def test_a_sound_installation_has_no_problem(tmp_path: Path) -> None:
    """Where these tests can run, doctor ends with status 0, and each line says something."""
    findings = check_up(isa="portable", working_folder=tmp_path)
    assert [one for one in findings if one.level == "problem"] == []
    assert {one.area for one in findings} == {"machine", "packages", "audio", "nodes", "shipped", "folders"}
    assert all(one.found for one in findings)
    assert all(one.remedy for one in findings if one.level != "ok")
    assert list(tmp_path.iterdir()) == []


def test_the_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The text has a heading for each area, the verdict comes last, and nothing stays in the folder."""
    run = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()", "doctor"]
    result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"phonograph {importlib.metadata.version('phonograph')}"
    assert [line for line in lines if line and not line.startswith(" ")][1:-1] == [
        "machine",
        "packages",
        "audio",
        "nodes",
        "shipped",
        "folders",
    ]
    assert lines[-1].startswith("no problems, ")
    assert list(tmp_path.iterdir()) == []


def test_json_holds_every_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--format json gives machines the same findings, with the verdict as a word."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["--format", "json"], standalone_mode=False)
    told = json.loads(result.output)
    assert (result.return_value, told["status"], told["phonograph"]) == (0, "ok", importlib.metadata.version("phonograph"))
    subjects = {(one["area"], one["subject"]) for one in told["checks"]}
    assert {("machine", "processor"), ("packages", "needed"), ("audio", "formats"), ("folders", "files here")} <= subjects
    assert {one["level"] for one in told["checks"]} <= {"ok", "note"}


def test_a_problem_is_exit_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped file that is gone is a PROBLEM with a remedy, in text and in JSON."""
    package = tmp_path / "phonograph"
    shutil.copytree(shipped.shipped_root("contracts"), package / "contracts")
    shutil.copytree(shipped.shipped_root("manifests"), package / "manifests")
    (package / "contracts" / "nodes.json").unlink()
    (package / "contracts" / "error-codes.json").write_text("{", "utf-8")
    shutil.rmtree(package / "manifests" / "samples")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, [], standalone_mode=False)
    assert result.return_value == 1
    assert "PROBLEM" in result.output
    assert "error-codes.json, nodes.json in" in result.output
    assert "missing_file" in result.output  # each shipped manifest names the clips that are gone
    assert "-> install phonograph again: pip install" in result.output
    told = json.loads(CliRunner().invoke(command, ["--format", "json"], standalone_mode=False).output)
    assert told["status"] == "problem"


def test_an_installation_without_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shipped manifest at all is a problem of its own."""
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "runtime" / "phonograph")
    assert found(tmp_path, "shipped", "manifests").level == "problem"


def test_the_contracts_looked_for_are_those_that_are_made() -> None:
    """Doctor looks for exactly the files that `make contracts` writes."""
    assert sorted(CONTRACTS) == sorted(contracts(Registry.installed()))


def test_every_extra_says_what_it_is_for() -> None:
    """No extra of the package is without a purpose in doctor's words, and none there has gone."""
    assert sorted(EXTRAS) == sorted(importlib.metadata.metadata("phonograph").get_all("Provides-Extra") or ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy>=2.0", Requirement("numpy", "2.0", "")),
        ("types-PyYAML; extra == 'dev'", Requirement("types-PyYAML", "", "dev")),
        ('pytest>=8.4; extra == "test"', Requirement("pytest", "8.4", "test")),
        ("tritonclient[grpc]>=2.5; extra == 'triton'", Requirement("tritonclient", "2.5", "triton")),
        ("av >=15,<20 ; python_version > '3' and extra == 'x'", Requirement("av", "15", "x")),
    ],
)
def test_requirements_as_metadata_has_them(text: str, expected: Requirement) -> None:
    """Name, least version and extra are read out of a requirement."""
    assert Requirement.parse(text) == expected


def test_versions_are_compared_as_numbers() -> None:
    """10 is more than 9, and a package that is not there meets nothing."""
    assert Requirement("pytest", "8.4", "").is_met
    assert not Requirement("pytest", "10000", "").is_met
    assert not Requirement("no-such-package-at-all", "", "").is_met


def test_an_old_and_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a problem that says what is there, what is needed, and how to get it."""
    site = tmp_path / "site"
    info = site / "phonograph-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: phonograph\nVersion: 9.9\nProvides-Extra: rare\n"
        "Requires-Dist: click>=1000\nRequires-Dist: no-such-package>=2\nRequires-Dist: av\n"
        "Requires-Dist: absent-too ; extra == 'rare'\n",
        "utf-8",
    )
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    click, missing = found(tmp_path, "packages", "click"), found(tmp_path, "packages", "no-such-package")
    assert (click.level, click.remedy) == ("problem", "pip install 'click>=1000'")
    assert click.found.endswith("; needed: click>=1000")
    assert (missing.level, missing.found) == ("problem", "not installed; needed: no-such-package>=2")
    rare = found(tmp_path, "packages", "extra rare")
    assert (rare.level, rare.found) == ("note", "brings absent-too; not there: absent-too")
    assert rare.remedy == "for it: pip install 'phonograph[rare]'"


def test_an_ffmpeg_without_a_common_and_a_rare_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What many people have is a problem, the rest a note."""
    real = av.codec.Codec

    def poorer(name: str, mode: str) -> object:
        if name in ("mp3", "gsm", "speex"):
            raise ValueError(name)
        return real(name, "r")

    monkeypatch.setattr(av.codec, "Codec", poorer)
    assert found(tmp_path, "audio", "mp3").level == "problem"
    rare = found(tmp_path, "audio", "other formats")
    assert rare.level == "note" and "speex, gsm" in rare.found
    assert "mp3" not in found(tmp_path, "audio", "formats").found


def test_a_check_that_breaks_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that cannot be asked is named, and the checks after it are made."""
    monkeypatch.delattr(av, "library_versions")
    broken = found(tmp_path, "audio", "audio")
    assert broken.level == "problem" and "library_versions" in broken.found
    assert found(tmp_path, "folders", "files here").level == "ok"


def test_node_types_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken type and entry point is a problem; the sound ones are counted."""
    info = tmp_path / "broken_nodes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-nodes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[phonograph.nodes]\nabsent = no_such_module:NODES\nbad = broken_nodes:NODES\n")
    (tmp_path / "broken_nodes.py").write_text('NODES = {"bad.node": "no_such_module_either:Bad"}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "no_such_module_either" in found(tmp_path, "nodes", "bad.node").found
    assert found(tmp_path, "nodes", "entry point absent = no_such_module:NODES").level == "problem"
    assert found(tmp_path, "nodes", "types").level == "ok"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (X86, Processor("Imagined 9", ("sse4_2", "avx", "avx2", "fma", "avx512f"))),
        (ARM, Processor("", ("asimd", "sve", "bf16"))),
        ("", Processor("", ())),
    ],
    ids=["x86", "ARM", "nothing"],
)
def test_processors(cpuinfo: str, expected: Processor) -> None:
    """Name and instruction sets come from the first processor in /proc/cpuinfo, on x86 and ARM."""
    assert Processor.of(cpuinfo) == expected


def test_memory() -> None:
    """Figures are in bytes, and unknown where they do not stand."""
    assert Memory.of("MemTotal:   2048 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n") == Memory(2**21, 2**20)
    assert Memory.of("") == Memory(None, None)


def test_limits_of_a_container(tmp_path: Path) -> None:
    """Both versions of control groups are read; without a limit there is none."""
    assert (memory_limit(tmp_path), core_limit(tmp_path)) == (None, None)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert (memory_limit(tmp_path), core_limit(tmp_path)) == (None, None)
    (tmp_path / "memory.max").write_text("1048576\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert (memory_limit(tmp_path), core_limit(tmp_path)) == (2**20, 0.5)
    old = tmp_path / "old"
    (old / "memory").mkdir(parents=True)
    (old / "cpu").mkdir()
    (old / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (old / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert (memory_limit(old), core_limit(old)) == (None, None)
    (old / "memory" / "memory.limit_in_bytes").write_text("4096\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    assert (memory_limit(old), core_limit(old)) == (4096, 1.5)


def test_less_cores_and_memory_than_it_seems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container withholds is a note with the option that keeps to it."""
    monkeypatch.setattr(checkup, "core_limit", lambda: 0.5)
    monkeypatch.setattr(checkup, "memory_limit", lambda: 64 * 2**20)
    cores, memory = found(tmp_path, "machine", "cores"), found(tmp_path, "machine", "memory")
    assert (cores.level, memory.level) == ("note", "note")
    assert "the time of 0.5" in cores.found and "--workers 1" in cores.remedy
    assert "limited to 64 MiB" in memory.found


def test_room_where_a_folder_would_be_made(tmp_path: Path) -> None:
    """A run directory that is not there yet has the room of the folder above it."""
    assert room_at(tmp_path / "not" / "there").free > 0


def test_little_room_and_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room is a note; next to none, or no entries for files, is a problem."""
    real = os.statvfs(tmp_path)
    for free, entries, level in ((2**29, 10**6, "note"), (2**20, 10**6, "problem"), (2**40, 3, "problem"), (2**40, 10**6, "ok")):
        fields = [1, 1, free, free, free, 10**7, entries, entries, 0, 255]
        monkeypatch.setattr(os, "statvfs", lambda _, fields=fields: type(real)(fields))
        assert found(tmp_path, "folders", "run directories").level == level


def test_a_folder_where_no_file_can_be_made(tmp_path: Path) -> None:
    """The step that fails is named; a folder of the kernel's stands for one that takes no files."""
    assert try_files(tmp_path) is None
    fault = try_files(Path("/proc/self"))
    assert fault is not None and fault[0] == "make a file"
    here = found(Path("/proc/self"), "folders", "files here")
    assert here.level == "problem" and "it is not possible to make a file" in here.found


def test_a_file_system_that_cannot_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that fails is told, and the file that was tried with is gone."""

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    here = found(tmp_path, "folders", "files here")
    assert (here.level, list(tmp_path.iterdir())) == ("problem", [])
    assert here.found.endswith("it is not possible to bring a file to disk (fsync): Input/output error")
