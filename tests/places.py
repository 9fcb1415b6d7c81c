"""Where the tests find things that are not installed: the source tree, the shared data sets."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent

NEEDS_SOURCE_TREE = "needs the source tree"


def source_tree() -> Path | None:
    """The checkout that these tests belong to, or None when they were copied out of it."""
    root = TESTS.parent
    return root if (root / "runtime" / "phonograph").is_dir() and (root / "nodes" / "phonograph_nodes").is_dir() else None


def shared_folder() -> Path:
    """The folder of development data sets: PHONOGRAPH_SHARED, else the folder `shared` beside the checkout. It may not exist."""
    return Path(os.environ.get("PHONOGRAPH_SHARED") or TESTS.parent.parent / "shared")
