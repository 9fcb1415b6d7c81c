"""Makes a manifest of one's own out of a starter or a shipped manifest, comments kept."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from phonograph.cli.editor import MODELINE
from phonograph.errors import OutputError, PhonographError
from phonograph.shipped import shipped_root

SAMPLES = "samples"
_SUFFIXES = (".yaml", ".yml")
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")


class NewManifestError(PhonographError):
    """A manifest cannot be made under that name; what is there already is as it was."""

    code = "output"


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: the manifest, and the folder of clips beside it when that was asked for."""

    manifest: Path
    samples: Path | None


def file_and_id(name: str) -> tuple[Path, str]:
    """The file that a name means and the id of the manifest in it: "jobs/My Corpus" -> jobs/My Corpus.yaml, my-corpus.

    Raises:
        NewManifestError: it names no file.
    """
    path = Path(name)
    if not path.name or name.endswith(("/", os.sep)) or path.name == ".." or "\0" in name:
        raise NewManifestError(f"{name!r} is no name for a file; expected one such as my-corpus or jobs/my-corpus.yaml")
    if path.suffix.lower() not in _SUFFIXES:
        path = path.with_name(f"{path.name}.yaml")
    letters = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode().lower()
    identifier = re.sub(r"[^a-z0-9_]+", "-", letters).strip("-")
    return path, re.sub(r"^[^a-z]+", "", identifier) or "pipeline"


def make_manifest(template: Path, target: Path, *, identifier: str, modeline: str, with_samples: bool) -> Made:
    """Write `template` as `target`, under a name of its own.

    Its clips stay where the shipped ones are, unless they are copied beside it: either way it runs as it is.

    Args:
        template: a shipped manifest, or the starter.
        modeline: the comment with the path of the schema.

    Raises:
        NewManifestError: something of that name is there already.
        OutputError: nothing can be written there.
    """
    shipped = shipped_root("manifests") / SAMPLES
    clips = SAMPLES if with_samples else str(shipped)
    text = adapted(
        template.read_text("utf-8"), identifier=identifier, command=shlex.quote(target.name), modeline=modeline, clips=clips
    )
    beside = target.parent / SAMPLES
    if os.path.lexists(target):
        raise NewManifestError(f"{target} is there already; expected a new name")
    if with_samples and (other := _different(shipped, beside)):
        raise NewManifestError(f"{other} is there already, and is not the shipped file of that name; expected it elsewhere")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if with_samples:
            _copy_missing(shipped, beside)
        with target.open("x", encoding="utf-8") as file:  # last, so that a manifest that is there has its clips
            try:
                file.write(text)
                file.flush()
            except BaseException:  # a full disk must not leave half a manifest, which would be in the way of the next try
                target.unlink()
                raise
    except OSError as error:
        raise OutputError(f"{error.filename or target}: cannot be written: {error.strerror or error}") from error
    return Made(target, beside if with_samples else None)


def adapted(text: str, *, identifier: str, command: str, modeline: str, clips: str) -> str:
    """The text of a shipped manifest as one's own: `name:`, commands in comments, folders, the line for editors.

    Args:
        command: what stands for the manifest on a command line from now on.
        clips: the default of the parameter `corpus`.
    """
    named = re.search(r"^name: +([a-z][a-z0-9_-]*)$", text, re.MULTILINE)
    assert named is not None, "a shipped manifest has its name in a line of its own"
    old = re.escape(named[1])
    text = re.sub(rf"^name: +{old}$", f"name: {identifier}", text, flags=re.MULTILINE)
    text = re.sub(rf"^(#.*run-pipeline (?:\w+ )?){old}(?= |$)", lambda match: match[1] + command, text, flags=re.MULTILINE)
    text = text.replace(f"phonograph-out/{named[1]}", f"phonograph-out/{identifier}")
    text = re.sub(rf"^( +default: ){SAMPLES}$", lambda match: match[1] + _scalar(clips), text, flags=re.MULTILINE)
    lines = [line for line in text.splitlines() if not line.startswith(MODELINE)]
    return "\n".join([modeline, *lines]) + "\n"


def _scalar(path: str) -> str:
    """A path as YAML has it; a reference that its name seems to hold is none."""
    return path if _PLAIN.fullmatch(path) else json.dumps(path.replace("${", "$${"), ensure_ascii=False)


def _different(folder: Path, beside: Path) -> Path | None:
    """The first thing at the place of a copy that is no such copy."""
    if os.path.lexists(beside) and not beside.is_dir():
        return beside
    for path in sorted(folder.iterdir()):
        copy = beside / path.name
        if os.path.lexists(copy) and not (copy.is_file() and copy.read_bytes() == path.read_bytes()):
            return copy
    return None


def _copy_missing(folder: Path, beside: Path) -> None:
    beside.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.is_file() and not (beside / path.name).exists():
            shutil.copyfile(path, beside / path.name)
