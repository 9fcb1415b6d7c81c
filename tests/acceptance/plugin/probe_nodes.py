"""Nodes with known costs, and the runtime's own fakes, as an installed package would bring them."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.decode import Decode

NODES = {
    "testing.numbers": "phonograph.testing:NumberSource",
    "testing.pass": "phonograph.testing:PassOn",
    "testing.discard": "phonograph.testing:Discard",
    "probe.decode": "probe_nodes:BadDecode",
    "probe.hold": "probe_nodes:Hold",
    "probe.free": "probe_nodes:Free",
    "probe.wait": "probe_nodes:Wait",
}


class SizeParams(Params, frozen=True):
    num_bytes: int


@node("probe.hold", inputs={"record": "record"}, outputs={"record": "record"})
class Hold(Node[SizeParams]):
    """Hold an array of known size from the first item on."""

    held: NDArray[np.uint8] | None = None

    def process(self, item: Item, state: Any) -> Item:
        if self.held is None:
            self.held = np.ones(self.params.num_bytes, np.uint8)
        return item


@node("probe.free", inputs={"record": "record"}, outputs={"record": "record"})
class Free(Node[SizeParams]):
    """Hold an array of known size while one item is processed."""

    def process(self, item: Item, state: Any) -> Item:
        scratch = np.ones(self.params.num_bytes, np.uint8)
        del scratch
        return item


class WaitParams(Params, frozen=True):
    seconds: float


@node("probe.wait", inputs={"record": "record"}, outputs={"record": "record"})
class Wait(Node[WaitParams]):
    """Spend a known time on each item, as a call to a slow service would."""

    def process(self, item: Item, state: Any) -> Item:
        threading.Event().wait(self.params.seconds)
        return item


@node(
    "probe.decode",
    inputs="record",
    outputs={"audio": "audio[rate=dynamic, channels=dynamic]"},
    cardinality="1:N",
    attributes=dict(Decode.spec.attributes),
)
class BadDecode(Decode):
    """Decode, but do to the process what a clip's name begins with."""

    def process(self, item: Item, state: None) -> Any:
        how = item.key.rpartition("/")[2].partition("-")[0]
        if how == "abort":
            os.abort()
        if how == "fault":
            ctypes.string_at(8)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "devour":
            np.ones(2**27)
        return super().process(item, state)
