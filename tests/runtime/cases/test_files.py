"""Files that test cases name: what is said about those that are not what they seem."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from case_runs import read

TEXT = """version: 1
name: test
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  mel: {type: features.log_mel, input: audio}
  both: {type: flow.join, input: {mel: mel, audio: audio}}
  out: {type: sink.npy, input: both.mel, params: {path: out}}
tests:
  - {name: x, node: both, expect: [], input: {PORT: {file: FILE}}}
"""


def complaints(folder: Path, port: str, name: str) -> list[tuple[str, str]]:
    path = folder / "manifest.yaml"
    path.write_text(TEXT.replace("PORT", port).replace("FILE", name), encoding="utf-8")
    _, _, found = read(path)
    return [(one.code, one.found.replace(str(folder), "")) for one in found]


def wav(bits: int) -> bytes:
    """A WAV file with one sample of so many bits, which nobody plays when there are more than 32."""
    width = bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 16000 * width, width, bits)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", width) + bytes(width)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def test_wav_files_of_other_widths_are_refused(tmp_path: Path) -> None:
    """40 bits are said to be what cannot be read, before a case runs."""
    (tmp_path / "clip.wav").write_bytes(wav(40))
    assert complaints(tmp_path, "audio", "clip.wav") == [("wrong_value", "'/clip.wav' cannot be read as WAV: samples of 40 bits")]
    (tmp_path / "clip.wav").write_bytes(wav(24))
    assert complaints(tmp_path, "audio", "clip.wav") == []


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000000000000,), }\n"),
        npy("(((((\n"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }\n"),
        npy("{'descr': 'nonsense', 'fortran_order': False, 'shape': (5,), }\n"),
        npy("[" * 5000),
        npy("\0"),
        b"\x93NUMPY\x09\x00",
        b"\x93NUMPY",
        b"",
    ],
    ids=["huge", "brackets", "negative", "short", "type", "deep", "null", "version", "nothing", "empty"],
)
def test_arrays_with_a_wrong_header_are_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the header of a .npy file says, there is one complaint about the file."""
    (tmp_path / "x.npy").write_bytes(content)
    ((code, found),) = complaints(tmp_path, "mel", "x.npy")
    assert code == "wrong_value"
    assert found.startswith("'/x.npy' cannot be read as an array: ")


def test_an_empty_array_is_an_array(tmp_path: Path) -> None:
    """No values are values."""
    np.save(tmp_path / "x.npy", np.zeros((0, 80)))
    assert complaints(tmp_path, "mel", "x.npy") == []
