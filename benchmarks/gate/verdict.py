"""What a measured ratio means beside the accepted one.

The test is sequential. A ratio that is clearly that of unchanged code passes after a few sittings; where there is doubt, more
sittings decide, all of them together, and only their median is held against the floor. Taking the best of several tries
instead would let a slower kernel pass by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.gate.floors import SHARE, Accepted, Key, Measured

CLEAR = 0.95  # of the accepted ratio: what reaches it is far from the floor, and no further sitting is needed
FIRST = 3  # sittings, before anything is said
MOST = 12  # sittings of what is in doubt
STEP = 3  # sittings at a time

Status = Literal["passed", "regressed", "missing", "not comparable", "not measured"]
FAILING: frozenset[Status] = frozenset({"regressed", "missing"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one subject with one instruction set.

    Args:
        ratio: None when nothing was measured.
        why: what is wrong and what to do; empty when it passed.
    """

    isa: str
    name: str
    status: Status
    ratio: float | None
    accepted: Accepted | None
    why: str = ""


def in_doubt(measured: Measured, accepted: Accepted | None) -> bool:
    """Whether further sittings are to decide."""
    if measured.num_sittings >= MOST or _difference(measured, accepted):
        return False
    if len(measured.ratios) < FIRST:
        return True
    return accepted is not None and measured.ratio < CLEAR * accepted.ratio


def judge(key: Key, measured: Measured, accepted: Accepted | None, processor: str) -> Verdict:
    """The verdict on what was measured, when no more sittings are to come."""
    isa, name = key
    if len(measured.ratios) < FIRST:
        why = (
            f"in {measured.num_sittings} sittings there were {len(measured.ratios)} in which other programs left it the core; "
            f"expected {FIRST}; run it again when the machine has less to do"
        )
        return Verdict(isa, name, "not measured", None, accepted, why)
    if accepted is None:
        why = f"no accepted ratio for this processor, {processor}; `python -m benchmarks.gate --accept` stores one"
        return Verdict(isa, name, "not comparable", measured.ratio, None, why)
    if difference := _difference(measured, accepted):
        why = f"accepted with {difference}; accept it again: `python -m benchmarks.gate --accept --reason TEXT`"
        return Verdict(isa, name, "not comparable", measured.ratio, accepted, why)
    if measured.ratio >= accepted.floor:
        return Verdict(isa, name, "passed", measured.ratio, accepted)
    chosen = f"--only '{name}'" + ("" if isa == "any" else f" --isa {isa}")
    why = (
        f"ratio {measured.ratio:.4g} is {1 - measured.ratio / accepted.floor:.1%} below the floor of {accepted.floor:.4g}, "
        f"which is {SHARE:g} of the accepted {accepted.ratio:.4g}: it takes {accepted.ratio / measured.ratio - 1:.0%} longer "
        f"than it did. Find the cause (`python -m benchmarks.gate {chosen}` measures it alone), or, where it is the price of "
        f"something, accept it: `python -m benchmarks.gate --accept {chosen} --reason TEXT`"
    )
    return Verdict(isa, name, "regressed", measured.ratio, accepted, why)


def missing(key: Key, accepted: Accepted) -> Verdict:
    """The verdict on what has been accepted and is measured no more: a subject that goes takes its floor with it."""
    why = "it has an accepted ratio and is no subject any more; measure it again, or `--accept --reason TEXT` without --only"
    return Verdict(*key, "missing", None, accepted, why)


def _difference(measured: Measured, accepted: Accepted | None) -> str:
    """What the accepted ratio was measured with and this one was not; empty when they are comparable."""
    if accepted is None or not measured.basis:
        return ""
    names: Sequence[str] = sorted({*accepted.basis, *measured.basis})
    return ", ".join(
        f"{name} {_of(accepted.basis, name)} instead of {_of(measured.basis, name)}"
        for name in names
        if accepted.basis.get(name) != measured.basis.get(name)
    )


def _of(basis: Mapping[str, str], name: str) -> str:
    return basis.get(name, "(none)")
