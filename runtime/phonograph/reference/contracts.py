"""The published contracts, generated from the typed code: `python -m phonograph.reference.contracts [--check] FOLDER [DOCS]`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from phonograph.benching.document import Figures
from phonograph.errors import CODES
from phonograph.graph.registry import Registry
from phonograph.journal import DeadLetter
from phonograph.journal.status import RunStatusDocument
from phonograph.metrics import MetricsDocument
from phonograph.reference import catalogue
from phonograph.reference.nodes_page import nodes_page
from phonograph.reference.schema import manifest_schema

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def contracts(registry: Registry) -> dict[str, Any]:
    """File name -> document, for every contract; nodes are those that the registry knows.

    Raises:
        RegistryError: the code of one cannot be loaded.
    """
    specs = catalogue.loadable(registry)
    return {
        "manifest.schema.json": manifest_schema(specs),
        "baseline.schema.json": _schema(Figures),
        "metrics.schema.json": _schema(MetricsDocument),
        "dead-letter.schema.json": _schema(DeadLetter),
        "status.schema.json": _schema(RunStatusDocument),
        "nodes.json": {spec.type: catalogue.entry(spec) for spec in specs},
        "error-codes.json": dict(sorted(CODES.items())),
    }


def pages(registry: Registry) -> dict[str, str]:
    """File name -> text, for every page of reference documentation that is generated.

    Raises:
        RegistryError: the code of a node cannot be loaded.
    """
    return {"nodes.md": nodes_page(catalogue.loadable(registry))}


def write(folder: Path, documents: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(document_text(document), encoding="utf-8")


def drifted(folder: Path, documents: Mapping[str, Any]) -> list[str]:
    """Names of files in `folder` that are missing, differ from what the code says, or that no code stands behind.

    A contract is code's alone, so a JSON file that is none is named too; pages that people wrote may lie beside generated ones.
    """
    present = {path.name for path in folder.glob("*.json")}
    stale = [name for name, document in documents.items() if _read(folder / name) != document_text(document)]
    return sorted({*stale, *(present - set(documents))})


def document_text(document: Any) -> str:
    """A contract, or a page, as it stands in its file."""
    return document if isinstance(document, str) else json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def _schema(struct: type[msgspec.Struct]) -> Any:
    return _dedented({"$schema": _DRAFT, **msgspec.json.schema(struct)})


def _dedented(document: Any) -> Any:
    """The document with docstrings as Python 3.13 has them, which removes their indentation; before, they keep it."""
    if isinstance(document, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _dedented(value)
            for key, value in document.items()
        }
    return [_dedented(entry) for entry in document] if isinstance(document, list) else document


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folders = [Path(argument) for argument in arguments if argument != "--check"]
    if not 1 <= len(folders) <= 2:
        print("usage: python -m phonograph.reference.contracts [--check] FOLDER [DOCS]", file=sys.stderr)
        return 2
    registry = Registry.installed()
    status = 0
    for folder, documents in zip(folders, (contracts(registry), pages(registry)), strict=False):
        if not check:
            write(folder, documents)
            continue
        for name in drifted(folder, documents):
            print(f"{name}: differs from the code; run `make contracts` and commit", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
