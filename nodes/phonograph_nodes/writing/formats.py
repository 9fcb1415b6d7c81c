"""The audio formats that are written, by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from phonograph_nodes.writing.audio_sink import AudioSink

AudioFormat = Literal["wav", "flac", "opus", "mp3", "aac", "alac"]

# Format -> module here, its sink, parameters that make this format of it. Imported one by one, because WAV needs no FFmpeg.
_SINKS: Mapping[AudioFormat, tuple[str, str, Mapping[str, str]]] = MappingProxyType(
    {
        "wav": ("wav", "Wav", {}),
        "flac": ("flac", "Flac", {}),
        "opus": ("opus", "Opus", {}),
        "mp3": ("mp3", "Mp3", {}),
        "aac": ("m4a", "M4a", {"codec": "aac"}),
        "alac": ("m4a", "M4a", {"codec": "alac"}),
    }
)
FORMAT_OF_SUFFIX: Mapping[str, AudioFormat] = MappingProxyType(
    {".wav": "wav", ".flac": "flac", ".opus": "opus", ".mp3": "mp3", ".m4a": "aac"}
)


def sink_for(audio_format: AudioFormat, params: Mapping[str, Any]) -> AudioSink[Any]:
    """The sink that writes a format.

    Raises:
        ValueError: it does not have one of the parameters, or not with that value.
    """
    module, name, fixed = _SINKS[audio_format]
    sink: type[AudioSink[Any]] = getattr(importlib.import_module(f"phonograph_nodes.writing.{module}"), name)
    try:
        return sink(msgspec.convert({**params, **fixed}, sink.spec.params), audio_format)
    except msgspec.ValidationError as error:
        raise ValueError(f"{audio_format}: {error}") from error
