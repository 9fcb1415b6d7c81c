"""Reads what the machine offers a run: processor, memory, room on disk, what its file systems can do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""From here on a limit is none: version 1 of control groups says so with a number near 2**63."""

# Only those that arithmetic on audio can gain from, in the order of their age.
_INSTRUCTION_SETS = re.compile(
    r"sse4_2|avx|avx2|fma|f16c|avx_vnni|avx512(?:f|bw|dq|vl|_vnni|_bf16|_fp16)|amx_\w+"  # x86
    r"|asimd|sve2?|bf16|i8mm"  # ARM
)


@dataclass(frozen=True, slots=True)
class Processor:
    """The name that the processor gives itself, empty when it gives none, and the instruction sets that count here."""

    name: str
    instruction_sets: tuple[str, ...]

    @classmethod
    def of(cls, cpuinfo: str) -> Processor:
        """Read the text of /proc/cpuinfo, whose words differ between x86 and ARM."""
        entries: dict[str, str] = {}
        for line in cpuinfo.splitlines():
            name, _, value = line.partition(":")
            entries.setdefault(name.strip().lower(), value.strip())
        flags = (entries.get("flags") or entries.get("features") or "").split()
        found = tuple(dict.fromkeys(flag for flag in flags if _INSTRUCTION_SETS.fullmatch(flag)))
        return cls(entries.get("model name") or entries.get("cpu model") or "", found)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in all and to be had, each None when it is not known."""

    total: int | None
    available: int | None

    @classmethod
    def of(cls, meminfo: str) -> Memory:
        """Read the text of /proc/meminfo."""
        found = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB$", meminfo, re.MULTILINE)}
        return cls(found.get("MemTotal"), found.get("MemAvailable"))


@dataclass(frozen=True, slots=True)
class Room:
    """Free bytes and free entries for files where a folder is; `entries` is None where the file system does not count them."""

    free: int
    entries: int | None


def memory_limit(cgroups: Path = _CGROUPS) -> int | None:
    """Bytes that the container may use; None: all that the machine has."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = text_of(cgroups / name).strip()
        if text.isdigit() and int(text) < _UNLIMITED:
            return int(text)
    return None


def core_limit(cgroups: Path = _CGROUPS) -> float | None:
    """How many cores' time the container gets; None: that of all cores it may run on."""
    text = text_of(cgroups / "cpu.max") or " ".join(
        text_of(cgroups / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    )
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def room_at(folder: Path) -> Room:
    """What is free where `folder` is, or would be made.

    Raises:
        OSError: not even a folder above it can be looked at.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return Room(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def try_files(folder: Path) -> tuple[str, OSError] | None:
    """Do to small files in `folder` what a run does to its outputs; nothing of it stays.

    Returns:
        What could not be done, in words, with the reason; None when all could.
    """
    first, second = (folder / f".phonograph-doctor-{secrets.token_hex(4)}.{suffix}" for suffix in ("tmp", "done"))
    step = "make a file"
    try:
        with _removed(first, second), first.open("xb") as file:
            step = "write to a file"
            file.write(b"phonograph doctor")
            file.flush()
            step = "bring a file to disk (fsync)"
            os.fsync(file.fileno())
            step = "lock a file (flock)"
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            step = "rename a file"
            first.replace(second)
            step = "bring a folder to disk (fsync)"
            _sync_folder(folder)
            step = "remove a file"
    except OSError as error:
        return step, error
    return None


@contextlib.contextmanager
def _removed(*paths: Path) -> Iterator[None]:
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def text_of(path: Path) -> str:
    """The text of a file of the system; empty when this system has no such file."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
