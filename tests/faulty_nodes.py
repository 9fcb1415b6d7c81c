"""Nodes that fail, are slow, hang or take their process with them, now and then and in real time; processes can import them."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

from phonograph import cancellation
from phonograph.audio import AudioChunk
from phonograph.errors import TransientError
from phonograph.item import Item
from phonograph.node import Node, Params, node

RELEASE = threading.Event()
"""Lets calls go on that hang and are deaf."""
_WERE_DEAF: set[tuple[int, str]] = set()


class ChancesParams(Params, frozen=True):
    """Shares of the calls: that raise what may heal, take 5 to 20 ms longer, hang, end their process.

    `deaf`: the end of a record's key, the first call for which hangs and does not ask whether it is to end. `died`: a file; while
    it is not there, the next call makes it and ends the process.
    """

    seed: int = 0
    fails: float = 0.0
    slow: float = 0.0
    hangs: float = 0.0
    dies: float = 0.0
    deaf: str = ""
    died: str = ""


@node("faulty.audio", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class Faulty(Node[ChancesParams]):
    """Hand audio on with the sign turned, unless something goes wrong."""

    def __init__(self, params: ChancesParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self.calls: Counter[str] = Counter()

    def process(self, item: Item, state: None) -> Item:
        self.calls[item.key] += 1
        # A process that was killed does not know its calls, so the chances of another one are its own.
        chance = random.Random(f"{self.params.seed} {self.node_id} {item.key} {self.calls[item.key]} {os.getpid()} {id(self)}")
        if self.params.died and not os.path.exists(self.params.died):
            open(self.params.died, "x").close()
            self.die(item)
        what = chance.random()
        for share, trouble in ((self.params.fails, self.fail), (self.params.hangs, self.hang), (self.params.dies, self.die)):
            if what < share:
                trouble(item)
            what -= share
        if 0 <= what < self.params.slow:
            time.sleep(chance.uniform(0.005, 0.02))
        if self.params.deaf and item.key.endswith(self.params.deaf) and (self.params.seed, item.key) not in _WERE_DEAF:
            _WERE_DEAF.add((self.params.seed, item.key))
            RELEASE.wait(60)
        audio = item.payload["audio"]
        return item.with_payload({"audio": AudioChunk(-audio.samples, audio.sample_rate)})

    def fail(self, item: Item) -> None:
        raise TransientError(f"call {self.calls[item.key]} for {item.key}")

    def hang(self, item: Item) -> None:
        token = cancellation.current()
        while True:
            token.raise_if_cancelled()
            time.sleep(0.005)

    def die(self, item: Item) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@node("faulty.isolated", inputs={"audio": "audio"}, outputs={"audio": "audio"})
class FaultyIsolated(Faulty):
    """The same, to be run in a process: one that hangs there asks nobody."""

    def hang(self, item: Item) -> None:
        time.sleep(600)
