"""What nodes are being called with, read off the stacks of their threads: calls that return pay nothing for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType

from phonograph.engine.lane import NodeRun
from phonograph.engine.step import Step
from phonograph.item import Item


def calls_under_way(nodes: Mapping[str, NodeRun]) -> list[str]:
    """Node and record of each call of one of these nodes that a thread is in."""
    found = []
    for innermost in sys._current_frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            step, item = frame.f_locals.get("step"), frame.f_locals.get("item")
            if isinstance(step, Step):
                node = nodes.get(step.node.node_id)
                if node is not None and node.breaker is step.breaker:  # of this run, and not of another in the process
                    found.append(f"node {node.plan.id!r}" + (f", record {item.key!r}" if isinstance(item, Item) else ""))
                break
            frame = frame.f_back
    return found
