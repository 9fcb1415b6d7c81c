"""The sink of facts: items to rows of one JSON Lines file."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from phonograph.appended import AppendedFile, RowPart
from phonograph.item import Item
from phonograph.node import OutputPath, Params, node
from phonograph.sink import Part, Sink, Writers
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
    _file: AppendedFile | None = None

    def open(self) -> None:
        self._file = AppendedFile(self.params.path, self.writer.rows_journal(), require_writable)

    def stage(self, item: Item) -> Part:
        return RowPart(self._open_file, encoded_row(item))

    def finish(self) -> None:
        self._open_file.finish()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def _open_file(self) -> AppendedFile:
        assert self._file is not None, "the sink is not open"
        return self._file
