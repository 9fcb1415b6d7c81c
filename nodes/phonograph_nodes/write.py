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
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import AudioFormatError, BadInputError, OutputError
from phonograph.item import Item
from phonograph.node import OutputPath, Params, node
from phonograph.sink import FilePart, Part, Sink, Writers, Written, append_whole, output_path, storing, sync_folder
from phonograph_nodes.convert import convert, interleave

WavFormat = Literal["pcm16", "pcm24", "float32"]

_WAV_LIMIT = 2**32 - 1  # a RIFF size has 32 bits
_BLOCK_LIMIT = 2**16 - 1  # bytes that one sample of all channels takes: a field of 16 bits
_WAV_BLOCK = 1 << 16  # samples converted at a time, so that a long file needs no second copy of itself
_BITS: dict[WavFormat, int] = {"pcm16": 16, "pcm24": 24, "float32": 32}
_DTYPES: dict[WavFormat, str] = {"pcm16": "i16", "pcm24": "i24", "float32": "f32"}
_WAVE_PCM, _WAVE_FLOAT, _WAVE_EXTENSIBLE = 1, 3, 0xFFFE
# The rest of a sub-format GUID in WAVE_FORMAT_EXTENSIBLE, after the two bytes of the plain format code.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")

OutputFolder = Annotated[
    OutputPath,
    msgspec.Meta(description="folder; each record's file lies below it under the record's key", extra={"folder": True}),
]


class NpyParams(Params, frozen=True):
    path: OutputFolder


@node(
    "sink.npy",
    inputs="features",
    side_effects=True,
    sees_native_memory=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: features.log_mel}
          - {type: sink.npy, params: {path: out}}
        """,
)
class Npy(Sink[NpyParams]):
    """Write each array of numbers as a float32 NumPy file (.npy, version 1). What float32 cannot hold is refused."""

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        array = as_float32(item.payload["features"])
        return FilePart(
            output_path(self.params.path, item.key, ".npy"),
            lambda file: np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False),
        )


class WavParams(Params, frozen=True):
    path: OutputFolder
    sample_format: Annotated[
        WavFormat | None,
        msgspec.Meta(
            description="what a sample is stored as; PCM is rounded to nearest and clipped to full scale; "
            "when absent, what audio.convert made the audio fit for (i16 or i24), else pcm16"
        ),
    ] = None


@node(
    "sink.wav",
    inputs="audio",
    side_effects=True,
    sees_native_memory=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.wav, params: {path: out, sample_format: float32}}
        """,
)
class Wav(Sink[WavParams]):
    """Write audio as WAV files, with the audio's own rate and channels."""

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        path, chunk = output_path(self.params.path, item.key, ".wav"), item.audio
        sample_format = self.params.sample_format or _fitting_format(item.attributes.get("sample_format"))
        header = wav_header(chunk, sample_format, path)
        return FilePart(path, lambda file: _write_wav(file, header, chunk, sample_format))


class JsonlParams(Params, frozen=True):
    path: Annotated[OutputPath, msgspec.Meta(description="the file; rows stand in `<path>.partial` until the run ends")]


@node(
    "sink.jsonl",
    inputs={"item": "any"},
    side_effects=True,
    sees_native_memory=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: sink.jsonl, params: {path: out/clips.jsonl}}
        """,
)
class Jsonl(Sink[JsonlParams]):
    """Write one JSON object a record into one file.

    A row holds `key`, `parents` when the item is a part of another, what the item carries (segments as `segments`, text as
    `text`, a record's fields one by one, else `value`), then its attributes. A field of the record whose name is taken by a
    different value is written as `payload_<name>`, an attribute as `attribute_<name>`. Audio, arrays, bytes are left out; in a
    list null stands for them, so that it keeps its length, and for NaN or infinity anywhere. Rows are in the order in which
    records end.

    The file appears under its name when the run ends, whole. When the run fails or is stopped, what stood under that name
    stays, and the rows that were stored lie in `<path>.partial`.
    """

    writers: ClassVar[Writers] = "single_writer"
    _descriptor: int | None = None

    def open(self) -> None:
        self._partial = self.params.path + ".partial"
        self._length = 0
        require_writable(os.path.dirname(self.params.path))
        with storing(self.params.path):
            if os.path.isdir(self.params.path):
                raise OutputError(f"{self.params.path}: is a folder; expected the name of a file; choose another path")
        self._descriptor = _locked(self._partial)

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

    def finish(self) -> None:
        assert self._descriptor is not None, "finish on a sink that is not open"
        with storing(self.params.path):
            os.fsync(self._descriptor)
            os.replace(self._partial, self.params.path)
            sync_folder(os.path.dirname(self.params.path))

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _Row(Part):
    def __init__(self, sink: Jsonl, row: bytes) -> None:
        self._sink, self._row = sink, row

    def commit(self) -> Written:
        self._sink.append(self._row)
        return Written(self._sink.params.path, len(self._row), hashlib.sha256(self._row).hexdigest())

    def discard(self) -> None:
        """Nothing to drop: a row that is not committed was never written."""


def _locked(path: str) -> int:
    """Open a file for one writer, empty.

    Raises:
        OutputError: it has a writer, or cannot be opened.
    """
    while True:
        with storing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with storing(path):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise OutputError(
                        f"{path}: another sink or run is writing it; expected one writer; choose another path"
                    ) from error
                # The writer before may have renamed the file between open and lock; what is open here is then its result.
                if _stands_at(path, descriptor):
                    os.ftruncate(descriptor, 0)  # what a killed run left
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _stands_at(path: str, descriptor: int) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def require_writable(folder: str) -> None:
    """Make a folder and prove that files can be made in it, so that a run fails before its first record and not after.

    Raises:
        OutputError: not possible.
    """
    with storing(folder):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def as_float32(values: Any) -> NDArray[np.float32]:
    """The numbers of an array as float32.

    Raises:
        BadInputError: no array of real numbers, or a finite value beyond the range of float32.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of unequal length
        raise BadInputError(f"features are no array ({error}); expected real numbers in rows of equal length") from error
    if array.dtype.kind not in "biuf":
        raise BadInputError(f"features are {array.dtype}; expected real numbers, which are stored as float32")
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32, copy=False)
    if array.dtype.itemsize > 4 and not np.array_equal(np.isinf(stored), np.isinf(array)):
        raise BadInputError(f"features are {array.dtype} with values beyond 3.4e38; expected what float32 holds; scale them")
    return stored


