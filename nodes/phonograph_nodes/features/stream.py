"""Log-mel features of audio that comes in pieces."""

from __future__ import annotations

import math
from typing import Any, NoReturn, Unpack

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph.node import Streaming
from phonograph_nodes.features.buffers import RowBuffer, SampleBuffer
from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.levels import Features, levels_of, signal_scale
from phonograph_nodes.features.log_mel import wrong_rate
from phonograph_nodes.features.options import NonFinite, Overrides, resolved, warn_of_empty_bins, warn_of_kept_lengths
from phonograph_nodes.features.rules import is_whole
from phonograph_nodes.kernels import _log_mel
from phonograph_nodes.validation import Samples, check_result, mono_samples, non_finite, too_large, zeroed

_FAR = 2**60  # where a signal ends that goes on
_HOPS_AT_ONCE = 64  # that the kernel is given: whole groups of windows for every instruction set
_MAX_S = 3600


class LogMelStream:
    """Features of a signal whose samples come in pieces, bit for bit what one call with all of them gives.

    `push` takes samples, `pop` hands out the rows that are ready, `flush` ends the signal:

        stream = LogMelStream("zipformer")
        rows = np.empty((100, stream.num_columns), np.float32)  # to be used again and again
        for chunk in microphone:
            if stream.push(chunk):
                send(stream.pop(out=rows))
        stream.flush()
        send(stream.pop())

    How soon rows are ready depends on the front end (`streaming`): with "causal" ones (zipformer, kaldi, icefall, speaker-mfcc)
    as soon as the samples are there that a window reads, two windows later where there are differences. "post-normalised"
    ones (whisper, nemo, w2v-bert, librosa) compute levels in `push`, and `flush` makes rows of all of them at once, because
    mean or peak of the whole signal enter into each. "whole" ones (squeezeformer, paraformer) keep the samples until `flush`.

    Memory: a second or two of samples and the rows that nobody has popped; for "post-normalised" all rows of the signal, for
    "whole" all of its samples. `max_samples` bounds that. Once the stream has settled, `push` and `pop(out=...)` allocate
    no array, but for rows that are normalised each with bins_first. A stream belongs to one thread at a time, and cannot be
    copied or pickled, which is a TypeError.

    Args:
        max_samples: of one signal, for front ends that are not "causal"; None is an hour. More is refused.
        others: as `LogMel`.
    """

    def __init__(
        self,
        frontend: str | FrontEnd = "squeezeformer",
        *,
        n_mels: int | None = None,
        pad_to_s: float | None = None,
        bins_first: bool = False,
        non_finite: NonFinite = "refuse",
        max_samples: int | None = None,
        sample_rate: int | None = None,
        **overrides: Unpack[Overrides],
    ) -> None:
        self._options = resolved(frontend, n_mels, pad_to_s, bins_first, non_finite, overrides, sample_rate)
        self._front_end = one = self._options.front_end
        warn_of_kept_lengths(self._options, overrides, stacklevel=2)
        warn_of_empty_bins(one, stacklevel=2)
        if max_samples is not None and not is_whole(max_samples, 1):
            raise ValueError(f"max_samples is {max_samples!r}; expected a whole number of samples, at least 1, or None")
        self._max_samples = _MAX_S * one.sample_rate if max_samples is None else max_samples
        self._levels = levels_of(one)
        self._workspace = self._levels.workspace()
        self._is_causal = one.streaming == "causal"
        # Samples that may have to stay: those of a window that is not complete, or does not exist yet.
        reach = one.fft_length + one.window_length + one.hop_length + 4
        self._samples = SampleBuffer(2 * reach + _HOPS_AT_ONCE * one.hop_length)
        self._rows = RowBuffer(one.row_width, history=1 if one.deltas else 0)
        self._edge: Features = np.empty(one.num_levels, np.float32)
        shape = f"({one.num_columns}, n)" if self._options.bins_first else f"(n, {one.num_columns})"
        self._wanted_out = f"{shape}, into which at most n rows are popped"
        self._num_windows = 0  # whose levels are there
        self._num_differences = 0  # rows whose first differences are there
        self._num_done = 0  # rows that will not change any more, before they are stacked
        self._highest = -math.inf
        self._has_ended = False
        self._num_non_finite = 0

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream cannot be copied or pickled, for it is in the midst of a signal; make another: " + repr(self))

    def __repr__(self) -> str:
        cap = "" if self._max_samples == _MAX_S * self._front_end.sample_rate else f", max_samples={self._max_samples}"
        return f"{type(self).__name__}({self._options}{cap})"

    @property
    def front_end(self) -> FrontEnd:
        """Its definition, overrides included."""
        return self._front_end

    @property
    def num_non_finite(self) -> int:
        """Samples of the signal that were NaN or infinite and counted as 0 (`non_finite="zero"`)."""
        return self._num_non_finite

    @property
    def num_columns(self) -> int:
        """Values in a row."""
        return self._front_end.num_columns

    @property
    def streaming(self) -> Streaming:
        """When rows are ready."""
        return self._front_end.streaming

    @property
    def num_ready(self) -> int:
        """Rows that `pop` would hand out."""
        return (self._num_done - self._rows.start) // self._front_end.stack

    def push(self, samples: NDArray[Any], *, sample_rate: int | None = None) -> int:
        """Take the next samples of the signal; the first ones after `flush` begin a new one.

        Args:
            samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples), of any length; not kept.
            sample_rate: Hz; None takes them to be at the front end's.

        Returns:
            The number of rows that are ready.

        Raises:
            AudioFormatError: wrong dtype, shape or rate; NaN or infinity; more than `max_samples`: nothing of these samples was
                taken, and the signal can go on. Or samples so large that float32 cannot hold their energy: the signal is lost,
                as after `reset`.
            RuntimeError: rows of the signal that `flush` ended are still there.
        """
        if sample_rate is not None and sample_rate != self._front_end.sample_rate:
            raise wrong_rate(sample_rate, self._front_end, "resample the signal before it is cut into pieces")
        signal = mono_samples(samples)
        if self._has_ended:
            if self.num_ready:
                found = f"{self.num_ready} rows of the signal that `flush` ended are still there"
                raise RuntimeError(f"{found}; expected `pop` or `reset` before the next signal's samples")
            self.reset()
        if self._options.pad_to is not None:
            signal = signal[: self._options.pad_to - self._samples.end]
        self._check_length(signal.size)
        self._take(self._finite(signal))
        return self.num_ready

    def pop(self, *, out: Features | None = None) -> Features:
        """Hand out rows that are ready, the oldest first.

        Args:
            out: float32, C-contiguous, shape (at most so many rows, num_columns), or (num_columns, at most so many) with
                bins_first; is written from the front.

        Returns:
            float32, shape (num_rows, num_columns), or (num_columns, num_rows) with bins_first: all rows that are ready, or the
            part of `out` that has been written. Perhaps none.

        Raises:
            AudioFormatError: an `out` of another type, layout or number of columns.
        """
        front_end, bins_first = self._front_end, self._options.bins_first
        num_rows, columns = self.num_ready, front_end.num_columns
        if out is None:
            out = np.empty((columns, num_rows) if bins_first else (num_rows, columns), np.float32)
        else:
            most = out.shape[1 if bins_first else 0] if isinstance(out, np.ndarray) and out.ndim == 2 else num_rows
            check_result(out, (columns, most) if bins_first else (most, columns), wanted=self._wanted_out)
            num_rows = min(num_rows, most)
        before = self._rows.start
        rows = self._rows.take(num_rows * front_end.stack)
        # Rows are normalised on their way out, for the differences of later ones need them as they were; filled up ones are not.
        num_windows = min(len(rows), max(0, self._num_windows - before))
        if bins_first:
            if front_end.normalisation == "per_row":
                rows = rows.copy()
                self._levels.normalize_rows(rows, num_windows, False)
            result = out[:, :num_rows]
            result[...] = rows.T
            return result
        result = out[:num_rows]
        single = result.reshape(rows.shape)
        single[...] = rows
        self._levels.normalize_rows(single, num_windows, False)
        return result

    def flush(self) -> int:
        """End the signal, and make the rows that its end was awaited for.

        Returns:
            The number of rows that are ready, which are the last ones; 0 when no sample came.

        Raises:
            AudioFormatError: samples so large that float32 cannot hold their energy; the signal is lost, as after `reset`.
        """
        num_samples = self._samples.end
        if self._has_ended or num_samples == 0:
            return self.num_ready
        offset, gain = 0.0, 1.0
        if self._front_end.normalize_signal:
            offset, gain = signal_scale(_log_mel.signal_extent(self._samples.samples), num_samples)
        num_windows, padded = self._options.num_windows(num_samples), self._options.padded(num_samples)
        self._compute_levels(num_windows, num_samples, padded, offset, gain)
        if num_windows and not self._is_causal:
            workspace = self._workspace
            if workspace.finish is not None:
                workspace.finish.rows(self._levels_since(0), num_windows, False, self._highest, workspace.statistics)
        self._has_ended = True
        self._complete()
        self._fill_up()
        return self.num_ready

    def reset(self) -> None:
        """Forget the signal, with the rows that nobody has popped."""
        self._samples.clear()
        self._rows.clear()
        self._num_windows = self._num_differences = self._num_done = 0
        self._highest = -math.inf
        self._has_ended = False
        self._num_non_finite = 0

    def _check_length(self, num_new: int) -> None:
        num_samples = self._samples.end + num_new
        if num_samples > self._max_samples and not self._is_causal:
            kept = "samples" if self.streaming == "whole" else "levels"
            raise AudioFormatError(
                f"the signal has {num_samples} samples; expected at most max_samples ({self._max_samples}), for this front end "
                f"keeps all {kept} until `flush` ({self.streaming}); raise max_samples or flush shorter signals"
            )

    def _finite(self, signal: Samples) -> Samples:
        if math.isfinite(_log_mel.signal_extent(signal)[0]):
            return signal
        if not self._options.scrubs:
            raise non_finite(signal, f"chunk from sample {self._samples.end} on")
        scrubbed, num_bad = zeroed(signal)
        self._num_non_finite += num_bad
        return scrubbed

    def _take(self, signal: Samples) -> None:
        """Put samples in the buffer, and compute the levels of the windows that they complete."""
        if self.streaming == "whole":
            self._samples.grow(signal.size)
            self._samples.append(signal)
            return
        while signal.size:
            if self._samples.room < signal.size:
                self._samples.drop_before(self._needed_from())
            num_samples = min(signal.size, self._samples.room)
            self._samples.append(signal[:num_samples])
            signal = signal[num_samples:]
            self._compute_levels(self._num_complete(), _FAR, _FAR)
            self._complete()

    def _num_complete(self) -> int:
        """Windows that will be the same whatever comes: they exist, and all that they read is there."""
        front_end, end = self._front_end, self._samples.end
        first = front_end.first_start
        if end < 2 - first:
            return 0  # window 0 may read as far into the signal as it reaches out of it, and one sample more
        complete = (end - first - front_end.window_length) // front_end.hop_length + 1
        return max(0, min(complete, self._options.num_windows(end)))

    def _needed_from(self) -> int:
        """The place of the first sample that will be read again.

        That of the next window, and one before it for the pre-emphasis; or what the last windows will read in the mirror at the
        end, wherever that will be.
        """
        front_end = self._front_end
        start = front_end.first_start + self._num_windows * front_end.hop_length
        return max(0, min(start - 1, self._samples.end - front_end.window_length - 2))

    def _compute_levels(self, num_windows: int, num_samples: int, padded: int, offset: float = 0.0, gain: float = 1.0) -> None:
        """Levels of the windows up to number `num_windows`, not included."""
        num_new = num_windows - self._num_windows
        if num_new <= 0:
            return
        rows = self._rows.reserve(num_new)
        levels = rows[:, : self._front_end.num_levels] if self._front_end.deltas else rows
        finite, highest = self._levels.plan.levels(
            self._samples.samples,
            self._samples.origin,
            num_samples,
            padded,
            offset,
            gain,
            self._num_windows,
            num_new,
            self._workspace.scratch,
            levels,
            False,
            self._workspace.statistics,
            self._num_windows,
            self._workspace.finish if self._is_causal else None,
        )
        if not finite:
            error = too_large(self._samples.samples)
            self.reset()
            raise error
        self._rows.add(num_new)
        self._num_windows = num_windows
        self._highest = max(self._highest, highest)

    def _levels_since(self, number: int) -> Features:
        return self._rows.since(number)[:, : self._front_end.num_levels]

    def _complete(self) -> None:
        """Append differences, and count the rows that will not change any more."""
        if not (self._is_causal or self._has_ended):
            return
        if not self._front_end.deltas:
            self._num_done = self._num_windows
            return
        self._num_differences = self._append_differences(0, self._num_differences, self._num_windows)
        self._num_done = self._append_differences(self._front_end.num_levels, self._num_done, self._num_differences)

    def _append_differences(self, column: int, num_done: int, num_rows: int) -> int:
        """Differences of the columns from `column` on, behind them, of the rows up to number `num_rows`.

        Returns:
            The number of rows whose differences will not change: the last one's only once the signal has ended.
        """
        if num_rows > num_done:
            start, columns = max(0, num_done - 1), self._front_end.num_levels
            rows = self._rows.since(start)[: num_rows - start, column : column + 2 * columns]
            first = rows[0, columns:]
            self._edge[...] = first
            _log_mel.append_deltas(rows, num_rows - start, False, columns)
            if num_done:  # it has a row before, which was not among these
                first[...] = self._edge
        return num_rows if self._has_ended else max(0, num_rows - 1)

    def _fill_up(self) -> None:
        """Rows behind the last window's, up to the multiples that the front end wants."""
        front_end, num_windows = self._front_end, self._num_windows
        joined = -(-num_windows // front_end.stack) * front_end.stack
        missing = front_end.num_rows(num_windows) * front_end.stack - num_windows
        if missing:
            rows = self._rows.reserve(missing)
            rows[: joined - num_windows] = front_end.padding_value
            rows[joined - num_windows :] = 0.0
            self._rows.add(missing)
            self._num_done += missing
