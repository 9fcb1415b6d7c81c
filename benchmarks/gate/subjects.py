"""What the gate times, and which reference each is held against. A new subject is a line in `SUBJECTS`.

Inputs are so short that they stay in the second-level cache. Longer ones are as fast as other programs on the machine let them
be, and would tell of those. They lie at the same place of a page in every process, since vectors that cross cache lines take
longer.
"""

from __future__ import annotations

import mmap
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.front_ends import names as front_end_names
from benchmarks.gate.references import Call
from benchmarks.signals import SAMPLE_RATE, speech

SECONDS = 4  # of audio for what reads it once
RECORDS = 500  # so many that opening and closing a run does not count
Samples = npt.NDArray[Any]
ANY = "any"  # instead of an instruction set: of what has no kernels


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that must not become slower.

    Args:
        name: what it is called in the table and in the stored floors.
        reference: a name that `references.reference` knows.
        prepare: makes the call that is timed; given a folder that is its own.
        has_kernels: timed with each instruction set; else once.
    """

    name: str
    reference: str
    prepare: Callable[[Path], Call]
    has_kernels: bool = True


def clip(folder: Path) -> Path:
    """A WAV file of speech, 16 bits, made where it is not there yet."""
    path = folder / "clip.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(np.rint(speech(2) * 32767).astype("<i2").tobytes())
    return path


def _laid(samples: Samples) -> Samples:
    """The same at the start of a page."""
    place = np.empty(samples.nbytes + mmap.PAGESIZE, np.uint8)
    skipped = -place.ctypes.data % mmap.PAGESIZE
    laid = place[skipped : skipped + samples.nbytes].view(samples.dtype).reshape(samples.shape)
    laid[:] = samples
    return laid


def _log_mel(frontend: str, folder: Path) -> Call:
    from phonograph_nodes import log_mel

    samples = _laid(speech(SECONDS))
    return lambda: log_mel(samples, frontend=frontend)


def _energy_vad(folder: Path) -> Call:
    from phonograph_nodes import energy_vad

    samples = _laid(speech(SECONDS))
    return lambda: energy_vad(samples)


def _convert(given: str, wanted: str, folder: Path) -> Call:
    from phonograph_nodes import convert

    samples = _laid(convert(speech(3), dtype=given))
    return lambda: convert(samples, dtype=wanted, source=given)


def _resample(in_rate: int, out_rate: int, quality: str, folder: Path) -> Call:
    from phonograph_nodes import resample

    samples = _laid(speech(in_rate / SAMPLE_RATE))  # a second, whatever the rate
    return lambda: resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)  # type: ignore[arg-type]


def _decode(folder: Path) -> Call:
    from phonograph_nodes import load

    path = clip(folder)
    return lambda: load(path, sr=None)


def _scheduler(folder: Path) -> Call:
    """A source, five nodes that do nothing, a sink: what remains is the scheduler."""
    from phonograph.executor import Executor
    from phonograph.graph.registry import Registry
    from phonograph.language.manifest import load_manifest
    from phonograph.testing import Discard, NumberSource, PassOn

    registry = Registry()
    for target in (NumberSource, PassOn, Discard):
        registry.register(target)
    steps = [f"{{type: testing.numbers, params: {{count: {RECORDS}}}}}"]
    steps += [f"{{id: pass{number}, type: testing.pass}}" for number in range(5)]
    steps += ["{type: testing.discard}"]
    path = folder / "chain.yaml"
    path.write_text("version: 1\nname: chain\nsteps:\n" + "".join(f"  - {step}\n" for step in steps), encoding="utf-8")
    return Executor(load_manifest(path), registry=registry, run_dir=folder / "run").run


def _log_mel_stream(folder: Path) -> Call:
    from phonograph_nodes import LogMelStream

    stream, pieces = LogMelStream("zipformer"), np.split(_laid(speech(1)), 10)

    def call() -> None:
        for piece in pieces:
            stream.push(piece)
            stream.pop()

    return call


def _resample_stream(latency: str, folder: Path) -> Call:
    from phonograph_nodes import ResampleStream

    stream = ResampleStream(48_000, SAMPLE_RATE, latency=latency)  # type: ignore[arg-type]
    pieces = np.split(_laid(speech(1.5)), 5)
    return lambda: [stream.push(piece) for piece in pieces]


def _resample_pcm16(folder: Path) -> Call:
    from phonograph_nodes import convert, resample_pcm16

    stereo = _laid(convert(np.stack([speech(2)] * 2), dtype="i16", layout="interleaved"))
    return lambda: resample_pcm16(stereo, in_rate=44_100, out_rate=SAMPLE_RATE)


def _layout(given: str, wanted: str, layout: Literal["planar", "interleaved"], folder: Path) -> Call:
    from phonograph_nodes import convert

    planar = convert(np.stack([speech(1)] * 2), dtype=given)
    samples = _laid(planar if layout == "interleaved" else planar.T.copy())
    return lambda: convert(samples, dtype=wanted, layout=layout)


def _mix(folder: Path) -> Call:
    from phonograph_nodes import convert, mix_to_mono

    stereo = _laid(convert(np.stack([speech(1)] * 2), dtype="i16", layout="interleaved"))
    return lambda: mix_to_mono(stereo, layout="interleaved")


def _vad_stream(folder: Path) -> Call:
    from phonograph_nodes import EnergyVadStream

    stream = EnergyVadStream(sample_rate=SAMPLE_RATE, margin_db=6.0, min_silence_ms=200.0)
    pieces = np.split(_laid(speech(3)), 100)
    return lambda: [stream.push(piece) for piece in pieces]


SUBJECTS: tuple[Subject, ...] = (
    *(Subject(f"log-mel {name}", "butterflies", partial(_log_mel, name)) for name in front_end_names() if "," not in name),
    Subject("energy VAD", "squares", _energy_vad),
    Subject("VAD in pieces of 30 ms", "squares", _vad_stream),
    Subject("zipformer in pieces of 100 ms", "butterflies", _log_mel_stream),
    Subject("convert i16 to f32", "copies", partial(_convert, "i16", "f32")),
    Subject("convert f32 to i16", "copies", partial(_convert, "f32", "i16")),
    Subject("convert mu-law to f32", "copies", partial(_convert, "mulaw", "f32")),
    Subject("convert i16 to f32, planar", "copies", partial(_layout, "i16", "f32", "planar")),
    Subject("convert f32 to i16, interleaved", "copies", partial(_layout, "f32", "i16", "interleaved")),
    Subject("mix i16 stereo to mono", "copies", _mix),
    Subject("resample 44.1 to 16 kHz, high", "butterflies", partial(_resample, 44_100, 16_000, "high")),
    Subject("resample 48 to 16 kHz, high", "butterflies", partial(_resample, 48_000, 16_000, "high")),
    Subject("resample 48 to 16 kHz, best", "butterflies", partial(_resample, 48_000, 16_000, "best")),
    Subject("resample 44.1 to 16 kHz, i16 stereo", "butterflies", _resample_pcm16),
    Subject("resampling in pieces of 100 ms", "butterflies", partial(_resample_stream, "block")),
    Subject("resampling, low latency", "butterflies", partial(_resample_stream, "low")),
    Subject("decode WAV", "pyav", _decode, has_kernels=False),
    Subject("scheduler, 5 nodes", "relay", _scheduler, has_kernels=False),
)
