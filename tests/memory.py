"""What a piece of work holds at its highest, as Python and NumPy count it."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def most_allocated(work: Callable[[], object]) -> int:
    """Bytes that `work` holds at its highest, beyond what was held before; NumPy's arrays are counted."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
