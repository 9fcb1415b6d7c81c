"""The fixture that lets no test leave anything behind, shown on tests that do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

LEAKING_TESTS = """
import asyncio, os, subprocess, tempfile, threading

import pytest

GO, CLOSE = threading.Event(), []


@pytest.fixture(scope="module", autouse=True)
def cleared_up():
    yield
    GO.set()
    for close in CLOSE:
        close()


def test_thread():
    threading.Thread(target=GO.wait, name="reader").start()


def test_phonograph_daemon():
    threading.Thread(target=GO.wait, name="phonograph-mel-0", daemon=True).start()


def test_file(tmp_path):
    CLOSE.append(open(tmp_path / "kept.txt", "w").close)


def test_child():
    child = subprocess.Popen(["sleep", "60"])
    CLOSE.extend([child.kill, child.wait])


def test_loop():
    CLOSE.append(asyncio.new_event_loop().close)


def test_task():
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(60))
    CLOSE.extend([task.cancel, lambda: loop.run_until_complete(asyncio.wait([task])), loop.close])


def test_temporary_folder():
    folder = tempfile.mkdtemp(prefix="forgotten-")
    CLOSE.append(lambda: os.rmdir(folder))


def test_tidy(tmp_path):
    tempfile.TemporaryDirectory().cleanup()
    (tmp_path / "closed.txt").write_text("x")
    subprocess.run(["true"], check=True)
    threading.Thread(target=int).start()
    asyncio.run(asyncio.sleep(0))
"""


def test_each_kind_of_leftover_fails_its_test(tmp_path: Path) -> None:
    """A test that leaves a thread, file, child process, event loop, task or temporary file behind fails and says what it left."""
    for name in ("conftest.py", "places.py"):
        shutil.copy(HERE / name, tmp_path)
    settled_at_once = (tmp_path / "conftest.py").read_text().replace("SETTLE_S = 5.0", "SETTLE_S = 0.1")
    (tmp_path / "conftest.py").write_text(settled_at_once)
    (tmp_path / "test_leaking.py").write_text(LEAKING_TESTS)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rE",
            "-p",
            "no:cacheprovider",
            "--basetemp",
            str(tmp_path / "own"),
            str(tmp_path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "1000"},
    )
    reported = {line.partition("::")[2].partition(" ")[0]: line for line in run.stdout.splitlines() if line.startswith("ERROR")}
    expected = {
        "test_thread": "thread 'reader'",
        "test_phonograph_daemon": "thread 'phonograph-mel-0'",
        "test_file": "kept.txt",
        "test_child": "child process",
        "test_loop": "event loop",
        "test_task": "task <Task",
        "test_temporary_folder": "temporary file forgotten-",
    }
    assert set(reported) == set(expected), run.stdout
    for name, text in expected.items():
        assert "left behind: " in reported[name]
        assert text in reported[name]
