"""`run-pipeline check`: what it finds, in which formats it says so, what it exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from command_line import LINE, project, run_pipeline
from phonograph.cli.sarif import as_sarif
from phonograph.errors import CODES, Complaint, Position
from phonograph.graph.registry import Registry

WRONG = LINE.replace("audio.decode", "audio.decoed").replace("path: out}", "path: 1}")
SHARED = LINE.replace("path: rejected.jsonl", "path: out")  # two sinks of different types, one path

_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
# What SARIF 2.1.0 asks of the parts that we write; the official schema is not installed with anything we use.
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {
                        "additionalProperties": {"required": ["uri"], "properties": {"uri": {"pattern": "^file:///.*/$"}}}
                    },
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "properties": {"id": {"type": "string"}, "shortDescription": _TEXT},
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "level", "locations"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": _TEXT,
                                "properties": {"type": "object"},
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "required": ["uri"],
                                                        "properties": {"uri": {"type": "string", "pattern": "^[!-~]+$"}},
                                                    },
                                                    "region": {
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        }
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def document(*arguments: str) -> Any:
    return json.loads(run_pipeline("check", *arguments).stdout)


def test_a_clean_manifest_is_exit_0(tmp_path: Path) -> None:
    """A manifest without faults is said to have none, and nothing is written."""
    path = project(tmp_path)
    ended = run_pipeline("check", path)
    assert (ended.status, ended.stdout, ended.stderr) == (0, f"{path}: no complaints\n", "")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["clips", "line.yaml"]


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    """Every fault has its line, in the order of the text, and the status is 2."""
    path = project(tmp_path, WRONG)
    ended = run_pipeline("check", path)
    assert ended.status == 2
    first, second, verdict = ended.stdout.splitlines()
    assert first.startswith(f"{path}:7:17: unknown_type no node type 'audio.decoed'")
    assert second.startswith(f"{path}:9:52: wrong_type parameter 'path' is the number 1")
    assert verdict == f"{path}: 2 errors"


def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    """A warning is exit 0, and exit 2 with --strict; a note is never a failure."""
    path = project(tmp_path, SHARED)
    ended = run_pipeline("check", path)
    assert (ended.status, ended.stdout.splitlines()[-1]) == (0, f"{path}: 1 warning")
    assert run_pipeline("check", path, "--strict").status == 2
    assert run_pipeline("check", "vad-segments", "--strict").status == 0


def test_an_inline_node_is_noted() -> None:
    """A node that runs in the event loop cannot have a time-out, and check says so."""
    ended = run_pipeline("check", "vad-segments")
    assert "inline (note) node 'speech' (segment.cut) runs inline" in ended.stdout


def test_several_manifests_are_all_checked(tmp_path: Path) -> None:
    """One wrong manifest does not hide the next; each has a verdict."""
    good, wrong = project(tmp_path), project(tmp_path, WRONG, "wrong.yaml")
    ended = run_pipeline("check", wrong, good)
    assert ended.status == 2
    assert ended.stdout.splitlines()[-2:] == [f"{wrong}: 2 errors", f"{good}: no complaints"]


def test_a_missing_manifest_is_a_complaint() -> None:
    """A name that is neither a file nor a shipped manifest is reported like any fault, with the nearest names."""
    ended = run_pipeline("check", "featurse")
    assert ended.status == 2
    assert ended.stdout.startswith("featurse:1:1: file_unreadable")
    assert "did you mean 'features'" in ended.stdout


def test_values_from_the_command_line_are_checked_too(tmp_path: Path) -> None:
    """--param and --set count, and a wrong one is said to come from there."""
    path = project(tmp_path)
    assert run_pipeline("check", path, "--param", f"corpus={tmp_path}", "--set", "nodes.mel.workers=2").status == 0
    ended = run_pipeline("check", path, "--set", "nodes.mel.params.frontend=wisper")
    assert ended.status == 2
    assert "(overridden on the command line)" in ended.stdout and "did you mean 'whisper'" in ended.stdout


@pytest.mark.parametrize("option", ["--param", "--set"])
def test_an_assignment_without_a_value_is_a_wrong_command_line(option: str) -> None:
    """NAME without = is refused, naming the option."""
    ended = run_pipeline("check", "features", option, "corpus")
    assert ended.status == 2
    assert f"{option} corpus: expected" in ended.stderr


def test_json_has_every_fact(tmp_path: Path) -> None:
    """Each complaint is an object with its place, code, severity, words and candidates."""
    path = project(tmp_path, WRONG)
    found = document(path, "--format", "json")
    assert found["version"] == 1
    assert found["complaints"][0] == {
        "file": path,
        "line": 7,
        "column": 17,
        "code": "unknown_type",
        "severity": "error",
        "found": "no node type 'audio.decoed'",
        "expected": "an installed node type; `run-pipeline nodes` lists them",
        "candidates": ["audio.decode", "audio.convert"],
        "note": "",
    }


def test_sarif_is_of_its_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are our codes, results point below the working directory by relative URIs, levels are SARIF's."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, WRONG, "größe 1.yaml")
    project(tmp_path, SHARED, "shared.yaml")
    found = document("größe 1.yaml", "shared.yaml", "--format", "sarif")
    jsonschema.Draft202012Validator(SARIF).validate(found)
    (run,) = found["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == list(CODES)
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("unknown_type", "error"),
        ("wrong_type", "error"),
        ("shared_file", "warning"),
    ]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "gr%C3%B6%C3%9Fe%201.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 7, "startColumn": 17}


def test_sarif_outside_of_the_working_directory_is_absolute(tmp_path: Path) -> None:
    """A file elsewhere has an absolute URI, for `..` means nothing to readers of SARIF."""
    found: Any = as_sarif([Complaint("empty", Position("/elsewhere/a b.yaml", 2, 3), "nothing")])
    place = found["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "file:///elsewhere/a%20b.yaml"}


def test_cases_and_warnings_are_told_beside_errors(tmp_path: Path) -> None:
    """A wrong graph hides neither what is odd about it nor what is wrong in `tests`, as far as no port has to be known for it."""
    cases = """tests:
  - {name: slow, node: mel, timeout: soon, inputs: {}, expect: {error: audio_decod}}
  - {name: odd, node: no-such, input: {key: 1, audio: {tone: 440Hz}}, expect: [{attributes: {x: {near: 1}}}]}
