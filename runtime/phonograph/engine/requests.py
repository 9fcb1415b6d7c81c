"""What a program that embeds a graph gets back: a request, which is one record, and its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from phonograph.audio import AudioChunk
from phonograph.errors import PhonographError, RequestFailedError
from phonograph.item import NO_ATTRIBUTES, Item, Outcome
from phonograph.journal import DeadLetter


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """What a request took.

    Args:
        outcome: how its record ended.
        total_time_ms: from the call of `submit` to the end of the record, waiting included.
    """

    outcome: Outcome
    total_time_ms: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request.

    Args:
        outputs: by output of the manifest, the items that came there: in the order in which they did, and none where the record
            was filtered or failed. An item's payload is under the output's name.
        dead_letters: what failed of it, where and why.
    """

    outputs: Mapping[str, tuple[Item, ...]]
    dead_letters: tuple[DeadLetter, ...]
    metrics: RequestMetrics

    def raise_for_failure(self) -> Result:
        """The result itself, if nothing failed.

        Raises:
            RequestFailedError: something did; it has the dead letters.
        """
        if self.dead_letters:
            raise RequestFailedError(self.dead_letters)
        return self


class Request:
    """One record on its way, and what has come of it; an `Owner`.

    Args:
        outputs: of the manifest.
    """

    is_live = False

    def __init__(self, outputs: Iterable[str]) -> None:
        self.is_gone = False
        self.ends: dict[str, int] = {}
        self._outputs: dict[str, list[Item]] = {name: [] for name in outputs}
        self._letters: list[DeadLetter] = []
        self._error: PhonographError | None = None
        self._began = time.perf_counter()
        self._ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def deliver(self, output: str, item: Item, num_bytes: int) -> None:
        self._outputs[output].append(item)

    def letter(self, letter: DeadLetter, error: PhonographError | None) -> None:
        self._letters.append(letter)
        self._error = self._error or error

    def record_ended(self, outcome: Outcome) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome)

    async def result(self) -> Result:
        """What has become of it, when it has ended. Raises the error that is to fail all of it."""
        outcome = await self._ended
        if self._error is not None:
            raise self._error
        outputs = {name: tuple(items) for name, items in self._outputs.items()}
        metrics = RequestMetrics(outcome, round((time.perf_counter() - self._began) * 1e3, 6))
        return Result(MappingProxyType(outputs), tuple(self._letters), metrics)


def described(payload: Mapping[str, Any], attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The attributes of what is sent: those given, and those that decoded audio has, so that routes by duration work."""
    for chunk in payload.values():
        if isinstance(chunk, AudioChunk):
            told = {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
            return MappingProxyType({**told, **(attributes or {})})
    return MappingProxyType(dict(attributes)) if attributes else NO_ATTRIBUTES
