"""The work that never changes, which the times of ours are held against.

Each reference lives on the same part of the machine as the subjects beside it. What its time depends on besides the machine (the
compiler, Python, FFmpeg) is its basis: a ratio that was accepted on another basis is not comparable.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import native
from benchmarks.gate import relay
from benchmarks.threads import FLAGS

Call = Callable[[], object]
Basis = Mapping[str, str]

NATIVE = "references"  # .c, in benchmarks/native
PLACES = 4  # as there
ROUNDS = {"butterflies": 40, "squares": 10, "copies": 10}  # of one call: some 30 us, so that calling it does not count


@dataclass(frozen=True, slots=True)
class Reference:
    """One kind of unchanging work: a call for each place that its arrays have in memory, and what its time depends on."""

    calls: Sequence[Call]
    basis: Basis


def compiled(isa: str, folder: Path) -> Path:
    """The references in C, for the vectors of an instruction set. Raises SystemExit where there is no C compiler."""
    return native.build(NATIVE, folder, (*FLAGS[isa], "-Wno-psabi"))


def reference(name: str, library: Path, clip: Path) -> Reference:
    """The reference of that name.

    Args:
        library: from `compiled`.
        clip: the audio file that the decoder's reference reads.
    """
    if name == "relay":
        return Reference([relay.relay], {"work": _digest(Path(relay.__file__)), "python": _python()})
    if name == "pyav":
        return Reference([lambda: _decoded(clip)], {"python": _python(), "av": _release("av")})
    loaded = ctypes.CDLL(str(library))
    function, rounds = getattr(loaded, name), ROUNDS[name]
    function.argtypes, function.restype = (ctypes.c_long, ctypes.c_long), ctypes.c_float
    loaded.compiler.restype = ctypes.c_char_p
    made_by = loaded.compiler().decode().partition(".")[0]
    work = _digest(native.SOURCES / f"{NATIVE}.c", str(rounds))
    return Reference([partial(function, rounds, place) for place in range(PLACES)], {"work": work, "compiler": made_by})


def _decoded(clip: Path) -> None:
    """PyAV alone, its frames thrown away."""
    import av

    with av.open(str(clip)) as container:
        for _ in container.decode(audio=0):
            pass


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _release(distribution: str) -> str:
    return ".".join(importlib.metadata.version(distribution).split(".")[:2])


def _digest(source: Path, *more: str) -> str:
    """Tells one version of the work from another."""
    parts: Sequence[bytes] = (source.read_bytes(), *(part.encode() for part in more))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
