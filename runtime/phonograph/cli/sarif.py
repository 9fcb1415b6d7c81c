"""Complaints as SARIF 2.1.0, the format in which code hosts and editors take the findings of checkers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from phonograph.errors import CODES, Complaint, Position

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(complaints: Iterable[Complaint]) -> Mapping[str, object]:
    """One run of the checker, with a rule for each code; paths are relative to the working directory."""
    rules = {code: number for number, code in enumerate(CODES)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "phonograph",
                        "version": version("phonograph"),
                        "rules": [{"id": code, "shortDescription": {"text": words}} for code, words in CODES.items()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"%SRCROOT%": {"uri": Path.cwd().as_uri().rstrip("/") + "/"}},
                "results": [_result(complaint, rules) for complaint in complaints],
            }
        ],
    }


def _result(complaint: Complaint, rules: Mapping[str, int]) -> Mapping[str, object]:
    result: dict[str, object] = {
        "ruleId": complaint.code,
        "ruleIndex": rules[complaint.code],
        "level": complaint.severity,
        "message": {"text": complaint.words},
        "locations": [{"physicalLocation": _location(complaint.position)}],
    }
    if complaint.candidates:
        result["properties"] = {"candidates": list(complaint.candidates)}
    return result


def _location(position: Position) -> Mapping[str, object]:
    return {
        "artifactLocation": _artifact(position.file),
        "region": {"startLine": position.line, "startColumn": position.column},
    }


def _artifact(file: str) -> Mapping[str, str]:
    """Relative where the file lies below the working directory; absolute elsewhere, since `..` is nothing that SARIF resolves."""
    relative = os.path.relpath(file)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep):
        return {"uri": Path(file).absolute().as_uri()}
    return {"uri": quote(os.fsencode(relative)), "uriBaseId": "%SRCROOT%"}
