"""run-pipeline new: manifests to begin with, which run as they are."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from phonograph import cli
from phonograph.cli.check import command as check
from phonograph.cli.editor import MODELINE
from phonograph.cli.explain import command as explain
from phonograph.cli.new import command
from phonograph.cli.starter import NewManifestError, adapted, file_and_id
from phonograph.cli.test import command as run_cases
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_manifests, shipped_root

NUM_CLIPS = 5
STARTS = [(), *(("--from", name) for name in shipped_manifests())]
every_start = pytest.mark.parametrize("start", STARTS, ids=lambda start: start[-1] if start else "starter")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def new(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def runs(path: Path, folder: Path) -> None:
    """A manifest does what it does for every clip, and writes beside itself alone."""
    report = Executor(load_manifest(path), run_dir=folder / "run").run()
    assert (report.status, report.records.completed) == ("success", NUM_CLIPS)
    assert [found for found in (path.parent / "phonograph-out" / path.stem).rglob("*") if found.is_file()]


@every_start
def test_a_new_manifest_runs_as_it_is(start: tuple[str, ...], folder: Path) -> None:
    """The starter, and a copy of each shipped manifest, read the installed clips and run without a change."""
    result = new("mine", *start)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]
    assert load_manifest("mine.yaml").name == "mine"
    runs(folder / "mine.yaml", folder)


@every_start
def test_a_new_manifest_with_samples_can_be_moved(start: tuple[str, ...], folder: Path) -> None:
    """With --samples the clips lie beside it and it names no other place; together they run anywhere."""
    assert new("jobs/mine", *start, "--samples").exit_code == 0
    (folder / "jobs").rename(folder / "moved")
    text = (folder / "moved" / "mine.yaml").read_text("utf-8")
    assert "    default: samples\n" in text
    runs(folder / "moved" / "mine.yaml", folder)


@every_start
def test_comments_are_kept_and_speak_of_the_new_manifest(start: tuple[str, ...], folder: Path) -> None:
    """Each comment of the original is there; commands in them name the new file."""
    new("mine", *start)
    text = (folder / "mine.yaml").read_text("utf-8")
    name = start[-1] if start else "starter"
    original = shipped_manifests().get(name, Path(cli.__file__).with_name("starter.yaml"))
    comments = [line for line in original.read_text("utf-8").splitlines() if line.lstrip().startswith("#")]
    kept = [line for line in comments if not line.startswith(MODELINE) and f"run-pipeline {name}" not in line]
    assert [line for line in kept if line not in text.splitlines()] == []
    assert f"run-pipeline {name}" not in text
    assert "run-pipeline mine.yaml" in text


@every_start
def test_the_first_line_is_for_the_editor(start: tuple[str, ...], folder: Path) -> None:
    """A new manifest opens with the path of a schema that is there, once."""
    new("mine", *start)
    text = (folder / "mine.yaml").read_text("utf-8")
    assert text.count(MODELINE) == 1
    assert Path(text.splitlines()[0].removeprefix(MODELINE)).is_file()


def test_the_next_commands_are_printed() -> None:
    """What was written is said, and then what to type, quoted for a shell."""
    assert new("My Corpus").output.splitlines() == [
        "wrote My Corpus.yaml",
        "",
        "next:",
        "  run-pipeline check 'My Corpus.yaml'",
        "  run-pipeline explain 'My Corpus.yaml'",
        "  run-pipeline test 'My Corpus.yaml'",
        "  run-pipeline 'My Corpus.yaml'",
    ]
    assert new("other", "--samples").output.splitlines()[0] == "wrote other.yaml, and the clips in samples"
    assert "  run-pipeline ./-x.yaml" in new("--", "-x").output.splitlines()


@pytest.mark.parametrize(
    ("name", "file", "identifier"),
    [
        ("speech", "speech.yaml", "speech"),
        ("jobs/Night Run.yaml", "jobs/Night Run.yaml", "night-run"),
        ("clips.yml", "clips.yml", "clips"),
        ("v1.5", "v1.5.yaml", "v1-5"),
        ("2026-01_Über", "2026-01_Über.yaml", "uber"),
        ("日本", "日本.yaml", "pipeline"),
        ("42", "42.yaml", "pipeline"),
    ],
)
def test_the_file_and_the_name_in_it(name: str, file: str, identifier: str) -> None:
    """A name gives a file; the manifest's own name is spelled as ids are."""
    assert file_and_id(name) == (Path(file), identifier)


@pytest.mark.parametrize("name", ["", ".", "..", "jobs/", "a\0b"])
def test_what_names_no_file(name: str, folder: Path) -> None:
    """It is refused, with exit status 2, and nothing is written."""
    with pytest.raises(NewManifestError, match="is no name for a file"):
        file_and_id(name)
    assert CliRunner().invoke(command, [name], standalone_mode=False).return_value == 2
    assert list(folder.iterdir()) == []


