"""Writes what docs/features.md takes from the code: the table of constants, and a picture of each front end.

    python docs/features_page.py

Drawing needs matplotlib: pip install "phonograph[docs]". A picture carries the definition that it was drawn from, so that a test
can tell when it is out of date.
"""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phonograph.shipped import shipped_root
from phonograph_nodes import load, resample
from phonograph_nodes.features import FRONT_ENDS, FrontEnd, LogMel
from phonograph_nodes.features.mel import hz_to_mel

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "features.md"
PICTURES = DOCS / "pictures"
CLIP = "sense_and_sensibility_01_austen_64kb-0880.wav"

BEGIN, END = "<!-- constants -->\n", "<!-- /constants -->\n"
CARRIES = "Front end"  # the text in a picture that says what it was drawn from

_LABELLED_HZ = (200, 500, 1000, 2000, 4000, 8000)
_COLOURS, _GREYS = 192, 32  # of a picture: its scale, and the text's


def constants_table() -> str:
    """A Markdown table of the constants that are not the same everywhere, in the order in which the signal meets them."""
    names = list(FRONT_ENDS)
    rows = [["constant", *names], ["---"] * (len(names) + 1)]
    for field in dataclasses.fields(FrontEnd):
        values = [getattr(one, field.name) for one in FRONT_ENDS.values()]
        if len(set(values)) > 1:
            rows.append([f"`{field.name}`", *map(_shown, values)])
    rows.append(["columns", *(str(one.num_columns) for one in FRONT_ENDS.values())])
    rows.append(["streaming", *(one.streaming for one in FRONT_ENDS.values())])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _shown(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False | None:
            return "-"
        case float() if value and np.log2(abs(value)).is_integer() and not 1e-3 <= abs(value) <= 1e5:
            return f"2^{np.log2(value):.0f}"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def with_table(page: str) -> str:
    """The page with the table as the code has it now."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} lacks its table; expected a line {BEGIN.strip()} and, behind it, {END.strip()}")
    return before + begin + constants_table() + end + after


def definition(name: str) -> str:
    """What a picture of this front end is drawn from, as text that its file carries."""
    return f"{CLIP}: {FRONT_ENDS[name]}".replace("FrontEnd", name)


def draw(name: str, path: Path) -> None:
    """Draw the features of the bundled clip: time from left to right, a row's columns from below, the colour is the value."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from PIL import Image, PngImagePlugin

    front_end, drawn = FRONT_ENDS[name], io.BytesIO()
    samples, features = computed(front_end)
    num_rows, columns = features.shape
    low, high = limits(front_end, features)
    colours = mpl.colormaps["magma" if front_end.normalisation == "none" else "RdBu_r"].resampled(_COLOURS)
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(9.0, 3.0), dpi=100, layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(
            features.T,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(*seconds(front_end, num_rows), -0.5, columns - 0.5),
            cmap=colours,
            vmin=low,
            vmax=high,
        )
        axes.set_title(f"{name}: {num_rows} rows of {columns} columns", loc="left", weight="bold")
        axes.set_xlim(0.0, len(samples) / front_end.sample_rate)
        axes.set(xlabel="time in s", ylabel="column" if parts(front_end) else "mel bin")
        axes.set_yticks(range(0, columns, 20 if columns < 100 else 40))
        right = axes.secondary_yaxis("right")
        places, labels = zip(*(parts(front_end) or frequencies(front_end)), strict=True)
        right.set_yticks(places, labels)
        right.set_ylabel("" if parts(front_end) else "kHz")
        figure.colorbar(image, ax=axes, label=unit(front_end), pad=0.01, extend="both")
        figure.savefig(drawn, format="png")
    # The palette is the scale's own, because one that is chosen by how often colours occur leaves out the ends of the scale.
    palette = Image.new("P", (1, 1))
    greys = np.linspace(0.0, 1.0, _GREYS)[:, np.newaxis].repeat(3, axis=1)
    entries = np.concatenate((colours(np.arange(_COLOURS))[:, :3], greys))
    palette.putpalette(np.round(255 * entries).astype(np.uint8).tobytes())
    carried = PngImagePlugin.PngInfo()
    carried.add_text(CARRIES, definition(name))
    with Image.open(drawn) as picture:
        reduced = picture.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True, pnginfo=carried)


def computed(front_end: FrontEnd) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The clip at the front end's rate, and its features."""
    samples, sample_rate = load(shipped_root("manifests") / "samples" / CLIP, sr=None)
    samples = resample(samples, in_rate=int(sample_rate), out_rate=front_end.sample_rate)
    return samples, LogMel(front_end)(samples, sample_rate=front_end.sample_rate)


def seconds(front_end: FrontEnd, num_rows: int) -> tuple[float, float]:
    """Where the first row begins and the last one ends; a window stands for the hop about its middle."""
    hop = front_end.hop_length
    begin = front_end.first_start + front_end.window_length / 2 - hop / 2
    return begin / front_end.sample_rate, (begin + num_rows * front_end.stack * hop) / front_end.sample_rate


def limits(front_end: FrontEnd, features: NDArray[np.float32]) -> tuple[float, float]:
    """Values that the ends of the colour scale stand for; the same for all that are normalised over time."""
    if front_end.normalisation == "none":
        low, high = np.percentile(features, (0.5, 99.9))
        return float(low), float(high)
    most = 3.0 if front_end.normalisation == "per_bin" else float(np.percentile(np.abs(features), 95))
    return -most, most


def unit(front_end: FrontEnd) -> str:
    """The unit of a front end's values."""
    if front_end.normalisation != "none":
        return "standard deviations"
    log = {"ln": "ln(energy)", "log10": "log10(energy)", "db": "dB"}[front_end.log]
    return log if (front_end.shift, front_end.gain) == (0.0, 1.0) else f"({log} + {front_end.shift:g}) * {front_end.gain:g}"


def parts(front_end: FrontEnd) -> list[tuple[float, str]]:
    """Where the parts of a row lie that has several, and what they are."""
    if front_end.deltas:
        names = ["cepstra", "first\ndifferences", "second\ndifferences"]
    elif front_end.stack > 1:
        names = [f"mel bins of\nwindow {number + 1}" for number in range(front_end.stack)]
    else:
        return []
    return [((number + 0.5) * front_end.num_levels - 0.5, name) for number, name in enumerate(names)]


def frequencies(front_end: FrontEnd) -> list[tuple[float, str]]:
    """Mel bins that have some round frequencies in their middle, and these in kHz."""
    low, high, *labelled = hz_to_mel(np.array([front_end.low_hz, front_end.top_hz, *_LABELLED_HZ]), front_end.mel_scale)
    numbers = [(mel - low) / (high - low) * (front_end.num_mel_bins + 1) - 1 for mel in labelled]
    places = zip(numbers, _LABELLED_HZ, strict=True)
    return [(number, f"{hz / 1000:g}") for number, hz in places if 0 <= number < front_end.num_mel_bins]


def main() -> None:
    """Write the table, draw all pictures, and remove those of front ends that are no more."""
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
    PICTURES.mkdir(exist_ok=True)
    for path in PICTURES.glob("*.png"):
        if path.stem not in FRONT_ENDS:
            path.unlink()
    for name in FRONT_ENDS:
        draw(name, PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
