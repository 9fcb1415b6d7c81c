"""Decoding of many files in threads."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Unpack

from numpy.typing import NDArray

from phonograph_nodes.audio.decoder import DecoderOptions, check_times
from phonograph_nodes.audio.given import AudioSource
from phonograph_nodes.audio.loading import FloatType, load
from phonograph_nodes.audio.reader import Limits


class LoadOptions(DecoderOptions, total=False):
    """The arguments of `load`, but for the source."""

    sr: int | None
    mono: bool
    offset: float
    duration: float | None
    dtype: FloatType
    cache: bool


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """What came of one source: samples and their rate, or the error that `load` raised.

    Args:
        source: as it was given.
        samples, sample_rate: as `load` returns them; None and 0 when it failed.
        error: None when it did not.
    """

    source: AudioSource
    samples: NDArray[Any] | None
    sample_rate: int
    error: Exception | None


def batch_decode(
    sources: Iterable[AudioSource],
    *,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    **options: Unpack[LoadOptions],
) -> Iterator[BatchResult]:
    """Load many files in threads; results come in the order of the sources.

    Memory: at most `2 * workers` files are decoded ahead of what the caller has taken. When the iterator is closed or dropped
    before its end, decoding that runs is cancelled, and its threads have ended by then.

    Args:
        sources: taken one by one, only shortly before they are decoded; may be endless.
        workers: threads; by default one for each processor that this process may use. Decoders release the GIL.
        progress: called with the number of results so far, and of all of them where `sources` has a length, before each one is
            handed out.
        options: as `load`.

    Yields:
        A `BatchResult` for each source. An error is a value there: one bad file does not end the others.

    Raises:
        TypeError: one source instead of a list of them; an option that `load` does not have.
        ValueError: fewer workers than one, an offset or duration that cannot be.
        While iterating: whatever `progress` raises, and what `sources` raise, after the results of those that came before.
    """
    if isinstance(sources, (str, bytes, bytearray, memoryview, os.PathLike)) or hasattr(sources, "read"):
        kind = type(sources).__name__
        raise TypeError(f"batch_decode() got one source, a {kind}; expected an iterable of them, such as a list: [source]")
    if unknown := options.keys() - LoadOptions.__annotations__.keys():
        raise TypeError(f"batch_decode() got {', '.join(sorted(unknown))}; expected options of load()")
    check_times(options.get("offset", 0.0), options.get("duration"))
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1")
    total = len(sources) if isinstance(sources, Sized) else None
    return _results(iter(sources), total, workers, progress, options)


def _results(
    sources: Iterator[AudioSource],
    total: int | None,
    workers: int,
    progress: Callable[[int, int | None], None] | None,
    options: LoadOptions,
) -> Iterator[BatchResult]:
    abandoned = threading.Event()
    options = _cancellable(options, abandoned.is_set)
    running: deque[Future[BatchResult]] = deque()
    pool = ThreadPoolExecutor(workers, "phonograph-decode")
    try:
        is_more, num_done = True, 0
        failure: Exception | None = None
        while True:
            while is_more and len(running) < 2 * workers:
                try:
                    source = next(sources, _END)
                except Exception as error:  # noqa: BLE001  # kept until what came before it is handed out
                    source, failure = _END, error
                is_more = source is not _END
                if is_more:
                    running.append(pool.submit(_result, source, options))
            if not running:
                if failure is not None:
                    raise failure
                return
            result = running.popleft().result()
            num_done += 1
            if progress is not None:
                progress(num_done, total)
            yield result
            del result  # its memory is the caller's now
    finally:
        abandoned.set()
        pool.shutdown(cancel_futures=True)


_END: Any = object()


def _result(source: AudioSource, options: LoadOptions) -> BatchResult:
    try:
        samples, sample_rate = load(source, **options)
    except Exception as error:  # noqa: BLE001  # a value, whatever it is
        return BatchResult(source, None, 0, error)
    return BatchResult(source, samples, sample_rate, None)


def _cancellable(options: LoadOptions, is_abandoned: Callable[[], bool]) -> LoadOptions:
    limits = options.get("limits", Limits())
    asked = limits.is_cancelled
    either = is_abandoned if asked is None else lambda: is_abandoned() or asked()
    return {**options, "limits": replace(limits, is_cancelled=either)}
