"""What cannot be compared, and what has become slower.

Judged is processor time, of the whole process and of each node, and the peak of the memory. Time on the wall is shown: on a
machine with other programs it doubles although nothing has changed, because it holds the waiting for the disk and for a core.

A quantity has become slower when its lower quartile is above the baseline's upper one by more than the tolerance, so that three
quarters of the runs are slower than three quarters of those before; and its fastest run is above the baseline's fastest by as
much, because what disturbs a run makes it longer and never shorter. For a node, the medians differ by more than a hundredth of
the baseline's total besides: a node that takes a few microseconds doubles them by chance.

Two figures are judged only where they can be trusted. The time of the whole process is, in short runs, mostly that of making
threads and files. That of a sink is mostly the file system's, and half as long again while the disk has other work; it counts
when the whole process has become slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from phonograph.benching.document import Amounts, Figures, NodeFigures, Setting, Spread, Work
from phonograph.errors import listed

RELEVANT = 0.01
"""Of the total: below that, a node's difference is nobody's regression."""

SHORT_MS = 1000.0
"""Below that, starting and ending a run, and whatever else the machine does for some milliseconds, weigh as much as the nodes."""

TOO_SHORT_MS = 200.0
"""Of processor time: below that, the process as a whole is not judged. Runs of 40 ms differ by a quarter between processes."""

_A_MILLISECOND = 0.0015
"""Seconds of audio are stored to the millisecond, after sums whose order differs from run to run."""

Quantity = Literal["total time", "processor time", "peak memory", "busy time"]
"""`processor time` is of the process, or of a node; `busy time` is a node's on the wall."""

Judgement = Literal["same", "slower", "faster", "longer", "new", "gone"]
"""Of memory, `slower` means more and `faster` less. `longer` is slower by the same rule, and told without being judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity, now and before.

    Args:
        node, type: the id of a node and its type; empty for what is of the whole process.
        now, before: None where only the other has it.
    """

    quantity: Quantity
    node: str
    type: str
    now: Spread | None
    before: Spread | None
    judgement: Judgement

    @property
    def name(self) -> str:
        """The row in words: `total time`, `mel`, `busy time of mel`."""
        if not self.node:
            return self.quantity
        return self.node if self.quantity == "processor time" else f"{self.quantity} of {self.node}"

    @property
    def unit(self) -> Literal["ms", "MB"]:
        return "MB" if self.quantity == "peak memory" else "ms"

    @property
    def change(self) -> float | None:
        """How much larger the median is, as a share of what it was; None when that cannot be told."""
        if self.now is None or self.before is None or not self.before.median:
            return None
        return self.now.median / self.before.median - 1


def differences(setting: Setting, work: Work, baseline: Figures) -> Iterator[str]:
    """Why figures of this setting and this work cannot be compared with a baseline, in words; nothing when they can.

    Another version of phonograph is no reason: whether that is slower is what one wants to know. Of Python the first two numbers
    count.
    """
    was = baseline.setting
    yield from _other("processor", setting.processor, was.processor)
    yield from _other("cores", setting.cores, was.cores)
    yield from _other("kernels", setting.isa, was.isa)
    yield from _other("Python", _minor(setting.versions.get("python", "")), _minor(was.versions.get("python", "")))
    yield from _other("NumPy", setting.versions.get("numpy"), was.versions.get("numpy"))
    if work.fingerprint != baseline.work.fingerprint:
        yield from _other_work(work, baseline.work)


def other_amounts(now: Amounts, was: Amounts) -> Iterator[str]:
    """The same for what only a run tells: how many records there were, how they ended, how much was in them.

    Items and seconds of audio are told only where records and bytes agree: else they follow from those.
    """
    counts, before = msgspec.structs.asdict(now.records), msgspec.structs.asdict(was.records)
    found = [line for name in counts for line in _other(f"records {name.replace('_', ' ')}", counts[name], before[name])]
    found += _other("bytes read", now.bytes_read, was.bytes_read)
    yield from found
    if found:
        return
    for node_id in (one for one in now.nodes if one in was.nodes):
        one, other = now.nodes[node_id], was.nodes[node_id]
        if None not in (one.items_in, other.items_in):
            yield from _other(f"items into {node_id}", one.items_in, other.items_in)
        if None not in (one.items_out, other.items_out):
            yield from _other(f"items out of {node_id}", one.items_out, other.items_out)
        if one.audio_seconds is None or other.audio_seconds is None:
            continue
        if abs(one.audio_seconds - other.audio_seconds) > _A_MILLISECOND:
            yield from _other(f"seconds of audio in {node_id}", one.audio_seconds, other.audio_seconds)


