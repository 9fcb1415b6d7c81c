"""Draws a picture as an SVG that stands alone: no network, no fonts or scripts of its own, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise

from phonograph.drawing.cells import width_of
from phonograph.drawing.layout import Layout, Point, Route, Size, lay_out
from phonograph.drawing.picture import SHAPES, Box, Picture, Shape

_MARGIN = 24.0
_TITLE, _SMALL = 14.0, 11.5  # font sizes, px
_LINE = 15.0  # between the lines of a label
_PITCH = 0.602  # width of a character of a monospaced font, in font sizes; within 1 % for all of the stack below
_LONGEST_LABEL = 34  # characters; a longer one is broken at its commas
_LEGEND_HEIGHT = 34.0

_STYLE = """
:root { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #6e7781; --box: #f6f8fa; --edge: #57606a;
  --source: #ddf4e4; --sink: #dbe9ff; --gather: #fff1d6; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --line: #8b949e;
  --box: #161b22; --edge: #8b949e; --source: #12301d; --sink: #10264a; --gather: #3a2a0b; } }
.paper { fill: var(--paper); }
text { font-family: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  text-anchor: middle; fill: var(--ink); }
.title { font-size: 14px; font-weight: 600; } .type { font-size: 11.5px; fill: var(--soft); }
.label { font-size: 11.5px; fill: var(--soft); stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round;
  paint-order: stroke; }
.box { fill: var(--box); stroke: var(--edge); stroke-width: 1.3; }
.source { fill: var(--source); } .sink { fill: var(--sink); } .gather { fill: var(--gather); }
.conversion { stroke-dasharray: 5 3; } .outside, .letters { fill: none; stroke-dasharray: 1.5 3; stroke-linecap: round; }
.arrow { fill: none; stroke: var(--line); stroke-width: 1.3; } .inserted { stroke-dasharray: 5 3; }
.dead { stroke-dasharray: 1.5 4; stroke-linecap: round; } .head { fill: var(--line); } .legend { text-anchor: start; }
""".strip()


def as_svg(picture: Picture) -> str:
    """The text of the file.

    Raises:
        TooLargeError: a drawing of it would not be of use to anyone.
        ModuleNotFoundError: igraph is not installed.
    """
    labels = {arrow: _broken(arrow.labels) for arrow in picture.arrows}
    sizes = {box.id: _box_size(box) for box in picture.boxes}
    layout = lay_out(picture, sizes, {arrow: _label_size(lines) for arrow, lines in labels.items()})
    legend = list(_legend(picture))
    width = max(layout.size.width, sum(step for _, step in legend) - 20, 120.0) + 2 * _MARGIN
    height = layout.size.height + 2 * _MARGIN + _LEGEND_HEIGHT
    shift = (width - layout.size.width) / 2
    inserted = {box.id for box in picture.boxes if box.shape == "conversion"}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(picture.name)}</title>',
        f'<desc id="desc">{escape(_in_words(picture))}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="head" d="M0 1 L10 5 L0 9 z"/></marker></defs>',
        '<rect class="paper" width="100%" height="100%" rx="10"/>',
        f'<g transform="translate({shift:.1f} {_MARGIN:.1f})">',
        *(_arrow(route, inserted) for route in layout.routes),
        *(_label(route, labels[route.arrow]) for route in layout.routes),
        *(_box(box, layout, sizes[box.id]) for box in picture.boxes),
        "</g>",
        f'<g transform="translate({_MARGIN:.1f} {height - _LEGEND_HEIGHT:.1f})">',
        *_placed_legend(legend),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _in_words(picture: Picture) -> str:
    """The picture for those who do not see it."""
    opening = f"{picture.description} " if picture.description else ""
    return opening + "; ".join(
        f"{arrow.source} to {arrow.target}" + (f": {', '.join(arrow.labels)}" if arrow.labels else "") for arrow in picture.arrows
    )


def _text_width(text: str, size: float) -> float:
    return width_of(text) * size * _PITCH


def _box_size(box: Box) -> Size:
    inside = max(_text_width(box.title, _TITLE) * 1.02, _text_width(box.subtitle, _SMALL))
    return Size(max(inside + (52 if box.shape in ("gather", "outside", "letters") else 32), 84.0), 48.0)


def _label_size(lines: tuple[str, ...]) -> Size:
    return Size(max((_text_width(line, _SMALL) for line in lines), default=0.0) + 6, _LINE * len(lines))


def _broken(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a label, none much longer than _LONGEST_LABEL."""
    lines: list[str] = []
    for label in labels:
        line = ""
        for part in label.split(", "):
            if line and len(line) + len(part) > _LONGEST_LABEL:
                lines.append(line + ",")
                line = part
            else:
                line = f"{line}, {part}" if line else part
        lines.append(line)
    return tuple(line for line in lines if line)


def _arrow(route: Route, inserted: set[str]) -> str:
    is_dashed = route.arrow.fallback or {route.arrow.source, route.arrow.target} & inserted
    kind = " dead" if route.arrow.dead_letters else " inserted" if is_dashed else ""
    return f'<path class="arrow{kind}" marker-end="url(#head)" d="{_path(route)}"/>'


def _path(route: Route) -> str:
    """A smooth line through the points of a route: cubic Hermite pieces, sloped as the neighbours of an inner point are."""
    points = route.points
    slopes = [0.0]
    for number in range(1, len(points) - 1):
        before, after = points[number - 1], points[number + 1]
        slopes.append(0.0 if route.upright[number] else (after.x - before.x) / max(after.y - before.y, 1.0))
    slopes.append(0.0)
    steps = [f"M{points[0].x:.1f} {points[0].y:.1f}"]
    for number, (point, after) in enumerate(pairwise(points)):
        third = (after.y - point.y) / 3
        if abs(point.x - after.x) < 0.05 and not slopes[number] and not slopes[number + 1]:
            steps.append(f"V{after.y:.1f}")
            continue
        first, second = point.x + slopes[number] * third, after.x - slopes[number + 1] * third
        steps.append(f"C{first:.1f} {point.y + third:.1f} {second:.1f} {after.y - third:.1f} {after.x:.1f} {after.y:.1f}")
    return " ".join(steps)


def _label(route: Route, lines: tuple[str, ...]) -> str:
    top = route.label.y - _LINE * (len(lines) - 1) / 2 + _SMALL * 0.35
    return "".join(
        f'<text class="label" x="{route.label.x:.1f}" y="{top + _LINE * number:.1f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )


def _box(box: Box, layout: Layout, size: Size) -> str:
    centre = layout.centres[box.id]
    outline = _outline(box.shape, centre, size)
    return (
        f"<g><title>{escape(f'{box.title}: {box.subtitle}')}</title>{outline}"
        f'<text class="title" x="{centre.x:.1f}" y="{centre.y - 3:.1f}">{escape(box.title)}</text>'
        f'<text class="type" x="{centre.x:.1f}" y="{centre.y + 14:.1f}">{escape(box.subtitle)}</text></g>'
    )


def _outline(shape: Shape, centre: Point, size: Size) -> str:
    """Sources are round at the ends, sinks square with a second line below, gathering nodes pointed, inserted ones dashed."""
    left, top = centre.x - size.width / 2, centre.y - size.height / 2
    right, bottom = centre.x + size.width / 2, centre.y + size.height / 2
    if shape == "gather":
        nip = size.height / 4
        upper = [(left + nip, top), (right - nip, top), (right, centre.y)]
        points = [*upper, (right - nip, bottom), (left + nip, bottom), (left, centre.y)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polygon class="box gather" points="{corners}" stroke-linejoin="round"/>'
    radius = {"source": size.height / 2, "sink": 2.0}.get(shape, 9.0)
    outline = (
        f'<rect class="box {shape}" x="{left:.1f}" y="{top:.1f}" width="{size.width:.1f}" height="{size.height:.1f}" '
        f'rx="{radius:.1f}"/>'
    )
    if shape == "sink":
        outline += f'<path class="arrow" d="M{left:.1f} {bottom - 4:.1f} H{right:.1f}"/>'
    return outline


def _legend(picture: Picture) -> Iterator[tuple[tuple[Shape | None, str], float]]:
    """What is explained below the drawing, with the room that each takes."""
    shapes = {box.shape for box in picture.boxes}
    entries: list[tuple[Shape | None, str]] = [(shape, words) for shape, words in SHAPES.items() if shape in shapes]
    if any(arrow.dead_letters for arrow in picture.arrows):
        entries.append((None, "dead letters"))
    for shape, words in entries:
        yield (shape, words), 30 + _text_width(words, _SMALL) + 20


def _placed_legend(legend: list[tuple[tuple[Shape | None, str], float]]) -> Iterator[str]:
    x = 0.0
    for (shape, words), step in legend:
        if shape is None:
            yield f'<path class="arrow dead" marker-end="url(#head)" d="M{x:.1f} 8 H{x + 22:.1f}"/>'
        else:
            yield _outline(shape, Point(x + 11, 8), Size(22, 14))
        yield f'<text class="type legend" x="{x + 29:.1f}" y="12">{escape(words)}</text>'
        x += step
