"""The published contracts, generated from the typed code: `python -m phonograph.contracts [--check] FOLDER`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from phonograph.errors import CODES
from phonograph.journal import DeadLetter
from phonograph.metrics import MetricsDocument
from phonograph.registry import Registry
from phonograph.spec import NodeSpec, units

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ID = {"type": "string", "pattern": "^[a-z][a-z0-9_-]*$"}
_DURATION = {"type": "string", "pattern": r"^[0-9.]+ ?(ms|s|m|h)$", "description": "a number with its unit: 100ms, 30s, 10m, 1h"}
_SIZE = {"type": "string", "pattern": r"^[0-9.]+ ?(B|[kKMGT]i?B)$", "description": "a number with its unit: 512MiB, 1GB"}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_REFERENCE = {"type": "string", "pattern": r"\$\{", "description": "holds ${params.name} or ${env:NAME:-default}"}


def contracts(registry: Registry) -> dict[str, Any]:
    """File name -> document, for every contract; nodes are those that the registry knows."""
    specs = [spec for name in registry.types() if (spec := registry.get(name)) is not None]
    return {
        "manifest.schema.json": manifest_schema(specs),
        "metrics.schema.json": _schema(MetricsDocument),
        "dead-letter.schema.json": _schema(DeadLetter),
        "nodes.json": {spec.type: _catalogue_entry(spec) for spec in specs},
        "error-codes.json": dict(sorted(CODES.items())),
    }


def manifest_schema(specs: list[NodeSpec]) -> dict[str, Any]:
    """JSON Schema of the manifest language, version 1, with the parameters of the given node types."""
    policies = {"retry": _ref("retry"), "breaker": _ref("breaker"), "on_error": _ref("on_error"), "workers": _ref("workers")}
    return {
        "$schema": _DRAFT,
        "title": "phonograph manifest, version 1",
        **_object(
            {
                "version": {"const": 1},
                "name": _ID,
                "description": {"type": "string"},
                "params": {"type": "object", "propertyNames": _ID, "additionalProperties": _ref("param")},
                "defaults": _object(policies),
                "nodes": {
                    "type": "object",
                    "propertyNames": _ID,
                    "minProperties": 1,
                    "additionalProperties": {"allOf": [_ref("node"), _node_properties(policies, {"input": _ref("input")})]},
                },
                "steps": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"allOf": [_ref("node"), _node_properties(policies, {"id": _ID})]},
                },
                "limits": _object({"error_rate": {"type": "number", "minimum": 0, "maximum": 1}}),
            },
            required=["version", "name"],
        ),
        "oneOf": [{"required": ["nodes"]}, {"required": ["steps"]}],
        "$defs": {
            "param": _object(
                {
                    "type": {"enum": ["str", "int", "float", "bool", "path", "duration", "size"]},
                    "default": _SCALAR,
                    "help": {"type": "string"},
                    "minimum": {"type": ["number", "string"]},
                    "maximum": {"type": ["number", "string"]},
                    "choices": {"type": "array", "items": _SCALAR},
                },
                required=["type"],
            ),
            "input": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "additionalProperties": {
                            "anyOf": [
                                {"type": "string"},
                                _object({"from": {"type": "string"}, "queue": _ref("queue")}, required=["from"]),
                            ]
                        },
                    },
                ]
            },
            "queue": _object({"items": {"type": "integer", "minimum": 1}, "bytes": _SIZE}),
            "retry": _object(
                {
                    "max_retries": {"type": "integer", "minimum": 0},
                    "base_delay": _DURATION,
                    "factor": {"type": "number", "minimum": 1},
                    "max_delay": _DURATION,
                    "jitter": {"anyOf": [_DURATION, {"const": 0}]},
                }
            ),
            "breaker": _object(
                {
                    "failure_threshold": {"type": "integer", "minimum": 1},
                    "reset_timeout": _DURATION,
                    "half_open_probes": {"type": "integer", "minimum": 1},
                    "when_open": {"enum": ["wait", "shed", "skip"]},
                    "max_open": _DURATION,
                }
            ),
            "on_error": {"enum": ["fail", "skip", "dead_letter"]},
            "workers": {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]},
            "node": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": [spec.type for spec in specs]}},
                "allOf": [
                    {"if": {"properties": {"type": {"const": spec.type}}}, "then": {"properties": {"params": _params(spec)}}}
                    for spec in specs
                ],
            },
        },
    }


def write(folder: Path, documents: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(document_text(document), encoding="utf-8")


def drifted(folder: Path, documents: Mapping[str, Any]) -> list[str]:
    """Names of files in `folder` that are missing, differ from what the code says, or that no code stands behind."""
    present = {path.name for path in folder.glob("*.json")}
    stale = [
        name
        for name, document in documents.items()
        if name not in present or (folder / name).read_text("utf-8") != document_text(document)
    ]
    return sorted({*stale, *(present - set(documents))})


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


def document_text(document: Any) -> str:
    """A contract as it stands in its file."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _node_properties(policies: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return _object({"type": {}, "params": {}, **more, **policies})


def _fields(spec: NodeSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of each parameter of a node type, units included, beside the schema of the whole."""
    _, components = msgspec.json.schema_components([spec.params])
    schema: dict[str, Any] = components[spec.params.__name__]
    unit_of = units(spec.params)
    fields = {
        name: {**field, "unit": unit_of[name]} if name in unit_of else field
        for name, field in schema.get("properties", {}).items()
    }
    return fields, schema


def _params(spec: NodeSpec) -> dict[str, Any]:
    """The parameters of a node type; every value may also be a reference that is resolved when the manifest is loaded."""
    fields, schema = _fields(spec)
    properties = {name: {"anyOf": [field, _REFERENCE]} for name, field in fields.items()}
    return _object(properties, required=schema.get("required"))


def _catalogue_entry(spec: NodeSpec) -> dict[str, Any]:
    return {
        "kind": spec.kind,
        "summary": spec.summary,
        "version": spec.version,
        "inputs": {port.name: str(port.type) for port in spec.inputs},
        "outputs": {port.name: str(port.type) for port in spec.outputs},
        "params": _fields(spec)[0],
        "cardinality": spec.cardinality,
        "run": spec.run,
        "streaming": spec.streaming,
        "latency_samples": spec.latency_samples,
        "side_effects": spec.side_effects,
    }


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folders = [argument for argument in arguments if argument != "--check"]
    if len(folders) != 1:
        print("usage: python -m phonograph.contracts [--check] FOLDER", file=sys.stderr)
        return 2
    documents = contracts(Registry.installed())
    if not check:
        write(Path(folders[0]), documents)
        return 0
    names = drifted(Path(folders[0]), documents)
    for name in names:
        print(f"{name}: differs from the code; run `make contracts` and commit", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
