"""What there is to know about an audio file without decoding it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """One audio stream of a file.

    Args:
        name: how messages call the file: its path, `<1234 bytes>`, `<standard input>`.
        container: what wraps it, by FFmpeg's first name: `wav`, `mp3`, `ogg`, `mov`, `matroska`, `flac`.
        codec: by FFmpeg's name: `pcm_s16le`, `mp3float`, `opus`, `aac`.
        sample_rate: Hz.
        num_channels: of the stream.
        channel_layout: by FFmpeg's name: `mono`, `stereo`, `5.1`; `N channels` where nothing says which is which.
        bits: of a sample of integer PCM and lossless codecs; 0 for floating point and lossy ones.
        num_samples: in each channel, without delay and padding, where that is exactly known without decoding; else None.
        duration_s: `num_samples / sample_rate`, or the container's estimate; None where there is neither.
        bit_rate: of the encoded stream in bit/s; None when it is not known.
        stream: which of the file's audio streams it is, from 0.
        num_streams: how many audio streams the file has.
        language: the stream's tag, such as `eng`; empty when there is none.
        tags: title, artist and others, by FFmpeg's lower-case names.
    """

    name: str
    container: str
    codec: str
    sample_rate: int
    num_channels: int
    channel_layout: str
    bits: int = 0
    num_samples: int | None = None
    duration_s: float | None = None
    bit_rate: int | None = None
    stream: int = 0
    num_streams: int = 1
    language: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def sample_format(self) -> str | None:
        """What a sample is stored as, by the names of `convert`: for PCM and lossless codecs; None for lossy ones.

        The node `audio.decode` sets it as the attribute `sample_format`, which sinks follow.
        """
        if self.codec in ("pcm_alaw", "pcm_mulaw"):
            return self.codec.removeprefix("pcm_")
        if self.codec.startswith("pcm_f"):
            return "f64" if self.codec.startswith("pcm_f64") else "f32"
        if not self.bits:  # what is lossless and of floating point is WavPack
            return "f32" if self.codec == "wavpack" else None
        return next((name for most, name in ((8, "u8"), (16, "i16"), (24, "i24")) if self.bits <= most), "i32")
