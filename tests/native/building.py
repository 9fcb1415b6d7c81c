"""Compiles the C drivers around the kernels for some processor, with setup.py's flags, and runs them there."""

from __future__ import annotations

import ast
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from native.log_mel_cases import as_c

NATIVE = Path(__file__).parent
# Program -> the Debian packages that it needs.
PACKAGES = {
    "gcc": "gcc libc6-dev",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64": "qemu-user",
    "qemu-x86_64": "qemu-user",
}


@dataclass(frozen=True, slots=True)
class Processor:
    """Something that programs are compiled for and run on: this machine, or another one that is emulated."""

    compiler: str = "gcc"
    emulator: tuple[str, ...] = ()

    def skip_unless_there(self) -> None:
        """Skip the test on a machine that has no compiler or emulator for it, with the packages that would bring them."""
        if self.emulator[:1] == ("qemu-x86_64",) and platform.machine() != "x86_64":
            pytest.skip("needs a compiler for x86-64, which that of this machine is not")
        for program in (self.compiler, *self.emulator[:1]):
            if shutil.which(program) is None:
                pytest.skip(f"needs {program}: apt-get install {PACKAGES[program]}")


HERE = Processor()
AARCH64 = Processor("aarch64-linux-gnu-gcc", ("qemu-aarch64",))
OLDEST_X86_64 = Processor(emulator=("qemu-x86_64", "-cpu", "qemu64"))  # SSE3 and no more
HASWELL = Processor(emulator=("qemu-x86_64", "-cpu", "Haswell"))  # AVX2 and FMA, no AVX-512


@dataclass(frozen=True, slots=True)
class Driver:
    """A program around some kernels: its file, the lists of setup.py that have its flags, the kernels' own C files."""

    source: str
    flags: tuple[str, ...]
    variants: str


LOG_MEL = Driver("log_mel_driver.c", ("C_FLAGS", "VECTOR_FLAGS"), "log_mel/*.c")


class Workshop:
    """Compiles drivers in a folder of its own, each of them once. Any warning is an error."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._setup = ast.parse((checkout / "setup.py").read_text("utf-8"))
        self.kernels = checkout / "nodes" / "phonograph_nodes" / "kernels"
        self._folder = folder
        self._objects: dict[tuple[str, ...], Path] = {}
        self._programs: dict[tuple[Processor, Driver, bool, Path | None], Path] = {}
        (folder / "log_mel_cases.h").write_text(as_c())

    def build(self, processor: Processor, driver: Driver, *, sanitized: bool = False, changed: Path | None = None) -> Path:
        """A program.

        Args:
            changed: a copy of the kernels, from which the driver's last source is compiled, the portable variant.
        """
        processor.skip_unless_there()
        made = (processor, driver, sanitized, changed)
        if made not in self._programs:
            self._programs[made] = self._built(processor, driver, sanitized=sanitized, changed=changed)
        return self._programs[made]

    def _built(self, processor: Processor, driver: Driver, *, sanitized: bool, changed: Path | None) -> Path:
        kind = self._declared("LEVEL", "SANITIZERS", sanitized=sanitized)
        flags = [*self._declared(*driver.flags, sanitized=sanitized), *kind, "-Werror"]
        sources = [NATIVE / driver.source, *sorted(self.kernels.glob(driver.variants))]
        objects = [
            self._compiled(processor.compiler, source, flags, self.kernels) for source in sources[: -1 if changed else None]
        ]
        if changed:
            moved = changed / sources[-1].relative_to(self.kernels)
            objects.append(self._compiled(processor.compiler, moved, flags, changed))
        program = self._folder / f"program-{len(list(self._folder.glob('program-*')))}"
        linked = kind if sanitized else ["-static"]  # static: the emulated machine has no libraries
        _succeed([processor.compiler, *linked, *map(str, objects), "-o", str(program), "-lm"])
        return program

    def _compiled(self, compiler: str, source: Path, flags: list[str], kernels: Path) -> Path:
        command = (compiler, *flags, f"-I{kernels}", f"-I{self._folder}", "-c", str(source))
        if command not in self._objects:
            self._objects[command] = self._folder / f"{len(self._objects)}-{source.stem}.o"
            _succeed([*command, "-o", str(self._objects[command])])
        return self._objects[command]

    def _declared(self, *names: str, sanitized: bool) -> list[str]:
        """The lists that setup.py assigns to these names; one that depends on SANITIZED, for the kind of build asked for."""
        found: dict[str, list[str]] = {}
        for statement in self._setup.body:
            if isinstance(statement, ast.Assign):
                value = statement.value
                if isinstance(value, ast.IfExp) and ast.unparse(value.test) == "SANITIZED":
                    value = value.body if sanitized else value.orelse
                if isinstance(value, ast.List):
                    found[ast.unparse(statement.targets[0])] = ast.literal_eval(value)
        return [flag for name in names for flag in found[name]]


def run(
    processor: Processor, program: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, whatever that is."""
    command = [*processor.emulator, str(program), *arguments]
    return subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, timeout=300, check=False)


def output(processor: Processor, program: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
    """What a program that ended well wrote."""
    ended = run(processor, program, *arguments, environment=environment)
    assert ended.returncode == 0, f"{ended.args}: status {ended.returncode}\n{ended.stderr.decode()}"
    return ended.stdout


def _succeed(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stderr}"
