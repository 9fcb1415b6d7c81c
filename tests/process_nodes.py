"""Nodes that run in processes of their own, and treat them badly; in a module, so that those processes can import them."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError, TransientError
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node


class OddError(BadInputError):
    """One that takes other arguments than it keeps."""

    def __init__(self, place: str, *, number: int) -> None:
        super().__init__(f"{place} is odd")
        self.number = number


class LocalTroubleError(TransientError):
    """Heals."""


class BadlyParams(Params, frozen=True):
    on: dict[str, str] = msgspec.field(default_factory=dict)
    diary: str = ""


@node("test.badly", inputs={"record": "record"}, outputs={"record": "record"})
class Badly(Node[BadlyParams]):
    """Do to some records what `on` says, by their number; `*` is every record."""

    def open(self) -> None:
        self.calls: dict[str, int] = {}
        self.note("open")
        if "open" in self.params.on:
            raise OSError(2, "no model", "model.bin")

    def close(self) -> None:
        self.note("close")

    def process(self, item: Item, state: None) -> Item | list[Any]:
        number = item.key.rpartition("/")[2]
        self.calls[number] = self.calls.get(number, 0) + 1
        how = self.params.on.get(number) or self.params.on.get("*")
        return item if how is None else getattr(self, how)(item)

    def note(self, what: str) -> None:
        """Add a line to the diary."""
        if self.params.diary:
            with open(self.params.diary, "a", encoding="utf-8") as diary:
                diary.write(f"{what} {os.getpid()}\n")

    def abort(self, item: Item) -> Item:
        os.abort()

    def kill(self, item: Item) -> Item:
        os.kill(os.getpid(), signal.SIGKILL)
        return item

    def bad_read(self, item: Item) -> Item:
        ctypes.string_at(8)
        return item

    def leave(self, item: Item) -> Item:
        os._exit(3)

    def fork_and_abort(self, item: Item) -> Item:
        if os.fork() == 0:
            self.outlive()
        os.abort()

    def fork_in_c_and_abort(self, item: Item) -> Item:
        if ctypes.PyDLL(None).fork() == 0:  # Python does not hear of it
            self.outlive()
        os.abort()

    def outlive(self) -> None:
        """Say so if nobody has ended this process in the meantime."""
        self.note("forked")
        time.sleep(60)
        self.note("outlived")
        os._exit(0)

    def fork_and_sleep(self, item: Item) -> Item:
        if os.fork() == 0:
            self.note("asleep")
        time.sleep(600)
        return item

    def end_what_it_started(self, item: Item) -> Item:
        program = subprocess.Popen(
            [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"], stdout=subprocess.PIPE
        )
        assert program.stdout is not None
        program.stdout.readline()
        program.terminate()
        if (fork := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        os.kill(fork, signal.SIGTERM)
        ends = [-program.wait(), os.WTERMSIG(os.waitpid(fork, 0)[1])]
        program.stdout.close()
        return item if ends == [signal.SIGTERM] * 2 else self.odd(item)

    def fork_of_two_answers(self, item: Item) -> Item:
        os.fork()
        return item

    def log_in_fork(self, item: Item) -> Item:
        if (fork := os.fork()) == 0:
            self.log(item)
            os._exit(0)
        os.waitpid(fork, 0)
        return item

    def inheritable(self, item: Item) -> Item:
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
        opened = [one for one in listed if os.path.lexists(f"/proc/self/fd/{one}")]  # not that of the listing
        if [one for one in opened if one > 2 and os.get_inheritable(one)]:
            raise OddError("a descriptor", number=7)
        return item

    def signals(self, item: Item) -> Item:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(os.getpid(), number)
        return item

    def keyboard_interrupt(self, item: Item) -> Item:
        raise KeyboardInterrupt

    def system_exit(self, item: Item) -> Item:
        raise SystemExit(3)

    def leave_thread(self, item: Item) -> Item:
        threading.Thread(target=time.sleep, args=(600,), name=f"thread of {item.key}").start()
        return item

    def odd(self, item: Item) -> Item:
        raise OddError(item.key, number=7)

    def trouble_once(self, item: Item) -> Item:
        if self.calls[item.key.rpartition("/")[2]] == 1:
            raise LocalTroubleError("busy")
        return item

    def trouble(self, item: Item) -> Item:
        raise LocalTroubleError("busy") from OSError(5, "the card is gone")

    def devour(self, item: Item) -> Item:
        return item.with_payload({"record": {"sum": float(np.ones(2**27, np.float64).sum())}})

    def lock(self, item: Item) -> Item:
        return item.with_payload({"record": {"lock": threading.Lock()}})

    def log(self, item: Item) -> Item:
        logging.getLogger("test.badly").warning("about %s", item.key)
        return item

    def log_and_abort(self, item: Item) -> Item:
        self.log(item)
        os.abort()

    def sleep(self, item: Item) -> Item:
        self.note("asleep")
        time.sleep(600)
        return item


@node("test.stateful", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class Stateful(Node[Params]):
    """Give a record, and at its end how many it was given."""

    def start(self) -> list[str]:
        return []

    def process(self, item: Item, state: list[str]) -> Item:
        state.append(item.key)
        return item.child(0, {"record": {"said": "one"}})

    def flush(self, state: list[str]) -> Item:
        return Item(key="end", ordinal=int(state[0].rpartition("/")[2]), payload={"record": {"said": str(len(state))}})


class ToneParams(Params, frozen=True):
    num_samples: list[int]
    sample_rate: int = 16000


@node("test.tones", outputs={"audio": "audio"})
class Tones(Source[ToneParams]):
    """Give stereo clips of these lengths."""

    def read(self) -> Any:
        for number, length in enumerate(self.params.num_samples):
            samples = np.random.default_rng(number).standard_normal((2, length), np.float32)
            yield Record(key=f"tones/{number}", payload={"audio": AudioChunk(samples, self.params.sample_rate)})


@node("test.reversed")
def backwards(audio: AudioChunk, *, times: int = 1) -> AudioChunk:
    """Turn audio round."""
    samples = audio.samples[:, ::-1] if times % 2 else audio.samples
    return AudioChunk(np.ascontiguousarray(samples), audio.sample_rate)


@node("test.same", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Same(Node[Params]):
    """Hand items on as they come."""

    def process(self, item: Item, state: None) -> Item:
        return item


@node("test.doubled", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Doubled(Node[Params]):
    """Make audio twice as loud where it lies, which a node must not do."""

    def process(self, item: Item, state: None) -> Item:
        item.payload["audio"].samples[:] *= 2
        return item


@node("test.late", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Late(Node[Params]):
    """Give the audio that came three calls before."""

    def open(self) -> None:
        self.kept: list[AudioChunk] = []

    def process(self, item: Item, state: None) -> Item:
        self.kept = [*self.kept[-3:], item.payload["audio"]]
        return item.with_payload({"audio": self.kept[0]})


@node("test.forking", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Forking(Node[Params]):
    """Leave a fork behind that says at the end what it sees of an item of before."""

    def process(self, item: Item, state: None) -> Item:
        samples = item.payload["audio"].samples
        if item.key.endswith("/3"):
            self.told, theirs = os.pipe()
            asked, self.ask = os.pipe()
            self.before = float(samples.sum())
            if not os.fork():
                os.read(asked, 1)
                os.write(theirs, repr(float(samples.sum())).encode())
                os._exit(0)
        elif item.key.endswith("/15"):
            os.write(self.ask, b"?")
            assert float(os.read(self.told, 100)) == self.before, "the fork sees what came later"
        return item


@node("test.isolated", inputs={"record": "record"}, outputs={"record": "record"}, run="process")
class Isolated(Node[Params]):
    """Run in a process without being asked to."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"record": {"pid": os.getpid()}})
