"""Shows complaints to people: the line that says everything, and below it, on a terminal, the place in the text."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import click

from phonograph.drawing.cells import width_of
from phonograph.errors import Complaint, Position

_NARROWEST = 40  # columns; below that the text is cut no further
_CUT = "..."

Redact = Callable[[str], str]
"""Takes a line of a manifest, gives what may be shown of it; nothing where that cannot be told."""


def show_complaints(complaints: Iterable[Complaint], stream: IO[str], *, redact: Redact = str) -> None:
    """Write complaints to a stream; on a terminal each with its line of the manifest and a caret below the column."""
    excerpts = Excerpts(redact) if stream.isatty() else None
    for complaint in complaints:
        say(str(complaint), stream)
        for line in excerpts.around(complaint.position) if excerpts is not None else ():
            say(line, stream)


def say(text: str, stream: IO[str]) -> None:
    """Write a line; a file name that is not UTF-8 arrives as lone surrogates, which no stream takes, and is written escaped."""
    click.echo(text.encode(errors="backslashreplace").decode(), file=stream)


class Excerpts:
    """Lines of the files that complaints are about; each file is read once.

    Args:
        redact: hides what must not be shown.
        width: columns to keep to; None: those of the terminal.
    """

    def __init__(self, redact: Redact = str, *, width: int | None = None) -> None:
        self._redact = redact
        self._width = max(width or shutil.get_terminal_size().columns, _NARROWEST)
        self._lines: dict[str, Sequence[str]] = {}

    def around(self, position: Position) -> Iterator[str]:
        """The line of a position and one with a caret; nothing when the file cannot be read or has no such line."""
        lines = self._read(position.file)
        if not 1 <= position.line <= len(lines) or not lines[position.line - 1].strip():
            return
        line = lines[position.line - 1]
        text = self._redact(line)
        if not text:
            return
        column = min(position.column - 1, len(line))
        if text != line:  # what was hidden may have another length; up to there nothing has changed
            column = min(column, _common(text, line))
        gutter = f"{position.line:>4} | "
        text, before = _cut(_visible(text), column, self._width - len(gutter))
        yield gutter + text
        yield f"{'':>4} | {' ' * before}^"

    def _read(self, file: str) -> Sequence[str]:
        if file not in self._lines:
            try:
                text = Path(file).read_text("utf-8-sig") if Path(file).is_file() else ""
            except (OSError, ValueError):
                text = ""
            self._lines[file] = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self._lines[file]


def _common(first: str, second: str) -> int:
    """How many characters two texts begin with alike."""
    return next((number for number, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), len(first))


def _visible(line: str) -> str:
    """The line with one printable character for each of its own; control characters must not reach a terminal."""
    return "".join(sign if sign.isprintable() else " " if sign == "\t" else "\N{REPLACEMENT CHARACTER}" for sign in line)


def _cut(line: str, column: int, width: int) -> tuple[str, int]:
    """A part of the line round a column, and how many cells of a terminal stand before that column."""
    start, end = 0, len(line)
    if width_of(line) > width:
        room = width - 2 * len(_CUT)
        start = max(0, min(column - room // 2, len(line) - room))
        end = start
        taken = 0
        while end < len(line) and taken + width_of(line[end]) <= room:
            taken += width_of(line[end])
            end += 1
        end = max(end, min(column + 1, len(line)))
    left, right = _CUT if start else "", _CUT if end < len(line) else ""
    return left + line[start:end] + right, len(left) + width_of(line[start:column])
