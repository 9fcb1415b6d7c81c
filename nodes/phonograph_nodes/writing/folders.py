"""Where sinks put their files: the parameter that names the folder, the proof that files can be made in it."""

from __future__ import annotations

import os
import tempfile
from typing import Annotated

import msgspec

from phonograph.node import OutputPath
from phonograph.sink import storing

OutputFolder = Annotated[
    OutputPath,
    msgspec.Meta(description="folder; each record's file lies below it under the record's key", extra={"folder": True}),
]


def require_writable(folder: str) -> None:
    """Make a folder and prove that files can be made in it, so that a run fails before its first record and not after.

    Raises:
        OutputError: not possible.
    """
    with storing(folder):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
