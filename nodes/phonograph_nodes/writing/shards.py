"""The sink of training data: items to a fixed number of tar archives, in the layout of WebDataset."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from phonograph.appended import AppendedFile, RowPart
from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import OutputPath, Params, node
from phonograph.sink import Part, Sink, Writers, output_path
from phonograph_nodes.writing.arrays import as_float32, put
from phonograph_nodes.writing.audio_sink import fitting_bits
from phonograph_nodes.writing.flac import flac_file
from phonograph_nodes.writing.folders import require_writable
from phonograph_nodes.writing.json_row import encoded_row
from phonograph_nodes.writing.wav import stored_format, wav_file

_END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


class ShardsParams(Params, frozen=True):
    path: Annotated[
        OutputPath,
        msgspec.Meta(
            description="folder; archives are `shard-00000-of-00016.tar` and so on, with `.partial` behind it until the run ends",
            extra={"folder": True},
        ),
    ]
    num_shards: Annotated[
        int, msgspec.Meta(ge=1, le=256, description="archives; each is an open file while the run goes on, and synced by itself")
    ] = 16
    audio: Annotated[Literal["wav", "flac"], msgspec.Meta(description="how audio is stored, both without loss")] = "flac"


@node(
    "sink.shards",
    inputs={"item": "any"},
    side_effects=True,
    streaming="causal",
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: features.log_mel}
          - {type: sink.shards, params: {path: out, num_shards: 4}}
        """,
)
class Shards(Sink[ShardsParams]):
    """Write items into a fixed number of tar archives, as WebDataset and other loaders of training data read them.

    An item is a sample of members that have its key: `.flac` or `.wav` for audio, `.npy` (float32) for other arrays, and `.json`
    with key, facts and attributes, as a row of sink.jsonl has them. A dot ends the key there, so dots in a key's last part are
    stored as `%2E`; the JSON has the key as it is. The shard is SHA-256 of the key, its first 32 bits, modulo `num_shards`: a
    key is in the same shard whatever else there is, and what comes from one folder is spread over all of them.

    Archives appear under their names when the run ends, whole. Samples are in the order in which they come.
    """

    writers: ClassVar[Writers] = "single_writer"

    def __init__(self, params: ShardsParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._files: list[AppendedFile] = []

    def open(self) -> None:
        folder, num_shards = self.params.path, self.params.num_shards
        require_writable(folder)
        try:
            for number in range(num_shards):
                name = f"shard-{number:05d}-of-{num_shards:05d}"
                journal = self.writer.rows_journal(name)  # of another number of shards there may be others, which stand
                self._files.append(AppendedFile(os.path.join(folder, f"{name}.tar"), journal, trailer=_END_OF_ARCHIVE))
        except BaseException:
            self.close()  # nobody else closes what has not opened
            raise

    def stage(self, item: Item) -> Part:
        return RowPart(self._files[shard_of(item.key, self.params.num_shards)], b"".join(self._members(item)))

    def finish(self) -> None:
        for file in self._files:
            file.finish()

    def close(self) -> None:
        with contextlib.ExitStack() as closing:
            for file in self._files:
                closing.callback(file.close)

    def _members(self, item: Item) -> list[bytes]:
        name = member_name(item.key)
        members = [_member(name + ".json", encoded_row(item))]
        match item.payload["item"]:
            case AudioChunk() as audio:
                members.append(_member(f"{name}.{self.params.audio}", self._encoded(audio, item)))
            case np.ndarray() as values:
                members.append(_member(name + ".npy", _stored(as_float32(values))))
        return members

    def _encoded(self, audio: AudioChunk, item: Item) -> bytes:
        attributes = item.attributes
        if self.params.audio == "wav":
            write = wav_file(audio, name=item.key, sample_format=stored_format(attributes), tags={})
        else:
            write = flac_file(audio, name=item.key, sample_format=fitting_bits(attributes), tags={})
        content = io.BytesIO()
        write(content)
        return content.getvalue()


def shard_of(key: str, num_shards: int) -> int:
    """Which shard a key is in."""
    return int(hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:8], 16) % num_shards


def member_name(key: str) -> str:
    """What an item's members are called, without their suffix: different keys have different names."""
    folder, _, last = output_path("", key, "").rpartition("/")
    last = last.replace(".", "%2E")
    return f"{folder}/{last}" if folder else last


def _stored(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    content = io.BytesIO()
    put(values, content)
    return content.getvalue()


def _member(name: str, content: bytes) -> bytes:
    """A file of an archive: the same content gives the same bytes, so there is neither time nor owner."""
    about = tarfile.TarInfo(name)
    about.size = len(content)
    header = about.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)
