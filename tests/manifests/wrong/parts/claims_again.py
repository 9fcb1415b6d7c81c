"""A plug-in that claims what another one has."""

from phonograph.audio import AudioChunk
from phonograph.node import node


@node("plug.same")
def same(audio: AudioChunk) -> AudioChunk:
    """Hand audio on, too."""
    return audio
