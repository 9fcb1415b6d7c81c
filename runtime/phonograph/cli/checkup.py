"""Looks at an installation and its machine for what is in the way of a run, with a remedy for each fault."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonograph.cli.machine import Memory, Processor, core_limit, memory_limit, room_at, text_of, try_files
from phonograph.errors import PhonographError, in_words, one_line

Level = Literal["ok", "note", "problem"]
Area = Literal["machine", "packages", "audio", "nodes", "shipped", "folders"]

CONTRACTS = (
    "baseline.schema.json",
    "dead-letter.schema.json",
    "error-codes.json",
    "manifest.schema.json",
    "metrics.schema.json",
    "nodes.json",
    "status.schema.json",
)
EXTRAS = {
    "graph": "draws graphs as SVG",
    "silero": "finds speech in noise with a neural network, for vad.silero",
    "test": "runs phonograph's own tests",
    "bench": "is compared with by phonograph's benchmarks",
    "docs": "draws the pictures of phonograph's documentation",
    "dev": "checks, types and builds phonograph's code",
}
"""What each extra is for; one that is not here is told by its packages."""

_REINSTALL = "install phonograph again: pip install --force-reinstall --no-deps phonograph"
_REINSTALL_AV = "install PyAV again, as a wheel: pip install --force-reinstall --only-binary av av"
_RUN_DIRECTORIES = ".phonograph"

# What people have recordings in -> FFmpeg's names of (container, decoder).
_COMMON = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "mp3"),
    "flac": ("flac", "flac"),
    "opus": ("ogg", "opus"),
    "vorbis": ("ogg", "vorbis"),
    "m4a (aac)": ("m4a", "aac"),
    "webm": ("webm", "opus"),
}
_RARE = {
    "amr": ("amr", "amrnb"),
    "amr-wb": ("amr", "amrwb"),
    "alac": ("m4a", "alac"),
    "aiff": ("aiff", "pcm_s16be"),
    "wma": ("asf", "wmav2"),
    "speex": ("ogg", "speex"),
    "a-law": ("wav", "pcm_alaw"),
    "mu-law": ("wav", "pcm_mulaw"),
    "g.722": ("g722", "g722"),
    "gsm": ("gsm", "gsm"),
}
_LITTLE_MEMORY = 2**30
_LITTLE_ROOM, _NO_ROOM = 2**30, 64 * 2**20
_FEW_ENTRIES = 1000

# The requirements of phonograph itself, as its metadata has them: `av>=18`, `pytest>=8.4; extra == "test"`.
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])? *(?:>=\s*([\d.]+))?[^;]*(?:;.*?\bextra\s*==\s*[\"']([\w-]+)[\"'])?.*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: `problem`: runs fail, or some of what phonograph promises does not hold here.
        found: in words. remedy: what to do about it; empty when nothing is needed.
    """

    area: Area
    subject: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that phonograph needs, or that one of its extras brings; `at_least` is empty when any version will do."""

    name: str
    at_least: str
    extra: str

    @classmethod
    def parse(cls, text: str) -> Requirement:
        match = _REQUIREMENT.fullmatch(text.strip())
        return cls(*(match.groups("") if match else (text, "", "")))

    @property
    def installed(self) -> str:
        """The version that is there; empty when none is."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return ""

    @property
    def is_met(self) -> bool:
        return bool(self.installed) and _numbers(self.installed) >= _numbers(self.at_least)

    def __str__(self) -> str:
        return f"{self.name}>={self.at_least}" if self.at_least else self.name


def check_up(*, isa: str, working_folder: Path) -> list[Finding]:
    """Everything that can be looked at in a second or two, without a network.

    Args:
        isa: the instruction set that the kernels use.
        working_folder: where runs are started, and so where their files go.
    """
    checks: tuple[tuple[Area, Callable[[], Iterator[Finding]]], ...] = (
        ("machine", lambda: _machine(isa)),
        ("packages", _packages),
        ("packages", _yaml_parser),
        ("audio", _audio),
        ("nodes", _nodes),
        ("shipped", _shipped),
        ("folders", lambda: _folders(working_folder)),
    )
    return [finding for area, check in checks for finding in _guarded(area, check)]


