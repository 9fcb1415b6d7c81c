"""A file system that remembers: what a run did to its files, and what is left of that if it stops anywhere.

`Recorded` notes every call that changes files below a folder, while a run makes them. `left_after` builds what is on the disk
when the run stops behind one of those calls: killed (whatever was written is there), or cut off from power, where of what was not
synced some is there and some is not.
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Loss = Literal["killed", "data", "half", "all"]
"""What a stop takes: nothing; content that was not synced, with every name there; the same, but for the first half of it; content
and names that were not synced."""


@dataclass
class Call:
    """One call: its name and what it was for. Files are numbered, so that they are known under every name that they have."""

    name: Literal["make", "write", "cut", "sync", "rename", "link", "remove", "folder", "sync folder"]
    file: int = -1
    path: str = ""
    to: str = ""
    at: int = 0
    content: bytes = b""
    mtime_ns: int = 0


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    mtime_ns: int = 0


class Recorded:
    """The calls that change what is below a folder.

    Args:
        root: that folder. parts: names in it; the rest of it is nobody's business.
    """

    def __init__(self, root: Path, *parts: str) -> None:
        self._root, self._parts = root, parts
        self._lock = threading.RLock()
        self._files: dict[tuple[int, int], int] = {}
        self._count = 0
        self.calls: list[Call] = []

    def is_ours(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        place = Path(os.path.abspath(path))
        return place.is_relative_to(self._root) and place.relative_to(self._root).parts[:1] in {(part,) for part in self._parts}

    @contextmanager
    def recording(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        with patch.context() as patched:
            self._patch(patched)
            yield

    def _patch(self, patch: pytest.MonkeyPatch) -> None:
        real_open, real_io_open = os.open, io.open

        def around(name: str, note: Callable[..., None]) -> None:
            real = getattr(os, name)

            def called(*args: Any, **options: Any) -> Any:
                with self._lock:
                    result = real(*args, **options)
                    note(*args)
                return result

            patch.setattr(os, name, called)

        def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
            with self._lock:
                was_there = os.path.exists(path)
                descriptor = real_open(path, flags, *args, **options)
                if self.is_ours(path) and flags & (os.O_WRONLY | os.O_RDWR) and not flags & os.O_DIRECTORY:
                    self._opened(descriptor, str(path), was_there=was_there)
            return descriptor

        def opened_file(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not self.is_ours(path) or mode in ("r", "rb"):
                return real_io_open(path, mode, *args, **options)
            with self._lock:
                was_there = os.path.exists(path)
                file = real_io_open(path, mode, *args, **options)
                self._opened(file.fileno(), str(path), was_there=was_there)
                if "w" in mode:
                    self._note(Call("cut", self._number(file.fileno()), at=0))
            return _Noted(file, self)

        patch.setattr(os, "open", opened)
        patch.setattr(io, "open", opened_file)
        patch.setattr(builtins, "open", opened_file)
        around("pwrite", lambda descriptor, content, at: self.wrote(descriptor, bytes(content), at))
        around("ftruncate", lambda descriptor, at: self._changed(descriptor, Call("cut", at=at)))
        around("fsync", self._synced)
        around("fdatasync", self._synced)
        around("replace", self._renamed)
        around("rename", self._renamed)
        around("unlink", lambda path, **options: self._named(Call("remove", path=str(path))))
        around("remove", lambda path, **options: self._named(Call("remove", path=str(path))))
        around("link", lambda path, to, **options: self._named(Call("link", path=str(path), to=str(to))))
        around("mkdir", lambda path, *args, **options: self._named(Call("folder", path=str(path))))

    def wrote(self, descriptor: int, content: bytes, at: int) -> None:
        self._changed(descriptor, Call("write", at=at, content=content))

    def _opened(self, descriptor: int, path: str, *, was_there: bool) -> None:
        status = os.fstat(descriptor)
        if not was_there:
            self._count += 1
            self._files[status.st_dev, status.st_ino] = self._count
            self._note(Call("make", self._count, path, mtime_ns=status.st_mtime_ns))

    def _changed(self, descriptor: int, call: Call) -> None:
        number = self._number(descriptor)
        if number:
            call.file, call.mtime_ns = number, os.fstat(descriptor).st_mtime_ns
            self._note(call)

    def _synced(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if os.path.isdir(path):
            if self.is_ours(path) or path == str(self._root):
                self._note(Call("sync folder", path=path))
        elif number := self._number(descriptor):
            self._note(Call("sync", number))

    def _renamed(self, path: Any, to: Any) -> None:
        self._named(Call("rename", path=str(path), to=str(to)))

    def _named(self, call: Call) -> None:
        if self.is_ours(call.path):
            self._note(call)

    def _number(self, descriptor: int) -> int:
        status = os.fstat(descriptor)
        return self._files.get((status.st_dev, status.st_ino), 0)

    def _note(self, call: Call) -> None:
        self.calls.append(call)


class _Noted:
    """A file that is written one piece after the other."""

    def __init__(self, file: Any, recorded: Recorded) -> None:
        self._file, self._recorded, self._at = file, recorded, 0

    def write(self, content: Any) -> int:
        given = content.encode() if isinstance(content, str) else bytes(content)
        with self._recorded._lock:
            written: int = self._file.write(content)
            self._recorded.wrote(self._file.fileno(), given[:written], self._at)
            self._at += written
        return written

    def __enter__(self) -> _Noted:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def left_after(calls: list[Call], root: Path, parts: tuple[str, ...], loss: Loss) -> None:
    """Have below a folder what is there when a run stops behind these calls."""
    for part in parts:
        shutil.rmtree(root / part, ignore_errors=True)
    files: dict[int, _File] = {}
    durable: dict[int, _File] = {}
    names: dict[str, int | None] = {}  # None: a folder
    durable_names: dict[str, int | None] = {}
    for call in calls:
        if call.name in ("make", "write", "cut"):
            _change(files.setdefault(call.file, _File()), call)
        if call.name == "sync":
            durable[call.file] = _File(bytearray(files[call.file].content), files[call.file].mtime_ns)
        elif call.name == "sync folder":
            _sync_names(call.path, names, durable_names)
        else:
            _rename(names, call)
    for path, number in sorted((durable_names if loss == "all" else names).items()):
        if loss == "all" and not _is_reachable(path, durable_names, root):
            continue
        if number is None:
            Path(path).mkdir(exist_ok=True)
            continue
        file = files[number] if loss == "killed" else _after_power_cut(files[number], durable.get(number, _File()), loss)
        Path(path).write_bytes(file.content)
        os.utime(path, ns=(file.mtime_ns, file.mtime_ns))


def _change(file: _File, call: Call) -> None:
    if call.name == "write":
        file.content.extend(b"\0" * (call.at - len(file.content)))
        file.content[call.at : call.at + len(call.content)] = call.content
    elif call.name == "cut":
        del file.content[call.at :]
    file.mtime_ns = call.mtime_ns or file.mtime_ns


def _rename(names: dict[str, int | None], call: Call) -> None:
    if call.name == "make":
        names[call.path] = call.file
    elif call.name == "folder":
        names[call.path] = None
    elif call.name == "remove":
        names.pop(call.path, None)
    elif call.name == "link":
        names[call.to] = names.get(call.path)
    elif call.name == "rename":
        names[call.to] = names.pop(call.path, None)


def _sync_names(folder: str, names: dict[str, int | None], durable: dict[str, int | None]) -> None:
    for path in [path for path in durable if os.path.dirname(path) == folder and path not in names]:
        del durable[path]
    durable |= {path: number for path, number in names.items() if os.path.dirname(path) == folder}


def _is_reachable(path: str, names: dict[str, int | None], root: Path) -> bool:
    parent = os.path.dirname(path)
    return parent == str(root) or (parent in names and _is_reachable(parent, names, root))


def _after_power_cut(file: _File, durable: _File, loss: Loss) -> _File:
    if loss != "half" or len(file.content) <= len(durable.content):
        return durable
    more = (len(file.content) - len(durable.content)) // 2
    return _File(durable.content + file.content[len(durable.content) : len(durable.content) + more], file.mtime_ns)
