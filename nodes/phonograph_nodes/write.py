"""Sinks: arrays to NumPy files, audio to WAV files, facts to JSON Lines."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import struct
import tempfile
from collections.abc import Mapping
from typing import IO, Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import AudioFormatError, BadInputError, OutputError
from phonograph.item import Item
from phonograph.node import OutputPath, Params, node
from phonograph.sink import FilePart, Part, Sink, Writers, Written, append_whole, output_path, storing, sync_folder
from phonograph_nodes.convert import convert, interleave

WavFormat = Literal["pcm16", "pcm24", "float32"]

_WAV_LIMIT = 2**32 - 1  # a RIFF size has 32 bits
_WAV_BLOCK = 1 << 16  # samples converted at a time, so that a long file needs no second copy of itself
_BITS: dict[WavFormat, int] = {"pcm16": 16, "pcm24": 24, "float32": 32}
_DTYPES: dict[WavFormat, str] = {"pcm16": "i16", "pcm24": "i24", "float32": "f32"}
_WAVE_PCM, _WAVE_FLOAT, _WAVE_EXTENSIBLE = 1, 3, 0xFFFE
# The rest of a sub-format GUID in WAVE_FORMAT_EXTENSIBLE, after the two bytes of the plain format code.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")

OutputFolder = Annotated[OutputPath, msgspec.Meta(description="folder; each record's file lies below it under the record's key")]


class NpyParams(Params, frozen=True):
    path: OutputFolder


@node("sink.npy", inputs="features", side_effects=True)
class Npy(Sink[NpyParams]):
    """Write each array as a float32 NumPy file (.npy, version 1)."""

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        array = np.asarray(item.payload["features"], np.float32)
        return FilePart(
            output_path(self.params.path, item.key, ".npy"),
            lambda file: np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False),
        )


class WavParams(Params, frozen=True):
    path: OutputFolder
    sample_format: Annotated[
        WavFormat, msgspec.Meta(description="what a sample is stored as; PCM is rounded to nearest and clipped to full scale")
    ] = "pcm16"


@node("sink.wav", inputs="audio", side_effects=True)
class Wav(Sink[WavParams]):
    """Write audio as WAV files."""

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        path, chunk = output_path(self.params.path, item.key, ".wav"), item.audio
        header = wav_header(chunk, self.params.sample_format, path)
        return FilePart(path, lambda file: self._write(file, header, chunk))

    def _write(self, file: IO[bytes], header: bytes, chunk: AudioChunk) -> None:
        file.write(header)
        for start in range(0, chunk.num_samples, _WAV_BLOCK):
            interleaved = interleave(chunk.samples[:, start : start + _WAV_BLOCK])
            file.write(convert(interleaved, dtype=_DTYPES[self.params.sample_format]).tobytes())
        if _num_bytes(chunk, self.params.sample_format) % 2:
            file.write(b"\0")  # RIFF chunks end on even bytes


class JsonlParams(Params, frozen=True):
    path: Annotated[OutputPath, msgspec.Meta(description="the file; rows stand in `<path>.partial` until the run ends")]


@node("sink.jsonl", inputs={"item": "any"}, side_effects=True)
class Jsonl(Sink[JsonlParams]):
    """Write one JSON object a record into one file.

    A row holds `key`, `parents` when the item is a part of another, what the item carries (segments as `segments`, text as
    `text`, a record's fields one by one, else `value`), then its attributes. A field of the record whose name is taken by a
    different value is written as `payload_<name>`, an attribute as `attribute_<name>`. Audio, arrays, bytes are left out;
    NaN or infinity becomes null. Rows are in the order in which records end.

    The file appears under its name when the run ends, whole, also after an error: it then holds the rows that were stored.
    """

    writers: ClassVar[Writers] = "single_writer"

    def open(self) -> None:
        self._partial = self.params.path + ".partial"
        self._descriptor: int | None = None
        self._length = 0
        require_writable(os.path.dirname(self.params.path))
        with storing(self.params.path):
            if os.path.isdir(self.params.path):
                raise OutputError(f"{self.params.path}: is a folder; expected the name of a file; choose another path")
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with storing(self._partial):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise OutputError(
                        f"{self._partial}: another sink or run is writing it; expected one writer; choose another path"
                    ) from error
                os.ftruncate(descriptor, 0)  # what a killed run left
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def stage(self, item: Item) -> Part:
        return _Row(self, encoded_row(item))

    def append(self, row: bytes) -> None:
        """Add a whole row or nothing.

        Raises:
            OutputError: it cannot be stored.
        """
        assert self._descriptor is not None, "append on a sink that is not open"
        with storing(self.params.path):
            self._length = append_whole(self._descriptor, self._length, row)

    def close(self) -> None:
        descriptor, self._descriptor = getattr(self, "_descriptor", None), None
        if descriptor is None:  # it was never opened, or is closed already
            return
        with storing(self.params.path):
            try:
                os.fsync(descriptor)
                os.replace(self._partial, self.params.path)
                sync_folder(os.path.dirname(self.params.path))
            finally:
                os.close(descriptor)


class _Row(Part):
    def __init__(self, sink: Jsonl, row: bytes) -> None:
        self._sink, self._row = sink, row

    def commit(self) -> Written:
        self._sink.append(self._row)
        return Written(self._sink.params.path, len(self._row), hashlib.sha256(self._row).hexdigest())

    def discard(self) -> None:
        """Nothing to drop: a row that is not committed was never written."""


def require_writable(folder: str) -> None:
    """Make a folder and prove that files can be made in it, so that a run fails before its first record and not after.

    Raises:
        OutputError: not possible.
    """
    with storing(folder):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def encoded_row(item: Item) -> bytes:
    """The item as a line of JSON, in UTF-8."""
    row: dict[str, Any] = {"key": item.key}
    if item.parents:
        row["parents"] = list(item.parents)
    for name, value in _carried(item.payload["item"]).items():
        _put(row, name, value, "payload")
    for name, value in item.attributes.items():
        _put(row, name, value, "attribute")
    # Only names of files can hold lone surrogates; a question mark keeps the line readable for every parser.
    return (json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode(errors="replace")


def _carried(value: Any) -> Mapping[str, Any]:
    """The payload as named values; empty for what a row has no place for."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, (tuple, list)) and all(isinstance(one, Segment) for one in value):
        return {"segments": value}
    return {} if isinstance(value, AudioChunk | np.ndarray | bytes) else {"value": value}


def _put(row: dict[str, Any], name: str, value: Any, origin: str) -> None:
    plain = _plain(value)
    if plain is _LEFT_OUT:
        return
    if name not in row:
        row[name] = plain
    elif row[name] != plain:
        row[f"{origin}_{name}"] = plain


_LEFT_OUT = object()


def _plain(value: Any) -> Any:
    """The value as JSON knows it, or `_LEFT_OUT`."""
    if isinstance(value, np.generic):
        value = float(str(value)) if isinstance(value, np.float32) else value.item()  # str: as many digits as float32 has
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, Segment):
        return _plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain for name, one in value.items() if (plain := _plain(one)) is not _LEFT_OUT}
    if isinstance(value, (tuple, list)):
        return [plain for one in value if (plain := _plain(one)) is not _LEFT_OUT]
    if isinstance(value, (AudioChunk, np.ndarray, bytes, bytearray, memoryview)):
        return _LEFT_OUT
    raise BadInputError(f"a {type(value).__name__} has no form in JSON; expected text, numbers, mappings or segments")