def encoded_row(item: Item) -> bytes:
    """The item as a line of JSON, in UTF-8.

    Raises:
        BadInputError: a value that JSON has no form for.
    """
    try:
        # Only names of files can hold lone surrogates; a question mark keeps the line readable for every parser.
        return (_json(_row_of(item)) + "\n").encode(errors="replace")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a nesting of thousands of levels
        raise BadInputError(f"the item has no form in JSON: {error}; expected text, numbers, mappings or segments") from error


def _row_of(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"key": item.key}
    if item.parents:
        row["parents"] = list(item.parents)
    for name, value in _carried(item.payload["item"]).items():
        _put(row, name, value, "payload")
    for name, value in item.attributes.items():
        _put(row, name, value, "attribute")
    return row


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


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
    free, number = name, 1
    while free in row:
        if _json(row[free]) == _json(plain):  # not ==, for which 1, 1.0 and true are the same
            return
        free = f"{origin}_{name}" if number == 1 else f"{origin}_{name}_{number}"
        number += 1
    row[free] = plain


_LEFT_OUT = object()


def _plain(value: Any) -> Any:
    """The value as JSON knows it, or `_LEFT_OUT`."""
    if isinstance(value, np.generic):
        value = float(str(value)) if isinstance(value, np.float32) else value.item()  # str: as many digits as float32 has
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Segment):
        return _plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        named: dict[str, Any] = {}
        for name, one in value.items():
            _put(named, str(name), one, "other")  # 1 and "1" are two keys of a mapping and one name in JSON
        return named
    if isinstance(value, (tuple, list)):
        return [None if plain is _LEFT_OUT else plain for plain in map(_plain, value)]
    if isinstance(value, (AudioChunk, np.ndarray, bytes, bytearray, memoryview)):
        return _LEFT_OUT
    raise BadInputError(f"a {type(value).__name__} has no form in JSON; expected text, numbers, mappings or segments")


def wav_header(chunk: AudioChunk, sample_format: WavFormat, path: str) -> bytes:
    """Everything of a WAV file that comes before the samples; more than two channels need WAVE_FORMAT_EXTENSIBLE.

    Raises:
        AudioFormatError: more than a WAV file can hold.
    """
    channels, bits, rate = chunk.num_channels, _BITS[sample_format], chunk.sample_rate
    code = _WAVE_FLOAT if sample_format == "float32" else _WAVE_PCM
    extensible = channels > 2
    frame = channels * bits // 8
    if not 1 <= frame <= _BLOCK_LIMIT:
        most = _BLOCK_LIMIT * 8 // bits
        raise AudioFormatError(f"{path}: {channels} channels of {bits} bits; expected 1 to {most}; mix or split them first")
    most = _WAV_LIMIT // frame
    if not isinstance(rate, (int, np.integer)) or not 1 <= int(rate) <= most:
        raise AudioFormatError(f"{path}: its rate is {rate!r} Hz; expected a whole number, 1 to {most}; resample first")
    rate = int(rate)  # NumPy's integers would overflow
    format_chunk = struct.pack("<HHIIHH", _WAVE_EXTENSIBLE if extensible else code, channels, rate, rate * frame, frame, bits)
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


def _fitting_format(converted: Any) -> WavFormat:
    """The format that holds what `audio.convert` made, without more bits than that needs."""
    return "pcm24" if converted == "i24" else "pcm16"


def _write_wav(file: IO[bytes], header: bytes, chunk: AudioChunk, sample_format: WavFormat) -> None:
    file.write(header)
    for start in range(0, chunk.num_samples, _WAV_BLOCK):
        interleaved = interleave(chunk.samples[:, start : start + _WAV_BLOCK])
        file.write(convert(interleaved, dtype=_DTYPES[sample_format]).tobytes())
    if _num_bytes(chunk, sample_format) % 2:
        file.write(b"\0")  # RIFF chunks end on even bytes


def _num_bytes(chunk: AudioChunk, sample_format: WavFormat) -> int:
    return chunk.num_samples * chunk.num_channels * _BITS[sample_format] // 8
