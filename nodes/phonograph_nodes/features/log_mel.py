"""Log-mel features of whole signals."""

from __future__ import annotations

import contextlib
import functools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph.node import Streaming
from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.levels import Features, Levels, Workspace, signal_scale
from phonograph_nodes.features.options import NonFinite, Options, Overrides, resolved, warn_of_empty_bins, warn_of_kept_lengths
from phonograph_nodes.features.rules import is_whole
from phonograph_nodes.kernels import _log_mel
from phonograph_nodes.validation import Samples, check_result, mono_samples, non_finite, too_large, zeroed

_NO_SAMPLES: Samples = np.empty(0, np.float32)


def log_mel(
    samples: NDArray[Any],
    *,
    sample_rate: int | None = None,
    frontend: str | FrontEnd = "squeezeformer",
    n_mels: int | None = None,
    pad_to_s: float | None = None,
    bins_first: bool = False,
    non_finite: NonFinite = "refuse",
    out: Features | None = None,
    **overrides: Unpack[Overrides],
) -> Features:
    """Compute the log-mel features that a model was trained on.

    The tables of the last front ends are kept; `LogMel` also saves looking them up, `LogMelStream` takes audio as it comes.

    Args:
        samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples).
        sample_rate: Hz, of the samples; refused unless it is the front end's (16000; 22050 for librosa, 44100 for speaker-mfcc).
            None takes the samples to be at that rate. It is no override; for a front end at another rate, see `LogMel`.
        frontend: a name of `phonograph_nodes.features.FRONT_ENDS`: squeezeformer, zipformer, paraformer, w2v-bert, whisper,
            kaldi, icefall, nemo, librosa, speaker-mfcc; or a definition of your own.
        n_mels: mel bins, None for the front end's own (80; librosa 128, speaker-mfcc 26); Whisper and NeMo models also take 128.
            More of them tell low frequencies finer and cost a little time; too many for the transform stay empty, which is
            warned of.
        pad_to_s: 0.01 to 3600 s, to which the signal is cut or filled up with zeros (30 for Whisper's encoder), for front ends
            that do not normalise over time. What it is filled up with stays zero: it gets no dither and no pre-emphasis.
        bins_first: give (num_columns, num_rows), as many models take it; costs nothing, but is not to be had with `stack`.
        non_finite: what is done about NaN and infinity: "refuse" raises, "zero" takes 0 for them (`LogMel.counted` counts them).
        out: float32, C-contiguous, of the result's shape: is written and returned. Saves allocating. A refused call may leave it
            partly written.
        overrides: constants that differ from the front end's, by the names of `FrontEnd`'s fields: `high_hz=-400.0`,
            `window="hamming"`, `placement="covering"`, ...

    Returns:
        float32, shape (num_rows, num_columns), C-contiguous: a row for each analysis window, every 10 ms by default. A clip that
        is too short for a window gives no row: less than 160 samples for whisper and nemo, 400 for kaldi and w2v-bert, 800 for
        speaker-mfcc.

    Raises:
        AudioFormatError: wrong dtype, shape or rate; NaN or infinity; samples so large that float32 cannot hold their energy;
            no sample at all where there would be a row; an `out` that does not fit.
        ValueError: a front end that does not exist, or parameters outside their range or that contradict each other.
        TypeError: an override that is no field of `FrontEnd`.
    """
    try:
        plan = _plan(frontend, n_mels, pad_to_s, bins_first, non_finite, **overrides)
    except TypeError:  # an argument that cannot be a key, such as a list; whoever takes it says what it should be
        plan = LogMel(frontend, n_mels=n_mels, pad_to_s=pad_to_s, bins_first=bins_first, non_finite=non_finite, **overrides)
    return plan(samples, sample_rate=sample_rate, out=out)


