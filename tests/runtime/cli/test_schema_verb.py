"""run-pipeline schema: the schema of the installed node types, and a file that an editor can point at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema.validators import validator_for

from phonograph.cli.editor import MODELINE, CacheError, modeline, schema_file
from phonograph.cli.schema import command
from phonograph.shipped import shipped_root

SHIPPED = shipped_root("contracts") / "manifest.schema.json"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty; the working directory is a folder beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"


def schema(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with a node type that works and one that does not."""
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[phonograph.nodes]\nthird_party = third_party_nodes:NODES\n")
    (tmp_path / "third_party_nodes.py").write_text(
        "from phonograph.audio import AudioChunk\n"
        "from phonograph.node import node\n\n"
        'NODES = {"third.louder": "third_party_nodes:louder", "third.broken": "no_such_module:broken"}\n\n'
        '@node("third.louder")\n'
        "def louder(audio: AudioChunk, *, gain_db: float = 0.0) -> AudioChunk:\n"
        '    """Make audio louder."""\n'
        "    return audio\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("third_party_nodes", None)


def types_in(document: dict[str, Any]) -> str:
    return json.dumps(document)


def test_the_schema_is_the_shipped_one(cache: Path) -> None:
    """Where only shipped node types are installed, the schema is the shipped contract, and so is its path; nothing is written."""
    printed = schema()
    assert (printed.return_value, printed.output) == (0, SHIPPED.read_text("utf-8"))
    assert schema("--path").output == f"{SHIPPED}\n"
    assert not cache.exists()


def test_other_installed_types_are_in_the_schema(third_party: None, cache: Path) -> None:
    """A type of another package is in the schema, which then lies in the cache folder; a broken type is named and left out."""
    printed = schema()
    document = json.loads(printed.stdout)
    validator_for(document).check_schema(document)
    assert "third.louder" in types_in(document) and "third.broken" not in types_in(document)
    assert printed.stderr.startswith("not in the schema: node type 'third.broken'")
    path = Path(schema("--path").stdout.rstrip("\n"))
    assert path.parent == cache / "phonograph"
    assert path.read_text("utf-8") == printed.stdout
    assert schema("--path").stdout == f"{path}\n"
    assert [found.name for found in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_the_cache_folder_without_a_variable(third_party: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XDG_CACHE_HOME, or with a relative one, which the standard has ignored, it is ~/.cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert Path(schema("--path").stdout).parent == tmp_path / "home" / ".cache" / "phonograph"


def test_a_cache_folder_that_cannot_be_made(third_party: None, cache: Path) -> None:
    """A file in its place is exit status 1, with the remedy."""
    cache.write_text("in the way")
    result = schema("--path")
    assert result.return_value == 1
    assert str(cache) in result.stderr and "XDG_CACHE_HOME" in result.stderr
    with pytest.raises(CacheError):
        schema_file("{}")


def test_no_such_manifest() -> None:
    """A manifest that is not there is exit status 2, with the names that come near."""
    result = schema("featurse")
    assert (result.return_value, result.stdout) == (2, "")
    assert "did you mean 'features'?" in result.stderr


def test_a_shipped_manifest_by_name() -> None:
    """With a manifest that has no plug-ins the schema is the same."""
    assert schema("features", "--path").output == f"{SHIPPED}\n"


def test_the_line_for_editors() -> None:
    """The path stands in the line as it is; one that the language server would not read to its end stands as a URL."""
    assert modeline(Path("/opt/schema.json")) == f"{MODELINE}/opt/schema.json"
    assert modeline(Path("/opt/my files/ä#1.json")) == f"{MODELINE}file:///opt/my%20files/%C3%A4%231.json"


def test_help_says_how_an_editor_uses_it() -> None:
    """--help shows the line that a manifest begins with."""
    result = CliRunner().invoke(command, ["--help"])
    assert f"{MODELINE}PATH" in result.output


def test_the_verb_is_found() -> None:
    """`run-pipeline schema --path` prints a path of a file that is there."""
    run = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()", "schema", "--path"]
    result = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert Path(result.stdout.rstrip("\n")).is_file()


PLUGIN = '''
from phonograph.audio import AudioChunk
from phonograph.node import node


@node("mine.quieter")
def quieter(audio: AudioChunk) -> AudioChunk:
    """Make audio quieter."""
    return audio
'''


def test_the_schema_of_a_manifest_with_plugins(tmp_path: Path, cache: Path) -> None:
    """The types of its plug-ins are in its schema, whatever else is wrong in it, and in no other."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "m.yaml").write_text("version: 1\nname: m\nplugins: [mine.py]\nsteps: [{type: wrong.anyhow}]\n")
    manifest = str(tmp_path / "m.yaml")
    printed = schema(manifest)
    assert printed.return_value == 0 and "mine.quieter" in printed.output
    path = Path(schema(manifest, "--path").output.rstrip("\n"))
    assert path.parent == cache / "phonograph" and path.read_text("utf-8") == printed.output
    assert "mine.quieter" not in schema().output
    (tmp_path / "mine.py").write_text("import no_such_module_of_mine\n")
    broken = schema(manifest)
    assert (broken.return_value, broken.stdout) == (2, "")
    assert "m.yaml:3:11: plugin " in broken.stderr


def test_a_manifest_that_is_no_yaml(tmp_path: Path) -> None:
    """What cannot be read at all has no schema: exit status 2, with the complaint."""
    (tmp_path / "m.yaml").write_text("{")
    broken = schema(str(tmp_path / "m.yaml"))
    assert broken.return_value == 2 and "yaml_syntax" in broken.stderr
