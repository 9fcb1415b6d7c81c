"""Files that an option names for a result: looked at before anything runs, so that no run is lost for the want of a place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class ResultFile(click.ParamType[Path]):
    """The name of a file to read or write; an empty one is refused."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        if not str(value).strip():
            option = param.opts[0] if param is not None else "file"
            raise click.UsageError(
                f"{option} '{value}': the name is empty; expected the name of a file; leave {option} out, or see whether a "
                "variable in the command is unset",
                ctx,
            )
        return Path(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(incomplete, type="file")]


def require_storable(option: str, path: Path, clean: Callable[[str], str]) -> None:
    """Prove that a file of this name can be made or replaced. Nothing is left of the proof; missing folders are not made yet.

    Args:
        clean: takes secrets out of what is told.

    Raises:
        click.UsageError: it cannot.
    """
    from phonograph.sink import behind_links, kind_of_no_file

    try:
        kind = kind_of_no_file(str(path))
        if kind is not None:
            found = f"is {kind}; expected a regular file, which is replaced, or a name that is free; choose another name"
            raise click.UsageError(clean(f"{option} {path}: {found}"))
        with tempfile.TemporaryFile(dir=_nearest_folder(behind_links(os.path.abspath(path)))):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        expected = "expected a folder in which files can be made; choose another name, or make the folder writable"
        raise click.UsageError(clean(f"{option} {path}: cannot be written: {reason}; {expected}")) from error


def _nearest_folder(path: str) -> str:
    """The folder that the file or its missing folders come into."""
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return folder