def compare(now: Figures, baseline: Figures, tolerance: float, *, judge_waiting: bool = False) -> list[Row]:
    """Every quantity beside its baseline; nodes in the order of the manifest, then those that it has no more.

    Args:
        tolerance: how much larger a quantity may be, as a share: 0.1 is 10 %.
        judge_waiting: time on the wall is judged like processor time.
    """
    rows = [
        _row("total time", None, now.total_time_ms, baseline.total_time_ms, tolerance),
        _row("processor time", None, now.processor_time_ms, baseline.processor_time_ms, tolerance),
        _row("peak memory", None, now.process_peak_mb, baseline.process_peak_mb, tolerance),
    ]
    present, before = ({node.id: node for node in one.nodes} for one in (now, baseline))
    ids = [*present, *(node_id for node_id in before if node_id not in present)]
    pairs = [(present.get(node_id), before.get(node_id)) for node_id in ids]
    rows += _node_rows("processor time", pairs, tolerance, RELEVANT * baseline.processor_time_ms.median)
    rows += _node_rows("busy time", pairs, tolerance, RELEVANT * baseline.total_time_ms.median)
    unsure = set(_unsure(rows, now, baseline, judge_waiting))
    return [replace(row, judgement="longer") if row in unsure and row.judgement == "slower" else row for row in rows]


def notes(now: Figures, baseline: Figures | None, tolerance: float) -> Iterator[str]:
    """What makes the figures say less than they seem to, with what to do about it."""
    if now.total_time_ms.median < SHORT_MS:
        yield (
            f"a run takes {now.total_time_ms.median:.4g} ms, and what the machine does beside it weighs much in that; "
            "take a larger corpus, so that a run takes 1 s or more"
        )
    for figures, whose in ((now, "these runs"), (baseline, "the baseline's runs")):
        if figures is None:
            continue
        if figures.runs == 1 and baseline is not None:
            yield (
                f"of {whose} there is 1, which has no spread: the tolerance alone decides, and a disturbed run counts as slower; "
                "take --runs 5 or more"
            )
        width = figures.processor_time_ms.width
        if width > tolerance:
            yield (
                f"the middle half of {whose} spreads over {width:.1%} of the processor time, and the tolerance is "
                f"{tolerance * 100:.4g} %; take more runs, a larger corpus, or a machine with less to do"
            )


def _node_rows(
    quantity: Quantity, pairs: Iterable[tuple[NodeFigures | None, NodeFigures | None]], tolerance: float, relevant: float
) -> Iterator[Row]:
    for one, was in pairs:
        node = one or was
        now, before = _time(quantity, one), _time(quantity, was)
        if now is not None or before is not None:
            yield _row(quantity, node, now, before, tolerance, relevant)


def _time(quantity: Quantity, node: NodeFigures | None) -> Spread | None:
    if node is None:
        return None
    return node.processor_time_ms if quantity == "processor time" else node.execution_time_ms


def _row(
    quantity: Quantity,
    node: NodeFigures | None,
    now: Spread | None,
    before: Spread | None,
    tolerance: float,
    relevant: float = 0.0,
) -> Row:
    node_id, kind = ("", "") if node is None else (node.id, node.type)
    judgement: Judgement = "same"
    if before is None or now is None:
        judgement = "new" if before is None else "gone"
    elif _is_above(now, before, tolerance, relevant):
        judgement = "slower"
    elif _is_above(before, now, tolerance, relevant):
        judgement = "faster"
    return Row(quantity, node_id, kind, now, before, judgement)


def _unsure(rows: Sequence[Row], now: Figures, baseline: Figures, judge_waiting: bool) -> Iterator[Row]:
    """The rows whose figures are no evidence by themselves."""
    sinks = {node.id for node in now.nodes if node.kind == "sink"}
    is_short = min(now.processor_time_ms.median, baseline.processor_time_ms.median) < TOO_SHORT_MS
    process = next(row for row in rows if row.quantity == "processor time")
    is_whole_slower = process.judgement == "slower" and not is_short
    for row in rows:
        if row.quantity in ("total time", "busy time"):
            if not judge_waiting:
                yield row
        elif (row is process and is_short) or (row.node in sinks and not is_whole_slower):
            yield row


def _is_above(one: Spread, other: Spread, tolerance: float, relevant: float) -> bool:
    allowed = 1 + tolerance
    return (
        one.lower > other.upper * allowed  # so the medians differ by more, too
        and one.least > other.least * allowed
        and one.median - other.median > relevant
    )


def _other_work(work: Work, was: Work) -> Iterator[str]:
    yield from _other("manifest", work.name, was.name)
    for name in sorted({*work.params, *was.params}):
        yield from _other(f"parameter {name}", work.params.get(name), was.params.get(name))
    changed = [name for name in work.nodes if name in was.nodes and work.nodes[name] != was.nodes[name]]
    for names, words in (
        (changed, "do something else"),
        ([name for name in work.nodes if name not in was.nodes], "are new"),
        ([name for name in was.nodes if name not in work.nodes], "are gone"),
    ):
        if names:
            yield f"nodes that {words}: {listed(names)}"


def _other(what: str, now: object, before: object) -> Iterator[str]:
    if now != before:
        yield f"{what}: {_shown(now)}, in the baseline {_shown(before)}"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
