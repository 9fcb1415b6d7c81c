"""Processes that go on with one run at the same time: one of them does, the others are refused."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from phonograph.chaos.disk import Disk
from phonograph.chaos.faults import Full
from phonograph.errors import RunDirectoryError
from phonograph.journal.lock import Lock, holder

COMMAND = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]
NODES = """
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node

@node("test.numbers", outputs={"record": "record"})
class Numbers(Source[Params]):
    \"\"\"Give some numbers.\"\"\"

    def read(self):
        for number in range(5):
            yield Record(key=f"number-{number}", payload={"record": {"number": number}})

@node("test.waits", inputs={"record": "record"}, outputs={"record": "record"})
class Waits(Node[Params]):
    \"\"\"Say that a record has come, and wait until it may go on.\"\"\"

    def process(self, item: Item, state: None) -> Item:
        with open("come", "ab", buffering=0) as come:
            come.write(item.key.encode() + b"\\n")
        with open("go", "rb", buffering=0) as go:
            assert go.read(1)
        return item
"""
MANIFEST = """version: 1
name: waiting
plugins: [nodes.py]
nodes:
  numbers: {type: test.numbers}
  work: {type: test.waits, input: numbers, workers: 1}
  out: {type: sink.jsonl, input: work, order: true, params: {path: out.jsonl}}
"""


@dataclass
class Waiting:
    """Runs whose node waits at each record until it may go on."""

    folder: Path
    come: int
    go: int
    runs: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, *options: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "waiting.yaml", "--run-dir", "run", *options]
        run = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.runs.append(run)
        return run

    def arrived(self) -> str:
        """The record that one of the runs has come to."""
        assert select.select([self.come], [], [], 60)[0], "no run has come to a record"
        return os.read(self.come, 100).decode().split()[-1]

    def let_go(self, num_records: int) -> None:
        os.write(self.go, b"." * num_records)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    (tmp_path / "nodes.py").write_text(NODES)
    (tmp_path / "waiting.yaml").write_text(MANIFEST)
    for name in ("come", "go"):
        os.mkfifo(tmp_path / name)
    come, go = (os.open(tmp_path / name, os.O_RDWR) for name in ("come", "go"))
    waiting = Waiting(tmp_path, come, go)
    yield waiting
    for run in waiting.runs:
        with run:
            run.kill()
    for descriptor in (come, go):
        os.close(descriptor)


def ending(run: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = run.communicate(timeout=60)
    return run.returncode, text


def keys(folder: Path) -> list[str]:
    return [json.loads(row)["key"] for row in (folder / "out.jsonl").read_text().splitlines()]


def test_a_second_resume_is_refused_while_the_first_goes_on(waiting: Waiting) -> None:
    """It names the process that holds the directory, and the first one is not disturbed."""
    first = waiting.begin("--resume")
    assert waiting.arrived() == "number-0"
    for options in (("--resume",), ()):
        status, text = ending(waiting.begin(*options))
        assert (status, f"in use by process {first.pid} on {socket.gethostname()}" in text) == (1, True), text
    waiting.let_go(5)
    status, text = ending(first)
    assert (status, "5 read = 5 completed" in text) == (0, True), text
    assert keys(waiting.folder) == [f"number-{number}" for number in range(5)]


def test_several_resumes_take_over_the_lock_of_a_killed_run(waiting: Waiting) -> None:
    """Of three that begin at once behind a run that was killed one goes on with it, and no record is there twice."""
    killed = waiting.begin("--sync-every", "0")
    waiting.let_go(2)
    while waiting.arrived() != "number-2":
        pass
    killed.send_signal(signal.SIGKILL)
    ending(killed)
    lock = waiting.folder / "run" / "lock"
    assert lock.exists()
    runs = [waiting.begin("--resume") for _ in range(3)]
    waiting.arrived()
    holder = json.loads(lock.read_text())["pid"]
    for run in runs:
        if run.pid != holder:
            status, text = ending(run)
            assert (status, f"in use by process {holder} on" in text) == (1, True), text
    waiting.let_go(5)
    (status, text), *others = [ending(run) for run in runs if run.pid == holder]
    assert (status, "5 read = 5 completed" in text, others) == (0, True, []), text
    assert keys(waiting.folder) == [f"number-{number}" for number in range(5)]
    assert not list((waiting.folder / "run").glob("lock*"))


def test_a_lock_is_whole_also_where_the_disk_takes_it_in_two_parts(tmp_path: Path) -> None:
    """A disk that is about to run full takes a part of a write; a lock that nobody can read would lock for ever."""
    disk = Disk(tmp_path, None, Full(first=2, count=1), lambda name, place: None)
    with disk.watching():
        Lock(tmp_path)
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_killed_run_whose_parent_has_not_asked_for_its_end(tmp_path: Path) -> None:
    """It is gone, though its process is still listed: in a container whose first process waits for none, that is so for ever."""
    hold = "from pathlib import Path; from phonograph.journal.lock import Lock; import sys; Lock(Path(sys.argv[1])); input(0)"
    with subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.read(1) == b"0"
        with pytest.raises(RunDirectoryError, match=f"in use by process {run.pid}"):
            Lock(tmp_path)
        run.kill()
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
        assert holder(tmp_path) is None
        Lock(tmp_path).release()
