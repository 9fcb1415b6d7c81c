"""Audio through FFmpeg's libraries, by PyAV: every container and codec that is no plain PCM."""

from phonograph_nodes.audio.ffmpeg.reader import FfmpegReader, open_ffmpeg

__all__ = ["FfmpegReader", "open_ffmpeg"]
