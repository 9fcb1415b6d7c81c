"""Shows a picture in a real browser, headless, and asks the browser what it drew."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import av
import numpy as np

from acceptance.processes import CommandError, run

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PAGE = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{picture}<pre id="found"></pre><script>
const shown = [...document.querySelectorAll("svg text")].map(text => [text.textContent, text.getBoundingClientRect()]);
const whole = document.querySelector("svg").getBoundingClientRect();
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 2 || b.bottom <= a.top + 2;
const overlaps = [], outside = [];
shown.forEach(([label, box], index) => {{
  const inside = box.left >= whole.left - 1 && box.right <= whole.right + 1
    && box.top >= whole.top - 1 && box.bottom <= whole.bottom + 1;
  if (!inside) outside.push(label);
  shown.slice(index + 1).forEach(([other, its]) => {{ if (!apart(box, its)) overlaps.push([label, other]); }});
}});
const fetched = performance.getEntriesByType("resource").map(entry => entry.name);
document.getElementById("found").textContent = "FOUND" + JSON.stringify(
  {{labels: shown.map(([label]) => label), overlaps, outside, fetched}}) + "END";
</script>"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a browser made of an SVG.

    Args:
        labels: every text in it. overlaps: pairs of texts that cover each other. outside: texts beyond the picture's edge.
        fetched: addresses that were loaded for it.
        inked: share of the screenshot's pixels that differ from its corner.
    """

    labels: tuple[str, ...]
    overlaps: tuple[tuple[str, str], ...]
    outside: tuple[str, ...]
    fetched: tuple[str, ...]
    inked: float


def browser() -> str:
    """The program. Raises FileNotFoundError: none is installed."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError("no Chromium; `apt install chromium` brings one")


def draw(picture: Path, folder: Path) -> Drawn:
    """Open an SVG by itself for a screenshot, and inside a page that measures its texts.

    Args:
        folder: gets what is made on the way.
    """
    page, shot = folder / f"{picture.stem}.html", folder / f"{picture.stem}.png"
    page.write_text(_PAGE.format(picture=picture.read_text("utf-8")), encoding="utf-8")
    base = [
        browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ]
    run([*base, f"--screenshot={shot}", "--window-size=1400,1000", picture.as_uri()], deadline_s=120, cwd=folder)
    dom = run([*base, "--virtual-time-budget=5000", "--dump-dom", page.as_uri()], deadline_s=120, cwd=folder).stdout
    match = re.search(r"FOUND(\{.*?\})END</pre>", dom, re.DOTALL)
    if match is None:
        raise CommandError(f"the browser did not run the page that measures {picture.name}")
    found = json.loads(unescape(match[1]))
    return Drawn(
        labels=tuple(found["labels"]),
        overlaps=tuple((one, other) for one, other in found["overlaps"]),
        outside=tuple(found["outside"]),
        fetched=tuple(found["fetched"]),
        inked=_inked(shot),
    )


def _inked(shot: Path) -> float:
    with av.open(str(shot)) as file:
        pixels = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(np.int16)
    return float((np.abs(pixels - pixels[0, 0]).max(axis=2) > 24).mean())
