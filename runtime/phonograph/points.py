"""Named steps of storing: where a test, or `run-pipeline chaos`, may stop a run as if its process had been killed there."""

from __future__ import annotations

from collections.abc import Callable

STEPS = (
    "part.begun",  # the journal has the name of the temporary file
    "part.written",  # all of it is in the temporary file, in memory
    "part.synced",  # and on the disk
    "part.renamed",  # it has its final name, in memory
    "part.committed",  # and on the disk
    "rows.appended",  # a row is in a file of rows, in memory
    "rows.synced",  # all that were appended by then are on the disk
    "rows.journalled",  # and the journal says whose they are
    "records.written",  # the journal says how records ended, in memory
    "records.synced",  # and on the disk
    "rows.finishing",  # the journal says that a file of rows gets its final name
    "rows.renamed",  # it has it, in memory
    "rows.finished",  # and on the disk
    "rows.rewritten",  # a file of rows has been written anew beside the old one
    "rows.noted",  # and so has its journal
    "rows.replaced",  # the file has taken the place of the old one, and its journal has not
    "run.ended",  # the journal says that the run has ended
)
"""In the order of a run."""

hook: Callable[[str], None] | None = None
"""Called with the name of each step when it has been taken; None: nothing is."""


def reached(step: str) -> None:
    """A step has been taken."""
    if hook is not None:
        hook(step)
