"""The pieces that the schema of manifests is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phonograph.porttype import FAMILIES

Json = dict[str, Any]

ID: Json = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9_-]*$",
    "patternErrorMessage": "an id is a-z, then a-z, 0-9, '_' or '-'",
}
DURATION: Json = {
    "anyOf": [
        {
            "type": "string",
            "pattern": r"^\s*[0-9]+(\.[0-9]+)? ?(ms|s|m|h)\s*$",
            "patternErrorMessage": "a duration is a number with its unit: 100ms, 30s, 10m, 1h",
            "errorMessage": "a duration is a number with its unit: 100ms, 30s, 10m, 1h",
        },
        {"const": 0},
    ]
}
TIMEOUT: Json = {
    "type": ["string", "null"],
    "pattern": r"^\s*([0-9]+(\.[0-9]+)? ?(ms|s|m|h)( *\+ *[0-9]+(\.[0-9]+)? ?x ?audio)?"
    r"|[0-9]+(\.[0-9]+)? ?x ?audio( *\+ *[0-9]+(\.[0-9]+)? ?(ms|s|m|h))?)\s*$",
    "patternErrorMessage": "a duration, for audio with a term that scales with it: 30s, 30s + 1x audio",
}
TOTAL_TIMEOUT: Json = {
    "type": ["string", "null"],
    "pattern": r"^\s*[0-9]+(\.[0-9]+)? ?(ms|s|m|h)\s*$",
    "patternErrorMessage": "a duration is a number with its unit: 100ms, 30s, 10m, 1h",
}
SIZE: Json = {
    "type": "string",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)? ?(B|[kKMGT]B|[KMGT]iB)\s*$",
    "patternErrorMessage": "a size is a number with its unit: 512MiB, 1GB",
    "errorMessage": "a size is a number with its unit: 512MiB, 1GB",
}
SCALAR: Json = {"type": ["string", "number", "boolean", "null"]}
REFERENCE_TO_NODE: Json = {
    "type": "string",
    "pattern": r"^(\*|[a-z][a-z0-9_-]*)(\.[A-Za-z_][A-Za-z0-9_-]*)?$",
    "patternErrorMessage": "a reference is NODE, NODE.PORT, NODE.dead_letter, *.dead_letter or inputs.NAME",
}
PORT_TYPE: Json = {
    "type": "string",
    "description": "a family, with axes where they matter: audio[rate=16000, channels=1]",
    "pattern": rf"^\s*({'|'.join(FAMILIES)})(\[[^\]]*\])?\s*$",
    "patternErrorMessage": f"one of {', '.join(FAMILIES)}, with axes as in 'audio[rate=16000]'",
}
_REFERENCE: Json = {"type": "string", "pattern": r"\$\{"}


def ref(name: str) -> Json:
    return {"$ref": f"#/definitions/{name}"}


def record(properties: Json, required: tuple[str, ...] = ()) -> Json:
    """A mapping with these keys and no others."""
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def described(text: str, schema: Json, **more: Any) -> Json:
    """The schema with help for the reader, and with other keywords such as `default`."""
    return {**schema, "description": text, **more}


def one_of(choices: Mapping[str, str]) -> Json:
    """One word out of a few, each with what it means."""
    return {"enum": list(choices), "enumDescriptions": list(choices.values())}


def reference_or(mapping: Json) -> Json:
    """A reference to an output, or this mapping. One flat schema, because of an `anyOf` editors tell the wrong half."""
    return {**REFERENCE_TO_NODE, **mapping, "type": ["string", "object"]}


def referable(schema: Json, expected: str = "") -> Json:
    """The schema of a value in a node's parameters; it may be a reference too, which is resolved when the manifest is loaded.

    Args:
        expected: which values it takes, for the editor's complaint about another one.
    """
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    kinds = [_kind(kind) for kind in schema.get("anyOf", [{key: schema[key] for key in schema if key not in _ABOUT}])]
    if about.get("duration"):
        kinds.append({"const": 0})
    if any(kind.get("type") == "string" and not _NARROWING & kind.keys() for kind in kinds):
        return _one(about, kinds, {})
    words = f"expected {expected}, or a reference such as ${{params.NAME}}" if expected else ""
    said = {"patternErrorMessage": words, "errorMessage": words} if words else {}
    return _one(about, [*kinds, {"type": "string", "pattern": r"\$\{"}], said)


_ABOUT = ("title", "description", "default", "unit", "path", "expression", "duration", "size", "writeOnly")
_NARROWING = {"enum", "const", "pattern", "minLength", "maxLength"}


def _kind(schema: Json) -> Json:
    """One kind of value, what is inside it made referable."""
    inside = dict(schema)
    if isinstance(schema.get("items"), dict):
        inside["items"] = referable(schema["items"])
    if "properties" in schema:
        inside["properties"] = {name: referable(field) for name, field in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        inside["additionalProperties"] = referable(schema["additionalProperties"])
    return inside


def _one(about: Json, kinds: list[Json], said: Json) -> Json:
    """One flat schema where the kinds have types of their own, whose keywords then do not meet; else their union.

    Editors tell better what is wrong with a value, and what it is, without `anyOf`.
    """
    types = [kind.get("type") for kind in kinds]
    if len(set(types)) == len(types) and all(types) and not any({"enum", "const"} & kind.keys() for kind in kinds):
        merged: Json = {}
        for kind in kinds:
            merged |= kind
        return {**about, **merged, "type": types if len(types) > 1 else types[0], **said}
    return {**about, "anyOf": kinds}
