"""What nodes are being called with, read off the stacks of their threads: calls that return pay nothing for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import NamedTuple

from phonograph.engine.emission import Emission
from phonograph.engine.lane import NodeRun
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.reader import SourceReader
from phonograph.engine.step import Step
from phonograph.item import Item

_OF_PROCESSES = {method.__code__ for method in (ProcessWorker.open, ProcessWorker.call, ProcessWorker.close)}


class UnderWay(NamedTuple):
    """A call that a thread is in.

    Attributes:
        key: of the item; empty where there is none, as for a source, or a node that is opened.
        step: None when it runs elsewhere than in a step.
    """

    node: str
    key: str
    step: Step | None


def call_under_way(innermost: FrameType) -> UnderWay | None:
    """The call of a node that a thread is in, by its innermost frame; None when it waits for work."""
    frame: FrameType | None = innermost
    while frame is not None:
        found = frame.f_locals
        step, owner = found.get("step"), found.get("self")
        if isinstance(step, Step):
            return UnderWay(step.node.node_id, _key(found), step)
        if isinstance(owner, SourceReader):
            return UnderWay(owner.node_id, "", None)
        if isinstance(owner, ProcessWorker) and frame.f_code in _OF_PROCESSES:
            return UnderWay(owner.calls.called, _key(found), None)
        frame = frame.f_back
    return None


def calls_under_way(nodes: Mapping[str, NodeRun]) -> list[str]:
    """Node and record of each call of one of these nodes that a thread is in."""
    calls = [call for frame in sys._current_frames().values() if (call := call_under_way(frame)) is not None]
    # Of this run, and not of another in the process.
    own = [call for call in calls if call.step and call.node in nodes and nodes[call.node].breaker is call.step.breaker]
    return [f"node {call.node!r}" + (f", record {call.key!r}" if call.key else "") for call in own]


def _key(found: Mapping[str, object]) -> str:
    item, emission, guests = found.get("item"), found.get("emission"), found.get("guests")
    if isinstance(emission, Emission):
        item = emission.item
    elif isinstance(guests, list) and guests:
        item = guests[0].item
    return item.key if isinstance(item, Item) else ""
