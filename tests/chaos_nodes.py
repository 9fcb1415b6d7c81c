"""Nodes and sinks that are wrong in ways that a usual run does not show, and graphs with them for `run-pipeline chaos`."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path
from typing import IO, ClassVar

from phonograph.graph.builder import build_graph
from phonograph.graph.model import Graph
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, OutputPath, Params, node
from phonograph.sink import Part, Sink, Writers, Written, output_path
from phonograph_nodes.writing.rows import Jsonl
from resumed import Files, Shout, Texts, texts_in
from small_runs import registry_with

TEXT = {"text": "text"}

GRAPH = """
nodes:
  texts: {type: test.texts, params: {path: texts}}
  loud: {type: test.shout, input: texts}
  files: {type: test.files, input: loud, params: {path: out}}
  rows: {type: sink.jsonl, input: loud, order: true, params: {path: out/rows.jsonl}}
"""


class WrittenParams(Params, frozen=True):
    path: OutputPath


class _InPlace(Part):
    """A file that is written under its final name."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text

    def commit(self) -> Written:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path, "w", encoding="utf-8") as file:
            file.write(self._text)
        return Written(self._path, len(self._text), "")

    def discard(self) -> None:
        """There is nothing yet."""


@node("wrong.in_place", inputs=TEXT, side_effects=True)
class InPlace(Sink[WrittenParams]):
    """Write each text under its final name at once."""

    def stage(self, item: Item) -> Part:
        return _InPlace(output_path(self.params.path, item.key, ".txt"), item.payload["text"])


class _Line(Part):
    def __init__(self, path: str, row: str) -> None:
        self._path, self._row = path, row

    def commit(self) -> Written:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(self._row)
            file.flush()
            os.fsync(file.fileno())
        return Written(self._path, len(self._row), "")

    def discard(self) -> None:
        """There is nothing yet."""


@node("wrong.append", inputs=TEXT, side_effects=True)
class Append(Sink[WrittenParams]):
    """Add a row for each text to one file, and tell nobody."""

    writers: ClassVar[Writers] = "single_writer"

    def stage(self, item: Item) -> Part:
        return _Line(self.params.path, f"{item.key} {item.payload['text']}\n")


class _Unsynced(Part):
    """A file with a temporary name that is renamed, and synced by nobody."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._temporary = path, os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(self._temporary).write_text(text)
        self._size = len(text)

    def commit(self) -> Written:
        os.replace(self._temporary, self._path)
        return Written(self._path, self._size, "")

    def discard(self) -> None:
        Path(self._temporary).unlink(missing_ok=True)


@node("wrong.unsynced", inputs=TEXT, side_effects=True)
class Unsynced(Sink[WrittenParams]):
    """Rename files that have not been synced."""

    def stage(self, item: Item) -> Part:
        return _Unsynced(output_path(self.params.path, item.key, ".txt"), item.payload["text"])


@node("wrong.once", inputs=TEXT, outputs=TEXT, cardinality="1:0..1")
class Once(Node[Params]):
    """Let a text pass once, to be rid of doubles: one that is tried again counts as one."""

    def __init__(self, params: Params, node_id: str) -> None:
        super().__init__(params, node_id)
        self._seen: set[str] = set()

    def process(self, item: Item, state: None) -> Item | None:
        if item.key in self._seen:
            return None
        self._seen.add(item.key)
        return item


@node("wrong.numbering", inputs=TEXT, outputs=TEXT)
class Numbering(Node[Params]):
    """Put a number of its own in front of each text."""

    def __init__(self, params: Params, node_id: str) -> None:
        super().__init__(params, node_id)
        self._count = 0

    def process(self, item: Item, state: None) -> Item:
        self._count += 1
        return item.with_payload({"text": f"{self._count} {item.payload['text']}"})


@node("wrong.spending", inputs=TEXT, outputs=TEXT)
class Spending(Node[Params]):
    """Change what it got, so that a second attempt works on what the first has left."""

    def process(self, item: Item, state: None) -> Item:
        item.payload["text"] += "!"  # type: ignore[index]  # that is what is wrong with it
        return item.with_payload({"text": item.payload["text"]})


@node("wrong.opened", inputs=TEXT, outputs=TEXT)
class Opened(Node[Params]):
    """Keep what it does in a table, and fail where there is something already."""

    def __init__(self, params: Params, node_id: str) -> None:
        super().__init__(params, node_id)
        self._open: dict[str, str] = {}

    def process(self, item: Item, state: None) -> Item:
        if item.key in self._open:
            raise RuntimeError(f"{item.key} is open already")
        self._open[item.key] = item.payload["text"]
        return item


@node("wrong.leaving", inputs=TEXT, outputs=TEXT)
class Leaving(Node[Params]):
    """Leave a temporary file behind."""

    def process(self, item: Item, state: None) -> Item:
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(item.payload["text"])
        return item


@node("wrong.holding", inputs=TEXT, outputs=TEXT)
class Holding(Node[Params]):
    """Leave a file open."""

    KEPT: ClassVar[list[IO[str]]] = []

    def process(self, item: Item, state: None) -> Item:
        self.KEPT.append(open(__file__, encoding="utf-8"))  # noqa: SIM115  # that is what is wrong with it
        return item


@node("wrong.working", inputs=TEXT, outputs=TEXT)
class Working(Node[Params]):
    """Leave a thread behind."""

    KEPT: ClassVar[list[threading.Event]] = []

    def process(self, item: Item, state: None) -> Item:
        self.KEPT.append(threading.Event())
        threading.Thread(target=self.KEPT[-1].wait, name="at work", daemon=True).start()
        return item


@node("wrong.waiting", inputs=TEXT, outputs=TEXT, run="inline")
class Waiting(Node[Params]):
    """Leave a task behind."""

    KEPT: ClassVar[list[asyncio.Task[None]]] = []

    def process(self, item: Item, state: None) -> Item:
        self.KEPT.append(asyncio.get_running_loop().create_task(asyncio.sleep(1e6), name="waits"))
        return item


@node("wrong.outside", inputs=TEXT, outputs=TEXT)
class Outside(Node[Params]):
    """Write a file that no parameter names."""

    def process(self, item: Item, state: None) -> Item:
        Path(item.payload["text"]).write_text("written")
        return item


@node("wrong.sending", inputs=TEXT, side_effects=True)
class Sending(Sink[Params]):
    """Send each text to somewhere."""


def graph_in(folder: Path, text: str = GRAPH, *targets: type) -> Graph:
    """The graph of a manifest, with five texts to read."""
    texts_in(folder, a="one", b="two three", c="four", d="five six", e="seven")
    path = folder / "manifest.yaml"
    path.write_text("version: 1\nname: tried\n" + text)
    return build_graph(load_manifest(path), registry_with(Texts, Shout, Files, Jsonl, *targets))


def with_node(type_name: str) -> str:
    """The graph above with one more node, in front of the sinks."""
    line = f"  more: {{type: {type_name}, input: loud}}\n"
    return GRAPH.replace("input: loud", "input: more").replace("nodes:\n", "nodes:\n" + line)


def with_sink(type_name: str, path: str = "out") -> str:
    """The graph above with one more sink."""
    return f"{GRAPH}  more: {{type: {type_name}, input: loud, params: {{path: {path}}}}}\n"
