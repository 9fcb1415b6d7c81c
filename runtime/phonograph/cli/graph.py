"""`run-pipeline graph`: a manifest as a drawing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import ManifestName, manifest_options

if TYPE_CHECKING:
    from phonograph.drawing.picture import Picture


_FORMATS = {"": "text", ".txt": "text", ".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command("graph")
@click.argument("manifest", type=ManifestName())
@manifest_options
@click.option(
    "format_", "--format", type=click.Choice(["text", "mermaid", "svg"]), help="[default: by the name of FILE, else text]"
)
@click.option(
    "-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Write it here instead of printing."
)
def command(
    manifest: str,
    params: tuple[tuple[str, str], ...],
    overrides: tuple[tuple[str, str], ...],
    format_: str | None,
    file: str | None,
) -> int:
    """Draw MANIFEST as it would run.

    Inserted conversions are shown, and on every edge the type of what flows. Text is for terminals, Mermaid for Markdown,
    SVG for everything else; SVG needs the extra `graph`. Nothing is looked up in a network.

    Exit status: 0; 2 for a wrong manifest or command line; 1 when it cannot be drawn or written.
    """
    from phonograph.cli.complaints import say
    from phonograph.drawing.picture import picture_of
    from phonograph.errors import PhonographError

    chosen = format_ or _format_of(file)
    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    try:
        text = _drawn(picture_of(graph), chosen, for_screen=file is None)
        if file is not None:
            _write(os.path.realpath(file), (text.removesuffix("\n") + "\n").encode(errors="backslashreplace"))
            return 0
    except (_CannotDrawError, PhonographError) as error:
        click.echo(f"error: {error}", err=True)
        return 1
    except OSError as error:
        click.echo(f"error: {file}: cannot be written: {error.strerror}", err=True)
        return 1
    say(text.removesuffix("\n"), sys.stdout)
    return 0


class _CannotDrawError(Exception):
    """Says why, and what to do instead."""


def _format_of(file: str | None) -> str:
    suffix = Path(file).suffix.lower() if file is not None else ""
    if suffix not in _FORMATS:
        found = f"{file}: there is no format for names that end in {suffix}"
        raise click.BadParameter(f"{found}; expected .svg, .mmd or .txt, or --format", param_hint="--output")
    return _FORMATS[suffix]


def _write(path: str, content: bytes) -> None:
    """The whole file or none; what is no file, such as /dev/stdout, is written as it is."""
    from phonograph.sink import FilePart

    if os.path.lexists(path) and not os.path.isfile(path):
        Path(path).write_bytes(content)
        return
    os.stat(os.path.dirname(path))  # a slip in a folder's name makes no folder
    FilePart(path, lambda file: _put(file, content)).commit()


def _put(file: IO[bytes], content: bytes) -> None:
    file.write(content)


def _drawn(picture: Picture, chosen: str, *, for_screen: bool) -> str:
    if chosen == "mermaid":
        from phonograph.drawing.mermaid import as_mermaid

        return as_mermaid(picture)
    if chosen == "svg":
        return _as_svg(picture)
    from phonograph.drawing.text import as_text

    return as_text(picture, ascii_only=for_screen and not _shows_lines())


def _as_svg(picture: Picture) -> str:
    from phonograph.drawing.layout import TooLargeError
    from phonograph.drawing.svg import as_svg

    try:
        return as_svg(picture)
    except ModuleNotFoundError as error:
        if error.name != "igraph":
            raise
        message = "SVG needs igraph, which is not installed: pip install 'phonograph[graph]'; --format text and mermaid do not"
        raise _CannotDrawError(message) from error
    except TooLargeError as error:
        size = f"{len(picture.boxes)} nodes and {len(picture.arrows)} edges"
        raise _CannotDrawError(f"{size} are too many for an SVG; --format text and mermaid have no limit") from error


def _shows_lines() -> bool:
    """Whether standard output takes box-drawing characters."""
    try:
        "│".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
