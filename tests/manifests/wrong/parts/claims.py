"""A plug-in with a type of its own, and one that others have."""

from phonograph.audio import AudioChunk
from phonograph.node import node


@node("plug.same")
def same(audio: AudioChunk) -> AudioChunk:
    """Hand audio on."""
    return audio


@node("audio.decode")
def decode(record: bytes) -> AudioChunk:
    """Decode in another way."""
    raise NotImplementedError
