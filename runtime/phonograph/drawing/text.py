"""Draws a picture as lines of text: a line for each box, with the arrows between them as lanes on the left.

A lane is a column that leads down to one box. Below a box the lanes of its arrows begin, above a box those that lead to it come
together in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from phonograph.drawing.cells import padded, width_of
from phonograph.drawing.picture import DEAD_LETTERS, SHAPES, Arrow, Box, Picture, Shape

_MARKS: Mapping[Shape, str] = {
    "source": "○",
    "transform": "●",
    "gather": "◆",
    "conversion": "◌",
    "sink": "■",
    "letters": "▽",
    "outside": "▷",
}
_ASCII = str.maketrans("○●◆◌■▽▷│─├┤╮╯╭╰┼┬┴", "o*%~#v>|-++.'.'+++")


def as_text(picture: Picture, *, ascii_only: bool = False) -> str:
    """The drawing, without a line break at its end.

    Args:
        ascii_only: for terminals that do not show box-drawing characters.
    """
    rows = list(_Lanes(picture).rows())
    indent = max((len(lanes) for lanes, box, _ in rows if box is not None), default=0) if len(picture.boxes) < 200 else 0
    ids = max((width_of(box.title) for _, box, _ in rows if box is not None), default=0)
    types = max((width_of(box.subtitle) for _, box, _ in rows if box is not None), default=0)
    lines = []
    for lanes, box, arrows in rows:
        words = "" if box is None else f"{padded(box.title, ids)}  {padded(box.subtitle, types)}  {_incoming(arrows)}"
        lines.append(f"{lanes.ljust(indent)}  {words}".rstrip())
    shapes = {box.shape for box in picture.boxes}
    lines += ["", "   ".join(f"{_MARKS[shape]} {words}" for shape, words in SHAPES.items() if shape in shapes)]
    text = "\n".join(lines)
    return text.translate(_ASCII) if ascii_only else text


def _incoming(arrows: Sequence[Arrow]) -> str:
    """What enters a box: the types alone when they come from one box, else each with where it comes from."""
    if not arrows:
        return ""
    data = [arrow for arrow in arrows if arrow.labels != DEAD_LETTERS]
    words = [", ".join(arrow.labels) + ("" if len(data) == 1 else f" from {arrow.source}") for arrow in data]
    lost = [arrow.source for arrow in arrows if arrow.labels == DEAD_LETTERS]
    if lost:
        words.append("dead letters of " + ", ".join(lost))
    return "<- " + "; ".join(words)


class _Lanes:
    """The lanes while the boxes are drawn one below the other; a lane holds the box that it leads to, None when it is free."""

    def __init__(self, picture: Picture) -> None:
        self._boxes = {box.id: box for box in picture.boxes}
        # Dead letters come from anywhere; lanes for them would cover all else, so those of single nodes are told in words.
        in_words = [arrow for arrow in picture.arrows if arrow.dead_letters and self._boxes[arrow.source].shape != "letters"]
        self._lost: dict[str, list[Arrow]] = {box_id: [] for box_id in self._boxes}
        for arrow in in_words:
            self._lost[arrow.target].append(arrow)
        self._into: dict[str, list[Arrow]] = {box_id: [] for box_id in self._boxes}
        self._out_of: dict[str, list[Arrow]] = {box_id: [] for box_id in self._boxes}
        for arrow in picture.arrows:
            if arrow not in self._lost[arrow.target]:
                self._into[arrow.target].append(arrow)
                self._out_of[arrow.source].append(arrow)
        self._lanes: list[str | None] = []

    def rows(self) -> Iterator[tuple[str, Box | None, Sequence[Arrow]]]:
        """Lanes, and beside them the box with what enters it, if one stands in this row."""
        is_joined, is_first = False, True  # the row above shows the lanes already; there is none
        for box in self._in_drawing_order():
            lanes = [number for number, target in enumerate(self._lanes) if target == box.id]
            if not is_joined and not is_first:
                yield self._between(), None, ()
            is_first = False
            column = lanes[0] if lanes else self._free_lane(0)
            if len(lanes) > 1:
                yield self._joined(column, lanes[1:], "╯"), None, ()
                for lane in lanes[1:]:
                    self._lanes[lane] = None
            self._lanes[column] = box.id
            mark = _MARKS[box.shape]
            yield self._row({column: mark}), box, (*self._into[box.id], *self._lost[box.id])
            targets = [arrow.target for arrow in self._out_of[box.id]]
            self._lanes[column] = targets[0] if targets else None
            begun = []
            for target in targets[1:]:
                lane = self._free_lane(column + 1)
                self._lanes[lane] = target
                begun.append(lane)
            is_joined = bool(begun)
            if is_joined:
                yield self._joined(column, begun, "╮"), None, ()
            while self._lanes and self._lanes[-1] is None:
                self._lanes.pop()

    def _in_drawing_order(self) -> Iterator[Box]:
        """Depth first, so that a branch is drawn to its end before the next one; never before what feeds it."""
        missing = {box_id: len(arrows) for box_id, arrows in self._into.items()}
        ready = [box_id for box_id in reversed(self._boxes) if not missing[box_id]]
        ready.sort(key=lambda box_id: not self._lost[box_id] and self._boxes[box_id].shape != "letters")  # dead letters come last
        while ready:
            box_id = ready.pop()
            yield self._boxes[box_id]
            for arrow in reversed(self._out_of[box_id]):
                missing[arrow.target] -= 1
                if not missing[arrow.target]:
                    ready.append(arrow.target)

    def _free_lane(self, start: int) -> int:
        for lane in range(start, len(self._lanes)):
            if self._lanes[lane] is None:
                return lane
        self._lanes += [None] * (max(start - len(self._lanes), 0) + 1)
        return len(self._lanes) - 1

    def _between(self) -> str:
        return self._row({})

    def _row(self, marks: Mapping[int, str]) -> str:
        return " ".join(marks.get(lane, "│" if target is not None else " ") for lane, target in enumerate(self._lanes)).rstrip()

    def _joined(self, column: int, others: Sequence[int], corner: str) -> str:
        """The row in which lanes right of a column leave it or come back to it; they cross what lies in between."""
        last = max(others)
        tee = "┬" if corner == "╮" else "┴"
        signs = []
        for lane, target in enumerate(self._lanes):
            if lane == column:
                sign = "├"
            elif lane == last:
                sign = corner
            elif lane in others:
                sign = tee
            elif column < lane < last:
                sign = "┼" if target is not None else "─"
            else:
                sign = "│" if target is not None else " "
            signs.append(sign + ("─" if column <= lane < last else " "))
        return "".join(signs).rstrip()
