class ArrayAccount:
    """Counts the NumPy memory that is allocated while it is the thread's current account."""

    def enter(self) -> object:
        """Make this the current account of the calling thread's context; returns what `leave` needs to undo it."""

    @property
    def held_bytes(self) -> int:
        """Bytes allocated under this account and not yet freed."""

    @property
    def peak_bytes(self) -> int:
        """The most that `held_bytes` ever was."""

def leave(previous: object) -> None:
    """Restore what was current before `ArrayAccount.enter`."""