def test_nothing_is_overwritten(folder: Path) -> None:
    """A file, a folder or a dangling link of that name stays as it is."""
    (folder / "file.yaml").write_text("mine")
    (folder / "folder.yaml").mkdir()
    (folder / "link.yaml").symlink_to("nowhere.yaml")
    for name in ("file", "folder", "link"):
        result = CliRunner().invoke(command, [name, "--samples"], standalone_mode=False)
        assert result.return_value == 2
        assert result.stderr == f"error: {name}.yaml is there already; expected a new name\n"
    assert (folder / "file.yaml").read_text() == "mine"
    assert not (folder / "samples").exists() and not (folder / "nowhere.yaml").exists()


def test_samples_that_are_there(folder: Path) -> None:
    """Clips that an earlier copy left are taken as they are; another file of such a name is not replaced."""
    new("first", "--samples")
    (folder / "samples" / "README.md").unlink()
    assert CliRunner().invoke(command, ["second", "--samples"], standalone_mode=False).return_value == 0
    copied = {path.name: path.read_bytes() for path in (folder / "samples").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in (shipped_root("manifests") / "samples").iterdir()}
    (folder / "samples" / "README.md").write_text("my own notes")
    third = CliRunner().invoke(command, ["third", "--samples"], standalone_mode=False)
    assert third.return_value == 2 and "samples/README.md is there already" in third.stderr
    assert (folder / "samples" / "README.md").read_text() == "my own notes"
    assert not (folder / "third.yaml").exists()


def test_samples_that_are_no_folder(folder: Path) -> None:
    """A file called samples is in the way, and stays."""
    (folder / "samples").write_text("not clips")
    assert "samples is there already" in CliRunner().invoke(command, ["x", "--samples"], standalone_mode=False).stderr
    assert [path.name for path in folder.iterdir()] == ["samples"]


def test_an_unknown_shipped_manifest(folder: Path) -> None:
    """The known ones are named, the nearest first of all."""
    result = new("x", "--from", "featurse")
    assert result.exit_code == 2
    assert "expected one of convert, features, vad-segments" in result.stderr and "did you mean 'features'?" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    """A file where the folder belongs is exit status 1."""
    (folder / "jobs").write_text("in the way")
    result = CliRunner().invoke(command, ["jobs/x"], standalone_mode=False)
    assert result.return_value == 1 and "jobs" in result.stderr


@pytest.mark.parametrize("clips", ["/plain/path", "/with space", '/with "quotes"', "/with ${params.x}", "/with: colon", "/ä #1"])
def test_any_folder_of_clips_is_one_value(clips: str, folder: Path) -> None:
    """However the folder is called in which the clips lie, the manifest reads its path back."""
    template = "version: 1\nname: old\nparams:\n  corpus:\n    type: path\n    default: samples\n"
    text = adapted(template, identifier="x", command="x.yaml", modeline="#", clips=clips)
    (folder / "x.yaml").write_text(f"{text}steps: [{{type: source.files}}]\n", "utf-8")
    written = yaml.safe_load(text)["params"]["corpus"]["default"]
    assert re.sub(r"\$\$\{", "${", written) == clips
    assert load_manifest(folder / "x.yaml").params["corpus"].value == clips


def test_a_cache_that_cannot_be_written_is_no_obstacle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the shipped schema stands in the first line, and a note says so."""
    monkeypatch.setattr(Registry, "installed", classmethod(lambda cls: cls()))  # other types than the shipped ones
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/no")
    result = new("x")
    assert result.exit_code == 0 and result.stderr.startswith("note: the editor will know the shipped node types alone")
    first = (folder / "x.yaml").read_text("utf-8").splitlines()[0]
    assert first == f"{MODELINE}{shipped_root('contracts') / 'manifest.schema.json'}"


@every_start
def test_the_commands_that_come_next_succeed(start: tuple[str, ...]) -> None:
    """check says nothing but notes about a new manifest, explain explains it, and its test cases pass."""
    new("mine", *start)
    for verb, options in ((check, ["--strict"]), (explain, []), (run_cases, [])):
        result = CliRunner().invoke(verb, ["mine.yaml", *options], standalone_mode=False)
        assert not result.exception and not result.return_value, result.output


def test_shipped_manifests_are_completed_in_a_shell() -> None:
    """A shell completes what can stand after --from."""
    found = ShellComplete(command, {}, "new", "_NEW_COMPLETE").get_completions(["x", "--from"], "f")
    assert [one.value for one in found] == ["features"]


def test_a_full_disk_leaves_nothing(folder: Path) -> None:
    """Half a manifest would be in the way of the next try; a limit on the size of files stands for the disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    try:
        result = new("zz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert result.output.startswith("note: ") or "cannot be written" in result.output
    assert "zz.yaml: cannot be written: File too large" in result.output
    assert list(folder.iterdir()) == []
