"""Reads what a test case gives to a port into something that makes the payload."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from phonograph.audio import Segment
from phonograph.cases import files, quantities
from phonograph.cases.sound import Make, one_of, read_audio
from phonograph.errors import Complaint
from phonograph.language import fields
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.yaml12 import Located
from phonograph.porttype import FAMILIES

FEATURES_KEYS = ("zeros", "noise", "shape", "file")
BYTES_KEYS = ("hex", "file")
SEGMENT_KEYS = ("start_ms", "end_ms", "energy_db", "confidence")

_FEATURES = "a list of numbers, {zeros: [10, 80]}, {noise: SEED, shape: [10, 80]} or {file: x.npy}"


class PayloadReader:
    """Reads the payloads of one manifest's cases.

    Args:
        folder: where relative paths start.
        complaints: is added to.
    """

    def __init__(self, folder: str, complaints: list[Complaint]) -> None:
        self._folder = folder
        self._complaints = complaints

    def read(self, located: Located, family: str, what: str) -> Make | None:
        """What makes the payload; None, and a complaint, when it cannot be read.

        Args:
            family: of the port; `any` when nothing is known of it.
            what: names the port in complaints.
        """
        readers: Mapping[str, Callable[[Located, str], Make | None]] = {
            "audio": partial(read_audio, folder=self._folder, complaints=self._complaints),
            "features": self._features,
            "text": self._text,
            "bytes": self._bytes,
            "segments": self._segments,
            "record": self._record,
        }
        if family in readers:
            return readers[family](located, what)
        named = family_and_value(located, what, self._complaints)
        return None if named is None else self.read(named[1], named[0], f"{what}.{named[0]}")

    def _complain(self, code: str, located: Located, found: str, expected: str = "") -> None:
        complain(self._complaints, code, located.position, found, expected)

    def _fields(self, located: Located, what: str, allowed: Sequence[str]) -> Fields:
        return Fields(located, what=what, allowed=allowed, complaints=self._complaints)

    def _features(self, located: Located, what: str) -> Make | None:
        if isinstance(located.value, tuple):
            array = quantities.numbers(located, what, self._complaints)
            return None if array is None else partial(np.array, array, np.float32)
        if not isinstance(located.value, Mapping):
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", _FEATURES)
            return None
        given = self._fields(located, what, FEATURES_KEYS)
        kind = one_of(given, located, what, ("zeros", "noise", "file"), _FEATURES, self._complaints)
        source = None if kind is None else given.get(kind)
        if kind is None or source is None:
            return None
        sizes = given.get("shape")
        if kind != "noise" and sizes is not None:
            found = f"'shape' beside {kind!r} in {what}"
            complain(self._complaints, "unknown_key", located.keys["shape"], found, "it only beside 'noise'")
            return None
        if kind == "file":
            path = files.existing(source, self._folder, f"'file' in {what}", self._complaints)
            usable = path is not None and files.check_npy(path, source, self._complaints)
            return partial(_float32, path) if path is not None and usable else None
        if kind == "zeros":
            sizes = source
        elif sizes is None:
            given.require("shape", "the sizes of its dimensions, such as [10, 80]")
            return None
        shape = None if sizes is None else quantities.shape(sizes, f"the shape of {what}", self._complaints)
        if shape is None:
            return None
        if kind == "zeros":
            return partial(np.zeros, shape, np.float32)
        seed = given.read("noise", fields.integer(0))
        return None if seed is None else partial(_normal, seed, shape)

    def _text(self, located: Located, what: str) -> Make | None:
        value = located.value
        if not isinstance(value, str):
            self._complain("wrong_type", located, f"{what} is {describe(value)}", "text; put it in quotes")
            return None
        return partial(str, value)

    def _bytes(self, located: Located, what: str) -> Make | None:
        value = located.value
        if isinstance(value, str):
            return partial(bytes, value.encode())
        if not isinstance(value, Mapping):
            expected = "text, {hex: '52 49'} or {file: PATH}"
            self._complain("wrong_type", located, f"{what} is {describe(value)}", expected)
            return None
        given = self._fields(located, what, BYTES_KEYS)
        kind = one_of(given, located, what, BYTES_KEYS, "{hex: '52 49'} or {file: PATH}", self._complaints)
        if kind == "hex":
            content = given.read("hex", hexadecimal)
            return None if content is None else partial(bytes, content)
        source = None if kind is None else given.get(kind)
        path = None if source is None else files.existing(source, self._folder, f"'file' in {what}", self._complaints)
        return None if path is None else partial(files.read_bytes, path)

    def _segments(self, located: Located, what: str) -> Make | None:
        if not isinstance(located.value, tuple):
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", "a list of {start_ms, end_ms}")
            return None
        read = [self._segment(entry, f"{what}[{number}]") for number, entry in enumerate(located.value)]
        segments = tuple(segment for segment in read if segment is not None)
        return partial(tuple, segments) if len(segments) == len(read) else None

    def _segment(self, located: Located, what: str) -> Segment | None:
        known = len(self._complaints)
        given = self._fields(located, what, SEGMENT_KEYS)
        for key in ("start_ms", "end_ms"):
            given.require(key, "milliseconds from the start of the audio")
        start, end = given.read("start_ms", quantities.finite), given.read("end_ms", quantities.finite)
        energy, confidence = given.read("energy_db", quantities.level), given.read("confidence", fields.number(0, 1))
        if start is not None and end is not None and start >= end:
            self._complain("wrong_value", located, f"{what} goes from {start:g} to {end:g} ms", "an end after the start")
        if len(self._complaints) > known or start is None or end is None:
            return None
        return Segment(start, end, -20.0 if energy is None else energy, 1.0 if confidence is None else confidence)

    def _record(self, located: Located, what: str) -> Make | None:
        if not isinstance(located.value, Mapping):
            self._complain("wrong_type", located, f"{what} is {describe(located.value)}", "a mapping, such as {path: clip.wav}")
            return None
        record = quantities.as_json(located)
        if isinstance(record.get("path"), str):
            record["path"] = files.absolute(record["path"], self._folder)
        return partial(copy.deepcopy, record)  # a node may not change what another item is made of


def family_and_value(located: Located, what: str, complaints: list[Complaint]) -> tuple[str, Located] | None:
    """The only entry of `{FAMILY: value}`, which stands where a port takes anything; None, and a complaint, for all else."""
    expected = "{FAMILY: value}, such as {text: hello}, for the port takes anything"
    if not isinstance(located.value, Mapping) or len(located.value) != 1:
        complain(complaints, "wrong_type", located.position, f"{what} is {describe(located.value)}", expected)
        return None
    given = Fields(located, what=what, allowed=tuple(name for name in FAMILIES if name != "any"), complaints=complaints)
    ((name, value),) = located.value.items()
    return None if given.get(name) is None or name not in FAMILIES or name == "any" else (name, value)


def hexadecimal(value: object) -> bytes:
    """Bytes from text such as "52 49 46 46"."""
    if not isinstance(value, str):
        raise fields.MismatchError("hexadecimal digits in quotes, two a byte")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise fields.MismatchError("hexadecimal digits, two a byte", code="wrong_value") from None


def _float32(path: str) -> Any:
    return files.read_npy(path).astype(np.float32)


def _normal(seed: int, shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)
