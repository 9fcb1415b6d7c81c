"""Speech detection by signal level, on a whole signal."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from phonograph_nodes.vad.found import EnergyVad, VadFrames
from phonograph_nodes.vad.settings import FLOOR_WINDOW_MS, checked
from phonograph_nodes.validation import mono_samples, non_finite


def energy_vad(
    samples: NDArray[Any],
    *,
    sample_rate: int = 16_000,
    frame_ms: float = 30.0,
    threshold: float | None = None,
    threshold_db: float | None = None,
    margin_db: float | None = None,
    floor_window_ms: float = FLOOR_WINDOW_MS,
    min_silence_ms: float = 0.0,
    min_speech_ms: float = 0.0,
    hangover_ms: float = 0.0,
    pad_before_ms: float = 0.0,
    pad_after_ms: float = 0.0,
) -> EnergyVad:
    """Find the stretches of audio whose level reaches a threshold.

    A frame is loud when its RMS is at least its threshold T. Without `margin_db` that is `threshold`; with it

        T = max(threshold, 10^(margin_db / 20) * floor)

    where floor is the lowest RMS of the frames of the last `floor_window_ms`, this one included: noise is what is always there,
    and speech has pauses (after the minimum statistics of R. Martin, IEEE Trans. Speech and Audio Processing 9(5), 2001, without
    its smoothing). Until the first pause has come, the floor is that of the speech itself.

    Then, in this order: silences between loud frames that are shorter than `min_silence_ms` become speech; speech shorter than
    `min_speech_ms` becomes silence; each stretch that is left is prolonged by `hangover_ms`. These durations, and the floor's,
    are rounded up to whole frames of so many samples as a frame really has, and at 0 the step does nothing. Segments are these
    stretches, widened by `pad_before_ms` and `pad_after_ms` as far as there is audio; those that touch then are one.

    All of it is causal but for the waiting that `min_speech_ms` and `min_silence_ms` ask for: `EnergyVadStream` gives the same,
    bit for bit. Levels and decisions do not depend on the instruction set either.

    Args:
        samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples). All of it is judged: the last frame may be short.
        sample_rate: Hz.
        frame_ms: length of a frame, 1 to 1000; longer frames blur the edges of segments, shorter ones follow the pitch.
        threshold: linear RMS, 1e-6 to 1; when neither threshold is given 0.02, with `margin_db` 0.001.
        threshold_db: the same in dBFS, -120 to 0, instead of `threshold`.
        margin_db: how far above the noise floor speech lies, above 0, at most 60; None: the threshold is fixed. A small one takes
            noise that swells for speech, a large one loses speech that is hardly louder than the noise.
        floor_window_ms: 100 to 60000; a shorter one follows noise that grows sooner, but takes speech without a pause of that
            length for noise.

    Returns:
        Frames, segments and speech ratio. A segment's `energy_db` is the mean power of its speech frames in dBFS, at least -120.
        Its `confidence` is P / (P + Q) for that mean power P and the mean Q of their squared thresholds: 0.5 at the threshold,
        0.91 at 10 dB above it, growing with the energy over the threshold.

    Raises:
        AudioFormatError: wrong dtype or shape, a rate that is no positive whole number, NaN or infinity.
        ValueError: a parameter outside its range, or both thresholds.
    """
    settings = checked(
        sample_rate,
        frame_ms,
        threshold,
        threshold_db,
        margin_db,
        floor_window_ms,
        min_silence_ms,
        min_speech_ms,
        hangover_ms,
        pad_before_ms,
        pad_after_ms,
    )
    signal = mono_samples(samples)
    vad = settings.begin()
    taken = vad.take(signal, True)
    if taken is None:
        raise non_finite(signal)
    rms, thresholds, speech, segments = taken
    frames = VadFrames(rms, thresholds, speech, settings.frame_length, settings.sample_rate, 0, signal.size)
    return EnergyVad(frames, segments, vad.num_speech / signal.size if signal.size else 0.0)
