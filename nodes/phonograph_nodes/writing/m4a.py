"""The sink of M4A files: AAC, or lossless ALAC, with exactly the length that the audio has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError, ParameterError
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, LosslessFormat, Write, fitting_bits, whole
from phonograph_nodes.writing.encoding import Codec, encode
from phonograph_nodes.writing.tags import TagName

M4aCodec = Literal["aac", "alac"]

_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Five channels, because the sixth would become a subwoofer's, of which AAC keeps the lowest frequencies only.
_AAC = Codec(name="AAC", muxer="ipod", encoder="aac", sample_rates=_AAC_RATES, max_channels=5)
# Two channels, because of more FFmpeg's encoder overruns its buffer when the last frame is short, and ends the process.
_ALAC = Codec(name="ALAC", muxer="ipod", encoder="alac", sample_rates=range(1, 384_001), max_channels=2)
_BITS_PER_SAMPLE = 6  # of a channel at most: 6144 in 1024 samples (ISO/IEC 14496-3)


class M4aParams(AudioFileParams, frozen=True):
    codec: Annotated[M4aCodec, msgspec.Meta(description="aac is lossy, alac lossless")] = "aac"
    bit_rate: Annotated[
        Annotated[int, msgspec.Meta(ge=8000)] | None,
        msgspec.Meta(
            description="of AAC, all channels; when absent 4 bit a sample, at most 96000 bit/s, for each channel",
            extra={"unit": "bit/s"},
        ),
    ] = None
    sample_format: Annotated[
        LosslessFormat | None,
        msgspec.Meta(description="of ALAC; when absent, the one that holds what the attribute `sample_format` names, else pcm16"),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codec == "aac" and self.sample_format is not None:
            raise ParameterError("sample_format", self.sample_format, "it absent with codec aac, which is lossy; or codec alac")
        if self.codec == "alac" and self.bit_rate is not None:
            raise ParameterError("bit_rate", self.bit_rate, "it absent with codec alac, which is lossless; or codec aac")


@node(
    "sink.m4a",
    inputs="audio",
    side_effects=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.m4a, params: {path: out, bit_rate: 48000}}
        """,
)
class M4a(AudioSink[M4aParams]):
    """Write audio as M4A files: AAC at one of its rates from 7350 to 96000 Hz, or lossless ALAC.

    What AAC adds at both ends is left out by an edit list, which gives the exact length. FFmpeg's own tools follow it at the
    beginning only, and give up to 1023 samples too many at the end; audio.decode gives the exact length.
    """

    suffix = ".m4a"

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        params = self.params
        if params.codec == "alac":
            return alac_file(
                item.audio, name=path, sample_format=params.sample_format or fitting_bits(item.attributes), tags=tags
            )
        return aac_file(item.audio, name=path, bit_rate=params.bit_rate, tags=tags)


def aac_file(chunk: AudioChunk, *, name: str, tags: Mapping[TagName, str], bit_rate: int | None = None) -> Write:
    """What writes the audio as AAC in an M4A file. Its edit list gives the exact length.

    Raises:
        AudioFormatError: a rate, channels or a bit rate that AAC does not have; no samples.
    """
    most = _BITS_PER_SAMPLE * chunk.sample_rate * chunk.num_channels
    if bit_rate is not None and bit_rate > most > 0:
        raise AudioFormatError(
            f"{name}: {bit_rate} bit/s for {chunk.num_channels} channels at {chunk.sample_rate} Hz; AAC has at most {most} "
            "there; set a lower bit_rate"
        )
    default = min(96_000, 4 * int(chunk.sample_rate)) * chunk.num_channels
    content = encode(
        _AAC,
        chunk,
        name=name,
        sample_format="fltp",
        tags=tags,
        bit_rate=bit_rate or default,
        muxer_options=_in_samples(chunk),
    )
    return whole(content)


def alac_file(chunk: AudioChunk, *, name: str, tags: Mapping[TagName, str], sample_format: LosslessFormat = "pcm16") -> Write:
    """What writes the audio as ALAC in an M4A file.

    Raises:
        AudioFormatError: a rate or channels that it cannot hold; no samples.
    """
    ffmpeg_format: Literal["s16p", "s32p"] = "s16p" if sample_format == "pcm16" else "s32p"
    muxer_options = _in_samples(chunk)
    return whole(encode(_ALAC, chunk, name=name, sample_format=ffmpeg_format, tags=tags, muxer_options=muxer_options))


def _in_samples(chunk: AudioChunk) -> dict[str, str]:
    """Makes an edit list, which counts in the time scale of the movie, exact to the sample; by default it counts milliseconds."""
    return {"movie_timescale": str(chunk.sample_rate)}
