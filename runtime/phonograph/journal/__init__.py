"""What a run leaves beside its outputs, so that another one can go on where it stopped."""

from phonograph.journal.directory import NoRunDirectory, RunDirectory, default_run_directory
from phonograph.journal.letters import DeadLetter

__all__ = ["DeadLetter", "NoRunDirectory", "RunDirectory", "default_run_directory"]
