"""The sink that gives back the format of the input."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, Write
from phonograph_nodes.writing.formats import AudioFormat, sink_for
from phonograph_nodes.writing.tags import TagName

# FFmpeg's names of codecs, as decoders have them -> what they are written as. PCM of any container is WAV; what is lossless FLAC,
# which has no floating point, as WavPack may.
_FORMATS: Mapping[str, AudioFormat] = MappingProxyType(
    {
        **dict.fromkeys(("flac", "tta", "wavpack", "ape", "shorten", "tak"), "flac"),
        **dict.fromkeys(("opus", "libopus"), "opus"),
        **dict.fromkeys(("mp3", "mp3float", "mp3adu", "mp3adufloat"), "mp3"),
        **dict.fromkeys(("aac", "aac_fixed", "aac_latm"), "aac"),
        "alac": "alac",
    }
)


class AudioParams(AudioFileParams, frozen=True):
    output_format: Annotated[
        Literal["match"] | AudioFormat,
        msgspec.Meta(description="`match` is the format that the item's audio was decoded from"),
    ] = "match"


@node(
    "sink.audio",
    inputs="audio",
    side_effects=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.audio, params: {path: out, output_format: match}}
        """,
)
class Audio(AudioSink[AudioParams]):
    """Write audio in the format that it was decoded from: WAV for PCM, FLAC, Opus, MP3, AAC, ALAC.

    What it was decoded from is in the attributes `codec` and `sample_format` of `audio.decode`. PCM of any container becomes WAV
    with the same sample format, other lossless codecs FLAC, or WAV where they hold floating point (WavPack). Rate and channels
    are those that the audio has now; lossy codecs get their default bit rate. Each format has a sink of its own, with more
    parameters.
    """

    def suffix_of(self, item: Item) -> str:
        return self._sink_for(item).suffix

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        return self._sink_for(item).prepare(item, path, tags)

    def _sink_for(self, item: Item) -> AudioSink[Any]:
        wanted = self.params.output_format
        audio_format = matching_format(item.attributes, item.key) if wanted == "match" else wanted
        return sink_for(audio_format, {"path": self.params.path})


def matching_format(attributes: Mapping[str, Any], key: str) -> AudioFormat:
    """What an item's audio was decoded from.

    Raises:
        AudioFormatError: a codec that there is no sink for, or the item does not say.
    """
    codec = str(attributes.get("codec", ""))
    if codec.startswith("pcm_"):
        return "wav"
    if codec not in _FORMATS:
        found = f"it was decoded from {codec}" if codec else "nothing says what it was decoded from"
        raise AudioFormatError(
            f"{key}: {found}; expected PCM, FLAC, Opus, MP3, AAC or ALAC for output_format: match; set another output_format"
        )
    audio_format = _FORMATS[codec]
    return "wav" if audio_format == "flac" and attributes.get("sample_format") in ("f32", "f64") else audio_format
