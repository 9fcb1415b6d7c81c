"""The sink of WAV files: any sample format, written block by block."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Annotated, Any, Literal

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import node
from phonograph_nodes.convert import convert
from phonograph_nodes.writing.audio_sink import AudioFileParams, AudioSink, Write
from phonograph_nodes.writing.tags import TagName, info_list

WavFormat = Literal["pcm8", "pcm16", "pcm24", "pcm32", "float32", "float64", "alaw", "mulaw"]

_LIMIT = 2**32 - 1  # a RIFF size has 32 bits
_BLOCK_LIMIT = 2**16 - 1  # bytes that one sample of all channels takes: a field of 16 bits
_BLOCK = 1 << 16  # samples converted at a time, so that a long file needs no second copy of itself
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
# Sample format -> format code, bits, name in `convert`.
_FORMATS: Mapping[WavFormat, tuple[int, int, str]] = MappingProxyType(
    {
        "pcm8": (_PCM, 8, "u8"),
        "pcm16": (_PCM, 16, "i16"),
        "pcm24": (_PCM, 24, "i24"),
        "pcm32": (_PCM, 32, "i32"),
        "float32": (_FLOAT, 32, "f32"),
        "float64": (_FLOAT, 64, "f64"),
        "alaw": (_ALAW, 8, "alaw"),
        "mulaw": (_MULAW, 8, "mulaw"),
    }
)
_NAMED: Mapping[str, WavFormat] = MappingProxyType({name: wav_format for wav_format, (_, _, name) in _FORMATS.items()})
# The rest of a sub-format GUID in WAVE_FORMAT_EXTENSIBLE, after the two bytes of the plain format code.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")


class WavParams(AudioFileParams, frozen=True):
    sample_format: Annotated[
        WavFormat | None,
        msgspec.Meta(
            description="what a sample is stored as; integers are rounded to nearest and clipped to full scale; "
            "when absent, what the attribute `sample_format` names, as audio.decode and audio.convert set it, else pcm16"
        ),
    ] = None


@node(
    "sink.wav",
    inputs="audio",
    side_effects=True,
    sees_native_memory=True,
    version=2,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.wav, params: {path: out, sample_format: float32}}
        """,
)
class Wav(AudioSink[WavParams]):
    """Write audio as WAV files, with the audio's own rate and channels."""

    suffix = ".wav"

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        sample_format = self.params.sample_format or stored_format(item.attributes)
        return wav_file(item.audio, name=path, sample_format=sample_format, tags=tags)


def stored_format(attributes: Mapping[str, Any]) -> WavFormat:
    """The format that the item's `sample_format` names, so that nothing is lost; pcm16 when it names none."""
    return _NAMED.get(str(attributes.get("sample_format")), "pcm16")


def wav_file(chunk: AudioChunk, *, name: str, tags: Mapping[TagName, str], sample_format: WavFormat = "pcm16") -> Write:
    """What writes the audio as a WAV file.

    Raises:
        AudioFormatError: more than a WAV file can hold.
    """
    header = wav_header(chunk, sample_format, name, info_list(tags))

    def write(file: IO[bytes]) -> None:
        file.write(header)
        for start in range(0, chunk.num_samples, _BLOCK):
            block = chunk.samples[:, start : start + _BLOCK]
            file.write(convert(block, dtype=_FORMATS[sample_format][2], layout="interleaved").tobytes())
        if _num_bytes(chunk, sample_format) % 2:
            file.write(b"\0")  # RIFF chunks end on even bytes

    return write


def wav_header(chunk: AudioChunk, sample_format: WavFormat, name: str, more_chunks: bytes = b"") -> bytes:
    """Everything of a WAV file that comes before the samples; more than two channels need WAVE_FORMAT_EXTENSIBLE.

    Raises:
        AudioFormatError: more than a WAV file can hold.
    """
    code, bits, _ = _FORMATS[sample_format]
    channels, rate = chunk.num_channels, chunk.sample_rate
    extensible = channels > 2
    frame = channels * bits // 8
    if not 1 <= frame <= _BLOCK_LIMIT:
        most = _BLOCK_LIMIT * 8 // bits
        raise AudioFormatError(f"{name}: {channels} channels of {bits} bits; expected 1 to {most}; mix or split them first")
    most = _LIMIT // frame
    if not isinstance(rate, (int, np.integer)) or not 1 <= int(rate) <= most:
        raise AudioFormatError(f"{name}: its rate is {rate!r} Hz; expected a whole number, 1 to {most}; resample first")
    rate = int(rate)  # NumPy's integers would overflow
    format_chunk = struct.pack("<HHIIHH", _EXTENSIBLE if extensible else code, channels, rate, rate * frame, frame, bits)
    if extensible:  # no channel mask: which speaker a channel belongs to is not known
        format_chunk += struct.pack("<HHIH", 22, bits, 0, code) + _SUBFORMAT
    elif code != _PCM:
        format_chunk += struct.pack("<H", 0)
    chunks = b"fmt " + struct.pack("<I", len(format_chunk)) + format_chunk
    if code != _PCM:
        chunks += b"fact" + struct.pack("<II", 4, min(chunk.num_samples, _LIMIT))
    chunks += more_chunks
    num_bytes = _num_bytes(chunk, sample_format)
    riff_bytes = 4 + len(chunks) + 8 + num_bytes + num_bytes % 2
    if riff_bytes > _LIMIT:
        raise AudioFormatError(f"{name}: {num_bytes} bytes of samples; a WAV file holds less than 4 GiB; cut the audio first")
    return b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + chunks + b"data" + struct.pack("<I", num_bytes)


def _num_bytes(chunk: AudioChunk, sample_format: WavFormat) -> int:
    return chunk.num_samples * chunk.num_channels * _FORMATS[sample_format][1] // 8
