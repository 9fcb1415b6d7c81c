"""Opens the files that test cases name: PCM WAV, NumPy arrays, plain bytes."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import Complaint, one_line
from phonograph.language import fields
from phonograph.language.binding import nearest_paths
from phonograph.language.fields import complain
from phonograph.language.yaml12 import Located

_WAV_WIDTHS = (1, 2, 3, 4)  # bytes
_OTHER_AUDIO = (
    "a PCM WAV file of 8, 16, 24 or 32 bits; for other audio begin the case at the node that decodes, with 'record: {path: ...}'"
)


def existing(located: Located, folder: str, what: str, complaints: list[Complaint]) -> str | None:
    """The absolute path of a file; None, and a complaint, when there is none."""
    written = fields.read(located, fields.text, what=what, complaints=complaints)
    if written is None:
        return None
    path = absolute(written, folder)
    if "\0" not in path and os.path.isfile(path):
        return path
    found = f"{what} leads to {path!r}, which is no file"
    complain(complaints, "missing_file", located.position, found, "a file", () if "\0" in path else nearest_paths(path))
    return None


def absolute(path: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


class WavForm(NamedTuple):
    """What the header of a WAV file says; `num_samples` are those of one channel that the file has room for."""

    rate: int
    channels: int
    num_samples: int


def wav_form(path: str, located: Located, complaints: list[Complaint]) -> WavForm | None:
    """The form of a WAV file that `read_wav` takes; None, and a complaint, for any other."""
    try:
        with wave.open(path, "rb") as reader:
            rate, channels, width = reader.getframerate(), reader.getnchannels(), reader.getsampwidth()
            if not channels or rate <= 0:
                reason = "no channels, or a rate of 0"
            elif width not in _WAV_WIDTHS:
                reason = f"samples of {8 * width} bits"
            else:
                return WavForm(rate, channels, min(reader.getnframes(), os.path.getsize(path) // (width * channels)))
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "it ends too soon"
    complain(complaints, "wrong_value", located.position, f"{path!r} cannot be read as WAV: {reason}", _OTHER_AUDIO)
    return None


def read_wav(path: str) -> AudioChunk:
    """The audio of a PCM WAV file of 8, 16, 24 or 32 bits.

    Raises:
        OSError, wave.Error, EOFError: it cannot be read.
    """
    with wave.open(path, "rb") as reader:
        width, rate, channels = reader.getsampwidth(), reader.getframerate(), reader.getnchannels()
        content = reader.readframes(reader.getnframes())
    content = content[: len(content) // (width * channels) * width * channels]
    if width == 1:  # the only unsigned one
        samples = np.frombuffer(content, np.uint8).astype(np.float32) - 128
    elif width == 3:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        samples = (wide.view("<i4")[:, 0] >> 8).astype(np.float32)
    else:
        samples = np.frombuffer(content, f"<i{width}").astype(np.float32)
    planar = np.ascontiguousarray(samples.reshape(-1, channels).T / np.float32(2 ** (8 * width - 1)))
    return AudioChunk(planar, rate)


def check_npy(path: str, located: Located, complaints: list[Complaint]) -> bool:
    """Whether the file holds one array of numbers; else there is a complaint."""
    reason = "it does not begin as .npy files do"
    try:
        if _begins_as_npy(path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if array.dtype.kind in "iuf":
                return True
            reason = f"it holds {array.dtype}"
    except Exception as error:  # noqa: BLE001  # NumPy evaluates the header, and has no error of its own for a wrong one
        reason = one_line(str(error).partition("\n")[0]) or "it ends too soon"
    found = f"{path!r} cannot be read as an array: {reason}"
    complain(complaints, "wrong_value", located.position, found, "a .npy file of numbers")
    return False


def _begins_as_npy(path: str) -> bool:
    """Asked first, for NumPy takes any other file for pickled objects, and advises to load those."""
    with open(path, "rb") as file:
        return file.read(6) == b"\x93NUMPY"


def read_npy(path: str) -> NDArray[np.generic]:
    """The array of a .npy file."""
    array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    return array


def read_bytes(path: str) -> bytes:
    return Path(path).read_bytes()
