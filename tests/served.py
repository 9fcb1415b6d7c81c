"""Executors that tests send things to: small manifests with `inputs` and `outputs`, and nodes that wait until they are told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, node
from small_runs import registry_with

ENDS = """
inputs: {record: {type: record}}
outputs: {out: work}
"""


def served(folder: Path, text: str, *targets: Any, **options: Any) -> Executor:
    """An executor for a manifest's text, without a run directory unless one is asked for."""
    path = folder / "served.yaml"
    path.write_text("version: 1\nname: served\n" + text)
    return Executor(load_manifest(path), registry=registry_with(*targets), **options)


def one_node(folder: Path, type_name: str, *targets: Any, policies: str = "", **options: Any) -> Executor:
    """An executor for `inputs.record` -> one node -> `out`.

    Args:
        policies: keys of the node, as in a YAML flow mapping.
    """
    entry = f"type: {type_name}, input: inputs.record" + (f", {policies}" if policies else "")
    return served(folder, f"{ENDS}nodes:\n  work: {{{entry}}}\n", *targets, **options)


class Gate:
    """Holds the calls of a node until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def pass_through(self) -> None:
        self.entered.set()
        assert self.leave.wait(30), "nobody opened the gate"

    def node(self) -> type[Node[Params]]:
        """A node type `test.gated` whose calls wait here."""
        gate = self

        @node("test.gated", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
        class Gated(Node[Params]):
            """Wait until told to go on."""

            def process(self, item: Item, state: None) -> Item:
                gate.pass_through()
                return item

        return Gated
