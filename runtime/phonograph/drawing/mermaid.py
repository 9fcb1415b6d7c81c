"""Draws a picture as a Mermaid flowchart, which code hosts and editors show inside Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from phonograph.drawing.picture import Picture, Shape

_SHAPES: Mapping[Shape, tuple[str, str]] = {
    "source": ("([", "])"),
    "transform": ("(", ")"),
    "gather": ("{{", "}}"),
    "conversion": ("(", ")"),
    "sink": ("[(", ")]"),
    "letters": (">", "]"),
    "outside": ("[/", "/]"),
}
_SPECIAL = re.compile(r"[^\w .,:/()=|~-]")


def as_mermaid(picture: Picture) -> str:
    """The text of the flowchart, without a line break at its end. Names are quoted, so they can be any text."""
    names = {box.id: f"n{number}" for number, box in enumerate(picture.boxes)}
    inserted = {box.id for box in picture.boxes if box.shape == "conversion"}
    lines = ["flowchart TD"]
    for box in picture.boxes:
        opening, closing = _SHAPES[box.shape]
        lines.append(f'  {names[box.id]}{opening}"{_escaped(box.title)}<br/>{_escaped(box.subtitle)}"{closing}')
    for arrow in picture.arrows:
        line = "-.->" if arrow.dead_letters or arrow.fallback or {arrow.source, arrow.target} & inserted else "-->"
        label = "<br/>".join(map(_escaped, arrow.labels))
        lines.append(f"  {names[arrow.source]} {line}" + (f'|"{label}"|' if label else "") + f" {names[arrow.target]}")
    if inserted:
        lines.append("  classDef conversion stroke-dasharray: 5 3")
        lines.append(f"  class {','.join(names[box_id] for box_id in names if box_id in inserted)} conversion")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Text for inside quotes; what Mermaid or HTML could take for its own is written as a character code."""
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text)
