"""Chooses the reader of a file by its first bytes, never by the extension of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Limits, Reader

if TYPE_CHECKING:
    from phonograph_nodes.audio.containers import RawPcm

PCM_HEADS = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b".snd", b"dns.", b"NIST"}
"""How a file may begin that `containers` has a parser for."""


def open_reader(
    given: Given, limits: Limits, *, stream: int | str = 0, strict: bool = False, raw: RawPcm | None = None
) -> Reader:
    """The reader for what is given.

    Args:
        stream: which audio stream of the file, from 0, or the language that one is tagged with.
        strict: refuse packets that do not decode.
        raw: what the samples are, for a source without a header.

    Raises:
        AudioDecodeError: nothing here reads it.
    """
    # The imports stand here because half of all programs need only one of the two, and FFmpeg's libraries take their time.
    if raw is not None:
        from phonograph_nodes.audio.pcm import open_raw

        return open_raw(given, limits, raw)
    if stream == 0 and given.head()[:4] in PCM_HEADS:
        from phonograph_nodes.audio.pcm import open_pcm

        pcm = open_pcm(given, limits)
        if pcm is not None:
            return pcm
    from phonograph_nodes.audio.ffmpeg import open_ffmpeg

    return open_ffmpeg(given, limits, stream=stream, strict=strict)
