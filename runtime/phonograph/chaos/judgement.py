"""What is wrong with what a disturbed run has left, held against what an undisturbed one makes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Literal

from phonograph.chaos.faults import MARK
from phonograph.chaos.remains import RecordId, Remains, Undisturbed, is_unfinished
from phonograph.errors import PhonographError
from phonograph.flow.gather import mixes_records
from phonograph.graph.model import Graph
from phonograph.item import Outcome

Rule = Literal["conservation", "lost", "twice", "other", "torn", "order", "outcome", "dead letter", "failed", "left behind"]

# What follows from what was injected, without saying so: calls that took long, breakers that opened, too many failures.
_CONSEQUENCES = frozenset(
    {"breaker_open", "timeout", "total_timeout", "workers_left", "left_over", "call_cancelled", "error_budget"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is wrong.

    Args:
        rule: which rule does not hold. words: what was found. record, node: where; empty where it is of none.
    """

    rule: Rule
    words: str
    record: str = ""
    node: str = ""


class Judgement:
    """Judges the runs of a graph."""

    def __init__(self, graph: Graph, undisturbed: Undisturbed) -> None:
        self._undisturbed = undisturbed
        nodes = graph.nodes.values()
        self._nodes = tuple(graph.nodes)
        self._varies = varies(graph)
        self._may_skip = any(node.on_error == "skip" or node.breaker.when_open == "skip" for node in nodes)
        self._is_read = any(node.dead_letters for node in nodes)
        self._ordered = {node.id for node in nodes if node.order or any("~order" in link.source for link in node.inputs)}

    def of_stopped(self, remains: Remains) -> Iterator[Found]:
        """What is wrong with what lies there when a run has stopped dead."""
        for path, content in remains.outputs.items():
            wanted = self._undisturbed.outputs.get(path)
            if is_unfinished(path) or wanted is None or self._varies:
                continue
            if path in self._undisturbed.alone:
                if content != wanted:
                    difference = _difference(content, wanted)
                    yield self._about(path, "torn", f"{path} has its final name, and not its content: {difference}")
            else:
                for row in Counter(self._parts(content)) - Counter(self._parts(wanted)):
                    words = f"{path} has its final name, and a row that is not whole or twice: {_shown(row)}"
                    yield self._about(path, "torn", words)

    def of_ended(self, remains: Remains, *, is_disturbed: bool, may_leave: bool) -> Iterator[Found]:
        """What is wrong when a run has come to its end.

        Args:
            is_disturbed: there were faults in it; else it is to have mended all that runs before have left.
            may_leave: the power went before, which may leave temporary files.
        """
        for words in remains.faults:
            yield Found("left behind", words)
        if not remains.has_ended_well:
            if not is_disturbed or not _is_injected(remains.error):
                error = remains.error or "no error"
                yield Found("failed", f"the run failed, and nothing injected was the reason: {type(error).__name__}: {error}")
            return
        yield from self._law(remains)
        yield from self._outcomes(remains, is_disturbed=is_disturbed)
        if not self._varies:
            yield from self._outputs(remains, is_disturbed=is_disturbed, may_leave=may_leave)

    def _law(self, remains: Remains) -> Iterator[Found]:
        assert remains.report is not None
        counts = {outcome: getattr(remains.report.records, outcome.value) for outcome in Outcome}
        if sum(counts.values()) != remains.report.records.read:
            yield Found("conservation", f"{remains.report.records.read} records read, {sum(counts.values())} ended")
        journalled = Counter(row.outcome for row in remains.rows)
        if {outcome: number for outcome, number in counts.items() if number} != dict(journalled):
            told = {outcome.value: number for outcome, number in counts.items() if number}
            yield Found("conservation", f"the report has {told}, the journal { {one.value: n for one, n in journalled.items()} }")

    def _outcomes(self, remains: Remains, *, is_disturbed: bool) -> Iterator[Found]:
        ended = {RecordId(row.source, row.key): row.outcome for row in remains.rows}
        for record, number in remains.endings.items():
            usual = self._undisturbed.endings.get(record, number)
            if number != usual:
                rule: Rule = "twice" if number > usual else "lost"
                yield Found(rule, f"records of this key ended: {number}; undisturbed: {usual}", record.key)
        for record in ended.keys() - self._undisturbed.outcomes.keys():
            yield Found("other", "the record is not among those that an undisturbed run reads", record.key)
        for record, wanted in self._undisturbed.outcomes.items():
            outcome = ended.get(record)
            if outcome is None:
                yield Found("lost", "the record was read by an undisturbed run, and has not ended here", record.key)
            elif outcome is not wanted and not self._varies and not self._may_end(outcome, is_disturbed):
                yield Found("outcome", f"the record ended as {outcome.value}; undisturbed as {wanted.value}", record.key)
        if is_disturbed and not self._is_read:
            yield from self._letters(remains, ended)

    def _may_end(self, outcome: Outcome, is_disturbed: bool) -> bool:
        """Whether a record may end so because of what was injected. Skipped records are not done again."""
        return (outcome is Outcome.SKIPPED and self._may_skip) or (is_disturbed and outcome is Outcome.DEAD_LETTERED)

    def _letters(self, remains: Remains, ended: dict[RecordId, Outcome]) -> Iterator[Found]:
        told = {letter["record"] for letter in remains.letters}
        for letter in remains.letters:
            words = " ".join((letter["message"], *letter["causes"]))
            known = (letter["node"], letter["key"]) in self._undisturbed.letters
            if not (MARK in words or self._varies or letter["code"] in _CONSEQUENCES or known):
                yield Found(
                    "dead letter",
                    f"{letter['key']} failed, and not of what was injected: {letter['code']}: {words}",
                    letter["record"],
                    letter["node"],
                )
        for record, outcome in ended.items():
            if outcome is Outcome.DEAD_LETTERED and record.key not in told and not self._varies:
                yield Found("dead letter", "the record ended as dead_lettered, and there is no letter with a reason", record.key)

    def _outputs(self, remains: Remains, *, is_disturbed: bool, may_leave: bool) -> Iterator[Found]:
        known = self._undisturbed
        completed = {RecordId(row.source, row.key) for row in remains.rows if row.outcome is Outcome.COMPLETED}
        is_whole = completed == {record for record, outcome in known.outcomes.items() if outcome is Outcome.COMPLETED}
        for path in sorted({*known.outputs, *remains.outputs}):
            wanted, found = known.outputs.get(path), remains.outputs.get(path)
            if wanted is None:
                if not (is_unfinished(path) and path.endswith(".tmp") and may_leave):
                    yield self._about(path, "left behind", f"{path} is not among what an undisturbed run makes")
            elif found is None:
                owners = known.owners.get(path, frozenset())
                lost = sorted(owners & completed)
                if lost or (is_whole and not owners):
                    yield Found("lost", f"{path} is not there", lost[0].key if lost else "", self._node_of(path))
            elif path in known.alone:
                if found != wanted:
                    yield self._about(path, "other", f"{path} is not what an undisturbed run makes: {_difference(found, wanted)}")
            else:
                yield from self._rows(path, found, wanted, completed, is_whole=is_whole)

    def _rows(self, path: str, found: bytes, wanted: bytes, completed: Set[RecordId], *, is_whole: bool) -> Iterator[Found]:
        rows, wanted_rows = Counter(self._parts(found)), Counter(self._parts(wanted))
        node, owners = self._node_of(path), self._undisturbed.row_owners
        for row in rows - wanted_rows:
            owner = owners.get(hashlib.sha256(row).hexdigest())
            name = owner.key if owner is not None else ""
            if row in wanted_rows:
                yield Found("twice", f"{path} has a row {rows[row]} times: {_shown(row)}", name, node)
            else:
                yield Found("other", f"{path} has a row that an undisturbed run does not make: {_shown(row)}", name, node)
        for row in wanted_rows - rows:
            owner = owners.get(hashlib.sha256(row).hexdigest())
            if owner in completed or (owner is None and is_whole):
                yield Found("lost", f"{path} lacks a row: {_shown(row)}", owner.key if owner is not None else "", node)
        if node in self._ordered and found != wanted and rows == wanted_rows:
            yield Found("order", f"{path} has its rows in another order", node=node)

    def _parts(self, content: bytes) -> Iterator[bytes]:
        """A file that several parts share, cut where those of an undisturbed run end; what is none of them, where lines end."""
        rows, start = self._undisturbed.row_owners, 0
        while start < len(content):
            for size in self._undisturbed.row_sizes:
                part = content[start : start + size]
                if hashlib.sha256(part).hexdigest() in rows:
                    break
            else:
                part = content[start : content.find(b"\n", start) + 1 or len(content)]
            yield part
            start += len(part)

    def _about(self, path: str, rule: Rule, words: str) -> Found:
        owners = sorted(self._undisturbed.owners.get(path, frozenset()))
        return Found(rule, words, owners[0].key if len(owners) == 1 else "", self._node_of(path))

    def _node_of(self, path: str) -> str:
        return max((node for node in self._nodes if path.startswith(f"{node}/")), key=len, default="")


def varies(graph: Graph) -> bool:
    """Whether what becomes of a record depends on events: nodes make items of several, queues drop some, a node stands in."""
    links = [link for node in graph.nodes.values() for link in node.inputs]
    may_drop = any(link.queue is not None and link.queue.full != "block" for link in links)
    return mixes_records(graph) or may_drop or any(link.is_fallback for link in links)


def _is_injected(error: BaseException | None) -> bool:
    """Whether something injected is at the root of an error."""
    while error is not None:
        if MARK in str(error) or (isinstance(error, PhonographError) and error.code in _CONSEQUENCES):
            return True
        error = error.__cause__ or error.__context__
    return False


def _difference(found: bytes, wanted: bytes) -> str:
    if len(found) != len(wanted):
        return f"{len(found)} bytes instead of {len(wanted)}"
    place = next(number for number, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)
    return f"from byte {place} of {len(wanted)} on"


def _shown(row: bytes) -> str:
    text = row.decode("utf-8", "replace").rstrip("\n")
    return text if len(text) <= 100 else f"{text[:97]}..."
