"""Puts `load` in the place of `librosa.load`, for programs that call librosa."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from phonograph_nodes.audio.decoder import AudioDecoder

_MODULES = ("librosa", "librosa.core", "librosa.core.audio")
_LOCK = threading.Lock()
_originals: dict[str, Callable[..., Any]] = {}


def patch_librosa() -> None:
    """Let `librosa.load` decode and resample here, with the same arguments, shapes and lengths.

    librosa reckons the length in floating point. Where that gives one sample too many (48001 for a second of 44100 Hz at 48000
    Hz), it puts a zero at the end, and so does this. What this does not read goes to librosa's own: open `soundfile.SoundFile`
    and audioread objects, and other dtypes than float32 and float64. `res_type` is ignored: the resampler is `resample`, "high".
    Names that were imported before (`from librosa import load`) keep the original. Calling it again changes nothing.

    Raises:
        ImportError: librosa is not installed.
    """
    with _LOCK:
        if _originals:
            return
        modules = _imported()
        original = modules["librosa.core.audio"].load
        replacement = _replacement(original)
        for name, module in modules.items():
            _originals[name] = module.load
            module.load = replacement


def unpatch_librosa() -> None:
    """Put `librosa.load` back; changes nothing when it is not patched."""
    with _LOCK:
        if _originals:
            for name, module in _imported().items():
                module.load = _originals[name]
            _originals.clear()


def _imported() -> dict[str, Any]:
    import importlib

    try:
        return {name: importlib.import_module(name) for name in _MODULES}
    except ModuleNotFoundError as error:
        raise ImportError(f"librosa cannot be patched: no module {error.name!r}; pip install librosa") from error


def _replacement(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def load_here(
        path: Any,
        *,
        sr: float | None = 22050,
        mono: bool = True,
        offset: float = 0.0,
        duration: float | None = None,
        dtype: Any = np.float32,
        res_type: str = "soxr_hq",
    ) -> Any:
        if not _is_source(path) or np.dtype(dtype) not in (np.float32, np.float64) or (sr is not None and sr != int(sr)):
            return original(path, sr=sr, mono=mono, offset=offset, duration=duration, dtype=dtype, res_type=res_type)
        rate = None if sr is None else int(sr)
        with AudioDecoder(path, sr=rate, mono=mono, keep_truncated=True) as decoder:
            samples = decoder.decode(offset, duration)
            missing = _length(decoder, offset, duration) - samples.shape[-1]
            if missing == 1:
                samples = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, 1)])
            return samples.astype(dtype, copy=False), decoder.sample_rate

    return load_here


def _length(decoder: AudioDecoder, offset: float, duration: float | None) -> int:
    """Samples that librosa gives for what was just decoded: ceil(num_samples * ratio), of floating-point numbers."""
    about = decoder.info
    lengths = [] if duration is None else [int(duration * about.sample_rate)]
    if about.num_samples is not None:  # always known when the end has been reached
        lengths.append(max(about.num_samples - int(offset * about.sample_rate), 0))
    return math.ceil(min(lengths) * (float(decoder.sample_rate) / about.sample_rate))


def _is_source(path: Any) -> bool:
    """A path or a file object: SoundFile has `read` too, and gives samples there."""
    if isinstance(path, str) or hasattr(path, "__fspath__"):
        return True
    return hasattr(path, "read") and not hasattr(path, "samplerate")