class LogMel:
    """A front end with its tables built: call it with samples, from any number of threads.

    Arguments, results and errors are those of `log_mel`; but a `sample_rate` given here makes it a front end for audio at that
    rate. Its lengths in samples and its frequencies stay what they are unless they are given too, which is warned of where the
    lengths are known as times (all but librosa's). Workspace is kept from call to call, one for each thread that has been
    computing beside others: 16 analysis windows with their spectra, 80 to 400 KB.

    It never changes: a copy is the object itself, and where it is pickled its tables are built again.
    """

    def __init__(
        self,
        frontend: str | FrontEnd = "squeezeformer",
        *,
        n_mels: int | None = None,
        pad_to_s: float | None = None,
        bins_first: bool = False,
        non_finite: NonFinite = "refuse",
        sample_rate: int | None = None,
        **overrides: Unpack[Overrides],
    ) -> None:
        options = resolved(frontend, n_mels, pad_to_s, bins_first, non_finite, overrides, sample_rate)
        warn_of_kept_lengths(options, overrides, stacklevel=2)
        warn_of_empty_bins(options.front_end, stacklevel=2)
        self._build(options)

    def _build(self, options: Options) -> None:
        self._options = options
        self._front_end = one = options.front_end
        self._levels = Levels(one)
        self._workspaces: deque[Workspace] = deque()
        # A window's levels are a row as they are: nothing joined, appended, filled up.
        self._is_plain = one.stack == one.pad_rows_to == 1 and not one.deltas and one.normalisation != "per_row"

    @classmethod
    def of(cls, options: Options) -> Self:
        """With options that have been checked; nothing is warned of."""
        log_mel = cls.__new__(cls)
        log_mel._build(options)
        return log_mel

    def __reduce__(self) -> tuple[Any, ...]:
        return self.of, (self._options,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options})"

    @property
    def front_end(self) -> FrontEnd:
        """Its definition, overrides included."""
        return self._front_end

    @property
    def bins_first(self) -> bool:
        """Whether results are (num_columns, num_rows)."""
        return self._options.bins_first

    @property
    def num_columns(self) -> int:
        """Values in a row."""
        return self._front_end.num_columns

    @property
    def streaming(self) -> Streaming:
        """What `LogMelStream` with this front end waits for."""
        return self._front_end.streaming

    def num_rows(self, num_samples: int) -> int:
        """Rows for a signal of this length.

        Raises:
            AudioFormatError: no sample at all where there would be a row, as the call refuses it.
            ValueError: no number of samples.
        """
        if not is_whole(num_samples, 0):
            raise ValueError(f"num_samples is {num_samples!r}; expected a whole number, at least 0")
        return self._front_end.num_rows(self._num_windows(int(num_samples)))

    def __call__(self, samples: NDArray[Any], *, sample_rate: int | None = None, out: Features | None = None) -> Features:
        return self.counted(samples, sample_rate=sample_rate, out=out)[0]

    def counted(
        self, samples: NDArray[Any], *, sample_rate: int | None = None, out: Features | None = None
    ) -> tuple[Features, int]:
        """The features, and how many samples were NaN or infinite and counted as 0 (`non_finite="zero"`)."""
        signal, num_windows = self._taken(samples, sample_rate)
        shape = self._shape(num_windows)
        if out is None:
            result = np.empty(shape, np.float32)
        else:
            check_result(out, shape, signal)
            result = out
        return result, self._fill(signal, num_windows, result)

    def batch(
        self,
        clips: Sequence[NDArray[Any]] | NDArray[Any],
        *,
        sample_rate: int | None = None,
        out: Features | None = None,
        padding: float = 0.0,
    ) -> tuple[Features, NDArray[np.int64]]:
        """Features of several clips in one array, as a model takes a batch; each is what a single call gives.

        Args:
            clips: a list of such as `samples`, of any lengths, or an array with a clip in each row.
            sample_rate: Hz, of all of them.
            out: float32, C-contiguous, of the result's shape, or with more rows: is written and returned.
            padding: a number that stands in the rows behind a clip's last one.

        Returns:
            float32, shape (num_clips, most rows, num_columns), or (num_clips, num_columns, most rows) with bins_first; and
            int64, shape (num_clips,), the number of each clip's rows.

        Raises:
            AudioFormatError: as `log_mel`; says which clip it is.
            ValueError: a padding that is no number.
        """
        if isinstance(clips, np.ndarray) and clips.ndim < 2:
            raise AudioFormatError(f"clips are one array of shape {clips.shape}; expected a list of clips: pass [samples]")
        if isinstance(padding, bool) or not isinstance(padding, int | float | np.integer | np.floating):
            raise ValueError(f"padding is {padding!r}; expected a number")
        taken = []
        for number, clip in enumerate(clips):
            with _naming(number):
                taken.append(self._taken(clip, sample_rate))
        num_rows = np.array([self._front_end.num_rows(num_windows) for _, num_windows in taken], np.int64)
        result = self._batch_result(taken, int(num_rows.max(initial=0)), out)
        for number, ((signal, num_windows), rows) in enumerate(zip(taken, num_rows.tolist(), strict=True)):
            clip_rows = result[number, :, :rows] if self._options.bins_first else result[number, :rows]
            rest = result[number, :, rows:] if self._options.bins_first else result[number, rows:]
            with _naming(number):
                self._fill(signal, num_windows, clip_rows)
            rest.fill(padding)
        return result, num_rows

    def _batch_result(self, taken: Sequence[tuple[Samples, int]], most: int, out: Features | None) -> Features:
        if isinstance(out, np.ndarray) and out.ndim == 3:
            most = max(most, out.shape[2 if self._options.bins_first else 1])
        columns = self._front_end.num_columns
        shape = (len(taken), columns, most) if self._options.bins_first else (len(taken), most, columns)
        if out is None:
            return np.empty(shape, np.float32)
        for signal, _ in taken or [(_NO_SAMPLES, 0)]:
            check_result(out, shape, signal)
        return out

    def _taken(self, samples: NDArray[Any], sample_rate: int | None) -> tuple[Samples, int]:
        """The samples that count, and the number of their windows."""
        if sample_rate is not None and sample_rate != self._front_end.sample_rate:
            raise wrong_rate(sample_rate, self._front_end)
        signal = mono_samples(samples)
        num_windows = self._num_windows(signal.size)
        return signal if self._options.pad_to is None else signal[: self._options.pad_to], num_windows

    def _num_windows(self, num_samples: int) -> int:
        num_windows = self._options.num_windows(num_samples)
        if num_windows and not num_samples and self._options.pad_to is None:
            raise AudioFormatError("samples are empty; expected at least one sample")
        return num_windows

    def _shape(self, num_windows: int) -> tuple[int, int]:
        columns = self._front_end.num_columns
        num_rows = num_windows if self._is_plain else self._front_end.num_rows(num_windows)
        return (columns, num_rows) if self._options.bins_first else (num_rows, columns)

    def _fill(self, signal: Samples, num_windows: int, result: Features) -> int:
        """Write the features; returns how many samples were scrubbed."""
        if self._compute(signal, num_windows, result):
            return 0
        scrubbed, num_bad = zeroed(signal)
        if num_bad and not self._options.scrubs:
            raise non_finite(signal)
        if num_bad == 0 or not self._compute(scrubbed, num_windows, result):
            raise too_large(scrubbed)
        return num_bad

    def _compute(self, signal: Samples, num_windows: int, result: Features) -> bool:
        """Write the features; False if a sample, or a window's energy, is not finite."""
        front_end, bins_first = self._front_end, self._options.bins_first
        offset, gain = 0.0, 1.0
        if front_end.normalize_signal and signal.size:
            extent = _log_mel.signal_extent(signal)
            if not math.isfinite(extent[0]):
                return False
            offset, gain = signal_scale(extent, signal.size)
        if num_windows == 0:
            result.fill(0.0)
            return is_finite_outside_windows(signal, 0, front_end)
        rows = result
        if not self._is_plain:
            rows = result if bins_first else result.reshape(-1, front_end.row_width)
        levels = rows
        if front_end.deltas:
            levels = rows[: front_end.num_levels] if bins_first else rows[:, : front_end.num_levels]
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = self._levels.workspace()
        try:
            finite, _ = self._levels.plan.levels(
                signal,
                0,
                signal.size,
                self._options.padded(signal.size),
                offset,
                gain,
                0,
                num_windows,
                workspace.scratch,
                levels,
                bins_first,
                workspace.statistics,
                0,
                workspace.finish,
            )
            if not finite or not (front_end.normalize_signal or is_finite_outside_windows(signal, num_windows, front_end)):
                return False
        finally:
            self._workspaces.append(workspace)
        if not self._is_plain:
            self._complete(rows, num_windows, result)
        return True

    def _complete(self, rows: Features, num_windows: int, result: Features) -> None:
        """What is left to do once all levels are there: differences, each row's normalisation, rows that are filled up with."""
        front_end, bins_first = self._front_end, self._options.bins_first
        if front_end.deltas:
            columns = front_end.num_levels
            for first in (0, columns):
                pair = rows[first : first + 2 * columns] if bins_first else rows[:, first : first + 2 * columns]
                _log_mel.append_deltas(pair, num_windows, bins_first, columns)
        self._levels.normalize_rows(rows, num_windows, bins_first)
        if bins_first:
            rows[:, num_windows:] = 0.0
            return
        joined = -(-num_windows // front_end.stack)
        rows[num_windows : joined * front_end.stack] = front_end.padding_value
        result[joined:] = 0.0


@contextlib.contextmanager
def _naming(clip: int) -> Iterator[None]:
    """Say which clip of a batch an error is about."""
    try:
        yield
    except AudioFormatError as error:
        raise AudioFormatError(f"clip {clip}: {error}") from error


def wrong_rate(sample_rate: object, front_end: FrontEnd, remedy: str = "resample first") -> AudioFormatError:
    """The error for audio at another rate than the front end's."""
    expected = front_end.sample_rate
    if not isinstance(sample_rate, int | float | np.integer | np.floating):
        what = "text" if isinstance(sample_rate, str) else f"a {type(sample_rate).__name__}"
        return AudioFormatError(f"sample_rate is {sample_rate!r}, which is {what}; expected the number {expected}")
    call = f"phonograph_nodes.resample(samples, in_rate={sample_rate}, out_rate={expected})"
    return AudioFormatError(
        f"sample_rate is {sample_rate} Hz; expected {expected} ({remedy}: {call}, in a manifest the node audio.resample)"
    )


def is_finite_outside_windows(signal: Samples, num_windows: int, front_end: FrontEnd) -> bool:
    """Whether the samples that no window reads are finite; so what is refused does not depend on where windows lie."""
    if num_windows == 0 or front_end.hop_length > front_end.window_length:
        return math.isfinite(_log_mel.signal_extent(signal)[0])
    first = front_end.first_start
    last = first + (num_windows - 1) * front_end.hop_length + front_end.window_length
    if last < signal.size and not math.isfinite(_log_mel.signal_extent(signal[last:])[0]):
        return False
    return first <= 0 or math.isfinite(_log_mel.signal_extent(signal[:first])[0])


@functools.lru_cache(maxsize=32, typed=True)
def _plan(
    frontend: str | FrontEnd,
    n_mels: int | None,
    pad_to_s: float | None,
    bins_first: bool,
    non_finite: NonFinite,
    **overrides: Unpack[Overrides],
) -> LogMel:
    options = resolved(frontend, n_mels, pad_to_s, bins_first, non_finite, overrides)
    warn_of_empty_bins(options.front_end, stacklevel=3)  # where `log_mel` is called
    return LogMel.of(options)
