"""Text that remembers where it was written, so that a relative path in it starts there, and whether it is a secret."""

from __future__ import annotations

import os
from dataclasses import dataclass

from phonograph.redaction import HIDDEN


class Traced(str):
    """Text that did not simply stand in the manifest's own file: it came from outside, out of an included file, or is secret.

    Attributes:
        read_from, write_to: where a relative path starts that is read, or written; empty: where those of the manifest do.
        is_secret: it must not be seen; its `repr` is already harmless.
        is_outside: it came from a caller, a command line or the environment.
    """

    __slots__ = ("is_outside", "is_secret", "read_from", "write_to")

    read_from: str
    write_to: str
    is_secret: bool
    is_outside: bool

    def __new__(
        cls, text: str, *, read_from: str = "", write_to: str = "", is_secret: bool = False, is_outside: bool = False
    ) -> Traced:
        traced = super().__new__(cls, text)
        traced.read_from, traced.write_to = read_from, write_to
        traced.is_secret, traced.is_outside = is_secret, is_outside
        return traced

    def __repr__(self) -> str:
        return repr(HIDDEN) if self.is_secret else super().__repr__()


def from_outside(text: str) -> Traced:
    """Text from a caller, a command line or the environment: relative paths in it start at the working directory."""
    if isinstance(text, Traced):
        return text
    return Traced(text, read_from=os.getcwd(), write_to=os.getcwd(), is_outside=True)


def like(text: str, first: object, parts: tuple[object, ...] = ()) -> str:
    """Text that was put together: it was written where its first part was, and is secret when any of its parts is."""
    is_secret = any(isinstance(part, Traced) and part.is_secret for part in (first, *parts))
    if isinstance(first, Traced):
        return Traced(text, read_from=first.read_from, write_to=first.write_to, is_secret=is_secret, is_outside=first.is_outside)
    return Traced(text, is_secret=True) if is_secret else text


def folder_of(file: str) -> str:
    """Where relative paths start that stand in a file, absolute; for what comes through a pipe, the working directory."""
    return os.getcwd() if is_piped(file) else os.path.dirname(os.path.abspath(file))


def is_piped(file: str) -> bool:
    """Whether a file is one by name only, such as /dev/stdin or what a shell makes of `<(...)`."""
    folder = os.path.dirname(os.path.abspath(file))
    return folder in ("/dev", "/dev/fd") or folder.startswith("/proc/")


@dataclass(frozen=True, slots=True)
class Home:
    """Where a manifest stands.

    Args:
        file: the manifest's own file, as positions name it; what it includes stands in other files.
        is_named: it was asked for by the name of a shipped one, so that what it writes belongs in the working directory.
    """

    file: str
    is_named: bool = False

    @property
    def read_from(self) -> str:
        """Where relative paths start that are read; absolute."""
        return folder_of(self.file)

    @property
    def write_to(self) -> str:
        """Where relative paths start that are written; absolute."""
        return os.getcwd() if self.is_named else self.read_from

    def written(self, text: str, file: str) -> str:
        """Text that stands in a file; what is traced already stays as it is."""
        if file == self.file or isinstance(text, Traced):
            return text
        folder = folder_of(file)
        return Traced(text, read_from=folder, write_to=os.getcwd() if self.is_named else folder)