"""
    path = project(tmp_path, SHARED.replace("audio.decode", "audio.decoed") + cases)
    codes = [(one["line"], one["code"], one["severity"]) for one in document(path, "--format", "json")["complaints"]]
    assert codes == [
        (7, "unknown_type", "error"),
        (10, "shared_file", "warning"),
        (12, "wrong_value", "error"),
        (12, "unknown_key", "error"),
        (12, "wrong_value", "error"),
        (13, "wrong_type", "error"),
        (13, "missing_key", "error"),
    ]


def test_a_manifest_that_cannot_be_read_has_no_cases(tmp_path: Path) -> None:
    """Of text that is no YAML there is one complaint, and none about what it might have held."""
    path = project(tmp_path, LINE + "tests: [{name: x\n")
    assert [one["code"] for one in document(path, "--format", "json")["complaints"]] == ["yaml_syntax"]


@pytest.mark.parametrize("verb", ["run", "check", "test", "explain", "graph"])
def test_packages_that_contradict_each_other_are_a_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """When two installed packages declare one type, every verb about a manifest says so in a line, with status 2."""

    def installed(cls: type[Registry]) -> Registry:
        found = cls()
        found.add({"audio.decode": "one:Node"}, origin="first = one:NODES")
        found.add({"audio.decode": "two:Node"}, origin="second = two:NODES")
        return found

    monkeypatch.setattr(Registry, "installed", classmethod(installed))
    path = project(tmp_path)
    ended = run_pipeline(verb, path)
    assert ended.status == 2
    first = (ended.stdout + ended.stderr).splitlines()[0]
    assert first.startswith(f"{path}:1:1: registry node type 'audio.decode' is declared twice: by one:Node (first = one:NODES)")
