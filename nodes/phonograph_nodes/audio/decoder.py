"""One audio file that is open: what it is, all of it or a part of it as an array, or block after block."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioDecodeError, AudioFormatError, AudioTooLongError, AudioTruncatedError
from phonograph_nodes.audio.about import AudioInfo
from phonograph_nodes.audio.given import AudioSource, Given
from phonograph_nodes.audio.opening import open_reader
from phonograph_nodes.audio.reader import Faults, Limits, Samples, Watch
from phonograph_nodes.audio.stored import unreadable

if TYPE_CHECKING:
    from phonograph_nodes.audio.containers import RawPcm
    from phonograph_nodes.audio.mixing import Downmix
    from phonograph_nodes.resample.filters import Quality

NonFinite = Literal["refuse", "zero"]

_Result = TypeVar("_Result")

_MOST_READ = 2**18  # samples of each channel that are decoded at a time while blocks are resampled


class DecoderOptions(TypedDict, total=False):
    """The arguments of `AudioDecoder` that `load` and `batch_decode` hand on."""

    downmix: Downmix
    stream: int | str
    strict: bool
    keep_truncated: bool
    non_finite: NonFinite
    raw: RawPcm | None
    quality: Quality
    limits: Limits


class AudioDecoder:
    """Decodes one audio stream of a file, all of it or parts of it, as often as asked.

        with AudioDecoder("talk.mp3", sr=16_000, mono=True) as decoder:
            for block in decoder.blocks(10 * decoder.sample_rate):
                ...

    The container is told by its first bytes; the extension of the name does not matter. For one call at a time: while it reads,
    another `decode`, block or `close`, by another thread or by `is_cancelled`, is refused with RuntimeError.

    Args:
        source: a path, `-` for standard input, encoded bytes, or a binary file object, which stays open.
        sr: sample rate of what comes out in Hz; None keeps the file's own.
        mono: mix all channels into one.
        downmix: how channels are mixed. "mean": the mean of all channels. "bs775": with the weights of ITU-R BS.775 (see
            `phonograph_nodes.audio.mixing`), to one channel with `mono`, else more than two channels to two.
        stream: which audio stream of the file: its number from 0, or the language that it is tagged with, such as "eng".
        strict: refuse a file with a packet that is damaged or missing, which is counted otherwise (see `Faults`).
        keep_truncated: take what is there of a file that ends before its header says, which is refused otherwise.
        non_finite: "refuse" samples that are NaN or infinite, or let them be "zero" and count them (`faults.non_finite`).
        raw: the source has no header, and holds such samples.
        quality: of the resampling, see `resample`.
        limits: on length, memory and time, beyond which audio is refused.

    Raises:
        AudioDecodeError: no audio can be had from it; says the file, the stage, what was found, FFmpeg's word and the remedy.
        AudioFormatError: a sample rate that cannot be, channels that "bs775" has no weights for.
        ValueError: another downmix, quality, or value of `non_finite`.
    """

    def __init__(
        self,
        source: AudioSource,
        *,
        sr: int | None = None,
        mono: bool = False,
        downmix: Downmix = "mean",
        stream: int | str = 0,
        strict: bool = False,
        keep_truncated: bool = False,
        non_finite: NonFinite = "refuse",
        raw: RawPcm | None = None,
        quality: Quality = "high",
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        if downmix not in ("mean", "bs775"):
            raise ValueError(f"downmix is {downmix!r}; expected 'mean' or 'bs775'")
        if non_finite not in ("refuse", "zero"):
            raise ValueError(f"non_finite is {non_finite!r}; expected 'refuse' or 'zero'")
        self._keep_truncated, self._refuses_non_finite = keep_truncated, non_finite == "refuse"
        self._limits, self._quality = limits, quality
        self._lock, self._is_read = threading.Lock(), False
        self._out_rate = sr if sr is None else _checked(sr, quality)
        self._weights: NDArray[np.float64] | None = None
        given = Given(source, max_bytes=limits.max_bytes)
        try:
            self._reader = open_reader(given, limits, stream=stream, strict=strict, raw=raw)
        except BaseException:
            given.close()
            raise
        if downmix == "bs775" and self.info.num_channels > 2:
            self._weights = self._bs775_weights(1 if mono else 2)
        self._mono = mono and self._weights is None

    @property
    def info(self) -> AudioInfo:
        """What the file says of its stream, before any mixing and resampling; more exact once it was decoded to its end."""
        return self._reader.info

    @property
    def faults(self) -> Faults:
        """What was wrong with the file so far, and did not stop it from giving audio."""
        return self._reader.faults

    @property
    def sample_rate(self) -> int:
        """Hz, of what comes out."""
        return self._out_rate or self.info.sample_rate

    @property
    def num_channels(self) -> int:
        """Of what comes out."""
        if self._weights is not None:
            return len(self._weights)
        return 1 if self._mono else self.info.num_channels

    def decode(self, offset: float = 0.0, duration: float | None = None) -> Samples:
        """The audio from `offset` on, for `duration`.

        The same samples as the slice of the full decode, which is not made for it: the file is entered shortly before they begin.
        They are cut at the file's own rate, from sample int(offset * rate) on, and resampled then.

        Args:
            offset, duration: seconds; None is to the end. What lies beyond the end is not there, which is no error.

        Returns:
            float32, shape (num_samples,) for one channel, else (num_channels, num_samples). Integer formats give [-1, 1); lossy
            codecs may overshoot a little, which is not clipped.

        Raises:
            AudioDecodeError: what is there does not decode, is truncated, or goes beyond the limits.
            AudioFormatError: some samples are NaN or infinite.
            RuntimeError: it is being read already.
            ValueError: an offset or duration that is negative or not finite.
        """
        first, count = self._span(offset, duration)
        samples = self._alone(partial(self._decoded, first, count))
        return samples[0] if samples.ndim == 2 and len(samples) == 1 else samples

    def blocks(self, num_samples: int, offset: float = 0.0, duration: float | None = None) -> Iterator[Samples]:
        """The same audio in blocks, with memory for a few of them only.

        One after the other they are what `decode` gives: bit for bit, but at ratios that `resample` leaves to libsoxr.

        Args:
            num_samples: of each block, at the rate that comes out; the last may be shorter.
            offset, duration: as `decode`.

        Raises:
            As `decode`, when that place is reached; that the file is truncated is told after the last block.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}; expected at least 1")
        first, count = self._span(offset, duration)
        blocks = self._native_blocks(first, count, num_samples)
        if self.sample_rate != self.info.sample_rate:
            blocks = self._recut(self._resampled_blocks(blocks), num_samples)
        return self._one_by_one(blocks)

    def close(self) -> None:
        """Give back the file; what was decoded stays.

        Raises:
            RuntimeError: it is being read.
        """
        self._alone(self._reader.close)

    def __enter__(self) -> AudioDecoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _alone(self, step: Callable[[], _Result]) -> _Result:
        """Refuse another call meanwhile, which would share, or close, what FFmpeg and the system know by number only."""
        is_mine = False
        try:  # all of it: Ctrl-C may come after any call, and the decoder is yet to be closed then
            with self._lock:
                if self._is_read:
                    name = self.info.name
                    raise RuntimeError(
                        f"{name}: the decoder is being read, by another call or thread; expected one call at a time"
                    )
                self._is_read = is_mine = True
            return step()
        finally:
            if is_mine:
                self._is_read = False

    def _one_by_one(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        while True:
            block = self._alone(partial(next, blocks, None))
            if block is None:
                return
            yield block[0] if len(block) == 1 else block

    def _span(self, offset: float, duration: float | None) -> tuple[int, int | None]:
        check_times(offset, duration)
        rate = self.info.sample_rate
        return int(offset * rate), None if duration is None else int(duration * rate)

    def _decoded(self, first: int, count: int | None) -> Samples:
        before = self.faults.non_finite
        watch = Watch(self.info.name, self._limits)
        resampled = self._resampled_pcm(first, count, watch)
        if resampled is not None:
            return resampled
        samples = self._reader.read(first, count, mono=self._mono)
        self._check_end(first, samples.shape[1], count)
        self._check_finite(before)
        return self._resampled(self._mixed(samples), watch)

    def _native_blocks(self, first: int, count: int | None, num_samples: int) -> Iterator[Samples]:
        """Mixed, not resampled."""
        length = num_samples
        if self.sample_rate != self.info.sample_rate:
            length = min(-(-num_samples * self.info.sample_rate // self.sample_rate), _MOST_READ)
            length = max(min(length, self._most_resampled() * self.info.sample_rate // self.sample_rate), 1)
        before, num_read = self.faults.non_finite, 0
        for block in self._reader.blocks(length, first, count, mono=self._mono):
            num_read += block.shape[1]
            self._check_finite(before)
            yield self._mixed(block)
        self._check_end(first, num_read, count)

    def _resampled_blocks(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        from phonograph_nodes.resample.stream import ResampleStream

        rates = self.info.sample_rate, self.sample_rate
        stream = ResampleStream(*rates, num_channels=self.num_channels, quality=self._quality)
        for block in blocks:
            with self._resampling():
                resampled = stream.push(block)
            yield resampled
        with self._resampling():
            rest = stream.flush()
        yield np.atleast_2d(rest)

    def _recut(self, pieces: Iterator[Samples], length: int) -> Iterator[Samples]:
        """The same samples in pieces of one length; the last may be shorter."""
        held: list[Samples] = []
        num_held = 0
        for piece in pieces:
            held.append(piece)
            num_held += piece.shape[1]
            self._refuse_more_than_allowed(min(num_held, length))
            if num_held < length:
                continue
            joined = np.concatenate(held, axis=1)
            whole = num_held - num_held % length
            for first in range(0, whole, length):
                yield np.ascontiguousarray(joined[:, first : first + length])
            held, num_held = [joined[:, whole:].copy()], num_held - whole
        if num_held:
            yield np.concatenate(held, axis=1)

    def _resampled_pcm(self, first: int, count: int | None, watch: Watch) -> Samples | None:
        """What the resampler makes of the file's own samples, which it mixes to mono on the way; None where it cannot."""
        about = self.info
        if self._out_rate in (None, about.sample_rate) or self.num_channels != 1 or about.num_channels > 2:
            return None
        pcm = self._reader.pcm(first, count)
        if pcm is None:
            return None
        self._check_end(first, pcm.num_samples, count)
        self._refuse_more_than_allowed(-(-pcm.num_samples * self.sample_rate // about.sample_rate))
        from phonograph_nodes.resample.whole import resample_pcm

        try:
            in_rate, out_rate = about.sample_rate, self.sample_rate
            return resample_pcm(pcm, in_rate=in_rate, out_rate=out_rate, quality=self._quality, check=watch.check)
        except AudioFormatError as error:
            raise AudioDecodeError(about.name, "resample", str(error)) from error
        except (EOFError, OSError) as error:
            raise unreadable(about.name, error) from error

    def _mixed(self, samples: Samples) -> Samples:
        if self._weights is None:
            return samples
        from phonograph_nodes.audio.mixing import mix

        return mix(samples, self._weights)

    def _bs775_weights(self, num_channels: Literal[1, 2]) -> NDArray[np.float64]:
        from phonograph_nodes.audio.mixing import bs775_weights

        try:
            return bs775_weights(self.info.channel_layout, num_channels)
        except AudioFormatError as error:
            self.close()
            raise AudioFormatError(f"{self.info.name}: {error}") from error

    def _resampled(self, samples: Samples, watch: Watch) -> Samples:
        if self._out_rate in (None, self.info.sample_rate):
            return samples
        self._refuse_more_than_allowed(-(-samples.shape[1] * self.sample_rate // self.info.sample_rate))
        from phonograph_nodes.resample.whole import resample

        with self._resampling():
            in_rate, out_rate = self.info.sample_rate, self.sample_rate
            return resample(samples, in_rate=in_rate, out_rate=out_rate, quality=self._quality, check=watch.check)

    def _most_resampled(self) -> int:
        return self._limits.max_bytes // (4 * self.num_channels)

    def _refuse_more_than_allowed(self, num_resampled: int) -> None:
        """Of resampled audio: a header that claims a low rate makes much of a small file."""
        most, rate = self._most_resampled(), self.sample_rate
        if num_resampled > most:
            found = f"more than {most / rate:g} s of audio in {self.num_channels} channels at {rate} Hz"
            limit = f"at most {self._limits.max_bytes / 2**30:g} GiB"
            raise AudioTooLongError(self.info.name, "resample", found, limit, "split the file, or raise max_bytes")

    @contextlib.contextmanager
    def _resampling(self) -> Iterator[None]:
        """What the resampler refuses now is a fault of the audio: the rates were checked before."""
        try:
            yield
        except AudioFormatError as error:
            raise AudioDecodeError(self.info.name, "resample", str(error)) from error

    def _check_end(self, first: int, num_read: int, count: int | None) -> None:
        """Refuse a file that has no audio at all, or that ends too early for what was asked of it."""
        name, rate, declared_s = self.info.name, self.info.sample_rate, self.faults.declared_s
        if num_read == first == 0 and count != 0:
            raise AudioDecodeError(name, "decode", "no sample came out, its audio is empty", remedy="get the file again")
        if declared_s is not None and not self._keep_truncated and (count is None or num_read < count):
            raise AudioTruncatedError(
                name,
                "decode",
                f"it is truncated: its header declares {declared_s:.3f} s, {(first + num_read) / rate:.3f} s came out",
                remedy="get the file again, or set keep_truncated",
            )

    def _check_finite(self, before: int) -> None:
        found = self.faults.non_finite - before
        if found and self._refuses_non_finite:
            remedy = "to take them as 0, set non_finite to 'zero'"
            raise AudioFormatError(f"{self.info.name}: {found} samples are not finite; expected finite samples; {remedy}")


def check_times(offset: float, duration: float | None) -> None:
    """Refuse times that no file has.

    Raises:
        ValueError: an offset or duration that is negative or not finite.
    """
    if not all(0 <= seconds < math.inf for seconds in (offset, duration or 0.0)):
        raise ValueError(f"offset={offset!r}, duration={duration!r}; expected seconds, finite and not negative")


def _checked(sr: int, quality: str) -> int:
    from phonograph_nodes.resample.checks import check_quality, checked_rate

    check_quality(quality)
    return checked_rate("sr", sr)
