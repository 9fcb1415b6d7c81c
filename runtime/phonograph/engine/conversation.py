"""Conversations: what one worker keeps for sessions, and how it takes their chunks through a segment.

Theory of operation. A chunk goes through the segment as an item does in a run, with these differences. A node that keeps state
has one for each session: made at the first chunk, given up behind `flush`. What a node gives for one chunk goes on in order, and
when any of it fails, the rest waits until the failure has been judged, so that nothing overtakes anything. The end of a session
comes behind all its chunks: each node that it passes is flushed, and what that gives goes on before it.

A node that can only take audio, features or segments in one piece gets them at the end, or where a gap ends a stretch: the chunks
are put together, up to a bound (`phonograph.streaming`). Which node takes them how, `phonograph.engine.manner` tells.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from phonograph._memory import leave
from phonograph.engine.batch_call import Guest, Outcome, Whole, call_batch
from phonograph.engine.delivery import END
from phonograph.engine.emission import payload_bytes
from phonograph.engine.manner import Manner, manner, takes_messages
from phonograph.engine.step import Step
from phonograph.engine.worker import Pass, as_exception
from phonograph.errors import AttemptTimeoutError, NodeContractError
from phonograph.graph.model import GraphNode
from phonograph.item import Item
from phonograph.streaming import MAX_GATHERED_BYTES, Gathered, Stretches

MAX_GATHERED = MAX_GATHERED_BYTES


class LivePass(Pass):
    """What came of one chunk, or of the end of a session.

    Attributes:
        num_kept: items that nodes took and gave nothing for yet.
        rest: (position, item) of what waits behind a failure, in order.
        has_ended: the end of the session has passed the segment.
        refusal: why a node has not taken a message.
    """

    __slots__ = ("has_ended", "num_kept", "refusal", "rest")

    def __init__(self) -> None:
        super().__init__()
        self.num_kept = 0
        self.rest: list[tuple[int, Item]] = []
        self.has_ended = False
        self.refusal: Exception | None = None

    def gave_nothing(self, step: Step, how: Manner | None) -> None:
        """A node took a chunk and gave nothing for it: it filters, or it keeps."""
        filters = how == "each" or (how == "state" and step.spec.cardinality == "1:0..1")
        self.num_filtered += filters
        self.num_kept += not filters


class Kept:
    """What one node has of one session.

    Attributes:
        state: the node's own, once a chunk has come. gathered: what is being put together.
        num_given: items that it has given. failed: key of the item that it failed on last; empty: of one that is not known.
    """

    __slots__ = ("failed", "gathered", "has_state", "num_given", "state")

    def __init__(self) -> None:
        self.state: Any = None
        self.has_state = False
        self.gathered: Stretches | None = None
        self.num_given = 0
        self.failed: str | None = None

    @classmethod
    def after(cls, before: Kept) -> Kept:
        """What is left of it when the node is lost."""
        kept = cls()
        kept.gathered, kept.num_given = before.gathered, before.num_given
        kept.failed = "" if before.has_state else before.failed
        return kept

    def fail(self, key: str) -> None:
        """The node failed on an item. Nobody knows what the error has left of the state."""
        self.failed, self.state, self.has_state = key, None, False


class Conversations:
    """The sessions of one worker. All methods are for its thread.

    Args:
        nodes: of the segment, as they stand in the plan. steps: the same in the worker.
    """

    def __init__(self, nodes: Sequence[GraphNode], steps: Sequence[Step]) -> None:
        self._steps = steps
        self._manners = [manner(node) for node in nodes]
        self._sessions: dict[str, list[Kept]] = {}

    def run(self, item: Item, position: int, attempt: int, is_probe: bool) -> LivePass | Item:
        """Take a chunk, or the end of a session, through the segment from `position` on; arguments as of `SegmentWorker.run`."""
        assert item.session is not None
        kept = self._kept(item.session)
        outcome = LivePass()
        agenda = [(position, item)]  # what goes on next stands last
        account = self._steps[0].account
        previous: object = None if account is None else account.enter()
        try:
            while agenda and not outcome.num_failures:
                self._advance(*agenda.pop(), kept, attempt, is_probe, outcome, agenda)
                attempt, is_probe = 1, False
        finally:
            if account is not None:
                leave(previous)
        if outcome.has_ended:
            self.forget(item.session)
        outcome.rest = agenda[::-1]
        if len(outcome.emitted) == 1 and not (
            outcome.num_kept or outcome.num_filtered or outcome.num_failures or outcome.rest or outcome.has_ended
        ):
            return outcome.emitted[0]
        return outcome

    def joins(self, item: Item) -> bool:
        """Whether a chunk may be taken together with those of other sessions."""
        return self._manners[0] != "gather" and item.payload is not END

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception:
        """Give chunks of sessions, and whole records, to the segment's only node in one call; as `SegmentWorker.run_batch`.

        A call that fails leaves the states, because its parts are called with them again; the state of a session whose chunk
        failed by itself is given up.
        """
        step = self._steps[0]
        guests: list[Guest] = [
            Whole(step, item) if item.session is None else _Chunk(self, step, self._manners[0], self._kept(item.session)[0], item)
            for item in items
        ]
        try:
            return self._call_batch(guests, num_new)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # as below
            if len(guests) == 1:
                guests[0].failed()
            return as_exception(step.spec, error)

    def _call_batch(self, guests: Sequence[Guest], num_new: int) -> list[Outcome]:
        return call_batch(self._steps[0], guests, num_new)

    def control(self, item: Item, message: object) -> LivePass:
        """Give a message to the nodes that take some, and take what they answer through the rest of the segment.

        Args:
            item: names the session, and is what an answer belongs to.
        """
        assert item.session is not None
        kept, outcome = self._kept(item.session), LivePass()
        account = self._steps[0].account
        previous: object = None if account is None else account.enter()
        try:
            for position, (step, mine) in enumerate(zip(self._steps, kept, strict=True)):
                if not takes_messages(step.spec.factory):
                    continue
                made = self._answer(step, mine, item, message)
                agenda = self._onward(position, made, outcome)[::-1]
                while agenda and not outcome.num_failures:
                    self._advance(*agenda.pop(), kept, 1, False, outcome, agenda)
                outcome.rest += agenda[::-1]
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # as above
            outcome.refusal = as_exception(step.spec, error)
        finally:
            if account is not None:
                leave(previous)
        return outcome

    def _answer(self, step: Step, mine: Kept, item: Item, message: object) -> list[Item]:
        """What a node gives for a message, timed and accounted for."""
        state = self.state(step, mine) if step.spec.stateful else None
        if step.stats is not None:
            step.stats.begin(False)
        try:
            made = self.accepted(step, "state", mine, item, step.node.control(message, state))
        except BaseException:
            if step.stats is not None:
                step.stats.fail()
            raise
        if step.stats is not None:
            step.stats.end(len(made))
        return made

    def forget(self, session: str) -> None:
        """Let go of all that is kept for a session."""
        self._sessions.pop(session, None)

    def succeed(self, before: Conversations, gone: Collection[str]) -> None:
        """Go on with the sessions of a worker that was left behind, but for those that are gone.

        What nodes keep leans on them and is lost, so that the next chunk says `discontinuity`. What is put together here is kept.
        """
        for session, old in list(before._sessions.items()):
            if session not in gone:
                self._sessions[session] = [Kept.after(one) for one in old]

    def _kept(self, session: str) -> list[Kept]:
        kept = self._sessions.get(session)
        if kept is None:
            kept = self._sessions[session] = [Kept() for _ in self._steps]
        return kept

    def _advance(
        self,
        position: int,
        item: Item,
        kept: list[Kept],
        attempt: int,
        is_probe: bool,
        outcome: LivePass,
        agenda: list[tuple[int, Item]],
    ) -> None:
        """Take one item past one node, and put on the agenda what comes of it."""
        is_end = item.payload is END
        if position == len(self._steps):
            outcome.has_ended = is_end
            outcome.emitted += [] if is_end else [item]
            return
        step, mine, how = self._steps[position], kept[position], self._manners[position]
        is_gathered = how == "gather" and not (item.final and not is_end)
        if is_end:
            agenda.append((position + 1, item))
            if mine.gathered is None and not mine.has_state:
                return
        elif not is_gathered and not (is_probe or step.breaker.is_closed):
            mine.failed = item.key
            outcome.fail(position, item, None)
            return
        if mine.failed is not None:
            if mine.failed != item.key and not step.has_fallback:  # which has taken what failed here
                item = msgspec.structs.replace(item, discontinuity=True)
            mine.failed = None
        try:
            made = self._gathered(step, mine, item) if is_gathered else self._call(step, how, mine, item, attempt)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # the user's, and not the node's
            mine.fail(item.key)
            if is_gathered:
                mine.failed = None  # what was too much to gather stays so, up to the next gap
            outcome.fail(position, item, as_exception(step.spec, error), began=step.began)
            return
        if not is_end and not made:
            outcome.gave_nothing(step, how)
        if is_gathered:
            agenda.extend((position, piece) for piece in reversed(made))
        else:
            outcome.trail.append(position)
            agenda.extend(reversed(self._onward(position, made, outcome)))

    def _onward(self, position: int, made: list[Item], outcome: LivePass) -> list[tuple[int, Item]]:
        """Where what a node gave goes from there."""
        if position == len(self._steps) - 1:
            return [(position + 1, child) for child in made]
        onward: list[tuple[int, Item]] = []
        for child in made:
            try:
                selected = self._steps[position].onward(child)
            except NodeContractError as error:
                outcome.fail(position, child, error)
                continue
            if selected is None:
                outcome.num_filtered += 1
            else:
                onward.append((position + 1, selected))
        return onward

    @staticmethod
    def _gathered(step: Step, mine: Kept, item: Item) -> list[Item]:
        """What is in one piece now that a chunk, or the end, has come."""
        if mine.gathered is None:
            node_id = step.node.node_id
            mine.gathered = Stretches(lambda first: Gathered(first, node_id, MAX_GATHERED))
        pieces = mine.gathered.end() if item.payload is END else mine.gathered.push(step.contract.admit(item))
        return [msgspec.structs.replace(piece, ordinal=item.ordinal, final=True) for piece in pieces]

    def _call(self, step: Step, how: Manner | None, mine: Kept, item: Item, attempt: int) -> list[Item]:
        """What the node gives for a chunk, or at the end, timed and accounted for."""
        stats = step.stats
        if stats is None:
            return self._given(step, how, mine, item)
        is_end = item.payload is END
        stats.begin(attempt == 1 and not is_end)
        try:
            made = self._given(step, how, mine, item)
        except BaseException:
            stats.fail()
            raise
        stats.end(len(made))
        stats.audio_seconds += step.audio_seconds(made, None if is_end else item)
        return made

    def _given(self, step: Step, how: Manner | None, mine: Kept, item: Item) -> list[Item]:
        contract = step.contract
        if how == "state":
            if item.payload is END:
                emitted = step.node.flush(mine.state)
            else:
                emitted = step.node.process(contract.admit(item), self.state(step, mine))
            made = self.accepted(step, how, mine, item, emitted)
            if step.weigh is not None:
                step.weigh(payload_bytes(item.payload) + sum(payload_bytes(one.payload) for one in made))
            return made
        # Of what is in one piece the node is to know no session: it is called as for a whole record.
        alone = item if how == "each" else msgspec.structs.replace(item, session=None)
        return self.accepted(step, how, mine, item, step.call(alone))

    @staticmethod
    def state(step: Step, mine: Kept) -> Any:
        """What a node keeps for a session, from its first chunk on."""
        if not mine.has_state:
            mine.state, mine.has_state = step.node.start(), True
        return mine.state

    def accepted(self, step: Step, how: Manner | None, mine: Kept, item: Item, emitted: Any) -> list[Item]:
        """What a node gave for a chunk, or at the end, as items of the session. Raises NodeContractError."""
        if how == "state":
            values = step.contract.gathered(emitted)
            return [self._stamped(step, mine, value, item, number, len(values)) for number, value in enumerate(values)]
        accepted = step.contract.accept(emitted, item)
        given = accepted if isinstance(accepted, list) else [accepted]
        return [self._numbered(mine, one, item, one.key) for one in given]

    def _stamped(self, step: Step, mine: Kept, value: Any, item: Item, number: int, num_values: int) -> Item:
        """One of the values that a node gave, as an item of the record that it now belongs to."""
        if not isinstance(value, Item):
            step.contract.check(value, item)  # raises
        own = item.payload is not END and value.key.startswith(item.key if num_values == 1 else f"{item.key}#")
        key = value.key if own else item.key if num_values == 1 else f"{item.key}#{number:04d}"
        made = self._numbered(mine, value, item, key)
        step.contract.check(made, item)
        return made

    @staticmethod
    def _numbered(mine: Kept, value: Item, item: Item, key: str) -> Item:
        number = mine.num_given
        mine.num_given += 1
        return msgspec.structs.replace(value, key=key, ordinal=item.ordinal, session=item.session, index=number, final=False)


class GuardedConversations(Conversations):
    """The sessions of a worker whose calls may take only so long."""

    def _call(self, step: Step, how: Manner | None, mine: Kept, item: Item, attempt: int) -> list[Item]:
        assert step.guard is not None
        with step.guard.attempt(step, self._steps.index(step), (item,)):
            return super()._call(step, how, mine, item, attempt)

    def _call_batch(self, guests: Sequence[Guest], num_new: int) -> list[Outcome]:
        step = self._steps[0]
        assert step.guard is not None
        try:
            with step.guard.attempt(step, 0, [guest.item for guest in guests]):
                return super()._call_batch(guests, num_new)
        except AttemptTimeoutError:
            for guest in guests:
                guest.failed()  # nobody knows how far the call had come
            raise


class _Chunk:
    """A chunk of a session in a call for several items."""

    def __init__(self, conversations: Conversations, step: Step, how: Manner | None, mine: Kept, item: Item) -> None:
        if mine.failed not in (None, item.key) and not step.has_fallback:
            item = msgspec.structs.replace(item, discontinuity=True)
        self.item = item
        self._conversations = conversations
        self._step = step
        self._how = how
        self._mine = mine

    def state(self) -> Any:
        return self._conversations.state(self._step, self._mine) if self._how == "state" else None

    def outcome(self, emitted: Any) -> Outcome:
        outcome = LivePass()
        outcome.emitted = self._conversations.accepted(self._step, self._how, self._mine, self.item, emitted)
        outcome.trail.append(0)
        if not outcome.emitted:
            outcome.gave_nothing(self._step, self._how)
        self._mine.failed = None
        return outcome

    def failed(self) -> None:
        self._mine.fail(self.item.key)
