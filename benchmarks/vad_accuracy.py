"""How well voice activity detectors find speech in noise: `python -m benchmarks.vad_accuracy`, with the extra `bench`.

Recordings are made of the shared speech clips, a recording a speaker: clips with silences of 1 to 4 s between them, then noise at
a stated ratio to the speech. The truth is the level of the clean recording: every 10 ms whose level is within 35 dB of what the
clip reaches a twentieth of the time, with gaps below 200 ms filled and bursts below 50 ms dropped. So it is on the side of
detectors that go by energy: what a listener would call speech and is fainter than that counts as silence, and so do pauses
between words that are longer than 200 ms. Every detector's decisions are smoothed in the same way: gaps below 200 ms
filled, speech below 90 ms dropped.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.signals import SAMPLE_RATE, Samples
from phonograph_nodes import energy_vad, load
from phonograph_nodes.vad.silero import FRAME_LENGTHS, load_model, speech_probabilities, speech_runs
from places import shared_folder

Flags = NDArray[np.bool_]
Detector = Callable[[Samples], Flags]

STEP = SAMPLE_RATE // 100  # samples of a decision that is scored
BELOW_PEAK_DB = 35.0
RATIOS_DB = (20, 10, 5, 0)
MIN_SILENCE_MS, MIN_SPEECH_MS = 200.0, 90.0
NEAR = 25  # steps: a boundary that is farther away has not been found
VOICES = 8
SEED = 7
NAME = "vad_accuracy.json"
SWEEP_DB = range(-60, -5)

PEERS = ("webrtcvad-wheels", "silero-vad", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Recording:
    """Clean speech of one speaker, and which of its steps are speech."""

    speaker: str
    samples: Samples
    speech: Flags


def recordings() -> list[Recording]:
    """The clips of each speaker, one after the other."""
    folder = shared_folder() / "data" / "speech"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    random = np.random.default_rng(SEED)
    made = []
    for speaker in sorted({row["speaker"] for row in rows}):
        parts: list[Samples] = []
        flags: list[Flags] = []
        for row in rows:
            if row["speaker"] != speaker:
                continue
            whole = load(folder / row["path"], sr=SAMPLE_RATE)[0]
            clip = whole[: len(whole) // STEP * STEP].astype(np.float32)
            pause = int(random.uniform(100, 400))
            parts += [np.zeros(pause * STEP, np.float32), clip]
            flags += [np.zeros(pause, np.bool_), truth(clip)]
        parts.append(np.zeros(100 * STEP, np.float32))
        flags.append(np.zeros(100, np.bool_))
        made.append(Recording(speaker, np.concatenate(parts), np.concatenate(flags)))
    return made


def truth(clip: Samples) -> Flags:
    """Which steps of a clean clip are speech, by the level of the 25 ms around each."""
    power = np.convolve(np.square(clip, dtype=np.float64), np.ones(400) / 400, "same")[STEP // 2 :: STEP]
    level = 10 * np.log10(np.maximum(power, 1e-12))
    loud = (level >= np.percentile(level, 95) - BELOW_PEAK_DB).astype(np.float32)
    return _steps(speech_runs(loud, 1, 0.5, 20, 5, len(loud)), len(loud), 1)


def white(length: int, speaker: str, clips: Sequence[Recording]) -> Samples:
    return np.random.default_rng(1).standard_normal(length, np.float32)


def low(length: int, speaker: str, clips: Sequence[Recording]) -> Samples:
    """Noise whose spectrum falls by 6 dB an octave above 50 Hz, as in a car."""
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(length))
    spectrum /= np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 50.0)
    return np.fft.irfft(spectrum, length).astype(np.float32)


def babble(length: int, speaker: str, clips: Sequence[Recording]) -> Samples:
    """Eight voices of other speakers, equally loud, without pauses between their clips."""
    random = np.random.default_rng(2)
    others = [np.repeat(one.speech, STEP) for one in clips], [one.samples for one in clips]
    voices = [samples[speech] for speech, samples, one in zip(*others, clips, strict=True) if one.speaker != speaker]
    total = np.zeros(length, np.float32)
    for number in range(VOICES):
        voice = voices[number % len(voices)]
        total += np.resize(np.roll(voice, int(random.integers(len(voice)))), length) / np.sqrt(np.mean(voice**2))
    return total


NOISES: Mapping[str, Callable[[int, str, Sequence[Recording]], Samples]] = {"white": white, "low": low, "babble": babble}


def noise_for(one: Recording, name: str, clean: Sequence[Recording]) -> Samples:
    return NOISES[name](len(one.samples), one.speaker, clean)


def mixed(one: Recording, noise: Samples, ratio_db: float) -> Samples:
    """Speech and noise; the ratio is that of the power of the steps with speech to the noise's."""
    speech = np.mean(np.square(one.samples.reshape(-1, STEP)[one.speech], dtype=np.float64))
    gain = np.sqrt(speech / np.mean(np.square(noise, dtype=np.float64)) / 10 ** (ratio_db / 10))
    return (one.samples + noise * np.float32(gain)).astype(np.float32)


