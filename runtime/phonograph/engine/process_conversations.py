"""ProcessConversations: the sessions of a worker whose nodes run in a process, which has their states.

Theory of operation. What Conversations do is done in the process; here is only who has been there. When the process ends by
itself, sessions that had something in it end: a node cannot go on from a state that is gone as if nothing had happened. Each is
told so once, through `lost`, and what still comes of it until then fails. The session whose chunk was its first there has lost
that chunk alone, and where nodes keep nothing every session goes on: the next chunk of the one whose chunk failed says
`discontinuity`, and the numbers of what comes out go on too, for which they are kept here.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence

import msgspec

from phonograph.engine.batch_call import Outcome
from phonograph.engine.conversation import LivePass
from phonograph.engine.delivery import END
from phonograph.engine.manner import manner
from phonograph.engine.process_worker import Died, ProcessWorker, restored, transportable
from phonograph.errors import AttemptTimeoutError, WorkerDiedError
from phonograph.graph.model import GraphNode
from phonograph.item import Item


class ProcessConversations:
    """The sessions of one ProcessWorker. All methods are for its thread.

    Args:
        nodes: of the segment. lost: gets (session, why) for each session that has lost a state; any thread may empty it.
    """

    def __init__(self, nodes: Sequence[GraphNode], worker: ProcessWorker, lost: deque[tuple[str, WorkerDiedError]]) -> None:
        self._lost = lost
        self._manners = [manner(node) for node in nodes]
        self._keeps = any(how != "each" for how in self._manners)
        self._worker = worker
        worker.on_death = self._died
        self._there: dict[str, int] = {}  # session that has been in the process -> how many items the last node has given it
        self._gone: dict[str, WorkerDiedError] = {}  # sessions that have lost a state
        self._gaps: set[str] = set()  # sessions whose latest chunk was lost

    def run(self, item: Item, position: int, attempt: int, is_probe: bool) -> LivePass | Item:
        """As `Conversations.run`. A process that dies fails the chunk."""
        session = item.session
        assert session is not None
        is_end, worker = item.payload is END, self._worker
        worker.bury()
        if is_end and not (self._keeps or worker.is_running):
            outcome = LivePass()
            outcome.has_ended = True
            self._forget(session)
            return outcome
        if (lost := self._gone.get(session)) is not None:
            return _failed(position, item, lost)
        try:
            made = worker.call(
                "converse",
                *(self._marked(item), position, attempt, is_probe, self._there.get(session, 0), worker.closed()),
                position=position,
                may_repeat=session not in self._there or not self._keeps,
                item=item,
            )
        except Died as died:
            worker.count_lost(died, num_new=int(not is_end and (attempt == 1 or died.at > position)))
            self._gaps.add(session)
            return _failed(died.at, item, died.error, before=range(position, died.at))
        except Exception as error:  # noqa: BLE001  # nodes that cannot be opened, a chunk or an answer that cannot be pickled
            return _failed(position, item, transportable(error))
        assert isinstance(made, LivePass | Item), "a chunk gives a LivePass"
        self._note(session, made)
        return made if isinstance(made, Item) else restored(made, item)

    def joins(self, item: Item) -> bool:
        """As `Conversations.joins`."""
        return self._manners[0] != "gather" and item.payload is not END

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception:
        """As `Conversations.run_batch`. A process that dies fails the call; its parts tell whose states were lost by that."""
        if all(item.session is None for item in items):
            return self._worker.run_batch(items, num_new)
        self._worker.bury()
        able = [item for item in items if item.session not in self._gone]
        made: list[Outcome] = []
        if able:
            numbers = [self._there.get(item.session or "", 0) for item in able]
            marked = [self._marked(item) for item in able]
            result = self._worker.call_batch("converse_batch", marked, min(num_new, len(able)), numbers)
            if isinstance(result, Exception):
                if len(able) == 1 and able[0].session is not None:
                    self._gaps.add(able[0].session)
                return result
            made = result
        for item, outcome in zip(able, made, strict=True):
            if item.session is not None and isinstance(outcome, LivePass):
                self._note(item.session, outcome)
        given = iter(made)
        return [self._gone[item.session or ""] if item.session in self._gone else next(given) for item in items]

    def control(self, item: Item, message: object) -> LivePass:
        """As `Conversations.control`. Raises what keeps the message from getting there."""
        session = item.session
        assert session is not None
        self._worker.bury()
        if (lost := self._gone.get(session)) is not None:
            raise lost
        may_repeat = session not in self._there or not self._keeps
        number = self._there.get(session, 0)
        try:
            made = self._worker.call("control", item, message, number, self._worker.closed(), may_repeat=may_repeat, item=item)
        except Died as died:
            raise died.error from None
        assert isinstance(made, LivePass), "a message gives a LivePass"
        self._note(session, made)
        return made

    def forget(self, session: str) -> None:
        """As `Conversations.forget`."""
        self._gone.pop(session, None)
        self._worker.bury()
        if session in self._there and self._worker.is_running:
            with contextlib.suppress(Died):  # by which it has let go
                self._worker.call("forget", session, may_repeat=False)
        self._forget(session)

    def succeed(self, before: ProcessConversations) -> None:
        """Take over from who has lost all that it had, with its process, in a call that did not even end then."""
        before._died(WorkerDiedError("", "was left behind"))
        self._gone, self._gaps, self._there = dict(before._gone), set(before._gaps), dict(before._there)

    def _died(self, error: WorkerDiedError) -> None:
        if self._keeps:
            self._gone.update(dict.fromkeys(self._there, error))
            self._lost.extend((session, error) for session in self._there)
            self._there.clear()

    def _note(self, session: str, made: LivePass | Item) -> None:
        """A session has been there, and has got this."""
        if isinstance(made, LivePass) and made.has_ended:
            self._forget(session)
            return
        number = self._there.get(session, 0)
        given = made.emitted if isinstance(made, LivePass) else [made]
        self._there[session] = given[-1].index + 1 if given else number

    def _marked(self, item: Item) -> Item:
        """The chunk; if the one before it was lost, it says so."""
        if item.session in self._gaps and item.payload is not END:
            self._gaps.discard(item.session)
            return msgspec.structs.replace(item, discontinuity=True)
        return item

    def _forget(self, session: str) -> None:
        self._there.pop(session, None)
        self._gaps.discard(session)


def _failed(position: int, item: Item, error: Exception, before: Sequence[int] = ()) -> LivePass:
    outcome = LivePass()
    outcome.trail.extend(before)
    outcome.fail(position, item, error).is_unseen = isinstance(error, AttemptTimeoutError)
    return outcome
