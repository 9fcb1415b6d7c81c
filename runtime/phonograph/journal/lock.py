"""The lock of a run directory: a file that only one process can make, and that says which one did.

Not `flock`, which some network file systems do not have, or grant to everybody. To give a file a second name, unless that is
taken, and to rename it are one step each, there too.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import NamedTuple

from phonograph.errors import RunDirectoryError

_NAME = "lock"


class Holder(NamedTuple):
    """The process that holds a run directory; both unknown where the lock cannot be read."""

    pid: int | str
    host: str


class Lock:
    """Holds a run directory for this process, from the start until `release`.

    Raises:
        RunDirectoryError: another live run holds it. OSError: the lock cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        content = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": _start_of(os.getpid())})
        while True:
            try:
                self._make(content)
                break
            except FileNotFoundError:
                if not folder.is_dir():
                    raise  # else whoever holds it took what was being made for the remains of a killed run
            except FileExistsError:
                held_by = _holder(self._path)
                if held_by is not None:
                    raise RunDirectoryError(
                        f"{folder}: in use by process {held_by.pid} on {held_by.host}; wait for it, or give this run a "
                        f"directory of its own with --run-dir (if that process is gone, remove {self._path})"
                    ) from None
                self._remove_stale()
        for remains in folder.glob(f"{_NAME}.new-*"):
            remains.unlink(missing_ok=True)

    def release(self) -> None:
        self._path.unlink(missing_ok=True)

    def _make(self, content: str) -> None:
        """Make the lock with its content, and not one that has none yet: that of a run killed in between would lock for ever."""
        aside = self._path.with_name(f"{_NAME}.new-{os.getpid()}")
        try:
            with aside.open("wb") as file:
                file.write(content.encode())
                file.flush()  # all of it, or an error: a disk that runs full takes a part first
                os.fsync(file.fileno())
            os.link(aside, self._path)
        finally:
            aside.unlink(missing_ok=True)

    def _remove_stale(self) -> None:
        """Remove a lock whose process is gone, unless another run has replaced it by its own in the meantime."""
        aside = self._path.with_name(f"{_NAME}.stale-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(aside)  # only one of several runs gets it
            try:
                if _holder(aside) is not None:
                    os.link(aside, self._path)
            finally:
                aside.unlink()


def holder(folder: Path) -> Holder | None:
    """Who holds a run directory; None when nobody does, or a process that is known to be dead."""
    return _holder(folder / _NAME)


def _holder(lock: Path) -> Holder | None:
    try:
        held_by = json.loads(lock.read_text())
        pid, host, started = held_by["pid"], held_by["host"], held_by["started"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Holder("unknown", "unknown host")
    if host == socket.gethostname() and (_start_of(pid) is None or _start_of(pid) != started):
        return None
    return Holder(pid, host)


def _start_of(pid: int) -> str | None:
    """When a process of this machine started, so that a reused pid is not taken for its predecessor; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, num_threads, started = fields[0], int(fields[17]), fields[19]
    is_gone = state in ("Z", "X") and num_threads <= 1  # its parent has not waited for it, and may never do so
    return None if is_gone else started
