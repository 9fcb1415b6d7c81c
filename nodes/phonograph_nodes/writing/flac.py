"""The sink of FLAC files: 16 or 24 bits, every one of which comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, LosslessFormat, Write, fitting_bits, whole
from phonograph_nodes.writing.encoding import Codec, encode
from phonograph_nodes.writing.tags import TagName

_FLAC = Codec(
    name="FLAC",
    muxer="flac",
    encoder="flac",
    sample_rates=range(1, 2**20),  # STREAMINFO has 20 bits for it
    max_channels=8,
    remedy="mix them (audio.resample with channels: 1), or write sink.wav",
    needs_samples=False,
)


class FlacParams(AudioFileParams, frozen=True):
    sample_format: Annotated[
        LosslessFormat | None,
        msgspec.Meta(
            description="what a sample is stored as, rounded to nearest and clipped to full scale; when absent, the one that "
            "holds what the attribute `sample_format` names, else pcm16"
        ),
    ] = None
    compression_level: Annotated[
        int, msgspec.Meta(ge=0, le=12, description="0 is fastest, 12 smallest; the samples are the same")
    ] = 5


@node(
    "sink.flac",
    inputs="audio",
    side_effects=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.flac, params: {path: out, compression_level: 8, tags: {artist: The corpus}}}
        """,
)
class Flac(AudioSink[FlacParams]):
    """Write audio as FLAC files, lossless at 16 or 24 bits, with the audio's own rate and channels."""

    suffix = ".flac"

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        params = self.params
        sample_format = params.sample_format or fitting_bits(item.attributes)
        return flac_file(
            item.audio, name=path, sample_format=sample_format, compression_level=params.compression_level, tags=tags
        )


def flac_file(
    chunk: AudioChunk,
    *,
    name: str,
    tags: Mapping[TagName, str],
    sample_format: LosslessFormat = "pcm16",
    compression_level: int = 5,
) -> Write:
    """What writes the audio as a FLAC file.

    Raises:
        AudioFormatError: more than a FLAC file can hold.
    """
    content = encode(
        _FLAC,
        chunk,
        name=name,
        sample_format="s16" if sample_format == "pcm16" else "s32",
        tags=tags,
        options={"compression_level": str(compression_level)},
    )
    return whole(content)
