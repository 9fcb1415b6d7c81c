"""Scribe: writes how records end, for some time's records together, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from phonograph.engine.threads import Worker, start_worker
from phonograph.errors import PhonographError, RunDirectoryError
from phonograph.journal.directory import MOST_ROWS, RunDirectory
from phonograph.journal.records import RecordRow

_HELD_UP_ROWS = 2 * MOST_ROWS  # the disk does not keep up, and the run waits for it


class Scribe:
    """Tells the run directory how records end. All methods are for the event loop.

    A record counts as done for a later run when its row is on the disk, `every_s` after its end at most. What a killed run had
    not told by then is done again.

    Args:
        on_error: is called with what the directory cannot be written for.
    """

    def __init__(self, directory: RunDirectory, every_s: float, on_error: Callable[[PhonographError], None]) -> None:
        self._directory = directory
        self._every_s = every_s
        self._on_error = on_error
        self._thread: Worker | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    def adopt(self, rows: Sequence[RecordRow]) -> None:
        """Records had ended in earlier runs."""
        self._wait(self._directory.adopt(rows))

    def ended(self, row: RecordRow, before: RecordRow | None = None) -> None:
        """A record has ended; `before`: how it did in an earlier run."""
        num_waiting = self._directory.ended(row, before)
        if self._timer is None or num_waiting >= MOST_ROWS:
            self._wait(num_waiting)

    async def catch_up(self) -> None:
        """Write all that waits, and come back when it is on the disk."""
        await self._written()
        self._write()
        await self._written()

    async def close(self) -> None:
        """The same, and end the thread, also when nobody waits for the disk any longer."""
        try:
            await self.catch_up()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._thread is not None:
                self._thread.stop()
                self._thread.join()

    def _wait(self, num_waiting: int) -> None:
        if num_waiting >= MOST_ROWS:
            self._write(is_held_up=num_waiting >= _HELD_UP_ROWS)
        elif self._timer is None and num_waiting:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._write)

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.wait((self._writing,))

    def _write(self, *, is_held_up: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if is_held_up:
            self._store_here()
            return
        rows = self._directory.take() if self._writing is None else []
        if rows:
            self._thread = self._thread or start_worker("journal")
            self._writing = self._thread.call(self._directory.store, rows)
            self._writing.add_done_callback(self._wrote)

    def _wrote(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        error = writing.exception()
        if error is not None:
            self._on_error(error if isinstance(error, PhonographError) else RunDirectoryError(f"the journal: {error!r}"))
        elif self._directory.num_waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._write)

    def _store_here(self) -> None:
        try:
            self._directory.store(self._directory.take())
        except PhonographError as error:
            self._on_error(error)
