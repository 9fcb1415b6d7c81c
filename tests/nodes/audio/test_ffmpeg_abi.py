"""Tests of where FFmpeg's functions and fields lie: found in the installed PyAV, or nothing is said."""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import Any

import av
import pytest
from av.packet import Packet

from phonograph_nodes.audio.ffmpeg import abi as abi_module
from phonograph_nodes.audio.ffmpeg.abi import FORMATS, FUNCTIONS, SWITCH, VERSIONS, abi

look = abi_module._installed.__wrapped__  # `abi` looks once

IS_KNOWN = int(av.__version__.split(".")[0]) in VERSIONS and sys.implementation.name == "cpython" and struct.calcsize("P") == 8


@pytest.mark.skipif(not IS_KNOWN, reason=f"needs PyAV {VERSIONS.start} to {VERSIONS.stop - 1} on a CPython of 64 bits")
def test_the_installed_pyav_is_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function has an address, and fields lie apart, behind those that are where they always were."""
    monkeypatch.delenv(SWITCH, raising=False)
    found = look()
    assert found is not None
    assert all(found.functions)
    assert len(set(found.functions)) == len(FUNCTIONS)
    assert min(found.sample_rate, found.layout) >= 120
    assert abs(found.sample_rate - found.layout) >= 4


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("VERSIONS", range(0)),
        ("FUNCTIONS", (*FUNCTIONS, "av_no_such_function")),
        ("FORMATS", FORMATS[::-1]),
        ("_CHANNELS", {"7.1": (1, 8, 0x3F)}),
        ("_FRAME_BYTES", 150),
        ("_PACKET", struct.Struct("@PqqiPiiPiqq")),
        ("Packet", bytearray),
        ("AudioCodecContext", av.CodecContext),
    ],
)
def test_anything_unexpected_leaves_all_to_pyav(name: str, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown version, a function that is not there, a field at another place or with another value, another class."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr(abi_module, name, other)
    assert look() is None


def test_the_switch_leaves_all_to_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """With "off" nothing is looked for."""
    monkeypatch.setenv(SWITCH, "off")
    monkeypatch.setattr(abi_module, "_found", None)
    assert look() is None


def test_a_short_answer_leaves_all_to_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bytes than a structure has are not taken for one."""
    whole = abi_module._memory
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr(abi_module, "_memory", lambda address, count: whole(address, count)[: count - 1])
    assert look() is None


def test_a_lack_of_descriptors_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """While none is left PyAV does everything; afterwards it is looked again."""

    def none_left() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.delenv(SWITCH, raising=False)
    abi_module._installed.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", none_left)
        assert abi() is None
    assert abi() == look()


def test_memory_that_is_not_there_is_zeros() -> None:
    """An address that cannot be read, and that of a small number, do not end the process."""
    for address in (0, 4096, 2**47 - 8):
        assert abi_module._memory(address, 8) == bytes(8)


def test_an_object_of_another_class_has_no_such_pointer() -> None:
    """A packet is no context: its structure names no class."""
    with pytest.raises(abi_module._UnexpectedError):
        abi_module._class_pointer(Packet(b"content"), b"AVFormatContext")
