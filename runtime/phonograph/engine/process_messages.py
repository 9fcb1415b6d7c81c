"""What a worker process is told when it starts, and what it answers."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from phonograph.engine.batch_call import Outcome
from phonograph.engine.worker import Pass
from phonograph.errors import WorkerDiedError
from phonograph.graph.isolation import Blueprint
from phonograph.item import Item
from phonograph.metrics import NodeStats

# A terminal or a service that is stopped sends them to every process; what they mean is for the run to decide.
LEFT_TO_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


Result = Pass | Item | list[Outcome] | Exception | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker process is started for.

    Args:
        memory: bytes that it may take besides what it has when it begins; None: no limit.
        measure: time nodes and count their memory.
        log_levels: of the starting process, by the logger's name.
    """

    blueprint: Blueprint
    memory: int | None
    measure: bool
    log_levels: Mapping[str, int]


class Answer(NamedTuple):
    """What came of a call.

    Args:
        result: of `run_as_told` or `converse`, in a Pass with None in place of an item that it was given; or of a batch.
        error: what was raised instead.
        stats: of each node that was called, by its place in the segment, since the last answer.
        peaks: bytes of NumPy memory that each node's own code held at most so far.
        has_logged: since the last answer. late: records that did not fit into the socket for them.
    """

    result: Result
    error: Exception | None
    stats: Mapping[int, NodeStats]
    peaks: tuple[int, ...]
    has_logged: bool
    late: tuple[bytes, ...]


def log_levels() -> dict[str, int]:
    """The levels that this program has set, so that a worker does not send what nobody would see."""
    loggers = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    return {name: one.level for name, one in loggers.items() if isinstance(one, logging.Logger) and one.level}


_INNERMOST = re.compile(r'File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)')  # the first line of a crash's stack


def death(node_id: str, status: int, crash: str) -> WorkerDiedError:
    """What is told of a process that ended by itself: 128 signals, else a status."""
    if status >= 0:
        return WorkerDiedError(node_id, f"left with exit status {status}", status=status)
    how = f"was killed by {_signal_name(-status)}"
    if where := _INNERMOST.search(crash):
        how += f", called at {where['file']}:{where['line']} in {where['function']}"
    if -status == signal.SIGKILL:
        how += ", as the kernel does when memory runs out"
    return WorkerDiedError(node_id, how, signal=-status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"
