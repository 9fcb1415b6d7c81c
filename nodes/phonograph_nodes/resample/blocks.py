"""Block resampling: the lengths of blocks and transforms for a ratio, and the tables that the kernel reads."""

from __future__ import annotations

import functools
import math
import operator
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample.filters import Filter
from phonograph_nodes.transforms import output_places, pass_turns, turns
from phonograph_nodes.validation import Samples

_MOST_POINTS = 8192  # of a transform; 1 MiB for sixteen blocks
_LEAST_POINTS = 64
_LEAST_OUTPUTS = 16  # a block's: a vector of the widest instruction set
_RUN = 2**22  # samples between two looks at whether to go on: some hundredths of a second

# Time of a pass for each point, and of what else is done with a point, in units of about a vector operation (AVX-512, Zen 5).
_PASS = {2: 6.0, 3: 9.0, 4: 8.5, 5: 11.0, 6: 12.0, 7: 14.0, 8: 12.0, 9: 17.0}
_LOAD, _FILTER, _STORE = 12.0, 24.0, 10.0
_LARGE = 6144  # points of both transforms that would take twice the time; what is larger leaves the caches, and is awaited longer


PcmFormat = Literal["u8", "i16", "i24", "i32", "f32", "alaw", "mulaw"]
PCM_FORMATS: tuple[PcmFormat, ...] = get_args(PcmFormat)


Check = Callable[[], None]


class Place(NamedTuple):
    """Where samples lie in a file that is open.

    Args:
        descriptor: of the file. Its position plays no part.
    """

    descriptor: int
    first_byte: int


