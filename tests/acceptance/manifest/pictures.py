"""Claims about what `explain` says and `graph` draws."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from acceptance.browser import draw
from acceptance.claims import Figure, claim
from acceptance.processes import TESTS, run, temporary_folder
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.shipped import shipped_manifests

PIPELINE = Path(sys.executable).parent / "run-pipeline"


@claim(issue="manifest", bar="each shipped manifest", fast=True)
def explain_says_what_is_recorded() -> Figure:
    """`run-pipeline explain` on each shipped manifest prints the recorded text, word for word."""
    off = []
    names = sorted(shipped_manifests())
    with temporary_folder() as folder:
        for name in names:
            printed = run([PIPELINE, "explain", name, "--run-dir", "run"], deadline_s=60, cwd=folder).stdout
            if printed != (TESTS / "manifests" / "explained" / f"{name}.txt").read_text("utf-8"):
                off.append(name)
    return Figure(f"{len(names) - len(off)} of {len(names)}", not off, f"another text: {off}" if off else "")


@claim(issue="manifest", bar="every id and type shown, no text over another or cut off, nothing fetched", fast=False)
def graphs_open_in_a_browser() -> Figure:
    """The SVG of `run-pipeline graph` opens in a browser: the shipped manifests, a diamond with conversions, thirty nodes."""
    found, faults = [], []
    with temporary_folder() as folder:
        shutil.copytree(TESTS / "manifests" / "good", folder / "good")
        for samples in ("samples", "good/samples"):
            (folder / samples).mkdir()
        for path in [*shipped_manifests().values(), *sorted((folder / "good").glob("*.yaml"))]:
            picture = folder / f"{path.stem}.svg"
            run([PIPELINE, "graph", path, "--format", "svg", "-o", picture], deadline_s=60, cwd=folder)
            drawn = draw(picture, folder)
            graph = load_graph(path, Registry.installed())
            text = "\n".join(drawn.labels)
            lacking = [node.id for node in graph.nodes.values() if node.id not in text or node.spec.type not in text]
            found.append(f"{path.stem} {len(drawn.labels)} texts")
            for kind, what in (
                ("not shown", lacking),
                ("overlapping", drawn.overlaps),
                ("cut off", drawn.outside),
                ("fetched", drawn.fetched),
            ):
                if what:
                    faults.append(f"{path.stem}: {kind} {list(what)[:3]}")
            if drawn.inked < 0.003:
                faults.append(f"{path.stem}: the screenshot is empty")
    return Figure(", ".join(found), not faults, "; ".join(faults))
