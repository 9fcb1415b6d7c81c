"""A disk below a folder that runs full, that stops a run behind any call, and that knows what had been synced by then.

Theory of operation. While it watches, calls of Python code that change files below the folder go through here: they are counted,
may find no room, and may be the last one of the run. Then what is left of every file is taken down at once: all of it when the
process was killed, and when the power went, of what was not synced nothing or a half. From that moment on nothing changes the
folder any more; whatever the run still does while it is taken apart is done to nobody. A sync only notes what is there by then,
which is quicker than to wait for a real disk. Changes anywhere else are refused, so that no run touches what is not its own:
Python tells of each before it does it, however it was asked (`sys.addaudithook`).
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakSet

from phonograph import points
from phonograph.chaos.faults import MARK, Done, Full, Loss, Stop
from phonograph.errors import BadInputError

Left = dict[str, tuple[bytes, int] | None]
"""Path -> content and mtime_ns of a file; None for a folder."""

_DEVICES = ("/dev/", "/proc/")
_WRITING = os.O_WRONLY | os.O_RDWR


class RunStoppedError(BaseException):
    """The run has stopped dead here; no code of it may take this for an error that it can act on."""


class Disk:
    """The files below a folder, for one run.

    Args:
        stop: where the run stops; None: nowhere. full: when there is no room; None: never.
        told: hears of each fault: its name, and where.

    Attributes:
        left: what is left where the run stopped; None while it has not.
        outside: what was to be changed outside the folder first; None: nothing.
        is_let_go: whoever has files open will not close them. To be set.
    """

    _watching: ClassVar[Disk | None] = None
    _is_told: ClassVar[bool] = False

    def __init__(self, root: Path, stop: Stop | None, full: Full | None, told: Callable[[str, str], None]) -> None:
        self.left: Left | None = None
        self.outside: str | None = None
        self.is_let_go = False
        self._root = os.path.realpath(root)
        self._stop, self._full, self._told = stop, full, told
        self._steps: Counter[str] = Counter()
        self._num_calls = self._num_writes = 0
        self._real: dict[str, Callable[..., Any]] = {}
        self._numbers: dict[tuple[int, int], int] = {}  # of files, by what the system knows them by
        self._durable: dict[int, tuple[bytes, int]] = {}
        self._durable_names: dict[str, dict[str, int | None]] = {}
        self._num_files = 0
        self._descriptors: set[int] = set()  # that are open
        self._files: WeakSet[_File] = WeakSet()

    @property
    def done(self) -> Done:
        """How much it has been asked to do."""
        return Done(dict(self._steps), self._num_calls, self._num_writes)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Stand between Python code and the files."""
        self._begin()
        if not Disk._is_told:
            sys.addaudithook(_about_to)  # which can never be removed
            Disk._is_told = True
        writes_bytecode, sys.dont_write_bytecode = not sys.dont_write_bytecode, True  # of a module that a node imports late
        real_open, real_step, real_close = io.open, points.hook, os.close
        replaced = {name: getattr(os, name) for name in _CALLS}
        self._real = replaced
        try:
            for name, kind in _CALLS.items():
                setattr(os, name, self._around(name, kind))
            os.open = self._open_descriptor(replaced["open"])
            io.open = builtins.open = self._open_file(real_open)
            points.hook = self._step
            setattr(os, "close", self._close_descriptor(real_close))  # noqa: B010  # mypy takes it for a redefinition
            Disk._watching = self
            yield
        finally:
            Disk._watching, sys.dont_write_bytecode = None, not writes_bytecode
            for name, real in replaced.items():
                setattr(os, name, real)
            io.open = builtins.open = real_open
            points.hook, os.close = real_step, real_close
            if self.is_let_go or self.left is not None:  # as the system does when a process has gone
                for descriptor in filter(
                    self._is_file, self._descriptors
                ):  # not one that has been closed unseen, and is another's
                    os.close(descriptor)
                for file in self._files:
                    file.close()

    def wrote(self, write: Callable[[Any], int], content: Any) -> int:
        """Write, all of it, a part, or nothing, as the disk will."""
        size = memoryview(content).nbytes
        if self.left is not None:
            return size
        self._num_writes += 1
        if self._is_full(self._num_writes):
            if size > 1 and not self._is_full(self._num_writes - 1):
                self._told("full disk", f"at write {self._num_writes}, which is cut short")
                return write(memoryview(content).cast("B")[: size // 2])  # a disk takes what it has room for first
            self._refuse("a write")
        if self._is_last_call(self._num_calls + 1) and size > 1:
            write(memoryview(content).cast("B")[: size // 2])
        done = size if self._is_last_call(self._num_calls + 1) and size > 1 else write(content)
        self._called("a write")
        return done

    def is_ours(self, path: Any) -> bool:
        """Whether it lies in the folder. Raises BadInputError: it does not, and is no device."""
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor, which was opened through here
        place = os.path.abspath(os.fsdecode(path))
        if place.startswith(self._root + os.sep) or place == self._root:
            return True
        if place.startswith(_DEVICES) and not place.startswith("/proc/self/fd/"):
            return False
        real = os.path.realpath(place)
        if real.startswith(self._root + os.sep):
            return True
        self.outside = self.outside or place
        raise BadInputError(f"{place}: is not to be changed by chaos; expected a place that the manifest lets it choose")

    # What stands in the place of the system's functions.

    def _around(self, name: str, kind: Literal["path", "descriptor", "sync", "write"]) -> Callable[..., Any]:
        real = self._real[name]

        def called(*arguments: Any, **options: Any) -> Any:
            if name in ("write", "pwrite") and not self._is_file(arguments[0]):
                return real(*arguments, **options)
            if kind == "write":
                return self.wrote(lambda part: int(real(arguments[0], part, *arguments[2:])), arguments[1])
            if kind != "path" and not self._is_file(arguments[0]):
                return real(*arguments, **options)
            if self.left is not None:
                return None
            if kind == "sync":
                self._sync(arguments[0])
                result = None
            else:
                result = real(*arguments, **options)
            self._called(name)
            return result

        return called

    def _open_descriptor(self, real: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if not flags & (_WRITING | os.O_CREAT) or not self.is_ours(path):
                return real(path, flags, *arguments, **options)
            was_there = self._begins(path)
            descriptor = real(path, flags, *arguments, **options)
            self._descriptors.add(descriptor)
            self._opened(descriptor, was_there=was_there)
            return descriptor

        return opened

    def _close_descriptor(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def closed(descriptor: int) -> None:
            self._descriptors.discard(descriptor)
            real(descriptor)

        return closed

    def _open_file(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            if not set(mode) & set("wxa+") or isinstance(file, int) or opener is not None or not self.is_ours(file):
                return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
            was_there = self._begins(file)
            raw = _File(file, mode.replace("t", ""))
            raw.disk = self
            self._files.add(raw)
            self._opened(raw.fileno(), was_there=was_there)
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            buffered: Any = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)

        return opened

    def _begins(self, path: Any) -> bool:
        """A file is about to be opened for writing; whether it is there."""
        if self.left is not None:
            raise OSError(errno.EIO, "the run has stopped", os.fsdecode(path))
        was_there = os.path.exists(path)
        if not was_there:
            self._num_writes += 1
            if self._is_full(self._num_writes):
                self._refuse("making a file")
        return was_there

    def _opened(self, descriptor: int, *, was_there: bool) -> None:
        if not was_there:
            self._number(os.fstat(descriptor), is_new=True)
        self._called("open")

    # What is there.

    def _begin(self) -> None:
        """All that earlier runs have left is on the disk by now."""
        for folder, folders, names in os.walk(self._root):
            found: dict[str, int | None] = dict.fromkeys(folders)
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    number = found[name] = self._number(status)
                    self._durable[number] = (Path(path).read_bytes(), status.st_mtime_ns)
            self._durable_names[folder] = found

    def _number(self, status: os.stat_result, *, is_new: bool = False) -> int:
        identity = (status.st_dev, status.st_ino)
        if is_new or identity not in self._numbers:
            self._num_files += 1
            self._numbers[identity] = self._num_files
        return self._numbers[identity]

    def _is_file(self, descriptor: Any) -> bool:
        """Whether a descriptor is of a file or folder below the root; others (pipes, terminals) are nobody's business."""
        try:
            if not isinstance(descriptor, int):
                return False
            path = os.readlink(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)")
        except OSError:
            return False
        return path.startswith(self._root)

    def _sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        place = f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(status.st_mode):
            self._durable_names[os.readlink(place)] = self._names_in(place)
        else:
            self._durable[self._number(status)] = (_content(place), status.st_mtime_ns)

    def _names_in(self, folder: str) -> dict[str, int | None]:
        with os.scandir(folder) as entries:
            return {entry.name: None if entry.is_dir() else self._number(entry.stat(follow_symlinks=False)) for entry in entries}

    # What happens to it.

    def _step(self, step: str) -> None:
        if self.left is None:
            self._steps[step] += 1
            if self._stop is not None and (self._stop.step, self._stop.number) == (step, self._steps[step]):
                self._stop_here(f"{step} {self._stop.number}")

    def _called(self, name: str) -> None:
        self._num_calls += 1
        if self._is_last_call(self._num_calls):
            self._stop_here(f"call {self._num_calls}, {name}")

    def _is_last_call(self, number: int) -> bool:
        return self._stop is not None and not self._stop.step and self._stop.number == number

    def _is_full(self, number: int) -> bool:
        full = self._full
        return full is not None and full.first <= number < full.first + full.count

    def _refuse(self, place: str) -> None:
        self._told("full disk", f"at write {self._num_writes}, {place}")
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({MARK})")

    def _stop_here(self, place: str) -> None:
        assert self._stop is not None
        loss = self._stop.loss
        self.left = self._left_after(loss)
        words = {"nothing": "", "content": ", what was not synced is lost", "half": ", what was not synced is torn"}
        name = "crash" if loss == "nothing" else "torn writes"
        self._told(name, f"behind {place}{words.get(loss, ', names and content that were not synced are lost')}")
        raise RunStoppedError(place)

    def _left_after(self, loss: Loss) -> Left:
        there: Left = {}
        now: dict[int, tuple[bytes, int]] = {}
        for folder, folders, names in os.walk(self._root):
            there |= {os.path.join(folder, name): None for name in folders}
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode):
                    continue
                number = self._number(status)
                now[number] = (_content(path), status.st_mtime_ns)
                there[path] = now[number] if loss == "nothing" else self._after_power_cut(number, now[number], loss)
        if loss != "names":
            return there
        left: Left = {}
        self._add_durable(self._root, now, left)
        return left

    def _add_durable(self, folder: str, now: dict[int, tuple[bytes, int]], left: Left) -> None:
        for name, number in self._durable_names.get(folder, {}).items():
            path = os.path.join(folder, name)
            if number is None:
                left[path] = None
                self._add_durable(path, now, left)
            else:
                content, mtime_ns = self._durable.get(number, (b"", 0))
                left[path] = (content, now.get(number, (b"", mtime_ns))[1])

    def _after_power_cut(self, number: int, now: tuple[bytes, int], loss: Loss) -> tuple[bytes, int]:
        durable = self._durable.get(number, (b"", 0))[0]
        if loss == "half" and len(now[0]) > len(durable):
            more = now[0][len(durable) :]
            durable += more[: len(more) // 2]
        return durable, now[1]


class _File(io.FileIO):
    """A file whose writes the disk hears of."""

    disk: Disk | None = None

    def write(self, content: Any) -> int:
        return super().write(content) if self.disk is None else self.disk.wrote(super().write, content)


_CALLS: dict[str, Literal["path", "descriptor", "sync", "write"]] = {
    **dict.fromkeys(("rename", "replace", "unlink", "remove", "link", "symlink", "mkdir", "rmdir", "truncate"), "path"),
    "ftruncate": "descriptor",
    **dict.fromkeys(("fsync", "fdatasync"), "sync"),
    **dict.fromkeys(("write", "pwrite"), "write"),
    "open": "path",
}


_CHANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, -1),),
    "os.utime": ((0, 3),),
}
"""Audit event -> where its arguments have the paths that are changed, and the folders that those are relative to; -1: nowhere."""


def _about_to(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would change something outside the folder; see `sys.addaudithook`."""
    disk = Disk._watching
    if disk is None:
        return
    if event == "open":
        path, _, flags = arguments
        if flags & (_WRITING | os.O_CREAT):
            disk.is_ours(path)
    for place, folder in _CHANGES.get(event, ()):
        path = arguments[place]
        if folder >= 0 and arguments[folder] != -1 and isinstance(path, str | bytes | os.PathLike):
            path = os.path.join(f"/proc/self/fd/{arguments[folder]}", os.fsdecode(path))
        disk.is_ours(path)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
