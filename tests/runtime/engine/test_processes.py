"""Nodes in processes of their own: they do as in threads, and what happens to a process happens to one record."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.engine import process_worker, scheduler
from phonograph.errors import NodeError
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.sink import Part, Sink, Written
from places import TESTS
from process_nodes import Badly, Doubled, Forking, Late, Same, Stateful, Tones, backwards
from small_runs import dead_letters, executor_for, node_metrics, run_text

BADLY = """
nodes:
  numbers: {{type: testing.numbers, params: {{count: {count}}}}}
  work: {{type: test.badly, input: numbers, run: process, workers: {workers}, params: {{on: {on}, diary: {diary}}}{more}}}
  out: {{type: testing.discard, input: work}}
"""
WAIT_MS = 30_000


def badly(on: str, *, count: int = 6, workers: int = 1, diary: Path | str = "''", more: str = "") -> str:
    return BADLY.format(on=on, count=count, workers=workers, diary=diary, more=more)


def asleep(diary: Path) -> int:
    """The process that writes into its diary, a FIFO, that it sleeps; waits until one does."""
    with open(os.open(diary, os.O_RDWR), encoding="utf-8") as lines:  # opened for writing as well, it has no end
        return next(int(line.split()[1]) for line in lines if line.startswith("asleep"))


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    """Shared memory without a name and processes are held by descriptors alone, and a run closes them."""
    before = held()
    yield
    assert held() == before


def held() -> list[str]:
    opened = (os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return sorted(target for target in opened if "memfd:phonograph" in target or "pidfd" in target)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("abort", "was killed by SIGABRT, called at "),
        ("bad_read", "was killed by SIGSEGV, called at "),
        ("kill", "was killed by SIGKILL"),
        ("leave", "left with exit status 3"),
    ],
)
def test_process_that_dies_fails_one_record(tmp_path: Path, how: str, words: str) -> None:
    """The record that a process died of becomes a dead letter that says how; all others are completed."""
    report = run_text(tmp_path, badly(f"{{'2': {how}}}"), Badly)
    assert (report.status, report.records.completed, report.records.dead_lettered) == ("completed_with_errors", 5, 1)
    (letter,) = dead_letters(report)
    assert (letter["key"], letter["node"], letter["code"], letter["attempts"]) == ("numbers/2", "work", "worker_died", 1)
    assert f"the worker process of node 'work' {words}" in letter["message"]
    work = node_metrics(report)["work"]
    assert (work.items_in, work.items_out, work.errors, work.retries) == (6, 5, 1, 0)


@pytest.fixture(params=["told", "not told"])
def kernel_tells_of_ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the end of a process can be waited for; where it cannot, it is asked for from time to time."""
    if request.param == "not told":

        def refused(process: int) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(os, "pidfd_open", refused)


@pytest.mark.usefixtures("kernel_tells_of_ends")
@pytest.mark.parametrize("how", ["fork_and_abort", "fork_in_c_and_abort"])
def test_process_that_dies_takes_its_forks_with_it(tmp_path: Path, how: str) -> None:
    """A fork that holds all that its process held neither hides that this has died, nor outlives it."""
    diary = tmp_path / "diary"
    report = run_text(tmp_path, badly(f"{{'2': {how}}}", diary=diary), Badly)
    assert (report.records.completed, report.records.dead_lettered) == (5, 1)
    assert "was killed by SIGABRT" in dead_letters(report)[0]["message"]
    assert "outlived" not in diary.read_text()


def test_fork_that_goes_on_answers_nothing(tmp_path: Path) -> None:
    """Of a process that a node has forked and lets go on, only one half answers."""
    diary = tmp_path / "diary"
    report = run_text(tmp_path, badly("{'*': fork_of_two_answers}", diary=diary), Badly)
    assert (report.status, node_metrics(report)["work"].items_out) == ("success", 6)
    assert [line.split()[0] for line in diary.read_text().splitlines()] == ["open", "close"]


def test_programs_inherit_no_descriptor(tmp_path: Path) -> None:
    """What a node starts holds nothing that belongs to its process."""
    report = run_text(tmp_path, badly("{'2': inheritable}"), Badly)
    assert report.status == "success", dead_letters(report)


