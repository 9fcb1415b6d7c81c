"""How long items are, for what is bounded or gathered by seconds of audio."""

from __future__ import annotations

from collections.abc import Callable

from phonograph.audio import AudioChunk
from phonograph.graph.model import GraphNode
from phonograph.item import Item


def durations(node: GraphNode) -> Callable[[Item], float | None]:
    """How long items are that a node takes: their audio or, where it takes none, as long as they say; None: it is not known."""
    audio = next((port.name for port in node.ports[0] if port.type.family == "audio"), None)

    def seconds(item: Item) -> float | None:
        if audio is None:
            said = item.attributes.get("duration")
            return said if isinstance(said, int | float) and said >= 0 else None
        chunk = item.payload.get(audio)
        return chunk.duration_s if isinstance(chunk, AudioChunk) else None

    return seconds
