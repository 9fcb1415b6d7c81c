"""Claims about the energy VAD: as fast as its samples can be read, exact, and its accuracy known.

Speed is measured by `benchmarks/vad_speed.py`, on one core with one thread; bars are for a machine with AVX-512.
"""

from __future__ import annotations

import json

import numpy as np

import reference.energy_vad
from acceptance.claims import Figure, claim
from acceptance.measured import measured
from acceptance.processes import CHECKOUT
from acceptance.variants import tests_pass
from phonograph_nodes import EnergyVadStream, energy_vad
from reference.energy_vad import Rules

TESTS = ("tests/nodes/vad/test_energy.py", "tests/nodes/vad/test_streaming.py")


@claim(issue="resample", bar=">= 0.80 of the speed of np.dot(x, x), median, for each setting", fast=False)
def the_energy_vad_is_as_fast_as_reading() -> Figure:
    """Finding speech in 60 s takes at most a quarter longer than to read them, with a fixed threshold and a tracked one.

    The result is made by the call, the segments' Python objects included; the plain settings give the most of them.
    """
    entries = {entry["name"]: entry for entry in measured("vad_speed")["minute"]}
    text = "; ".join(
        f"{name}, {entry['segments']} segments: {entry['ratio']['median']:.3f} "
        f"({entry['ratio']['lower']:.3f} - {entry['ratio']['upper']:.3f})"
        for name, entry in entries.items()
    )
    slow = [name for name, entry in entries.items() if entry["ratio"]["median"] < 0.8]
    return Figure(text, not slow, f"below the bar: {', '.join(slow)}" if slow else "")


@claim(issue="resample", bar="< 5 us a push", fast=False)
def a_push_of_30_ms_costs_less_than_5_microseconds() -> Figure:
    """EnergyVadStream.push of 30 ms from Python, validation and result included."""
    found = {name: spread["median"] * 1e6 for name, spread in measured("vad_speed")["push"].items()}
    return Figure(", ".join(f"{name} {us:.2f} us" for name, us in found.items()), all(us < 5 for us in found.values()))


@claim(issue="resample", bar="every length from 0 to 2 000 and chunking: equal decisions, equal bits", fast=True)
def the_energy_vad_equals_its_reference() -> Figure:
    """Decisions are the slow reference's, and a stream's frames and segments are bit for bit those of one call."""
    random = np.random.default_rng(11)
    wrong, cases = [], 0
    for length in range(2001):
        samples = (
            random.choice([0.002, 0.02, 0.3], length // 40 + 1).repeat(40)[:length] * random.standard_normal(length)
        ).astype("f4")
        silence, speech, hangover = (int(frames) for frames in random.integers(0, 5, 3))
        stream = EnergyVadStream(
            frame_ms=1, margin_db=6, min_silence_ms=silence, min_speech_ms=speech, hangover_ms=hangover, pad_before_ms=1
        )
        whole = energy_vad(
            samples, frame_ms=1, margin_db=6, min_silence_ms=silence, min_speech_ms=speech, hangover_ms=hangover, pad_before_ms=1
        )
        cuts = np.sort(random.integers(0, length + 1, 4))
        updates = [*(stream.push(piece) for piece in np.split(samples, cuts)), stream.flush()]
        rules = Rules(0.001, 10 ** (6 / 20), 5000, silence, speech, hangover)
        same = b"".join(update.frames.rms.tobytes() for update in updates) == whole.frames.rms.tobytes()
        same &= tuple(one for update in updates for one in update.segments) == whole.segments
        same &= whole.frames.speech.tolist() == reference.energy_vad.decide(whole.frames.rms.tolist(), rules)
        truth = reference.energy_vad.frame_rms(samples, 16)
        same &= bool(np.allclose(whole.frames.rms, truth, rtol=2**-23, atol=0))
        cases += 1
        if not same:
            wrong.append(length)
    return Figure(f"{cases - len(wrong)} of {cases} lengths", not wrong, f"lengths {wrong[:10]}" if wrong else "")


@claim(issue="resample", bar="the tests pass with each instruction set", fast=False)
def every_variant_of_the_energy_vad_passes_its_tests() -> Figure:
    """The golden-like tests hold for each instruction set that this processor has."""
    return tests_pass(*TESTS)


@claim(
    issue="resample", bar="webrtcvad and silero-vad beside energy at 20, 10, 5, 0 dB in white noise, low noise, babble", fast=True
)
def the_accuracy_beside_other_detectors_is_recorded() -> Figure:
    """The stored table has every noise, ratio and detector, so that it says where energy is not enough."""
    stored = json.loads((CHECKOUT / "benchmarks" / "results" / "vad_accuracy.json").read_text("utf-8"))
    f1 = {
        (one["noise"], one["ratio_db"]): {name: row["f1"] for name, row in one["scores"].items()} for one in stored["conditions"]
    }
    missing = [
        f"{noise} {ratio}"
        for noise in ("white", "low", "babble")
        for ratio in (20, 10, 5, 0)
        if not {"silero-vad", "webrtcvad, mode 2", "energy, margin 6 dB"} <= f1.get((noise, ratio), {}).keys()
    ]
    if missing:
        return Figure("incomplete", met=False, cause=f"missing: {', '.join(missing)}")
    worst = f1["white", 0]
    told = ", ".join(f"{name} {value:.2f}" for name, value in sorted(worst.items(), key=lambda one: -one[1]))
    return Figure(f"F1 in white noise at 0 dB: {told}", met=True)
