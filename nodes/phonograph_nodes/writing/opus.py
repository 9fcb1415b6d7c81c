"""The sink of Opus files: lossy, with exactly the length that the audio has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, Write, whole
from phonograph_nodes.writing.encoding import NO_OPTIONS, Codec, encode
from phonograph_nodes.writing.tags import TagName

_OPUS = Codec(name="Opus", muxer="ogg", encoder="libopus", sample_rates=(8000, 12000, 16000, 24000, 48000), max_channels=8)
_MOST_PER_CHANNEL = 256_000  # bit/s; libopus refuses more
_DEFAULT_PER_CHANNEL = 64_000


class OpusParams(AudioFileParams, frozen=True):
    bit_rate: Annotated[
        Annotated[int, msgspec.Meta(ge=6000, le=8 * _MOST_PER_CHANNEL)] | None,
        msgspec.Meta(
            description="of all channels, which the encoder varies around; when absent 64000 for each channel",
            extra={"unit": "bit/s"},
        ),
    ] = None


@node(
    "sink.opus",
    inputs="audio",
    side_effects=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000}}
          - {type: sink.opus, params: {path: out, bit_rate: 32000}}
        """,
)
class Opus(AudioSink[OpusParams]):
    """Write audio as Ogg Opus files, at 8000, 12000, 16000, 24000 or 48000 Hz.

    Decoders give 48000 Hz whatever was written, and exactly the time that was written. More than two channels are stored
    independently of each other, because which speaker a channel belongs to is not known.
    """

    suffix = ".opus"

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        return opus_file(item.audio, name=path, bit_rate=self.params.bit_rate, tags=tags)


def opus_file(chunk: AudioChunk, *, name: str, tags: Mapping[TagName, str], bit_rate: int | None = None) -> Write:
    """What writes the audio as an Ogg Opus file. Pre-skip and the last granule position (RFC 7845) give its exact length.

    Raises:
        AudioFormatError: a rate, channels or a bit rate that Opus does not have; no samples.
    """
    most = _MOST_PER_CHANNEL * chunk.num_channels
    if bit_rate is not None and bit_rate > most >= _MOST_PER_CHANNEL:
        raise AudioFormatError(
            f"{name}: {bit_rate} bit/s for {chunk.num_channels} channels; Opus has at most {most}; set a lower bit_rate"
        )
    content = encode(
        _OPUS,
        chunk,
        name=name,
        sample_format="flt",
        tags=tags,
        bit_rate=bit_rate or _DEFAULT_PER_CHANNEL * chunk.num_channels,
        options={"mapping_family": "255"} if chunk.num_channels > 2 else NO_OPTIONS,
    )
    return whole(content)
