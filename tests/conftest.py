"""Fixtures for all tests, chief among them the one that lets no test leave anything behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import their own parts by name: `places`, `reference`

from places import NEEDS_SOURCE_TREE, shared_folder, source_tree

SETTLE_S = 5.0  # how long a thread that was told to end may take, on a machine that does other things too


def pytest_configure() -> None:
    """Hear Ctrl-C, and let the processes that tests start hear it, where a shell has started the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data sets; the test is skipped where they are absent."""
    folder = shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the shared data sets: no folder {folder / 'data'}; set PHONOGRAPH_SHARED to where they are")
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The source tree; the test is skipped where the tests run without it, against an installed package."""
    root = source_tree()
    if root is None:
        pytest.skip(NEEDS_SOURCE_TREE)
    return root


@pytest.fixture(scope="session")
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `tempfile` puts what tests and the processes that they start make; no other program does."""
    tmp_path_factory.getbasetemp()  # which is found by the same rule, and is to stay where it was
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="phonograph-tests-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield Path(folder)
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch, temporary_files: Path) -> Iterator[None]:
    """Fails a test that leaves a task, a thread, an open file, a child process or a temporary file behind."""
    loops: list[asyncio.AbstractEventLoop] = []
    make_loop = asyncio.events.new_event_loop

    def recording() -> asyncio.AbstractEventLoop:
        loops.append(make_loop())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", recording)
    monkeypatch.setattr(asyncio.events, "new_event_loop", recording)  # the name that asyncio.run uses
    threads, files, children = set(threading.enumerate()), _open_files(), _children()
    temporary = set(os.listdir(temporary_files))
    yield
    left = [f"task {task!r}" for loop in loops for task in asyncio.all_tasks(loop)]
    left += [f"event loop {loop!r}, not closed" for loop in loops if not loop.is_closed()]
    for thread in set(threading.enumerate()) - threads:
        if not thread.daemon or thread.name.startswith("phonograph"):
            thread.join(SETTLE_S)
            if thread.is_alive():
                left.append(f"thread {thread.name!r}")
    if _open_files().keys() - files.keys():
        gc.collect()  # a file in a reference cycle is closed late, and then a ResourceWarning fails the test anyway
        now = _open_files()
        left += [f"open file {now[number]}" for number in sorted(now.keys() - files.keys())]
    left += [f"child process {number}" for number in sorted(_children() - children)]
    left += [f"temporary file {name}" for name in sorted(set(os.listdir(temporary_files)) - temporary)]
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


def _open_files() -> dict[str, str]:
    """Descriptor -> what it is; devices are left out, since libraries open those once for the life of the process."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:
            continue  # the descriptor of this very listing
        if not target.startswith("/dev/"):
            found[entry] = target
    return found


def _children() -> set[int]:
    return {int(number) for task in Path("/proc/self/task").iterdir() for number in _words(task / "children")}


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except FileNotFoundError:
        return []  # the thread has ended since it was listed, or this kernel has no such file