def _guarded(area: Area, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001  # a broken package may raise anything on import, and the other checks still tell
        yield Finding(area, area, "problem", f"could not be looked at: {in_words(error)}", _REINSTALL)


def _machine(isa: str) -> Iterator[Finding]:
    yield Finding(
        "machine", "Python", "ok", f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    )
    system = f"{_distribution_name()}, kernel {platform.release()}, {platform.machine()}"
    if sys.platform == "linux":
        yield Finding("machine", "system", "ok", system)
    else:
        yield Finding("machine", "system", "note", system, "phonograph is made for Linux, and tested there alone")
    processor = Processor.of(text_of(Path("/proc/cpuinfo")))
    sets = ", ".join(processor.instruction_sets) or "none that is known"
    found = f"{processor.name or 'not known'}; it has {sets}; the kernels use: {isa}"
    yield Finding("machine", "processor", "ok", found)
    yield _cores()
    yield _memory()


def _distribution_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME") or platform.system()
    except OSError:
        return platform.system()


def _cores() -> Finding:
    cores, limit = len(os.sched_getaffinity(0)), core_limit()
    if limit is not None and limit < cores:
        remedy = f"a run that is meant to keep to it: --workers {max(1, int(limit))}"
        return Finding("machine", "cores", "note", f"{cores}, of which the container gets the time of {limit:.1f}", remedy)
    return Finding("machine", "cores", "ok", f"{cores}")


def _memory() -> Finding:
    memory, limit = Memory.of(text_of(Path("/proc/meminfo"))), memory_limit()
    if memory.total is None or memory.available is None:
        return Finding("machine", "memory", "note", "not known: /proc/meminfo cannot be read")
    found = f"{_size(memory.available)} available of {_size(memory.total)}"
    if limit is not None and limit < memory.total:
        found += f", limited to {_size(limit)} for this container"
    if min(memory.available, limit or memory.available) < _LITTLE_MEMORY:
        return Finding("machine", "memory", "note", found, "long recordings may not fit; --workers 1 holds the fewest at a time")
    return Finding("machine", "memory", "ok", found)


def _packages() -> Iterator[Finding]:
    try:
        distribution = importlib.metadata.distribution("phonograph")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "phonograph", "problem", "is not installed, only its code is there", "pip install phonograph")
        return
    requirements = [Requirement.parse(text) for text in distribution.requires or ()]
    needed = [one for one in requirements if not one.extra]
    for one in needed:
        if not one.is_met:
            found = f"{one.installed or 'not installed'}; needed: {one}"
            yield Finding("packages", one.name, "problem", found, f"pip install '{one}'")
    found = ", ".join(f"{one.name} {one.installed} (>={one.at_least})" for one in needed if one.is_met)
    yield Finding("packages", "needed", "ok", found)
    for extra in distribution.metadata.get_all("Provides-Extra") or ():
        brought = [one for one in requirements if one.extra == extra]
        missing = [one.name for one in brought if not one.is_met]
        purpose = EXTRAS.get(extra) or f"brings {', '.join(one.name for one in brought)}"
        if missing:
            found = f"{purpose}; not there: {', '.join(missing)}"
            yield Finding("packages", f"extra {extra}", "note", found, f"for it: pip install 'phonograph[{extra}]'")
        else:
            yield Finding("packages", f"extra {extra}", "ok", f"{purpose}; installed")


def _yaml_parser() -> Iterator[Finding]:
    import yaml

    if yaml.__with_libyaml__:
        yield Finding("packages", "YAML", "ok", "PyYAML with libyaml")
    else:
        remedy = "install PyYAML as a wheel: pip install --force-reinstall --only-binary pyyaml pyyaml"
        yield Finding("packages", "YAML", "note", "PyYAML without libyaml, so long manifests are read more slowly", remedy)


def _audio() -> Iterator[Finding]:
    import av

    versions = ", ".join(f"{name} {'.'.join(map(str, version))}" for name, version in sorted(av.library_versions.items()))
    yield Finding("audio", "FFmpeg", "ok", f"{versions}, in PyAV {av.__version__}")
    read = [name for name, (container, codec) in {**_COMMON, **_RARE}.items() if _can_read(container, codec)]
    yield Finding("audio", "formats", "ok", ", ".join(read))
    for name in _COMMON.keys() - set(read):
        found = f"this FFmpeg cannot read {name}; such recordings become dead letters"
        yield Finding("audio", name, "problem", found, _REINSTALL_AV)
    if rare := [name for name in _RARE if name not in read]:
        found = f"this FFmpeg cannot read {', '.join(rare)}; such recordings become dead letters"
        yield Finding("audio", "other formats", "note", found, f"if you have any: {_REINSTALL_AV}")


