"""`run-pipeline redrive`: which records it runs, through which manifest, what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from command_line import Ended, run_pipeline
from phonograph.cli.redrive import command

MANIFEST = """version: 1
name: words
plugins: [words.py]
params:
  texts: {type: path, default: texts}
  token: {type: secret, default: ""}
nodes:
  texts: {type: source.files, params: {paths: "${params.texts}", extensions: [txt]}}
  words: {type: local.words, input: texts, params: {most: 3, token: "${params.token}"}}
  rows: {type: sink.jsonl, input: words, order: true, params: {path: out.jsonl}}
"""
PLUGIN = '''
from pathlib import Path
from phonograph.errors import BadInputError
from phonograph.node import Secret, node


@node("local.words")
def words(record: dict, *, most: int = 3, token: Secret = "") -> str:
    """Read a text of a few words."""
    text = Path(record["path"]).read_text()
    if len(text.split()) > most:
        raise BadInputError(f"{token} too many words in {record['path']}: {len(text.split())}; expected {most}")
    return text
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that runs are started in, with a manifest in one below, and another folder to be in."""
    for name in ("made", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "made" / "words.yaml").write_text(MANIFEST)
    (tmp_path / "made" / "words.py").write_text(PLUGIN)
    (tmp_path / "given").mkdir()
    for name, text in {"a": "one", "b": "one two three four", "c": "one two"}.items():
        (tmp_path / "given" / f"{name}.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    ended = run_pipeline("made/words.yaml", "--param", "texts=given", "--param", "token=hush", "--run-dir", "run")
    assert ended.status == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def redrive(*arguments: str) -> Ended:
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return Ended(result.return_value, result.stdout, result.stderr)


def texts(folder: Path) -> list[str]:
    return [json.loads(row)["text"] for row in (folder / "made" / "out.jsonl").read_text().splitlines()]


def test_what_is_set_heals_what_failed(folder: Path) -> None:
    """The manifest and its parameters are found by the run directory, from wherever it is asked."""
    ended = redrive("../run", "--set", "nodes.words.params.most=9", "--param", "token=hush", "--sync-every", "0")
    assert (ended.status, ended.stderr) == (0, "")
    assert "records: 3 read = 3 completed" in ended.stdout
    assert "1 of them run again: 1 healed" in ended.stdout
    assert texts(folder) == ["one", "one two three four", "one two"]
    assert (folder / "run" / "dead_letters.jsonl").read_text() == ""


def test_nothing_of_what_is_kept_is_secret(folder: Path) -> None:
    """A secret that was given stands nowhere in the run directory, and has to be given again."""
    assert not [path for path in (folder / "run").rglob("*") if path.is_file() and b"hush" in path.read_bytes()]
    kept = json.loads((folder / "run" / "manifest.json").read_text())
    assert kept["params"] == {"texts": "given", "token": "***"}
    assert kept["texts"][str(folder / "made" / "words.yaml")] == MANIFEST


def test_code_that_changed_is_refused_until_it_is_meant(folder: Path) -> None:
    """The difference is told; with `--reuse` what failed is run by what is there now."""
    (folder / "made" / "words.py").write_text(PLUGIN.replace("> most", "> most + 1"))
    ended = redrive("../run", "--param", "token=hush")
    assert ended.status == 1
    assert "code of words.py was" in ended.stderr
    assert "--reuse" in ended.stderr
    assert redrive("../run", "--param", "token=hush", "--reuse").status == 0
    assert texts(folder) == ["one", "one two three four", "one two"]


def test_some_letters_in_a_file_elsewhere(folder: Path) -> None:
    """Lines of dead_letters.jsonl in another file say which records, and `--run-dir` of which run."""
    lines = (folder / "run" / "dead_letters.jsonl").read_text()
    Path("some.jsonl").write_text(lines)
    set_ = ("--set", "nodes.words.params.most=9", "--param", "token=hush")
    assert redrive("some.jsonl", *set_).status == 2, "its own folder is no run directory"
    assert redrive("some.jsonl", "--run-dir", "../run", *set_).status == 0
    assert texts(folder) == ["one", "one two three four", "one two"]


def test_a_folder_without_a_run_is_refused(folder: Path) -> None:
    """The message says what is missing; nothing is run."""
    ended = redrive(str(folder / "elsewhere"))
    assert ended.status == 2
    assert "manifest.json: is not there; expected the directory of a run" in ended.stderr


def test_a_manifest_that_does_not_read_any_more_is_told(folder: Path) -> None:
    """Complaints are those of a run."""
    (folder / "made" / "words.yaml").write_text(MANIFEST.replace("local.words", "local.wrods"))
    ended = redrive("../run")
    assert ended.status == 2
    assert "no node type 'local.wrods'" in ended.stderr