def energy(**parameters: Any) -> Detector:
    def detect(samples: Samples) -> Flags:
        found = energy_vad(samples, min_silence_ms=MIN_SILENCE_MS, min_speech_ms=MIN_SPEECH_MS, **parameters)
        return _steps([(int(s.start_ms * 16), int(s.end_ms * 16)) for s in found.segments], len(samples), STEP)

    return detect


def webrtc(mode: int) -> Detector:
    import webrtcvad  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra

    length = SAMPLE_RATE * 30 // 1000

    def detect(samples: Samples) -> Flags:
        vad = webrtcvad.Vad(mode)
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frames = pcm[: len(pcm) // length * length].reshape(-1, length)
        flags = np.array([vad.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in frames], np.float32)
        return _smoothed(flags, length, len(samples))

    return detect


def silero() -> Detector:
    model = load_model()

    def detect(samples: Samples) -> Flags:
        return _smoothed(speech_probabilities(model, samples, SAMPLE_RATE), FRAME_LENGTHS[SAMPLE_RATE], len(samples))

    return detect


def detectors() -> dict[str, Detector]:
    """Name in the table -> detector."""
    return {
        "always speech": lambda samples: np.ones(len(samples) // STEP, np.bool_),
        "energy, 0.02": energy(),
        "energy, margin 6 dB": energy(margin_db=6),
        "energy, margin 9 dB": energy(margin_db=9),
        "webrtcvad, mode 2": webrtc(2),
        "webrtcvad, mode 3": webrtc(3),
        "silero-vad": silero(),
    }


def _smoothed(probabilities: NDArray[np.float32], frame_length: int, num_samples: int) -> Flags:
    silence, speech = (ms * SAMPLE_RATE / 1000 for ms in (MIN_SILENCE_MS, MIN_SPEECH_MS))
    return _steps(speech_runs(probabilities, frame_length, 0.5, silence, speech, num_samples), num_samples, STEP)


def _steps(runs: Sequence[tuple[int, int]], num_samples: int, step: int) -> Flags:
    flags = np.zeros(num_samples // step, np.bool_)
    for start, end in runs:
        flags[round(start / step) : round(end / step)] = True
    return flags


def score(found: Sequence[Flags], true: Sequence[Flags]) -> dict[str, float]:
    """Precision, recall and F1 of 10 ms steps; of the true boundaries, how many were found within 250 ms, and how far off."""
    ours, theirs = np.concatenate(found), np.concatenate(true)
    both, num_ours, num_theirs = (float(np.count_nonzero(flags)) for flags in (ours & theirs, ours, theirs))
    errors = np.concatenate([_boundary_errors(one, other) for one, other in zip(found, true, strict=True)])
    near = errors[errors <= NEAR]
    return {
        "precision": both / max(1.0, num_ours),
        "recall": both / num_theirs,
        "f1": 2 * both / (num_ours + num_theirs),
        "boundaries_found": len(near) / len(errors),
        "boundary_error_ms": float(np.median(near)) * 10 if len(near) else float("nan"),
    }


def _boundary_errors(found: Flags, true: Flags) -> NDArray[np.float64]:
    """For each true start and end, steps to the nearest found one of the same kind."""
    errors = []
    for kind in (1, -1):
        ours, theirs = (np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0) == kind) for flags in (found, true))
        errors += [np.abs(ours - place).min() if len(ours) else np.inf for place in theirs]
    return np.array(errors, np.float64)


def best_threshold(mixes: Sequence[Samples], true: Sequence[Flags]) -> dict[str, float]:
    """The score at the fixed threshold that scores best on these very recordings: what energy can do at most."""
    scores = ({**score([energy(threshold_db=db)(one) for one in mixes], true), "threshold_db": db} for db in SWEEP_DB)
    return max(scores, key=lambda one: one["f1"])


def measure() -> list[dict[str, Any]]:
    """An entry for each noise and ratio, with the scores of each detector; the first one is without noise."""
    clean = recordings()
    true = [one.speech for one in clean]
    chosen = detectors()
    entries = []
    for noise, ratio in [("none", None), *((noise, ratio) for noise in NOISES for ratio in RATIOS_DB)]:
        mixes = [one.samples if ratio is None else mixed(one, noise_for(one, noise, clean), ratio) for one in clean]
        scores = {name: score([detect(mix) for mix in mixes], true) for name, detect in chosen.items()}
        scores["energy, best threshold"] = best_threshold(mixes, true)
        entries.append({"noise": noise, "ratio_db": ratio, "scores": _rounded(scores)})
        print(noise, ratio, ", ".join(f"{name} {one['f1']:.3f}" for name, one in scores.items()))
    return entries


def _rounded(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {key: round(value, 4) for key, value in one.items()} for name, one in scores.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vad_accuracy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=record.RESULTS / NAME, help="where the figures go")
    options = parser.parse_args(arguments)
    try:
        peers = {name: importlib.metadata.version(name) for name in PEERS}
    except importlib.metadata.PackageNotFoundError as error:
        sys.exit(f"needs the extras `bench` and `silero`: {error.name} not installed; `pip install -e '.[bench,silero]'`")
    clean = recordings()
    steps = np.concatenate([one.speech for one in clean])
    made_of = {"seconds": round(len(steps) / 100, 1), "speech_share": round(float(steps.mean()), 3), "speakers": len(clean)}
    record.write(options.out, {"peers": peers, "recordings": made_of, "conditions": measure()})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