def _can_read(container: str, codec: str) -> bool:
    import av

    try:
        av.codec.Codec(codec, "r")
        av.format.ContainerFormat(container, "r")
    except ValueError:
        return False
    return True


def _nodes() -> Iterator[Finding]:
    from phonograph.graph.registry import Registry, RegistryError
    from phonograph.reference.catalogue import available

    repair = "repair or remove that package"
    try:
        registry = Registry.installed()
    except RegistryError as error:
        yield Finding("nodes", "types", "problem", one_line(error), repair)
        return
    specs, faults = available(registry)
    kinds = Counter(spec.kind for spec in specs)
    for name, reason in faults.items():
        yield Finding("nodes", name, "problem", reason, repair)
    for origin, reason in registry.broken():
        yield Finding("nodes", f"entry point {origin}", "problem", one_line(reason), repair)
    if not kinds:
        yield Finding("nodes", "types", "problem", "none is installed", _REINSTALL)
    else:
        words = ", ".join(f"{kinds[kind]} {kind}{'s' * (kinds[kind] != 1)}" for kind in ("source", "transform", "sink"))
        yield Finding("nodes", "types", "ok", f"{kinds.total()} ({words})")


def _shipped() -> Iterator[Finding]:
    from phonograph.graph.builder import load_graph
    from phonograph.graph.registry import Registry, RegistryError
    from phonograph.shipped import NamedManifest, shipped_manifests, shipped_root

    folder = shipped_root("contracts")
    unreadable = [name for name in CONTRACTS if not _is_json(folder / name)]
    if unreadable:
        found = f"{', '.join(unreadable)} in {folder}: not there, or no JSON"
        yield Finding("shipped", "contracts", "problem", found, _REINSTALL)
    else:
        yield Finding("shipped", "contracts", "ok", f"{len(CONTRACTS)} in {folder}")
    manifests = shipped_manifests()
    if not manifests:
        yield Finding("shipped", "manifests", "problem", f"none in {shipped_root('manifests')}", _REINSTALL)
        return
    try:
        registry = Registry.installed()
    except RegistryError:
        return  # said above, and nothing could be built
    good = []
    for name, path in manifests.items():
        try:
            load_graph(NamedManifest(path), registry)
        except PhonographError as error:
            yield Finding("shipped", f"manifest {name}", "problem", one_line(error), _REINSTALL)
        else:
            good.append(name)
    if good:
        yield Finding("shipped", "manifests", "ok", f"{', '.join(good)}, in {shipped_root('manifests')}")


def _folders(working_folder: Path) -> Iterator[Finding]:
    yield _room("run directories", working_folder / _RUN_DIRECTORIES, "free some, or choose another place: --run-dir FOLDER")
    yield _room("temporary files", Path(tempfile.gettempdir()), "free some, or choose another place: TMPDIR=FOLDER")
    fault = try_files(working_folder)
    if fault is None:
        yield Finding("folders", "files here", "ok", f"can be made, synced, locked and renamed in {working_folder}")
    else:
        step, error = fault
        found = f"{working_folder}: it is not possible to {step}: {error.strerror or error}"
        yield Finding("folders", "files here", "problem", found, "run in another folder, on a local file system")


def _room(subject: str, folder: Path, remedy: str) -> Finding:
    try:
        room = room_at(folder)
    except OSError as error:
        return Finding("folders", subject, "problem", f"{folder}: cannot be looked at: {error.strerror or error}", remedy)
    found = f"{_size(room.free)} free for {folder}"
    if room.entries is not None and room.entries < _FEW_ENTRIES:
        return Finding("folders", subject, "problem", f"{found}, but entries for {room.entries} files alone", remedy)
    if room.free < _LITTLE_ROOM:
        return Finding("folders", subject, "problem" if room.free < _NO_ROOM else "note", found, remedy)
    return Finding("folders", subject, "ok", found)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The release part of a version: (25, 1) of "25.1.0rc1" is enough to compare it with what phonograph needs."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