def test_threads_that_are_left_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process whose node leaves a thread behind says so when it is closed, and ends by itself."""
    ends: list[int | None] = []
    end = process_worker._Process.end

    def noted(process: Any, node: str) -> Any:
        died = end(process, node)
        ends.append(died.status)
        return died

    monkeypatch.setattr(process_worker._Process, "end", noted)
    with caplog.at_level(logging.WARNING):
        assert run_text(tmp_path, badly("{'2': leave_thread}"), Badly).status == "success"
    assert ends == [0]  # a status, and no signal
    assert [record.getMessage() for record in caplog.records if record.name.startswith("phonograph.engine")] == [
        "node 'work' left threads running: thread of numbers/2; they end with its process"
    ]


def test_fresh_process_is_opened_after_a_crash(tmp_path: Path) -> None:
    """Each process opens its nodes once, and those that live to the end close them."""
    diary = tmp_path / "diary"
    run_text(tmp_path, badly("{'2': abort}", diary=diary), Badly)
    lines = [line.split() for line in diary.read_text().splitlines()]
    first, second = lines[0][1], lines[1][1]
    assert lines == [["open", first], ["open", second], ["close", second]]
    assert len({first, second, str(os.getpid())}) == 3


def test_crashes_in_a_row_open_the_breaker(tmp_path: Path) -> None:
    """A node that kills every process is left alone once its breaker has counted enough of them."""
    diary = tmp_path / "diary"
    text = badly("{'*': leave}", diary=diary, more=", breaker: {failure_threshold: 2, when_open: shed}")
    report = run_text(tmp_path, text, Badly)
    assert [letter["code"] for letter in dead_letters(report)] == ["worker_died"] * 2 + ["breaker_open"] * 4
    assert node_metrics(report)["work"].breaker.opens == 1
    assert diary.read_text().count("open") == 2


def test_error_keeps_type_words_and_attributes(tmp_path: Path) -> None:
    """An error whose class takes other arguments than it keeps arrives as what it was, and is judged as such."""
    report = run_text(tmp_path, badly("{'2': odd}"), Badly)
    (letter,) = dead_letters(report)
    assert (letter["code"], letter["message"], letter["attempts"]) == ("bad_input", "numbers/2 is odd", 1)


def test_error_that_heals_is_retried(tmp_path: Path) -> None:
    """Retries count attempts as for a node in a thread, and the instance that is called again is the same."""
    report = run_text(tmp_path, badly("{'2': trouble_once}", more=", retry: {base_delay: 1ms}"), Badly)
    assert report.status == "success"
    work = node_metrics(report)["work"]
    assert (work.status, work.retries, work.errors, work.items_in) == ("retried", 1, 1, 6)


def test_retries_end(tmp_path: Path) -> None:
    """What does not heal is given up after as many attempts as the policy says, with its cause."""
    report = run_text(tmp_path, badly("{'2': trouble}", more=", retry: {base_delay: 1ms, max_retries: 2}"), Badly)
    (letter,) = dead_letters(report)
    assert (letter["code"], letter["attempts"]) == ("transient", 3)
    assert letter["causes"] == ["OSError: [Errno 5] the card is gone"]


def test_node_that_cannot_be_opened_ends_the_run(tmp_path: Path) -> None:
    """As in a thread, the run fails with the node's name and the error's own words."""
    report = run_text(tmp_path, badly("{open: x}"), Badly)
    assert isinstance(report.error, NodeError)
    assert "node 'work': could not be opened: FileNotFoundError: [Errno 2] no model: 'model.bin'" in str(report.error)


def test_memory_above_the_limit_fails_the_record(tmp_path: Path) -> None:
    """A record that needs more than `memory` is given up without retries; without a limit it passes."""
    report = run_text(tmp_path, badly("{'2': devour}", more=", memory: 256MiB"), Badly)
    (letter,) = dead_letters(report)
    assert (letter["code"], letter["attempts"]) == ("memory_limit", 1)
    assert "needed more than its memory limit of 256MiB" in letter["message"]
    assert report.records.completed == 5


def test_result_that_cannot_be_pickled_is_a_breach(tmp_path: Path) -> None:
    """What cannot leave its process is the node's fault, and the process goes on."""
    diary = tmp_path / "diary"
    report = run_text(tmp_path, badly("{'2': lock}", diary=diary), Badly)
    (letter,) = dead_letters(report)
    assert letter["code"] == "node_contract"
    assert "cannot be handed to another process" in letter["message"]
    assert diary.read_text().count("open") == 1


