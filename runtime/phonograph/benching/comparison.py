"""What cannot be compared, and what has become slower.

A quantity has become slower when three things hold. Its median is above the baseline's by more than the tolerance. The middle
halves of the two sets of runs do not overlap: the lower quartile is above the baseline's upper one, so it is not the noise of
either. And, for the time of a node, the difference is more than a hundredth of the baseline's total time: a node that takes a
few microseconds doubles them by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from phonograph.benching.document import Figures, Setting, Spread, Work
from phonograph.errors import listed

RELEVANT = 0.01
"""Of the total time: below that, a node's difference is nobody's regression."""

Judgement = Literal["same", "slower", "faster", "new", "gone"]
"""Of memory, `slower` means more and `faster` less."""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity, now and before.

    Args:
        name: `total time`, `peak memory`, or the id of a node, whose `type` is beside it.
        now, before: None where only the other has it.
    """

    name: str
    type: str
    unit: Literal["ms", "MB"]
    now: Spread | None
    before: Spread | None
    judgement: Judgement

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


def other_records(now: Figures, baseline: Figures) -> Iterator[str]:
    """The same for what only a run tells: how many records there were, and how they ended."""
    counts, before = (msgspec.structs.asdict(one.records) for one in (now, baseline))
    for name in counts:
        yield from _other(f"records {name.replace('_', ' ')}", counts[name], before[name])


def compare(now: Figures, baseline: Figures, tolerance: float) -> list[Row]:
    """Every quantity beside its baseline; nodes in the order of the manifest, then those that it has no more.

    Args:
        tolerance: how much larger a median may be, as a share: 0.1 is 10 %.
    """
    total_ms = baseline.total_time_ms.median
    rows = [
        _row("total time", "", "ms", now.total_time_ms, baseline.total_time_ms, tolerance),
        _row("peak memory", "", "MB", now.process_peak_mb, baseline.process_peak_mb, tolerance),
    ]
    before = {node.id: node for node in baseline.nodes}
    for node in now.nodes:
        was = before.pop(node.id, None)
        time_before = None if was is None else was.execution_time_ms
        rows.append(_row(node.id, node.type, "ms", node.execution_time_ms, time_before, tolerance, RELEVANT * total_ms))
    rows += [Row(node.id, node.type, "ms", None, node.execution_time_ms, "gone") for node in before.values()]
    return rows


def _row(
    name: str, kind: str, unit: Literal["ms", "MB"], now: Spread, before: Spread | None, tolerance: float, relevant: float = 0.0
) -> Row:
    if before is None:
        return Row(name, kind, unit, now, None, "new")
    judgement: Judgement = "same"
    if _is_above(now, before, tolerance, relevant):
        judgement = "slower"
    elif _is_above(before, now, tolerance, relevant):
        judgement = "faster"
    return Row(name, kind, unit, now, before, judgement)


def _is_above(one: Spread, other: Spread, tolerance: float, relevant: float) -> bool:
    is_beyond = one.median > other.median * (1 + tolerance)
    return is_beyond and one.lower > other.upper and one.median - other.median > relevant


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