@dataclass(frozen=True, slots=True)
class Pcm:
    """A signal as files store it.

    Args:
        stored: the bytes of all samples, or where they lie in a file.
        big_endian: the highest byte of a sample comes first.
        num_channels: 1, or 2 that are interleaved.
        num_samples: of a channel.
    """

    stored: NDArray[np.uint8] | Place
    format: PcmFormat
    big_endian: bool
    num_channels: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Blocks of a ratio: each takes 2 * points_in samples, and step_in of its own, to step_out of 2 * points_out outputs."""

    radices_in: tuple[int, ...]
    radices_out: tuple[int, ...]
    step_in: int
    step_out: int
    lead: int

    @property
    def block_in(self) -> int:
        """Input samples that a block reads."""
        return 2 * math.prod(self.radices_in)


class BlockPlan:
    """Resamples by blocks on a grid that begins with the signal; for any number of threads."""

    def __init__(self, up: int, down: int, filter_: Filter, lengths: Lengths) -> None:
        self.up, self.down, self.lengths = up, down, lengths
        self._kernel = _kernel(up, down, filter_, lengths)
        self._scratch: deque[Samples] = deque()
        # Whole groups of blocks that are computed side by side: each is the same wherever a run begins, and so are its bits.
        num_groups = _RUN // (_resample.LANES * max(lengths.step_in, lengths.step_out))
        self._run = max(num_groups, 1) * _resample.LANES * lengths.step_out

    @property
    def latency_samples(self) -> int:
        """Input samples after an output's place in time that have to be there before it can be computed, at most."""
        return self.lengths.block_in - self.lengths.lead

    def num_ready(self, num_samples: int) -> int:
        """Outputs that will be the same whatever comes after so many samples."""
        lengths = self.lengths
        return max(0, (num_samples - lengths.block_in + lengths.lead) // lengths.step_in + 1) * lengths.step_out

    def first_needed(self, num_outputs: int) -> int:
        """The place of the first sample that outputs after so many, a whole number of blocks, will read."""
        return max(0, num_outputs // self.lengths.step_out * self.lengths.step_in - self.lengths.lead)

    def fill(self, samples: Samples, origin: int, first: int, out: Samples, check: Check | None = None) -> bool:
        """Write outputs from number `first` on, where a block begins; False if something is not finite.

        Args:
            samples: shape (k,), the signal from its sample `origin` on; it is silent around them.
            check: called before each run of some million samples; what it raises ends it. Signals are looked at there too.
        """
        return self._in_runs(functools.partial(self._kernel.resample, samples, origin), first, out, check)

    def fill_from_pcm(self, pcm: Pcm, out: Samples, check: Check | None = None) -> bool:
        """Write all outputs of a signal as files store it, mixed to mono; False if something is not finite.

        Args:
            check: as for `fill`.

        Raises:
            EOFError: the file ends before its samples do.
            OSError: the system does not read it.
        """
        code, big_endian, num_channels = _resample.CODES[pcm.format], pcm.big_endian, pcm.num_channels
        if isinstance(pcm.stored, Place):
            fill = functools.partial(self._kernel.resample_file, *pcm.stored, pcm.num_samples, code, big_endian, num_channels)
        else:
            fill = functools.partial(self._kernel.resample_pcm, pcm.stored, code, big_endian, num_channels)
        return self._in_runs(fill, 0, out, check)

    def _in_runs(self, fill: Callable[[int, int, Samples, Samples], bool], first: int, out: Samples, check: Check | None) -> bool:
        """Write outputs from number `first` on by a function of the first block, the last output, workspace and outputs."""
        try:
            scratch = self._scratch.pop()
        except IndexError:
            scratch = np.empty(self._kernel.scratch_length, np.float32)
        finite = True
        try:
            for start in range(0, out.size, self._run):
                if check is not None:
                    check()
                part, place = out[start : start + self._run], first + start
                finite = fill(place // self.lengths.step_out, place + part.size, scratch, part) and finite
        finally:
            self._scratch.append(scratch)
        return finite


def block_lengths(up: int, down: int, half_length: float) -> Lengths | None:
    """The lengths that take the least time, by the counts above; None where no transform of a fitting length is short enough.

    Args:
        up, down: the ratio's terms, without a common factor.
        half_length: of the filter, in input samples.
    """
    lead = math.ceil(half_length) - 1
    best, best_cost = None, math.inf
    for periods in range(1, 2 * _MOST_POINTS // max(up, down) + 1):
        points_in, odd_in = divmod(down * periods, 2)
        points_out, odd_out = divmod(up * periods, 2)
        if odd_in or odd_out or not is_smooth(periods) or min(points_in, points_out) < _LEAST_POINTS:
            continue
        # The last output of a step reads samples before lead + (steps - up's last fraction) * down / up + half_length.
        steps = (2 * points_in - lead - half_length + down / up) // down
        steps -= steps * up % 2
        if steps < 1 or steps * up < _LEAST_OUTPUTS:
            continue
        radices_in, radices_out = _radices(points_in), _radices(points_out)
        cost = _cost(radices_in, radices_out, int(steps) * up) / steps
        if cost < best_cost:
            best, best_cost = Lengths(radices_in, radices_out, int(steps) * down, int(steps) * up, lead), cost
    return best


def is_smooth(number: int) -> bool:
    """Whether all prime factors are 2, 3, 5 or 7."""
    return 210**20 % number == 0


def _cost(radices_in: tuple[int, ...], radices_out: tuple[int, ...], step_out: int) -> float:
    points_in, points_out = math.prod(radices_in), math.prod(radices_out)
    cost = points_in * (_LOAD + sum(_PASS[radix] for radix in radices_in))
    cost += points_out * sum(_PASS[radix] for radix in radices_out)
    cost += min(points_in, points_out) * _FILTER + step_out / 2 * _STORE
    return cost * (1.0 + (points_in + points_out) / _LARGE)


@functools.cache
def _radices(num_points: int) -> tuple[int, ...]:
    """Radices that multiply to the number, in the order of passes: the fewest operations, the largest radices at both ends.

    The first pass then leaves short blocks, which stay in the first level of cache; the last one saves the most twiddle factors.
    """
    ordered = sorted(_factoring(num_points, 9)[1])
    return (ordered[-2], *ordered[:-2], ordered[-1])


@functools.cache
def _factoring(number: int, largest: int) -> tuple[float, tuple[int, ...]]:
    """The time of the cheapest passes whose radices multiply to a number, and these, none of them above `largest`."""
    if number == 1:
        return 0.0, ()
    rests = [(radix, _factoring(number // radix, radix)) for radix in range(largest, 1, -1) if number % radix == 0]
    costs = [(time + _PASS[radix], (radix, *radices)) for radix, (time, radices) in rests]
    return min(costs, key=operator.itemgetter(0), default=(math.inf, ()))


def _kernel(up: int, down: int, filter_: Filter, lengths: Lengths) -> _resample.Blocks:
    points_in, points_out, block_in = math.prod(lengths.radices_in), math.prod(lengths.radices_out), lengths.block_in
    num_bins = min(points_in, points_out)
    bins = np.arange(num_bins)
    response = filter_.response(block_in, min(1.0, up / down), num_bins)
    # The output at the beginning of what a step gives lies `lead` samples into the block.
    sums = response * np.exp(2j * np.pi * (bins * lengths.lead % block_in) / block_in) / (2 * block_in)
    differences = -1j * np.exp(-2j * np.pi * bins / block_in) * sums
    gains = np.stack([sums.real, sums.imag, differences.real, differences.imag], axis=-1)
    gains[0] = response[0] / block_in, 0.0, 0.0, 0.0
    return _resample.Blocks(
        step_in=lengths.step_in,
        step_out=lengths.step_out,
        lead=lengths.lead,
        radices_in=np.array(lengths.radices_in, np.int32),
        turns_in=pass_turns(lengths.radices_in, _resample.RADICES),
        radices_out=np.array(lengths.radices_out, np.int32),
        turns_out=pass_turns(lengths.radices_out, _resample.RADICES),
        bins=output_places(lengths.radices_in),
        gains=gains.astype(np.float32),
        turns=turns(np.arange(points_out // 2 + 1), 2 * points_out),
        places=output_places(lengths.radices_out),
    )
