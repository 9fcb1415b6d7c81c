"""The log-mel kernels' trial cases: as C for the driver, and read back out of what it wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.tables import make_plan
from phonograph_nodes.kernels import _log_mel
from reference.features.settings import NAMED, Settings
from reference.features.signals import impulse, noise, sine, voice

Float32s = NDArray[np.float32]

# Transforms that no front end with a name has: a radix that is summed beside one of eight, and a chirp.
UNNAMED: dict[str, dict[str, Any]] = {
    "a radix of seven": {"fft_length": 448, "window_length": 448, "num_mel_bins": 20, "floor": 1e-10},
    "a chirp": {"fft_length": 509, "window_length": 400, "num_mel_bins": 20, "floor": 1e-10},
}
PLANS: dict[str, FrontEnd] = {name: FRONT_ENDS[name] for name in FRONT_ENDS if name in NAMED}
PLANS |= {name: FrontEnd(**constants) for name, constants in UNNAMED.items()}
SETTINGS: dict[str, Settings] = {**NAMED} | {name: Settings(**constants) for name, constants in UNNAMED.items()}
NAMES = tuple(PLANS)
SIGNALS: dict[str, Float32s] = {
    "one sample": noise(1),
    "a window less one": noise(399),
    "seventeen windows": noise(400 + 16 * 160),
    "edges of the last window": impulse(2500, 2499),
    "silence": np.zeros(2100, np.float32),
    "tone": sine(0.0625),
    "voice": voice(9001),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One front end on one signal; `num_rows` windows of it."""

    name: str
    signal: str
    num_rows: int

    @property
    def samples(self) -> Float32s:
        return SIGNALS[self.signal]

    @property
    def settings(self) -> Settings:
        """What the kernel's levels are, before the steps that Python puts together."""
        plain = {"normalisation": "none", "deltas": False, "range_below_peak": None, "shift": 0.0, "gain": 1.0, "stack": 1}
        return replace(SETTINGS[self.name], **plain)  # type: ignore[arg-type]

    @property
    def num_columns(self) -> int:
        return self.settings.num_cepstra or self.settings.num_mel_bins


@dataclass(frozen=True, slots=True)
class Computed:
    """What the driver computed for a case; see there."""

    levels: Float32s
    by_bin: Float32s
    statistics: NDArray[np.float64]
    scaled: Float32s
    normalized: Float32s
    with_deltas: Float32s
    extent: tuple[float, float, float]
    finite: bool
    highest: float


CASES = tuple(Case(name, signal, PLANS[name].num_windows(len(SIGNALS[signal]))) for name in NAMES for signal in SIGNALS)


def as_c() -> str:
    """The cases as the header log_mel_cases.h."""
    plans = [_plan(number, name) for number, name in enumerate(NAMES)]
    signals = {signal: f"signal_{number}" for number, signal in enumerate(SIGNALS)}
    parts = [*(text for text, _ in plans), *(_array(signals[signal], SIGNALS[signal]) for signal in SIGNALS)]
    parts += ["static const pg_plan plans[] = {", *(f"    {fields}," for _, fields in plans), "};"]
    parts += ["static const test_case cases[] = {"]
    for case in CASES:
        length, padded = len(case.samples), max(len(case.samples), case.settings.min_samples)
        wide = case.samples.astype(np.float64)
        gain = 1.0 / max(float(np.abs(wide - wide.mean()).max()), 1e-6)
        offset = float(wide.mean()).hex()
        plan = NAMES.index(case.name)
        parts.append(f"    {{{plan}, {length}, {padded}, {case.num_rows}, {offset}, {gain.hex()}, {signals[case.signal]}}},")
    return "\n".join([*parts, "};", ""])


def _plan(number: int, name: str) -> tuple[str, str]:
    """(arrays, initializer) of a front end's plan, out of the tables that its binding would get."""
    with mock.patch.object(_log_mel, "Plan", dict):
        tables: dict[str, Any] = dict(make_plan(PLANS[name]))  # type: ignore[call-overload]
    radices, widths = tables["radices"], tables.pop("widths")
    values, counts = np.unique(widths, return_counts=True)
    tables |= {
        "runs": np.stack([counts, values], axis=-1).astype(np.int32),
        "num_runs": len(values),
        "widest": int(widths.max()),
        "num_mel_bins": len(widths) - 1,
        "num_cepstra": len(tables["cepstra"]),
        "sum_block": math.gcd(tables["window_length"], tables["hop_length"]),
    }
    arrays, fields = [], {}
    for field, value in tables.items():
        if not isinstance(value, np.ndarray):
            fields[field] = float(value).hex() if isinstance(value, float) else str(int(value))
        elif value.size:
            fields[field] = f"plan_{number}_{field}"
            arrays.append(_array(fields[field], value))
    summed = max((radix for radix in radices.tolist() if radix not in _log_mel.BUTTERFLIES), default=0)
    transform = {"num_points": math.prod(radices.tolist()), "num_passes": len(radices), "largest_summed": summed}
    fields["transform"] = _initializer(transform | {name: fields.pop(name) for name in ("radices", "turns")})
    if "chirp" in fields:
        turns, response = fields.pop("chirp"), fields.pop("response")
        fields["chirp"] = _initializer({"num_points": tables["chirp"].size // 2, "turns": turns, "response": response})
    return "\n".join(arrays), _initializer(fields)


def _initializer(fields: dict[str, Any]) -> str:
    return "{" + ", ".join(f".{field} = {value}" for field, value in fields.items()) + "}"


def _array(name: str, values: NDArray[Any]) -> str:
    kind, end = ("float", "f") if values.dtype == np.float32 else ("int32_t", "")
    written = (value.hex() if isinstance(value, float) else str(value) for value in values.ravel().tolist())
    return f"static const {kind} {name}[] = {{{', '.join(text + end for text in written)}}};"


def computed(output: bytes) -> Iterator[tuple[Case, Computed]]:
    """What the driver wrote, case by case."""
    at = 0

    def taken(kind: type, *shape: int) -> NDArray[Any]:
        nonlocal at
        values: NDArray[Any] = np.frombuffer(output, kind, math.prod(shape), at).reshape(shape)
        at += values.nbytes
        return values

    for case in CASES:
        rows, columns = case.num_rows, case.num_columns
        levels, by_bin = taken(np.float32, rows, columns), taken(np.float32, rows, columns)
        statistics = taken(np.float64, 3, columns)
        scaled, normalized = taken(np.float32, rows, columns), taken(np.float32, rows, columns)
        with_deltas = taken(np.float32, rows, 2 * columns)
        total, least, greatest, finite, highest = taken(np.float64, 5).tolist()
        extent = (total, least, greatest)
        yield case, Computed(levels, by_bin, statistics, scaled, normalized, with_deltas, extent, bool(finite), highest)
    assert at == len(output), "the driver wrote more than the cases ask for"
