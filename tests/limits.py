"""Makes the operating system refuse, for the length of one call or of a file system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

_CAPABILITIES_3 = 0x20080522  # of capget(2)
_MS_REMOUNT, _MNT_DETACH = 32, 2
_OVERRULES_MODES = 0b111  # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextlib.contextmanager
def no_file_over(num_bytes: int) -> Iterator[None]:
    """No file of this process may grow over a size, as on a disk that fills up.

    Keep it around the one call under test: pytest writes files, too.
    """
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be made or removed in a folder and those below it, also by root, in this thread and those that it starts."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for one in folders:
        one.chmod(0o555)
    header, kept = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.capget(header, kept))
    less = (ctypes.c_uint32 * 6)(*kept)
    less[0] &= ~_OVERRULES_MODES
    _check(libc.capset(header, less))
    try:
        yield
    finally:
        _check(libc.capset(header, kept))
        for one in folders:
            one.chmod(0o755)


@contextlib.contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[None]:
    """A file system with so much room, in a folder that is made. Raises OSError for those who may not mount any."""
    folder.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={num_bytes}".encode()))
    try:
        yield
    finally:
        _check(libc.umount2(os.fsencode(folder), _MNT_DETACH))


def make_room(folder: Path, num_bytes: int) -> None:
    """Let a small disk have so much room."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_REMOUNT, f"size={num_bytes}".encode()))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
