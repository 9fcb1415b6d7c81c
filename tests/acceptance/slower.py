"""Makes a part of phonograph slower by a known share, from outside: in processes that find `sitecustomize.py` in a given folder.

A kernel's function waits, after each call, for a share of what that call took. The scheduler has no one function that is all of
it: one of its functions counts for a while. How much of either makes a subject take longer by the share is found by sittings of
the gate with the slower function and with the real one, in turns, whose own times are compared, without any reference.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from acceptance.processes import CHECKOUT

SHARE = 0.15
MOST = 0.16  # with more than that, a claim about 15 % would be judged by something easier
LEAST = 0.14  # with less, by something harder
_SITTINGS = 7
_FIRST = 600
_TRIES = 6
_ROUNDS = 3

_SITE = """\
import importlib
from functools import reduce
from time import perf_counter_ns

owner = reduce(getattr, {inside!r}, importlib.import_module({module!r}))


def counting(real):
    def slower(*arguments, **options):
        for _ in range(round({amount!r})):
            pass
        return real(*arguments, **options)

    return slower


def waiting(real, share, own_ns=None):
    def slower(*arguments, **options):
        nonlocal own_ns
        if own_ns is None:
            own_ns = cost_ns(waiting(nothing, 0, 0), arguments, options) - cost_ns(nothing, arguments, options)
        began = perf_counter_ns()
        result = real(*arguments, **options)
        ended = perf_counter_ns()
        until = ended + share * (ended - began) - own_ns
        while perf_counter_ns() < until:
            pass
        return result

    return slower


def nothing(*arguments, **options):
    return None


def cost_ns(call, arguments, options):
    def took():
        began = perf_counter_ns()
        for _ in range(1000):
            call(*arguments, **options)
        return (perf_counter_ns() - began) / 1000

    return min(took() for _ in range(20))


real = getattr(owner, {name!r})
setattr(owner, {name!r}, waiting(real, {amount!r}) if {waits!r} else counting(real))
"""


@dataclass(frozen=True, slots=True)
class Slowing:
    """One change: which function becomes slower, and by how much.

    Args:
        subject: what the gate calls that which becomes slower by it.
        module, inside, name: where the function is; `inside` is the class that it is a method of, if any.
        waits: for a share of its own time, which is then the amount; else it counts as far.
        amount: of that.
        share: how much longer the subject takes by it, measured after the amount was found, so not chosen by luck.
    """

    subject: str
    module: str
    inside: tuple[str, ...]
    name: str
    waits: bool
    amount: float
    share: float = 0.0

    def environment(self, folder: Path) -> dict[str, str]:
        """That of a process in which the function is slower; `sitecustomize.py` goes into the folder."""
        site = _SITE.format(module=self.module, inside=self.inside, name=self.name, waits=self.waits, amount=self.amount)
        (folder / "sitecustomize.py").write_text(site, encoding="utf-8")
        return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def kernel(subject: str, function: str) -> Slowing:
    """A function of `phonograph_nodes`."""
    return Slowing(subject, "phonograph_nodes", (), function, waits=True, amount=SHARE)


def scheduler() -> Slowing:
    """What the scheduler does with all that came of a pass through a segment."""
    return Slowing("scheduler, 5 nodes", "phonograph.engine.settling", ("Settling",), "settle", waits=False, amount=_FIRST)


def calibrated(slowing: Slowing, folder: Path) -> Slowing:
    """The change with the amount at which the subject takes 15 % longer, and with what it takes longer indeed.

    Args:
        folder: for the compiled references and `sitecustomize.py`; with the floors that were accepted.
    """
    library = _library(folder)
    for _ in range(_ROUNDS):  # another program may have disturbed the measurements
        slowing = replace(slowing, amount=_found(slowing, library, folder))
        slowing = replace(slowing, share=_share(slowing, library, folder))
        if LEAST <= slowing.share <= MOST:
            break
    return slowing


def _found(slowing: Slowing, library: Path, folder: Path) -> float:
    """The amount."""
    amount = slowing.amount
    for _ in range(_TRIES):  # what it costs inside a call does not grow evenly with it
        share = _share(replace(slowing, amount=amount), library, folder)
        if abs(share - SHARE) <= (MOST - SHARE) / 2:
            break
        amount *= min(max(SHARE / max(share, 0.01), 0.5), 2.0)
    return amount


def _library(folder: Path) -> Path:
    from benchmarks.gate.references import compiled

    from phonograph.isa import AVAILABLE

    return compiled(AVAILABLE[0], folder)


def _share(slowing: Slowing, library: Path, folder: Path) -> float:
    """How much longer it takes than the real one, by the medians of sittings in turns; each needs an undisturbed one."""
    from benchmarks import record
    from benchmarks.gate import floors
    from benchmarks.gate.sitting import ENVIRONMENT

    from phonograph.benching.setting import processor
    from phonograph.isa import AVAILABLE

    alone = floors.read(folder / "floors.json").alone[processor()]
    arguments = ["benchmarks.gate.sitting", "--library", str(library), "--alone", str(alone), "--patience", "30", slowing.subject]
    real: list[float] = []
    slower: list[float] = []
    for _ in range(_SITTINGS):
        for kept, more in ((real, {}), (slower, slowing.environment(folder))):
            found = record.in_process(arguments, isa=AVAILABLE[0], more={**ENVIRONMENT, **more})["subjects"][slowing.subject]
            if found["seconds"] is not None:
                kept.append(found["seconds"])
    return statistics.median(slower) / statistics.median(real) - 1


def find_benchmarks() -> None:
    """`benchmarks` is no part of what is installed."""
    import sys

    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))
