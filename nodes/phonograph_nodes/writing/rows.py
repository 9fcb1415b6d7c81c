"""The sink of facts: items to rows of one JSON Lines file."""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import Annotated, ClassVar

import msgspec

from phonograph.errors import OutputError
from phonograph.item import Item
from phonograph.node import OutputPath, Params, node
from phonograph.sink import Part, Sink, Writers, Written, append_whole, behind_links, kind_of_no_file, storing, sync_folder
from phonograph_nodes.writing.folders import require_writable
from phonograph_nodes.writing.json_row import encoded_row


class JsonlParams(Params, frozen=True):
    path: Annotated[OutputPath, msgspec.Meta(description="the file; rows stand in `<path>.partial` until the run ends")]


@node(
    "sink.jsonl",
    inputs={"item": "any"},
    side_effects=True,
    streaming="causal",
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
    records end. Of a stream, each item is a row.

    The file appears under its name when the run ends, whole. When the run fails or is stopped, what stood under that name
    stays, and the rows that were stored lie in `<path>.partial`. A symlink stays one: the file that it leads to is written.
    """

    writers: ClassVar[Writers] = "single_writer"
    _descriptor: int | None = None

    def open(self) -> None:
        with storing(self.params.path):
            self._final = behind_links(self.params.path)  # a link may lead to another file system, so both files lie there
            if kind := kind_of_no_file(self._final):
                raise OutputError(f"{self.params.path}: is {kind}; expected the name of a file; choose another path")
        self._partial = self._final + ".partial"
        self._length = 0
        require_writable(os.path.dirname(self._final))
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
            os.replace(self._partial, self._final)
            sync_folder(os.path.dirname(self._final))

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