def wav_header(chunk: AudioChunk, sample_format: WavFormat, path: str) -> bytes:
    """Everything of a WAV file that comes before the samples; more than two channels need WAVE_FORMAT_EXTENSIBLE.

    Raises:
        AudioFormatError: more than a WAV file can hold.
    """
    channels, bits = chunk.num_channels, _BITS[sample_format]
    code = _WAVE_FLOAT if sample_format == "float32" else _WAVE_PCM
    extensible = channels > 2
    frame = channels * bits // 8
    format_chunk = struct.pack(
        "<HHIIHH", _WAVE_EXTENSIBLE if extensible else code, channels, chunk.sample_rate, chunk.sample_rate * frame, frame, bits
    )
    if extensible:  # no channel mask: which speaker a channel belongs to is not known
        format_chunk += struct.pack("<HHIH", 22, bits, 0, code) + _SUBFORMAT
    elif code == _WAVE_FLOAT:
        format_chunk += struct.pack("<H", 0)
    chunks = b"fmt " + struct.pack("<I", len(format_chunk)) + format_chunk
    if code == _WAVE_FLOAT:
        chunks += b"fact" + struct.pack("<II", 4, chunk.num_samples)
    num_bytes = _num_bytes(chunk, sample_format)
    riff_bytes = 4 + len(chunks) + 8 + num_bytes + num_bytes % 2
    if riff_bytes > _WAV_LIMIT:
        raise AudioFormatError(f"{path}: {num_bytes} bytes of samples; a WAV file holds less than 4 GiB; cut the audio first")
    return b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + chunks + b"data" + struct.pack("<I", num_bytes)


def _num_bytes(chunk: AudioChunk, sample_format: WavFormat) -> int:
    return chunk.num_samples * chunk.num_channels * _BITS[sample_format] // 8
