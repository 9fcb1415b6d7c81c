"""Writes what docs/vad.md takes from elsewhere: the table of accuracies from benchmarks/results, and the pictures.

    python docs/vad_page.py

Drawing needs matplotlib: pip install "phonograph[docs]". A picture carries the parameters that it was drawn with, so that a test
can tell when it is out of date.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.shipped import shipped_root
from phonograph_nodes import energy_vad, load

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "vad.md"
PICTURES = DOCS / "pictures" / "vad"
RESULTS = DOCS.parent / "benchmarks" / "results" / "vad_accuracy.json"

BEGIN, END = "<!-- accuracy -->\n", "<!-- /accuracy -->\n"
CARRIES = "Parameters"  # the text in a picture that says what it was drawn with

SAMPLE_RATE = 16_000
CLIPS: Mapping[str, int] = {"histogram": 5, "floor": 5, "smoothing": 2}
PARAMETERS: Mapping[str, dict[str, float]] = {
    "histogram": {"threshold_db": -44},
    "floor": {"margin_db": 9, "min_silence_ms": 200, "min_speech_ms": 90},
    "smoothing": {"threshold_db": -36, "min_silence_ms": 200, "min_speech_ms": 90, "hangover_ms": 90, "pad_before_ms": 200},
}
NOISES: Mapping[str, tuple[float, float]] = {"histogram": (-54, -54), "floor": (-54, -40), "smoothing": (-54, -54)}
"""Level of the white noise in dBFS, in the first and the second half."""

Samples = NDArray[np.float32]

_PAUSE: Samples = np.zeros(SAMPLE_RATE * 3 // 2, np.float32)


def accuracy_table(stored: Mapping[str, Any]) -> str:
    """A Markdown table of F1: a row for each noise and ratio, a column for each detector; the best fixed detector is bold."""
    names = list(stored["conditions"][0]["scores"])
    rows = [["noise", "speech / noise", *names], ["---"] * (len(names) + 2)]
    for one in stored["conditions"]:
        f1 = {name: one["scores"][name]["f1"] for name in names}
        best = max(value for name, value in f1.items() if "best" not in name)
        cells = [f"**{f1[name]:.3f}**" if f1[name] == best and "best" not in name else f"{f1[name]:.3f}" for name in names]
        rows.append([one["noise"], "-" if one["ratio_db"] is None else f"{one['ratio_db']} dB", *cells])
    made, peers = stored["recordings"], ", ".join(f"{name} {version}" for name, version in stored["peers"].items())
    note = f"{made['seconds']:g} s of {made['speakers']} speakers, {made['speech_share']:.0%} of it speech; {peers}.\n"
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n" + note + "\n" + boundary_table(stored)


def boundary_table(stored: Mapping[str, Any]) -> str:
    """A Markdown table of precision, recall and boundaries at some of the conditions."""
    rows = [["noise", "detector", "precision", "recall", "boundaries found", "median error, ms"], ["---"] * 6]
    for one in stored["conditions"]:
        if one["ratio_db"] not in (None, 10):
            continue
        noise = one["noise"] if one["ratio_db"] is None else f"{one['noise']}, {one['ratio_db']} dB"
        for name, row in one["scores"].items():
            if name not in ("always speech", "energy, best threshold"):
                error = row["boundary_error_ms"]
                shares = (f"{row[key]:.2f}" for key in ("precision", "recall"))
                rows.append([noise, name, *shares, f"{row['boundaries_found']:.0%}", f"{error:.0f}"])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_table(page: str) -> str:
    """The page with the tables as the stored results have them now."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} lacks its table; expected a line {BEGIN.strip()} and, behind it, {END.strip()}")
    return before + begin + accuracy_table(json.loads(RESULTS.read_text("utf-8"))) + end + after


def definition(name: str) -> str:
    """What a picture is drawn from, as text that its file carries."""
    return f"{CLIPS[name]} bundled clips, white noise at {NOISES[name]} dBFS: {PARAMETERS[name]}"


def audio(name: str) -> Samples:
    """Some bundled clips with pauses around each, and seeded noise."""
    parts: list[Samples] = [_PAUSE]
    for path in sorted((shipped_root("manifests") / "samples").glob("*.wav"))[: CLIPS[name]]:
        parts += [load(path, sr=SAMPLE_RATE)[0].astype(np.float32), _PAUSE]
    speech = np.concatenate(parts)
    levels = np.repeat(NOISES[name], -(-len(speech) // 2))[: len(speech)]
    noise = np.random.default_rng(1).standard_normal(len(speech)) * 10 ** (levels / 20)
    return (speech + noise).astype(np.float32)


def draw(name: str, path: Path) -> None:
    """Draw one of the pictures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from PIL import Image, PngImagePlugin

    drawn = io.BytesIO()
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(9.0, 3.0), dpi=100, layout="constrained")
        axes = figure.subplots()
        if name == "histogram":
            _draw_histogram(axes)
        else:
            _draw_levels(axes, name)
        figure.legend(loc="outside upper right", ncols=5, fontsize=8, frameon=False)
        figure.savefig(drawn, format="png")
    carried = PngImagePlugin.PngInfo()
    carried.add_text(CARRIES, definition(name))
    with Image.open(drawn) as picture:
        reduced = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True, pnginfo=carried)


def _draw_histogram(axes: Any) -> None:
    level = energy_vad(audio("histogram")).frames.energy_db
    axes.hist(level, bins=np.arange(-75, 0, 1.5), color="#7a9cc6")
    axes.axvline(PARAMETERS["histogram"]["threshold_db"], color="#b03a2e", label="a threshold between pauses and speech")
    axes.axvline(20 * np.log10(0.02), color="#b03a2e", linestyle=":", label="the default, 0.02")
    axes.set(xlabel="level of a frame in dBFS", ylabel="frames")
    axes.text(-66, axes.get_ylim()[1] * 0.8, "pauses")
    axes.text(-20, axes.get_ylim()[1] * 0.8, "speech")


def _draw_levels(axes: Any, name: str) -> None:
    samples = audio(name)
    found = energy_vad(samples, **PARAMETERS[name])  # type: ignore[arg-type]
    frames = found.frames
    middle = (frames.start_ms + frames.end_ms) / 2000
    axes.plot(middle, frames.energy_db, color="#34495e", linewidth=0.9, label="level")
    axes.plot(middle, 20 * np.log10(frames.threshold), color="#b03a2e", linewidth=1.2, label="threshold")
    if name == "floor":
        axes.axhline(20 * np.log10(0.02), color="#b03a2e", linestyle=":", linewidth=1, label="0.02, fixed")
    low = float(frames.energy_db.min()) - 4
    axes.fill_between(middle, low, low + 3, where=frames.speech, step="mid", color="#7fb37f", label="speech frames")
    for number, one in enumerate(found.segments):
        label = "segments" if number == 0 else None
        axes.axvspan(one.start_ms / 1000, one.end_ms / 1000, color="#7fb37f", alpha=0.2, label=label)
    axes.set(xlabel="time in s", ylabel="dBFS", xlim=(0, len(samples) / SAMPLE_RATE))


def main() -> None:
    """Write the tables and draw all pictures."""
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in PARAMETERS:
        draw(name, PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
