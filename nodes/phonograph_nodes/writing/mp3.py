"""The sink of MP3 files: lossy, with exactly the length that the audio has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError, ParameterError
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, Write, whole
from phonograph_nodes.writing.encoding import NO_OPTIONS, Codec, encode
from phonograph_nodes.writing.lame_tag import SILENCE, with_exact_length
from phonograph_nodes.writing.tags import TagName

_MPEG1, _MPEG2, _MPEG25 = (32000, 44100, 48000), (16000, 22050, 24000), (8000, 11025, 12000)
_MP3 = Codec(name="MP3", muxer="mp3", encoder="libmp3lame", sample_rates=_MPEG1 + _MPEG2 + _MPEG25, max_channels=2)
# Rates; kbit/s that layer III has at them (ISO/IEC 11172-3, 13818-3; LAME ends at 64 in MPEG-2.5); the default for a channel.
_BIT_RATES = (
    (_MPEG1, (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320), 96),
    (_MPEG2, (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160), 64),
    (_MPEG25, (8, 16, 24, 32, 40, 48, 56, 64), 64),
)
_QUALITY_UNIT = 118  # FF_QP2LAMBDA: FFmpeg counts quality in these


class Mp3Params(AudioFileParams, frozen=True):
    bit_rate: Annotated[
        Annotated[int, msgspec.Meta(ge=8000, le=320_000)] | None,
        msgspec.Meta(
            description="constant, of all channels, one that MP3 has at the rate; when it and quality are absent 96000 for each "
            "channel from 32000 Hz on, else 64000, at most what MP3 has",
            extra={"unit": "bit/s"},
        ),
    ] = None
    quality: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=9.9)] | None,
        msgspec.Meta(description="variable bit rate instead: 0 is best, 9.9 smallest"),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bit_rate is not None and self.quality is not None:
            raise ParameterError("quality", self.quality, "it absent with bit_rate; one of the two")


@node(
    "sink.mp3",
    inputs="audio",
    side_effects=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: sink.mp3, params: {path: out, bit_rate: 64000}}
        """,
)
class Mp3(AudioSink[Mp3Params]):
    """Write audio as MP3 files, of one or two channels, at one of its nine rates from 8000 to 48000 Hz."""

    suffix = ".mp3"

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        return mp3_file(item.audio, name=path, bit_rate=self.params.bit_rate, quality=self.params.quality, tags=tags)


def mp3_file(
    chunk: AudioChunk, *, name: str, tags: Mapping[TagName, str], bit_rate: int | None = None, quality: float | None = None
) -> Write:
    """What writes the audio as an MP3 file. Delay and padding in its LAME tag give its exact length.

    Raises:
        AudioFormatError: a rate, channels or a bit rate that MP3 does not have; no samples.
    """
    options = NO_OPTIONS
    if quality is None:
        bit_rate = _bit_rate(chunk, name, bit_rate)
    else:
        options = {"flags": "+qscale", "global_quality": str(round(quality * _QUALITY_UNIT))}
    content = encode(_MP3, chunk, name=name, sample_format="fltp", tags=tags, bit_rate=bit_rate, silence=SILENCE, options=options)
    return whole(with_exact_length(content, chunk.num_samples, 1152 if chunk.sample_rate in _MPEG1 else 576))


def _bit_rate(chunk: AudioChunk, name: str, wanted: int | None) -> int | None:
    for sample_rates, known, per_channel in _BIT_RATES:
        if chunk.sample_rate not in sample_rates:
            continue
        if wanted is None:
            return 1000 * min(per_channel * chunk.num_channels, known[-1])
        if wanted not in [1000 * one for one in known]:
            listed = ", ".join(f"{one}000" for one in known)
            raise AudioFormatError(
                f"{name}: {wanted} bit/s at {chunk.sample_rate} Hz; MP3 has {listed} there; set one of these as bit_rate"
            )
    return wanted
