"""Reads what a manifest says about failures, workers, conversions: for all nodes in `defaults`, for one beside its type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from phonograph.errors import Complaint, Position
from phonograph.language import fields
from phonograph.language.fields import Fields
from phonograph.language.units import Seconds, parse_duration, size_in_words
from phonograph.timeout import UNBOUNDED, TimeoutPolicy

TIMEOUT = "a duration, for audio with a term that scales with it, such as 30s or 30s + 1x audio; null for none"
_PER_AUDIO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?x ?audio")

OnError = Literal["fail", "skip", "dead_letter"]
AskedRun = Literal["thread", "process"]
Settings = Mapping[str, Any]
"""Arguments of RetryPolicy or BreakerPolicy that the manifest gives; times in seconds, errors by their names."""

KEYS = ("workers", "run", "memory", "retry", "breaker", "timeout", "total_timeout", "on_error", "error_rate", "auto_convert")

MIN_MEMORY = 16 * 2**20
"""Bytes; with less, a worker process cannot even report that it has too little."""

# Key in the manifest -> argument of the policy, how its value is read.
_Table = Mapping[str, tuple[str, fields.Reader[Any]]]
RETRY: _Table = {
    "max_retries": ("max_retries", fields.integer(0)),
    "base_delay": ("base_delay_s", fields.duration),
    "factor": ("factor", fields.number(1)),
    "max_delay": ("max_delay_s", fields.duration),
    "jitter": ("jitter_s", fields.duration),
    "budget": ("budget", fields.number(0, 1)),
    "retryable": ("retryable", fields.names),
}
BREAKER: _Table = {
    "failure_threshold": ("failure_threshold", fields.integer(1)),
    "window": ("window", fields.integer(1)),
    "reset_timeout": ("reset_timeout_s", fields.duration),
    "half_open_probes": ("half_open_probes", fields.integer(1)),
    "when_open": ("when_open", fields.one_of("wait", "shed", "skip")),
    "max_open": ("max_open_s", fields.duration),
    "fallback": ("fallback", fields.text),
}
# `skip` fits neither sources nor sinks, so a default of `skip` would fit no graph at all; and one node stands in for one other.
BREAKER_OF_MANY: _Table = {
    **{name: reader for name, reader in BREAKER.items() if name != "fallback"},
    "when_open": ("when_open", fields.one_of("wait", "shed")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What happens when a node fails, where it runs; the fields of NodeEntry of these names."""

    retry: Settings = field(default_factory=lambda: MappingProxyType({}))
    breaker: Settings = field(default_factory=lambda: MappingProxyType({}))
    timeout: TimeoutPolicy = UNBOUNDED
    on_error: OnError = "dead_letter"
    error_rate: float = 1.0
    workers: int | None = None
    run: AskedRun | None = None
    memory: int | None = None
    own: frozenset[str] = frozenset()
    auto_convert: bool = True
    origins: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))


def read_policies(found: Fields, before: Policies, complaints: list[Complaint], *, of_many: bool = False) -> Policies:
    """What stands in `found`, over what was said before.

    Args:
        of_many: it holds for several nodes, whatever they are.
    """
    origins = dict(before.origins)
    for key in KEYS:
        if (located := found.get(key)) is not None:
            if isinstance(located.value, Mapping):
                origins.update({f"{key}.{name}": value.position for name, value in located.value.items()})
            else:
                origins[key] = located.position
    on_error = found.read("on_error", fields.one_of(*get_args(OnError)))
    error_rate = found.read("error_rate", fields.number(0, 1))
    workers = found.read("workers", _workers)
    run = cast(AskedRun | None, found.read("run", fields.one_of(*get_args(AskedRun))))
    memory = found.read("memory", _memory)
    auto_convert = found.read("auto_convert", fields.truth)
    breaker_keys = BREAKER_OF_MANY if of_many else BREAKER
    _check_fallback(found, complaints)
    return Policies(
        retry=MappingProxyType({**before.retry, **_settings(found, "retry", RETRY, complaints)}),
        breaker=MappingProxyType({**before.breaker, **_settings(found, "breaker", breaker_keys, complaints)}),
        timeout=_timeout(found, before.timeout),
        on_error=cast(OnError, on_error or before.on_error),
        error_rate=before.error_rate if error_rate is None else error_rate,
        workers=before.workers if workers is None else workers or None,
        run=run or before.run,
        memory=memory or before.memory,
        own=frozenset() if of_many else frozenset(key for key in KEYS if found.get(key) is not None),
        auto_convert=before.auto_convert if auto_convert is None else auto_convert,
        origins=MappingProxyType(origins),
    )


def _check_fallback(found: Fields, complaints: list[Complaint]) -> None:
    """What a breaker with a fallback does when it is open is said by that."""
    breaker = found.get("breaker")
    if breaker is None or not isinstance(breaker.value, Mapping) or not {"fallback", "when_open"} <= breaker.value.keys():
        return
    position = breaker.keys["when_open"]
    expected = "one of the two; while the breaker is open, the fallback takes what comes"
    fields.complain(complaints, "wrong_value", position, "'when_open' beside 'fallback'", expected)


def _settings(found: Fields, key: str, keys: _Table, complaints: list[Complaint]) -> dict[str, Any]:
    located = found.get(key)
    if located is None:
        return {}
    given = Fields(located, what=f"{key!r}", allowed=tuple(keys), complaints=complaints)
    values = {argument: given.read(name, reader) for name, (argument, reader) in keys.items()}
    return {argument: value for argument, value in values.items() if value is not None}


def _timeout(found: Fields, before: TimeoutPolicy) -> TimeoutPolicy:
    attempt, total_s = found.read("timeout", _attempt), found.read("total_timeout", fields.bound)
    policy = before if attempt is None else replace(before, base_s=attempt[0], per_audio=attempt[1])
    return policy if total_s is None else replace(policy, total_s=total_s)


def _attempt(value: object) -> tuple[float, float]:
    """(seconds, seconds for each second of audio) of `30s`, `30s + 1x audio`, `2x audio`, null."""
    if value is None:
        return inf, 0.0
    if isinstance(value, Seconds):
        value = str(value)
    if not isinstance(value, str):
        raise fields.MismatchError(TIMEOUT)
    base_s, per_audio, is_first = 0.0, 0.0, True
    for term in value.split("+"):
        if match := _PER_AUDIO.fullmatch(term.strip()):
            if per_audio:
                raise fields.MismatchError(TIMEOUT, code="wrong_value")
            per_audio = float(match[1])
        elif not is_first and base_s:
            raise fields.MismatchError(TIMEOUT, code="wrong_value")
        else:
            try:
                base_s = parse_duration(term)
            except ValueError:
                raise fields.MismatchError(TIMEOUT, code="wrong_value") from None
        is_first = False
    if not (base_s or per_audio):
        raise fields.MismatchError(TIMEOUT + "; and more than 0s", code="wrong_value")
    return base_s, per_audio


def _memory(value: object) -> int:
    num_bytes = fields.size(value)
    if num_bytes < MIN_MEMORY:
        raise fields.MismatchError(f"at least {size_in_words(MIN_MEMORY)}", code="wrong_value")
    return num_bytes


def _workers(value: object) -> int:
    """A count of workers; 0 stands for "auto"."""
    if value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise fields.MismatchError("a whole number, at least 1, or auto")
    if value < 1:
        raise fields.MismatchError("a whole number, at least 1, or auto", code="wrong_value")
    return value
