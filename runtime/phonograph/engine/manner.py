"""Manner: how a node takes the chunks of a session, and whether it takes messages.

manner   of a node that                              chunk                   end
each     is causal and keeps no state; other sinks   process(chunk, None)    -
state    is causal or post-normalised, with state    process(chunk, state)   flush(state)
gather   is whole, sinks too                         is kept                 process(all, start()), flush
"""

from __future__ import annotations

from typing import Literal

from phonograph.graph.model import GraphNode
from phonograph.node import Node

_JOINED = {"audio", "features", "segments"}
"""Families whose payloads can be put together."""

Manner = Literal["each", "state", "gather"]


def manner(node: GraphNode) -> Manner | None:
    """How a node takes the chunks of a session; None: it cannot."""
    can_be_joined = all(port.type.family in _JOINED for port in node.ports[0])
    if node.spec.kind == "sink":
        return "gather" if can_be_joined else "each"
    streaming = node.spec.streaming_with(node.params)
    if streaming != "whole" and node.spec.stateful:
        return "state"
    if streaming == "causal":
        return "each"
    return "gather" if can_be_joined else None


def takes_messages(factory: object) -> bool:
    """Whether a node of a session takes what `Session.control` sends."""
    return isinstance(factory, type) and issubclass(factory, Node) and factory.control is not Node.control
