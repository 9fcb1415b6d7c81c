"""Change of the sample rate of audio that comes in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.resample.bank import BankPlan
from phonograph_nodes.resample.blocks import BlockPlan
from phonograph_nodes.resample.checks import check_quality, checked_rate, refuse_input, refuse_result
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.plans import SOXR_RECIPES, Latency, plan_for
from phonograph_nodes.validation import Samples, audio_samples


class ResampleStream:
    """Resamples a signal whose samples come in pieces; the pieces' lengths do not change a bit of what comes out.

        stream = ResampleStream(48_000, 16_000)
        for chunk in microphone:
            send(stream.push(chunk))
        send(stream.flush())

    With latency="block" what comes out is bit for bit what `resample` gives, as soon as a block of input is full: after 9 to
    315 ms, 47 in the median of the ratios in use. With latency="low" each output comes as soon as the samples are there that its
    filter reads, after 4 to 10 ms where the lower rate is 16 or 8 kHz. That takes some five times as long to compute, and differs
    from the block form, where that is not libsoxr's, by less than 1e-6 of full scale. Ratios that would need more than 4 MiB of
    filters are left to libsoxr.

    Memory: one block of samples a channel, or one filter length. A stream belongs to one thread at a time.

    Args:
        in_rate, out_rate: Hz, whole numbers, 1000 to 768000.
        num_channels: of what is pushed.
        quality: "fast", "high" or "best", as `resample`; the filter's half length is 67, 72 or 80 samples of the lower rate.
        latency: "block" or "low".

    Raises:
        AudioFormatError: a rate that is no whole number or out of range.
        ValueError: another quality or latency, or no channel.
    """

    def __init__(
        self, in_rate: int, out_rate: int, *, num_channels: int = 1, quality: Quality = "high", latency: Latency = "block"
    ) -> None:
        check_quality(quality)
        if latency not in ("block", "low"):
            raise ValueError(f"latency is {latency!r}; expected block or low")
        if num_channels < 1:
            raise ValueError(f"num_channels is {num_channels}; expected at least 1")
        self.in_rate, self.out_rate = checked_rate("in_rate", in_rate), checked_rate("out_rate", out_rate)
        self.num_channels = num_channels
        self._engine: _Planned | _Soxr | _Copy
        plan = None if self.in_rate == self.out_rate else plan_for(self.in_rate, self.out_rate, quality, latency)
        if self.in_rate == self.out_rate:
            self._engine = _Copy(num_channels)
        elif plan is not None:
            self._engine = _Planned(plan, num_channels)
        else:
            self._engine = _Soxr(self.in_rate, self.out_rate, num_channels, SOXR_RECIPES[quality])
        self._num_samples = 0
        self._num_outputs = 0

    @property
    def latency_samples(self) -> int | None:
        """Input samples that have to come after an output's place in time before it does, at most; None: only libsoxr knows."""
        return self._engine.latency_samples

    def push(self, samples: NDArray[Any]) -> Samples:
        """Take the next samples of the signal; the first ones after `flush` begin a new one.

        Args:
            samples: float32, shape (num_samples,) for one channel, or (num_channels, num_samples), of any length; not kept.

        Returns:
            float32, as many dimensions as given: the outputs that are ready and were not handed out yet, perhaps none.

        Raises:
            AudioFormatError: wrong dtype or shape; NaN or infinity: nothing of these samples was taken, and the signal can go on.
                Or samples so large that float32 cannot hold what becomes of them: the signal is lost, as after `reset`.
        """
        array = audio_samples(samples)
        channels = np.atleast_2d(array)
        if len(channels) != self.num_channels:
            turned = " (pass samples.T)" if channels.shape[1] == self.num_channels else ""
            raise AudioFormatError(f"samples have {len(channels)} channels; expected {self.num_channels}{turned}")
        refuse_input(array, f"chunk from sample {self._num_samples} on")
        self._num_samples += channels.shape[1]
        return self._given(self._engine.push(channels), array.ndim)

    def flush(self) -> Samples:
        """End the signal.

        Returns:
            float32, shape (num_outputs,) for one channel, else (num_channels, num_outputs): what is left, so that all outputs
            together are ceil(num_samples * out_rate / in_rate).

        Raises:
            AudioFormatError: as `push`, for samples that are too large.
        """
        length = -(-self._num_samples * self.out_rate // self.in_rate)
        rest = self._given(self._engine.flush(length - self._num_outputs), 1 if self.num_channels == 1 else 2)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget the signal."""
        self._engine.reset()
        self._num_samples = self._num_outputs = 0

    def _given(self, outputs: Samples, num_dimensions: int) -> Samples:
        try:
            refuse_result(outputs)
        except AudioFormatError:
            self.reset()
            raise
        self._num_outputs += outputs.shape[1]
        if num_dimensions == 2:
            return outputs
        only: Samples = outputs[0]
        return only


class _Planned:
    """A stream on blocks or on a bank: keeps the samples that will be read again."""

    def __init__(self, plan: BlockPlan | BankPlan, num_channels: int) -> None:
        self._plan = plan
        self._num_channels = num_channels
        self.latency_samples = plan.latency_samples
        self.reset()

    def reset(self) -> None:
        self._held: Samples = np.empty((self._num_channels, 0), np.float32)
        self._origin = 0  # the place of the first sample that is held
        self._num_outputs = 0

    def push(self, channels: Samples) -> Samples:
        self._held = np.concatenate([self._held, channels], axis=1)
        return self._outputs(self._plan.num_ready(self._origin + self._held.shape[1]))

    def flush(self, num_left: int) -> Samples:
        return self._outputs(self._num_outputs + num_left)

    def _outputs(self, end: int) -> Samples:
        outputs = np.empty((self._num_channels, max(0, end - self._num_outputs)), np.float32)
        if outputs.shape[1] == 0:
            return outputs
        for held, out in zip(self._held, outputs, strict=True):
            self._plan.fill(held, self._origin, self._num_outputs, out)
        self._num_outputs = end
        done = min(self._plan.first_needed(end) - self._origin, self._held.shape[1])
        if done > 0:
            self._held = self._held[:, done:].copy()
            self._origin += done
        return outputs


class _Soxr:
    """A stream of libsoxr, whose end is completed: it rounds its length to the nearest."""

    latency_samples = None

    def __init__(self, in_rate: int, out_rate: int, num_channels: int, recipe: str) -> None:
        self._rates, self._num_channels, self._recipe = (in_rate, out_rate), num_channels, recipe
        self.reset()

    def reset(self) -> None:
        import soxr  # type: ignore[import-untyped]  # ships neither stubs nor a marker; few programs need it

        self._stream = soxr.ResampleStream(*self._rates, self._num_channels, dtype="float32", quality=self._recipe)

    def push(self, channels: Samples) -> Samples:
        return self._resampled(channels, last=False)

    def flush(self, num_left: int) -> Samples:
        in_rate, out_rate = self._rates
        silence = np.zeros((self._num_channels, 2 * in_rate // out_rate + 2), np.float32)
        return np.ascontiguousarray(self._resampled(silence, last=True)[:, :num_left])

    def _resampled(self, channels: Samples, *, last: bool) -> Samples:
        given = channels[0] if self._num_channels == 1 else np.ascontiguousarray(channels.T)
        outputs = self._stream.resample_chunk(given, last=last)
        return np.ascontiguousarray(outputs.reshape(-1, self._num_channels).T)


class _Copy:
    """A stream between equal rates."""

    latency_samples = 0

    def __init__(self, num_channels: int) -> None:
        self._num_channels = num_channels

    def push(self, channels: Samples) -> Samples:
        return channels.copy()

    def flush(self, num_left: int) -> Samples:
        return np.empty((self._num_channels, 0), np.float32)

    def reset(self) -> None:
        pass
