"""Tests of files with many channels, each codec in a process of its own: planes that are miscounted end the process."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.plane import AudioPlane
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from places import TESTS

# Codec -> container, sample format, rate, most channels. Between them: planar and packed, integers and floats.
CODECS = {
    "flac": ("flac", "s16", 16_000, 8),
    "pcm_s16le_planar": ("nut", "s16p", 16_000, 16),
    "pcm_f32le": ("nut", "flt", 16_000, 16),
    "wavpack": ("wv", "fltp", 16_000, 16),
    "aac": ("adts", "fltp", 48_000, 8),
    "libopus": ("ogg", "flt", 48_000, 8),
    "vorbis": ("ogg", "fltp", 48_000, 2),  # FFmpeg's own encoder makes stereo only
}
LAYOUTS = {
    **{number: f"{number} channels" for number in range(1, 17)},
    **{1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1", 16: "hexadecagonal"},
}
READ = """
import sys, numpy as np
from pathlib import Path
from phonograph_nodes.audio.ffmpeg import open_ffmpeg
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Limits
for path in sorted(Path(sys.argv[1]).glob("*.clip")):
    print(path.name, flush=True)
    reader = open_ffmpeg(Given(path), Limits())
    whole = reader.read()
    assert (np.hstack(list(reader.blocks(777))) == whole).all()
    np.savez(path.with_suffix(".npz"), whole=whole, mean=reader.read(mono=True))
"""


def encoded(codec: str, rows: NDArray[np.float32]) -> bytes:
    container, sample_format, rate, _ = CODECS[codec]
    layout = LAYOUTS[len(rows)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout, format=sample_format, options={"strict": "-2"})
        assert isinstance(stream, AudioStream)
        stream.codec_context.open()
        length = stream.codec_context.frame_size or 1024
        for start in range(0, rows.shape[1], length):
            block = av.AudioFrame(sample_format, layout, rows[:, start : start + length].shape[1])
            block.sample_rate, block.pts = rate, start
            part = rows[:, start : start + length]
            part = part if sample_format.endswith("p") else part.T.reshape(1, -1)
            stored = part if sample_format.startswith("flt") else (part * 2**15).astype(np.int16)
            for number, plane in enumerate(map(np.ascontiguousarray, stored)):
                target = np.frombuffer(memoryview(AudioPlane(block, number)), stored.dtype)
                target[: len(plane)] = plane
            output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("codec", CODECS)
def test_any_number_of_channels_is_read(codec: str, tmp_path: Path) -> None:
    """From 1 channel to 16, as far as the codec goes, each comes back; lossless ones to the bit, and their mean."""
    _, _, rate, most = CODECS[codec]
    times = np.arange(5000) / rate
    given = {}
    for num_channels in range(2 if codec == "vorbis" else 1, most + 1):
        tones = np.stack([0.25 * np.sin(2 * np.pi * (200 + 50 * number) * times) for number in range(num_channels)])
        given[num_channels] = (np.round(tones * 2**15) / 2**15).astype(np.float32)
        (tmp_path / f"{num_channels}.clip").write_bytes(encoded(codec, given[num_channels]))
    ended = subprocess.run(
        [sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, timeout=120, check=False, cwd=TESTS
    )
    assert ended.returncode == 0, f"status {ended.returncode} after {ended.stdout}\n{ended.stderr}"
    for num_channels, rows in given.items():
        read = np.load(tmp_path / f"{num_channels}.npz")
        assert read["whole"].shape[0] == num_channels
        assert read["whole"].shape[1] >= 5000
        np.testing.assert_array_equal(read["mean"][0], read["whole"].astype(np.float64).mean(axis=0).astype(np.float32))
        if codec not in ("aac", "libopus", "vorbis"):
            np.testing.assert_array_equal(read["whole"], rows)
