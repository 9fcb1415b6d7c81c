"""Runs that are stopped and gone on with: a source of small files, a node that counts its calls, sinks of files and of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from phonograph.errors import BadInputError
from phonograph.executor import Executor, RunReport
from phonograph.flow.collect import Collect
from phonograph.flow.merge import Merge
from phonograph.flow.order import Order
from phonograph.flow.zip import Zip
from phonograph.item import Item, Record
from phonograph.journal.earlier import Resume
from phonograph.node import InputPath, Node, OutputPath, Params, Source, node
from phonograph.sink import FilePart, Part, Sink, output_path
from phonograph_nodes.writing.rows import Jsonl
from phonograph_nodes.writing.shards import Shards
from small_runs import executor_for

CALLS: Counter[str] = Counter()
"""How often `test.shout` was called for each key."""

GRAPH = """
nodes:
  texts: {type: test.texts, params: {path: texts}}
  loud: {type: test.shout, input: texts}
  files: {type: test.files, input: loud, params: {path: out}}
  rows: {type: sink.jsonl, input: loud, params: {path: out/rows.jsonl}}
"""


class TextsParams(Params, frozen=True):
    path: InputPath


@node("test.texts", outputs={"text": "text"}, sees_native_memory=True)
class Texts(Source[TextsParams]):
    """Read the text files of a folder."""

    def read(self) -> Iterator[Record]:
        for path in sorted(Path(self.params.path).iterdir()):
            status = path.stat()
            key = f"{self.node_id}/{path.name}"
            yield Record(key=key, payload={"text": path.read_text()}, size=status.st_size, mtime_ns=status.st_mtime_ns)


@node("test.shout", inputs={"text": "text"}, outputs={"text": "text"}, cardinality="1:N", sees_native_memory=True)
class Shout(Node[Params]):
    """Give each word in capitals; refuse what says so."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        CALLS[item.key.rpartition("/")[2]] += 1
        for number, word in enumerate(item.payload["text"].split()):
            if word == "bad":
                raise BadInputError("a bad word")
            yield item.child(number, {"text": word.upper()})


class FilesParams(Params, frozen=True):
    path: OutputPath


@node("test.files", inputs={"text": "text"}, side_effects=True, sees_native_memory=True)
class Files(Sink[FilesParams]):
    """Write each text into a file."""

    def stage(self, item: Item) -> Part:
        def write(file: IO[bytes]) -> None:
            file.write(item.payload["text"].encode())

        return FilePart(output_path(self.params.path, item.key, ".txt"), write)


@node("test.names", inputs={"item": "any"}, side_effects=True, sees_native_memory=True)
class Names(Sink[FilesParams]):
    """Write a file for each item, with its key in it."""

    def stage(self, item: Item) -> Part:
        def write(file: IO[bytes]) -> None:
            file.write(item.key.encode())

        return FilePart(output_path(self.params.path, item.key, ".txt"), write)


def texts_in(folder: Path, **texts: str) -> None:
    """Write the inputs, `b="two words"` for the text b."""
    (folder / "texts").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "texts" / name).write_text(text)


def executor(folder: Path, resume: Resume | None = None, graph: str = GRAPH, **options: Any) -> Executor:
    CALLS.clear()
    known = (Texts, Shout, Files, Names, Jsonl, Shards, Collect, Order, Merge, Zip)
    return executor_for(folder, graph, *known, resume=resume, **options)


def run(folder: Path, resume: Resume | None = None, graph: str = GRAPH, **options: Any) -> RunReport:
    return executor(folder, resume, graph, **options).run()


def outputs(folder: Path) -> dict[str, str]:
    """Everything below `out`, the rows of lists in the order of their keys."""
    return {
        str(path.relative_to(folder / "out")): _content(path) for path in sorted((folder / "out").rglob("*")) if path.is_file()
    }


def _content(path: Path) -> str:
    if path.suffix != ".jsonl":
        return path.read_text()
    return "".join(json.dumps(row) for row in sorted(map(json.loads, path.read_text().splitlines()), key=lambda row: row["key"]))
