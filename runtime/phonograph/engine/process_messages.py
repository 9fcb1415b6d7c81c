"""What a worker process is told when it starts, and what it answers."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from phonograph.engine.batch_call import Outcome
from phonograph.engine.worker import Pass
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