def test_signals_to_everyone_are_left_to_the_run(tmp_path: Path) -> None:
    """A terminal, or a service that is stopped, tells every process; a worker process takes no notice."""
    assert run_text(tmp_path, badly("{'2': signals}"), Badly).status == "success"


def test_node_can_end_what_it_started(tmp_path: Path) -> None:
    """Programs and forks of a node can be ended by a signal that a worker process leaves to the run."""
    report = run_text(tmp_path, badly("{'2': end_what_it_started}"), Badly)
    assert report.status == "success", dead_letters(report)


@pytest.mark.parametrize(("how", "name"), [("keyboard_interrupt", "KeyboardInterrupt"), ("system_exit", "SystemExit")])
def test_node_that_would_end_the_program_fails_the_record(tmp_path: Path, how: str, name: str) -> None:
    """What ends a program is a failure of the node that raised it, and its process goes on."""
    diary = tmp_path / "diary"
    report = run_text(tmp_path, badly(f"{{'2': {how}}}", diary=diary), Badly)
    (letter,) = dead_letters(report)
    assert (letter["code"], letter["message"]) == ("node_contract", f"test.badly raised {name}; expected an Exception")
    assert diary.read_text().count("open") == 1


def test_log_records_come_to_this_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a node logs goes to the handlers of the run, from its forks too, the last words before a crash included."""
    with caplog.at_level(logging.WARNING):
        run_text(tmp_path, badly("{'0': log_in_fork, '1': log, '2': log_and_abort}"), Badly)
    assert [record.getMessage() for record in caplog.records if record.name == "test.badly"] == [
        "about numbers/0",
        "about numbers/1",
        "about numbers/2",
    ]


def test_state_and_flush_work_as_in_a_thread(tmp_path: Path) -> None:
    """A stateful node starts and flushes for each record in its process."""
    text = """
nodes:
  numbers: {type: testing.numbers, params: {count: 4}}
  work: {type: test.stateful, input: numbers, run: process}
  out: {type: testing.discard, input: work}
"""
    report = run_text(tmp_path, text, Stateful)
    assert (report.status, node_metrics(report)["work"].items_out) == ("success", 8)


class _Kept(Part):
    def commit(self) -> Written:
        return Written("", 0, "")

    def discard(self) -> None:
        pass


@node("test.keep", inputs={"audio": "audio"})
class Keep(Sink[Params]):
    """Keep copies of what comes."""

    got: ClassVar[dict[str, Any]] = {}

    def stage(self, item: Item) -> Part:
        Keep.got[f"{self.node_id}/{item.key}" if self.node_id != "out" else item.key] = item.payload["audio"].samples.copy()
        return _Kept()


def tone(number: int, length: int) -> NDArray[np.float32]:
    """What `test.tones` gives."""
    return np.random.default_rng(number).standard_normal((2, length), np.float32)


def test_arrays_arrive_bit_for_bit(tmp_path: Path) -> None:
    """Audio of every size, around the edges of what goes through shared memory, goes there and back unchanged."""
    half = 512 * 1024 // 8
    lengths = [0, 1, 8191, 8192, 8193, half - 1, half, half + 1, 2 * half, 2 * half + 1, 5 * half + 3]
    text = f"""
nodes:
  tones: {{type: test.tones, params: {{num_samples: {lengths}}}}}
  work: {{type: test.reversed, input: tones, run: process, workers: 2}}
  out: {{type: test.keep, input: work}}
"""
    report = run_text(tmp_path, text, Tones, backwards, Keep)
    assert report.status == "success"
    for number, length in enumerate(lengths):
        np.testing.assert_array_equal(Keep.got[f"tones/{number}"], tone(number, length)[:, ::-1])
    assert node_metrics(report)["work"].array_peak_mb >= 5 * half * 8 / 1e6


def test_processes_do_not_see_what_others_do_to_the_same_array(tmp_path: Path) -> None:
    """One writes into its input, one keeps inputs, one leaves a fork behind: each has what came, and so have the sinks."""
    length, count = 100_000, 16
    text = f"""
