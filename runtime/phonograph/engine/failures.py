"""Failures: what was given up in a run, grouped by what is the same in it, so that a thousand of one kind read as one.

The signature of a failure is its code, its node, its words without what differs from record to record (keys, paths, quoted text,
numbers), and the line of code that raised it. Memory is bounded whatever fails: where there are too many groups, the smaller half
is given up, and counted without being told apart.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from phonograph.errors import CODES, PhonographError, in_words
from phonograph.metrics import FailureMetrics
from phonograph.pickling import places
from phonograph.redaction import Secrets

MOST_KEPT = 512
"""Groups; some hundred kilobytes."""
MOST_TOLD = 50
"""Groups in the metrics."""

_MOST_COMPARED = 300  # characters of an error's words
_MOST_SHOWN = 1000
# Each once, in this order: quoted text may have a path in it, a path a number.
_DIFFERING = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"'[^'\n]*'|\"[^\"\n]*\"", "'...'"),
        (r"[^\s,;()]*/[^\s,;()]*", "PATH"),
        (r"\b(?:0x)?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{6,}\b", "N"),
        (r"[-+]?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?", "N"),
    )
)


@dataclass(slots=True)
class _Group:
    count: int
    example: str
    message: str


class Failures:
    """Counts what was given up. For the event loop.

    Attributes:
        num_ungrouped: failures of groups that were given up.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._groups: dict[tuple[str, str, str, str], _Group] = {}
        self.num_ungrouped = 0

    def add(self, node: str, key: str, error: Exception) -> None:
        """An item was given up at a node."""
        words = in_words(error)
        own = isinstance(error, PhonographError)
        code = error.code if isinstance(error, PhonographError) else "exception"
        signature = (code, node, normalised(words, key), "" if own else _place(error))
        group = self._groups.get(signature)
        if group is not None:
            group.count += 1
            return
        if len(self._groups) >= MOST_KEPT:
            self._halve()
        self._groups[signature] = _Group(1, key, words[:_MOST_SHOWN])

    def metrics(self) -> tuple[FailureMetrics, ...]:
        """The largest groups, most frequent first."""
        clean = self._secrets.clean
        largest = sorted(self._groups.items(), key=lambda entry: -entry[1].count)[:MOST_TOLD]
        return tuple(
            FailureMetrics(
                node=node,
                code=code,
                count=group.count,
                example=clean(group.example),
                message=clean(group.message),
                place=clean(place),
                meaning=CODES.get(code, ""),
            )
            for (code, node, _, place), group in largest
        )

    @property
    def num_untold(self) -> int:
        """Failures that are in no group of the metrics."""
        counts = sorted((group.count for group in self._groups.values()), reverse=True)
        return self.num_ungrouped + sum(counts[MOST_TOLD:])

    def _halve(self) -> None:
        ordered = sorted(self._groups.items(), key=lambda entry: -entry[1].count)
        self._groups = dict(ordered[: MOST_KEPT // 2])
        self.num_ungrouped += sum(group.count for _, group in ordered[MOST_KEPT // 2 :])


def normalised(words: str, key: str) -> str:
    """An error's words without what differs from record to record."""
    words = _without(key, words[: 2 * _MOST_COMPARED])
    for pattern, instead in _DIFFERING:
        words = pattern.sub(instead, words)
    return words[:_MOST_COMPARED]


def _without(key: str, words: str) -> str:
    """The words without a key, where that stands by itself. A pattern for each key would have to be compiled."""
    if not key or key not in words:
        return words
    first, *others = words.split(key)
    for other in others:
        stands_alone = not (first[-1:].isalnum() or other[:1].isalnum())
        first += ("KEY" if stands_alone else key) + other
    return first


def _place(error: BaseException) -> str:
    """The line that raised an error, as FILE:LINE in FUNCTION, without its folders."""
    at = places(error)
    return os.path.basename(at[-1]) if at else ""
