"""What a log-mel front end is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from phonograph.node import Streaming
from phonograph_nodes.features.rules import check
from phonograph_nodes.features.synonyms import unknown_argument

Window = Literal["hann", "hann_symmetric", "hamming", "hamming_symmetric", "blackman", "povey", "rectangular"]
Placement = Literal["centred", "centred_but_last", "inside", "inside_transform", "covering"]
Edges = Literal["zero", "reflect", "symmetric", "repeat"]
PreemphasisIn = Literal["signal", "window"]
Power = Literal[1, 2]
MelScale = Literal["htk", "slaney", "kaldi"]
Log = Literal["ln", "log10", "db"]
Normalisation = Literal["none", "per_bin", "per_row"]
DeviationFloor = Literal["max", "add", "add_to_variance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """Every constant of a log-mel front end, in the order in which the signal meets them.

    Lengths are in samples, frequencies in Hz. A definition that does not hold together raises ValueError, which names the field,
    what it was given and what it takes; so whoever has a FrontEnd has one that works. Ranges: `phonograph_nodes.features.rules`.

    Signal (over the whole waveform):
        sample_rate: of the samples. Lengths do not follow it: at half the rate, halve them.
        scale: factor on the samples; 32768 where a model was trained on 16-bit values.
        normalize_signal: subtract the mean of the signal, divide by its peak (at least 1e-6). Needs the whole signal first.
        quantise: round to 16-bit values first, rint(32768 x) / 32767. Neither it nor dither goes with normalize_signal.
        dither: standard deviation of Gaussian noise, in units of the scaled samples, which is added before all else; 0 is off.
            Each sample of a signal has its own, a function of its place and of `dither_seed`, so that results can be repeated.
        preemphasis: coefficient c, 0 is off. preemphasis_in: "signal" is y[t] = x[t] - c x[t-1], y[0] = x[0];
            "window" is f[i] -= c f[i-1], f[0] *= 1 - c, after the window's mean is gone.
        min_samples: a shorter signal is filled up with zeros, behind the pre-emphasis; 0 leaves it.

    Analysis windows:
        window_length, hop_length, fft_length: a window that is shorter than the transform is filled up with zeros.
        window: its function; "hann", "hamming" and "blackman" are periodic.
        placement: "centred": 1 + n // hop_length windows, number r centred on sample r * hop_length (librosa's and torch's
            center=True; one less for an odd fft_length where n is a multiple of the hop); "centred_but_last": without the last
            of them; "inside": those that lie inside the signal, 1 + (n - window_length) // hop_length; "inside_transform": those
            that do so with the zeros that fill them up (center=False), 1 + (n - fft_length) // hop_length; "covering": Kaldi's
            snip_edges=false, (n + hop_length // 2) // hop_length windows centred on the middles of the hops.
        edges: what a window reads beyond an edge: "zero", "reflect" (about the edge sample), "symmetric" (with it), "repeat".
        remove_mean: subtract each window's mean.
        power: 2 takes |X|^2, 1 takes |X|.

    Mel bins:
        num_mel_bins, mel_scale, low_hz, high_hz: triangles whose corners are equally spaced on the scale; high_hz None is the
            Nyquist frequency, 0 or negative counts from there. straight_in_mel: the sides are straight in mel, not in Hz.
        mel_area: divide each triangle by half its width in Hz.

    Levels:
        log: logarithm; "db" is 10 log10. floor: of an energy before it; add_floor: log(e + floor), not log(max(e, floor)).
        range_below_peak: lift what is further than this below the highest level of the clip; None is off.
        shift, gain: level -> (level + shift) * gain, after that.
        num_cepstra: the first of the levels' DCT-II, 2 sum_m v[m] cos(pi c (2m + 1) / 2M), not normalised; 0 keeps the levels.
            deltas: append first and second differences, (next - previous) / 2, edges repeated.
        normalisation: (v - mean) / deviation "per_bin" over time, or "per_row". unbiased: deviation by n - 1; by 1 for one row.
        deviation_floor_in, deviation_floor: max(d, f), d + f, or sqrt(variance + f).

    Rows:
        stack: rows joined into one; their number is filled up to a multiple with padding_value.
        pad_rows_to: fill up the number of rows to a multiple with zeros.
    """

    sample_rate: int = 16_000
    scale: float = 1.0
    normalize_signal: bool = False
    quantise: bool = False
    dither: float = 0.0
    dither_seed: int = 0
    preemphasis: float = 0.0
    preemphasis_in: PreemphasisIn = "signal"
    min_samples: int = 0

    window_length: int = 400
    hop_length: int = 160
    fft_length: int = 400
    window: Window = "hann"
    placement: Placement = "centred"
    edges: Edges = "reflect"
    remove_mean: bool = False
    power: Power = 2

    num_mel_bins: int = 80
    mel_scale: MelScale = "slaney"
    low_hz: float = 0.0
    high_hz: float | None = None
    straight_in_mel: bool = False
    mel_area: bool = False

    log: Log = "ln"
    floor: float = 1e-5
    add_floor: bool = False
    range_below_peak: float | None = None
    shift: float = 0.0
    gain: float = 1.0
    num_cepstra: int = 0
    deltas: bool = False
    normalisation: Normalisation = "none"
    unbiased: bool = False
    deviation_floor_in: DeviationFloor = "max"
    deviation_floor: float = 1e-5

    stack: int = 1
    padding_value: float = 0.0
    pad_rows_to: int = 1

    def __new__(cls, **constants: Any) -> Self:
        for name in constants:
            if name not in cls.__dataclass_fields__:
                raise unknown_argument(name, tuple(cls.__dataclass_fields__))
        return object.__new__(cls)

    def __post_init__(self) -> None:
        check(self)

    @property
    def streaming(self) -> Streaming:
        """How far a row depends on audio that comes later; see `phonograph.node.NodeSpec`.

        "whole" when the signal's own mean and peak are needed first, "post-normalised" when those of the levels are.
        """
        if self.normalize_signal:
            return "whole"
        return "post-normalised" if self.normalisation == "per_bin" or self.range_below_peak is not None else "causal"

    @property
    def num_levels(self) -> int:
        """Values that a window gives: mel bins, or cepstra."""
        return self.num_cepstra or self.num_mel_bins

    @property
    def row_width(self) -> int:
        """Values of a window's row with its differences, before rows are stacked."""
        return self.num_levels * (3 if self.deltas else 1)

    @property
    def num_columns(self) -> int:
        """Values of a row of the result."""
        return self.row_width * self.stack

    @property
    def top_hz(self) -> float:
        """Where the last triangle ends."""
        nyquist = self.sample_rate / 2
        if self.high_hz is None:
            return nyquist
        return self.high_hz if self.high_hz > 0 else nyquist + self.high_hz

    @property
    def first_start(self) -> int:
        """Sample at which window 0 starts; negative for windows that reach over the beginning."""
        inset = (self.fft_length - self.window_length) // 2
        match self.placement:
            case "inside":
                return 0
            case "inside_transform":
                return inset
            case "covering":
                return self.hop_length // 2 - self.window_length // 2
            case _:
                return inset - self.fft_length // 2

    def num_windows(self, num_samples: int) -> int:
        """Windows of a signal of this length, after it is filled up to `min_samples`."""
        length = max(num_samples, self.min_samples)
        match self.placement:
            case "centred":
                return (length - self.fft_length % 2) // self.hop_length + 1
            case "centred_but_last":
                return max(0, (length - self.fft_length % 2) // self.hop_length)
            case "inside":
                return 1 + (length - self.window_length) // self.hop_length if length >= self.window_length else 0
            case "inside_transform":
                return 1 + (length - self.fft_length) // self.hop_length if length >= self.fft_length else 0
            case "covering":
                return (length + self.hop_length // 2) // self.hop_length

    def num_rows(self, num_windows: int) -> int:
        """Rows of the result for this many windows."""
        joined = -(-num_windows // self.stack)
        return -(-joined // self.pad_rows_to) * self.pad_rows_to