nodes:
  tones: {{type: test.tones, params: {{num_samples: {[length] * count}}}}}
  first: {{type: test.same, input: tones, run: process, workers: 1}}
  second: {{type: test.same, input: {{audio: {{from: first, queue: {{items: 2}}}}}}, run: process, workers: 1}}
  plain: {{type: test.keep, input: second}}
  doubled: {{type: test.doubled, input: second, run: process, workers: 1}}
  twice: {{type: test.keep, input: doubled}}
  late: {{type: test.late, input: second, run: process, workers: 1}}
  delayed: {{type: test.keep, input: late}}
  forking: {{type: test.forking, input: second, run: process, workers: 1}}
  out: {{type: testing.discard, input: forking}}
"""
    report = run_text(tmp_path, text, Tones, Same, Doubled, Late, Forking, Keep)
    assert report.status == "success", dead_letters(report)
    for number in range(count):
        np.testing.assert_array_equal(Keep.got[f"plain/tones/{number}"], tone(number, length))
        np.testing.assert_array_equal(Keep.got[f"twice/tones/{number}"], tone(number, length) * 2)
        np.testing.assert_array_equal(Keep.got[f"delayed/tones/{number}"], tone(max(0, number - 3), length))


def test_plugin_and_segment_run_in_one_process(tmp_path: Path) -> None:
    """Nodes of a plug-in file that ask for it run as one line in one process, each measured."""
    (tmp_path / "mine.py").write_text(
        "import os\nfrom phonograph.node import node\n\n"
        "@node('mine.first')\ndef first(record: dict[str, object]) -> dict[str, object]:\n    'Say who.'\n"
        "    return {'pid': os.getpid()}\n\n"
        "@node('mine.second')\ndef second(record: dict[str, object]) -> dict[str, object]:\n    'Compare.'\n"
        "    assert record['pid'] == os.getpid()\n    return record\n"
    )
    text = """
plugins: mine.py
defaults: {run: process, workers: 1}
nodes:
  numbers: {type: testing.numbers, params: {count: 5}}
  first: {type: mine.first, input: numbers}
  second: {type: mine.second, input: first}
  out: {type: testing.discard, input: second}
"""
    executor = executor_for(tmp_path, text)
    assert [(one.name, one.run) for one in executor.plan.segments] == [("first+second", "process"), ("out", "thread")]
    report = executor.run()
    assert report.status == "success", dead_letters(report)
    assert [node_metrics(report)[name].items_in for name in ("first", "second")] == [5, 5]


@pytest.mark.parametrize("is_impatient", [False, True])
def test_cancelled_run_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_impatient: bool) -> None:
    """A call that would not return is ended with its process when the run is cancelled, at once when it is cancelled again."""
    monkeypatch.setattr(scheduler, "_STUCK_AFTER_S", 60 if is_impatient else 0.05)
    os.mkfifo(tmp_path / "diary")
    executor = executor_for(tmp_path, badly("{'*': sleep}", diary=tmp_path / "diary"), Badly)

    async def scenario() -> int:
        running = asyncio.create_task(executor.run_async())
        process = await asyncio.to_thread(asleep, tmp_path / "diary")
        assert executor._scheduler is not None
        aborted = asyncio.Event()
        executor._scheduler._course.on_abort = aborted.set
        running.cancel()
        if is_impatient:
            await aborted.wait()
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return process

    process = asyncio.run(scenario())
    for thread in threading.enumerate():
        if is_impatient and thread.name.startswith("phonograph-"):
            thread.join(30)
    assert not Path(f"/proc/{process}").exists()
    assert executor.report is not None
    assert executor.report.records.cancelled == executor.report.records.read > 0


@pytest.mark.parametrize("how", ["sleep", "fork_and_sleep"])
def test_killed_run_takes_its_processes_with_it(tmp_path: Path, how: str) -> None:
    """When the program is killed, so is a worker process, whatever it does, and what that has forked."""
    os.mkfifo(tmp_path / "diary")
    text = badly(f"{{'*': {how}}}", diary=tmp_path / "diary")
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from pathlib import Path; from process_nodes import Badly; from small_runs import run_text\n"
        f"run_text(Path({str(tmp_path)!r}), {text!r}, Badly)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as program:
        watched = os.pidfd_open(asleep(tmp_path / "diary"))
        program.send_signal(signal.SIGKILL)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        assert poll.poll(WAIT_MS), "the worker process lives on"
    finally:
        os.close(watched)
