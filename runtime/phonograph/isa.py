"""Chooses the instruction set of the kernels: the fastest that this processor has, or the one that PHONOGRAPH_ISA asks for.

The choice is made once, when this module is imported, and holds for the life of the process. All sets give results within the
same tolerances, but not the same bits: force one where runs on different machines are to be compared bit by bit.

A wrong PHONOGRAPH_ISA is an `InstructionSetError` out of the import, and no `ImportError`: programs catch those to do without a
package that is not installed, and would go on with something slower, or without features, for a slip in a variable.
"""

from __future__ import annotations

import os
from typing import Final, Literal

from phonograph._isa import has_avx2, has_avx512

InstructionSet = Literal["avx512", "avx2", "portable"]

VARIABLE: Final = "PHONOGRAPH_ISA"
KNOWN: Final[tuple[InstructionSet, ...]] = ("avx512", "avx2", "portable")
"""All that kernels are compiled for, the fastest first."""

_HAS = {"avx512": has_avx512(), "avx2": has_avx2(), "portable": True}
AVAILABLE: Final[tuple[InstructionSet, ...]] = tuple(name for name in KNOWN if _HAS[name])
"""Those that this processor can run, the fastest first: `avx512` (F, BW, DQ, VL), `avx2` (with FMA), `portable` everywhere."""


def chosen(wanted: str | None, available: tuple[InstructionSet, ...]) -> InstructionSet:
    """The instruction set that is asked for; the first of those available when `wanted` is None or empty. Capitals do not count.

    Raises:
        InstructionSetError: no kernels have that name, or the processor cannot run them.
    """
    if not wanted:
        return available[0]
    for name in available:
        if name == wanted.lower():
            return name
    from phonograph.errors import InstructionSetError  # here, because whoever imports this for a name is not to wait for it

    reason = "is not on this processor" if wanted.lower() in KNOWN else "is no instruction set that kernels are compiled for"
    raise InstructionSetError(
        f"environment variable {VARIABLE}",
        found=f"{wanted!r} {reason}",
        expected=" or ".join(available),
        remedy=f"unset {VARIABLE}, and the fastest that this processor has is taken",
    )


ISA: Final[InstructionSet] = chosen(os.environ.get(VARIABLE), AVAILABLE)
"""The instruction set of this process's kernels."""
