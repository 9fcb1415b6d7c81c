"""`run-pipeline chaos`: what it says, how it exits, what it leaves alone."""

from __future__ import annotations

import json
import re
import signal
import tempfile
from pathlib import Path

import pytest

from command_line import Ended, run_pipeline

MANIFEST = """version: 1
name: words
plugins: [words.py]
params:
  token: {type: secret, default: hush}
nodes:
  texts: {type: source.files, params: {paths: given, extensions: [txt]}}
  words: {type: local.words, input: texts, params: {token: "${params.token}"}}
  rows: {type: sink.jsonl, input: words, params: {path: out.jsonl}}
  SINK
"""
PLUGIN = '''
import os
from pathlib import Path
from phonograph.node import OutputPath, Params, Secret, node
from phonograph.sink import Part, Sink, Written


@node("local.words")
def words(record: dict, *, token: Secret = "") -> str:
    """Read a text."""
    return Path(record["path"]).read_text()


class _Line(Part):
    def __init__(self, path, row):
        self.path, self.row = path, row

    def commit(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "a") as file:
            file.write(self.row)
        return Written(self.path, len(self.row), "")

    def discard(self):
        pass


class PathParams(Params, frozen=True):
    path: OutputPath


@node("local.append", inputs={"text": "text"}, side_effects=True)
class Append(Sink[PathParams]):
    """Add each text to a file."""

    def stage(self, item):
        return _Line(self.params.path, item.payload["text"] + "\\n")


@node("local.send", inputs={"text": "text"}, side_effects=True)
class Send(Sink[Params]):
    """Send each text."""
'''
APPEND = "added: {type: local.append, input: words, params: {path: added.txt}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a manifest of three texts that is right, one that is wrong, and one that cannot be tried."""
    for name, sink in {"right": "", "wrong": APPEND, "sends": "sent: {type: local.send, input: words}"}.items():
        (tmp_path / f"{name}.yaml").write_text(MANIFEST.replace("SINK", sink))
    (tmp_path / "words.py").write_text(PLUGIN)
    (tmp_path / "given").mkdir()
    for name in "abc":
        (tmp_path / "given" / f"{name}.txt").write_text(f"text {name} hush")
    (tmp_path / "out.jsonl").write_text("of an earlier run\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chaos(*arguments: str) -> Ended:
    return run_pipeline("chaos", *arguments)


def test_a_manifest_that_is_right(folder: Path) -> None:
    """One line says what was tried; outputs and run directory of the user are as they were."""
    before = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    ended = chaos("right.yaml", "--seeds", "6")
    assert ended.status == 0
    assert re.fullmatch(r"6 seeds on 3 records: \d+ faults injected \(.*crash.*\), 0 violations, [\d.]+ s\n", ended.stdout)
    assert (folder / "out.jsonl").read_text() == "of an earlier run\n"
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


def test_a_violation_is_told_with_what_led_to_it_and_how_to_see_it_again(folder: Path) -> None:
    """Rule, node, history and command line; the command gives the same again."""
    first = chaos("wrong.yaml", "--seeds", "12", "--faults", "crash,torn", "--rate", "0.2", "--records", "2")
    assert first.status == 1
    again = re.search(
        r"again: run-pipeline chaos (wrong.yaml --faults crash,torn --rate 0.2 --records 2 --seed (\d+))$", first.stdout, re.M
    )
    assert again is not None
    told = first.stdout.partition(f"seed {again[2]}: ")[2].partition("  again:")[0]
    assert told.startswith(("twice: node added:", "torn: node added:"))
    assert "what was injected, in" in told
    assert "crash behind" in told or "torn writes behind" in told
    second = chaos(*again[1].split())
    assert second.status == 1
    assert told in second.stdout
    assert "1 seed on 2 records" in second.stdout


def test_json_says_the_same(folder: Path) -> None:
    """One document, with each violation and its history; secrets are hidden."""
    ended = chaos("wrong.yaml", "--seeds", "12", "--format", "json")
    found = json.loads(ended.stdout)
    assert ended.status == 1
    assert (found["version"], found["seeds"], found["records"]) == (1, 12, 3)
    assert sum(found["faults"].values()) > 0
    violation = found["violations"][0]
    assert violation.keys() == {"seed", "rule", "message", "record", "node", "history", "again"}
    assert violation["again"] == f"run-pipeline chaos wrong.yaml --seed {violation['seed']}"
    assert violation["history"]
    assert "hush" not in ended.stdout


def test_a_manifest_that_cannot_be_tried_is_status_2(folder: Path) -> None:
    """Wrong, not there, or with effects that cannot be moved away."""
    ended = chaos("sends.yaml")
    assert ended.status == 2
    assert "node 'sent' (local.send): has effects outside" in ended.stderr
    assert chaos("nowhere.yaml").status == 2
    (folder / "broken.yaml").write_text("nodes: 1\n")
    assert chaos("broken.yaml").status == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seed", "1", "--seeds", "2"), "expected one of both"),
        (("--faults", "error,flood"), "unknown kind 'flood'; expected some of error, delay, crash, torn, disk"),
        (("--seeds", "0"), "0 is not in the range"),
        (("--rate", "2"), "2"),
    ],
)
def test_a_wrong_command_line_is_refused(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    """Before anything runs."""
    ended = chaos("right.yaml", *arguments)
    assert ended.status == 2
    assert words in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM in the middle of a call: the temporary folder goes, and it is said how far it came."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    text = (folder / "words.py").read_text()
    seen = "    SEEN.append(0)\n    if len(SEEN) == 20:\n        signal.raise_signal(signal.NAME)\n".replace("NAME", number.name)
    text = text.replace("    return Path", seen + "    return Path").replace("import os\n", "import os, signal\nSEEN = []\n")
    (folder / "words.py").write_text(text)
    ended = chaos("right.yaml", "--seeds", "1000000000", "--faults", "delay")
    assert ended.status == 130
    assert re.fullmatch(r"interrupted: \d of 1000000000 seeds were tried\n", ended.stderr)
    assert not [*temporary.iterdir()]
    assert signal.getsignal(signal.SIGTERM) is before[1]
    signal.signal(signal.SIGINT, before[0])


def test_what_another_order_changes_is_told_without_seeds(folder: Path) -> None:
    """A node that counts is wrong without any fault; nothing is injected then."""
    text = (folder / "words.py").read_text().replace("    return Path", "    COUNT.append(0)\n    return str(len(COUNT)) + Path")
    (folder / "words.py").write_text(text.replace("import os\n", "import os\nCOUNT = []\n"))
    ended = chaos("right.yaml", "--seeds", "3")
    assert ended.status == 1
    assert "without any fault: other: node rows" in ended.stdout
    assert "0 seeds on 3 records: 0 faults injected, 1 violation" in ended.stdout
