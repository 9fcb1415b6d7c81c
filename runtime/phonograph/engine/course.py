"""Course: how a run stands, what ended it, and what is said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from phonograph.engine.delivery import END, Entry
from phonograph.engine.failures import Failures
from phonograph.engine.identity import Identity
from phonograph.engine.lane import NodeRun
from phonograph.engine.ledger import Ledger
from phonograph.engine.letters import Letters
from phonograph.engine.scribe import Scribe
from phonograph.errors import NodeError, PhonographError, RunDirectoryError, in_words
from phonograph.flow.tickets import leave, lose
from phonograph.graph.model import Full
from phonograph.item import Item, Outcome
from phonograph.journal import DeadLetter, RunDirectory
from phonograph.journal.letters import Reference
from phonograph.journal.records import RecordRow
from phonograph.log import Logger

ResultT = TypeVar("ResultT")

_TOLD_FAILURES = 20
"""Failed items of a run that are logged as warnings."""


class Place(Protocol):
    """Where a worker works; another one may come to work there."""

    def call(self, function: Callable[..., ResultT], *arguments: Any, entry: Entry | None = None) -> asyncio.Future[ResultT]: ...


class Course:
    """What all parts of one run share.

    Args:
        sources: their ids, as an identity counts them.

    Attributes:
        error: why the run failed, if it did. interrupt: the Ctrl-C that ended it.
        is_draining: no more records are read. is_aborting: nothing that waits goes on.
        on_abort: is called when the run is to be stopped, perhaps more than once. on_interrupt: to cancel it, with the Ctrl-C.
        on_end: are called with the outcome of each record that ends.
        on_failure: are called with each node that gave up an item, and the ordinals of the records that this was of.
        num_calls: calls that threads work on.
        failures: what was given up, by its reasons.
        num_events: counts whatever happens, so that one can see whether anything does.
    """

    def __init__(
        self,
        nodes: dict[str, NodeRun],
        sources: Sequence[str],
        run_directory: RunDirectory,
        log: Logger,
        *,
        sync_every_s: float,
    ) -> None:
        self.nodes = nodes
        self._sources = sources
        self.run_directory = run_directory
        self.scribe = Scribe(run_directory, sync_every_s, self.fail)
        self.ledger: Ledger[Identity] = Ledger(self._record_ended, self._mark_ended)
        self.letters = Letters(self._letter_returned)
        self.error: PhonographError | None = None
        self.interrupt: KeyboardInterrupt | None = None
        self.is_draining = False
        self.is_aborting = False
        self.on_abort: Callable[[], None] = lambda: None
        self.on_interrupt: Callable[[KeyboardInterrupt], object] = lambda interrupt: None
        self.on_end: list[Callable[[Outcome], None]] = []
        self.on_failure: list[Callable[[str, frozenset[int]], None]] = []
        self.num_calls = 0
        self.num_events = 0
        self._num_failures = 0
        self.failures = Failures(run_directory.secrets)
        self._log: Logger | None = log

    def fail(self, error: PhonographError, *, abort: bool = True) -> None:
        """Stop the run because of an error; the first one is the one reported. `abort` cancels what waits."""
        error.args = tuple(self.run_directory.secrets.clean_all(list(error.args)))
        self.error = self.error or error
        self.is_draining = True
        if isinstance(error, NodeError) and error.node in self.nodes:
            self.nodes[error.node].totals.stopped_the_run = True
        if abort:
            self.abort()

    def abort(self) -> None:
        """Cancel every item that waits, and every one that would go on."""
        self.is_aborting = True
        self.on_abort()

    async def interruptible(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what calls nodes in the event loop. Ctrl-C in such a call cancels the run."""
        try:
            await work
        except KeyboardInterrupt as interrupt:
            # Not passed on: out of a task it would leave the event loop at once, and all other tasks where they are.
            self.interrupt = interrupt
            self.on_interrupt(interrupt)
            await asyncio.get_running_loop().create_future()  # until the cancellation comes here

    def cancel(self, entry: Entry) -> None:
        """End an entry because the run is being stopped."""
        self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)
        leave(entry.held)

    def drop(self, node: NodeRun, policy: Full, entry: Entry) -> bool:
        """End an entry because the queue in front of a node is full; who waits for it learns that it will not come.

        The end of a session is never dropped: False then. A dead letter that is dropped lands in the run directory, as any that
        no reader keeps.
        """
        if entry.item.payload is END:
            return False
        if not node.totals.items_dropped:
            self.tell("warning", "queue_full", node=node.plan.id, drops=policy)
        node.totals.items_dropped += 1
        lose(entry.held, entry.item.key, is_dead_letter=False, instead={})
        self.ledger.end(entry.item.ordinal, Outcome.DROPPED, {"node": node.plan.id, "policy": policy})
        leave(entry.held)
        return True

    def letter(self, node: NodeRun, item: Item, identity: Identity, error: Exception, attempts: int) -> DeadLetter:
        """What is told of an item that is given up."""
        directory = self.run_directory
        records = self.ledger.records(item.ordinal)
        if identity.owner is None and len(records) == 1:
            identity = self.ledger.identity(*records)
            reference = Reference(
                source=self._sources[identity.source],
                record=identity.key,
                size=identity.size,
                mtime_ns=identity.mtime_ns,
                digest=identity.digest,
                fingerprint=directory.fingerprint,
            )
        else:
            reference = Reference(fingerprint=directory.fingerprint)
        letter = DeadLetter.of(node.plan, item, error, attempts, directory.secrets, reference)
        if directory.redrive is not None:
            letter = msgspec.structs.replace(letter, attempts=directory.redrive.with_attempts(letter))
        return letter

    def tell_failure(self, node: NodeRun, item: Item, error: Exception, attempts: int) -> None:
        """Count and log that an item was given up; of many, only the first as warnings: the dead letters tell it all again."""
        self.failures.add(node.plan.id, item.key, error)
        for listener in self.on_failure:
            listener(node.plan.id, self.ledger.records(item.ordinal))
        self._num_failures += 1
        if self._num_failures == _TOLD_FAILURES + 1:
            self.tell("warning", "more_records_failed", hint="each is logged at --log-level info", told=_TOLD_FAILURES)
        level = "warning" if self._num_failures <= _TOLD_FAILURES else "info"
        self.tell(level, "record_failed", node=node.plan.id, key=item.key, attempts=attempts, error=in_words(error))

    def tell_resumed(self) -> None:
        """Log what of earlier runs was taken over, and why not all of it."""
        earlier, redrive = self.run_directory.earlier, self.run_directory.redrive
        for words in self.run_directory.notes:
            self.tell("warning", "journal_repaired", note=words)
        if earlier is None:
            return
        if redrive is not None:
            for words in redrive.notes:
                self.tell("warning", "redrive", note=words)
            if redrive.num_notes > len(redrive.notes):
                self.tell("warning", "redrive", more_notes=redrive.num_notes - len(redrive.notes))
        for words in earlier.changed:
            self.tell("warning", "done_again", reason=words)
        if earlier.num_changed > len(earlier.changed):
            self.tell("warning", "done_again", more_records=earlier.num_changed - len(earlier.changed))
        for line in earlier.garbled:
            self.tell("warning", "journal_garbled", file=str(earlier.path), line=line, remedy="its records are done again")
        self.tell("info", "resumed", records=self.ledger.num_adopted, done_again_though_ended_well=earlier.num_changed)

    def tell(self, level: str, event: str, **facts: object) -> None:
        """Log an event. A log that cannot be written must not change what becomes of a record, so it is given up."""
        if self._log is None:
            return
        try:
            getattr(self._log, level)(event, **self.run_directory.secrets.clean_all(facts))
        except Exception:  # noqa: BLE001  # whatever the host's log handlers raise
            self._log = None

    def called(
        self, place: Place, function: Callable[..., ResultT], *arguments: Any, entry: Entry | None = None
    ) -> asyncio.Future[ResultT]:
        """Have a worker's thread call a function; `num_calls` counts it as long as it runs, and not what its results wait for.

        Args:
            entry: that the call begins with, whose time may run out before it ends.
        """
        self.num_calls += 1
        call = place.call(function, *arguments, entry=entry)
        call.add_done_callback(self._returned)
        return call

    def _returned(self, call: asyncio.Future[Any]) -> None:
        self.num_calls -= 1

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    def _letter_returned(self, letter: DeadLetter) -> None:
        try:
            self.run_directory.add_dead_letter(letter)
        except RunDirectoryError as unwritable:
            self.fail(unwritable)

    def adopt(self, node: NodeRun, rows: Sequence[RecordRow]) -> None:
        """The next records of a source had ended in earlier runs, and stand. While the run drains they are not read."""
        if not rows or self.is_draining:
            return
        node.totals.records_read += len(rows)
        node.totals.records_resumed += len(rows)
        first = self.ledger.adopt([row.outcome for row in rows])
        if (earlier := self.run_directory.earlier) is not None and earlier.moves is not None:
            earlier.moves.add(rows, first)
        self.num_events += 1
        self.scribe.adopt(rows)

    def _record_ended(self, ordinal: int, identity: Identity, outcome: Outcome, facts: Mapping[str, str]) -> None:
        if self.run_directory.keeps:
            row = RecordRow(
                key=identity.key,
                outcome=outcome,
                ordinal=ordinal,
                source=identity.source,
                index=identity.place,
                size=identity.size,
                mtime_ns=identity.mtime_ns,
                digest=identity.digest,
            )
            if facts:
                row.node, row.policy = facts.get("node", ""), facts.get("policy", "")
            self.scribe.ended(row, identity.before)
        for listener in self.on_end:
            listener(outcome)
        if identity.owner is not None:
            identity.owner.record_ended(outcome)

    @staticmethod
    def _mark_ended(identity: Identity, outcome: Outcome) -> None:
        if identity.owner is not None:
            identity.owner.record_ended(outcome)


def node_error(node: NodeRun, key: str | None, error: Exception) -> NodeError:
    failure = NodeError(node.plan.id, key, in_words(error))
    failure.__cause__ = error
    return failure
