"""The accepted ratios, benchmarks/floors.json: by processor, by instruction set, by subject, each with what it was measured on.

A floor is nine tenths of an accepted ratio. Accepting raises a ratio as it may; lowering one, or replacing one that cannot be
compared any more, needs a reason, which is stored beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from benchmarks import CHECKOUT

FLOORS = CHECKOUT / "benchmarks" / "floors.json"
SHARE = 0.9
"""A floor, of the accepted ratio."""
STEADY = 0.03
"""What comes so near to an accepted ratio is the same: otherwise each acceptance would keep the luckier of two measurements."""

Key = tuple[str, str]
"""Instruction set and subject."""


class FloorsError(Exception):
    """The stored ratios cannot be read, or not be changed as asked. The message says where, what, and what to do."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A ratio that later ones are held against.

    Args:
        ratio: the reference's time over ours.
        basis: what the reference's time depends on besides the processor.
        reason: why it is lower than the one before, or replaces one that was not comparable.
    """

    ratio: Annotated[float, msgspec.Meta(gt=0)]
    basis: dict[str, str]
    reason: str = ""

    @property
    def floor(self) -> float:
        return SHARE * self.ratio


class Floors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of floors.json.

    Args:
        processors: processor -> instruction set -> subject.
        alone: processor -> the figure of one of its cores without a second thread; see `benchmarks.gate.core`.
    """

    processors: dict[str, dict[str, dict[str, Accepted]]]
    alone: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}

    def of(self, processor: str) -> dict[Key, Accepted]:
        """What has been accepted on that processor."""
        sets = self.processors.get(processor, {})
        return {(isa, name): one for isa, subjects in sets.items() for name, one in subjects.items()}

    def with_those_of(self, processor: str, accepted: Mapping[Key, Accepted], alone: float | None) -> Floors:
        """The same with one processor's entries replaced; the figure of a core alone where there is a new one."""
        sets: dict[str, dict[str, Accepted]] = {}
        for (isa, name), one in accepted.items():
            sets.setdefault(isa, {})[name] = one
        figures = self.alone if alone is None else {**self.alone, processor: float(f"{alone:.4g}")}
        return Floors(processors={**self.processors, processor: sets}, alone=figures)


def read(path: Path) -> Floors:
    """What is stored; nothing when there is no such file.

    Raises:
        FloorsError: it is not what `write` writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Floors)
    except FileNotFoundError:
        return Floors(processors={})
    except (OSError, msgspec.DecodeError) as error:  # a ValidationError is one, and names the place inside
        raise FloorsError(
            f"{path}: {error}; expected the accepted ratios as `--accept` writes them; restore the file from the repository"
        ) from error


def write(path: Path, floors: Floors) -> None:
    """Store them, sorted, a line for each figure, so that a change shows as such."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(floors, order="sorted"), indent=1) + b"\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sittings gave for one subject with one instruction set: the ratios of those that were not disturbed."""

    ratios: Sequence[float]
    num_sittings: int
    basis: Mapping[str, str]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


Kind = Literal["new", "kept", "raised", "lowered", "replaced", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What accepting does to one entry. `now` is None for one that goes."""

    kind: Kind
    before: Accepted | None
    now: Accepted | None

    @property
    def needs_reason(self) -> bool:
        return self.kind in {"lowered", "replaced", "removed"}


def change(before: Accepted | None, measured: Measured, reason: str) -> Change:
    """What accepting a measured ratio means for the entry that is there."""
    fresh = Accepted(ratio=float(f"{measured.ratio:.4g}"), basis=dict(measured.basis))
    if before is None:
        return Change("new", None, fresh)
    if before.basis != fresh.basis:
        return Change("replaced", before, msgspec.structs.replace(fresh, reason=reason))
    if abs(fresh.ratio / before.ratio - 1) <= STEADY:
        return Change("kept", before, before)
    if fresh.ratio > before.ratio:
        return Change("raised", before, fresh)
    return Change("lowered", before, msgspec.structs.replace(fresh, reason=reason))


def accept(
    before: Mapping[Key, Accepted], measured: Mapping[Key, Measured], *, reason: str = "", gone: Sequence[Key] = ()
) -> dict[Key, Change]:
    """What accepting does to each entry that was measured, or that nobody measures any more.

    Raises:
        FloorsError: a floor would sink, or go, and there is no reason; each of them is named.
    """
    changes = {key: change(before.get(key), one, reason) for key, one in measured.items()}
    changes |= {key: Change("removed", before[key], None) for key in gone}
    if not reason.strip() and (sinking := {key: one for key, one in changes.items() if one.needs_reason}):
        raise FloorsError(
            "".join(f"{name} ({isa}): {_in_words(one)}\n" for (isa, name), one in sinking.items())
            + "nothing is stored; expected a reason for these: --reason TEXT, which is kept beside them"
        )
    return changes


def _in_words(one: Change) -> str:
    before = f"{one.before.ratio:.4g}" if one.before else ""
    if one.now is None:
        return f"accepted at {before}, and no longer measured"
    return f"{one.kind}, from {before} to {one.now.ratio:.4g}"
