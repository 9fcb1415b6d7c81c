"""`run-pipeline graph`: the drawings, as text, Mermaid and SVG."""

from __future__ import annotations

import itertools
import random
import resource
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from command_line import LINE, project, run_pipeline
from phonograph.drawing import layout
from phonograph.drawing.layout import Point, Size, TooLargeError, lay_out
from phonograph.drawing.mermaid import as_mermaid
from phonograph.drawing.picture import Arrow, Box, Picture, Shape
from phonograph.drawing.svg import as_svg
from phonograph.drawing.text import as_text

SVG = "{http://www.w3.org/2000/svg}"


def picture(*edges: tuple[str, str], shapes: dict[str, Shape] | None = None) -> Picture:
    """A picture of boxes named by single words, in the order in which the edges name them."""
    ids = dict.fromkeys(itertools.chain.from_iterable(edges))
    boxes = tuple(Box(box_id, box_id, "some.type", (shapes or {}).get(box_id, "transform")) for box_id in ids)
    return Picture("test", "", boxes, tuple(Arrow(source, target, ("audio",)) for source, target in edges))


def random_picture(seed: int, num_boxes: int) -> Picture:
    """A graph with fan-out, fan-in and long edges; the same for the same seed."""
    chance = random.Random(seed)
    edges = []
    for number in range(1, num_boxes):
        sources = chance.sample(range(max(0, number - 6), number), min(number, chance.choice([1, 1, 1, 2, 3])))
        edges += [(f"n{source}", f"n{number}") for source in sources]
    return picture(*edges)


DIAMOND = picture(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))


def test_a_line_is_drawn_as_text(tmp_path: Path) -> None:
    """Each node has a line with its type and what enters it, conversions and dead letters included."""
    path = project(tmp_path)
    assert run_pipeline("graph", path).stdout == (
        """\
○  clips           source.files
│
●  audio           audio.decode      <- record
│
◌  audio~resample  audio.resample    <- audio
│
●  mel             features.log_mel  <- audio[rate=16000, channels=1]
│
■  out             sink.npy          <- features[bins=80]

▽  dead letters    of 5 nodes
│
■  rejected        sink.jsonl        <- record

○ source   ● node   ◌ inserted conversion   ■ sink   ▽ dead letters of several nodes
"""
    )


def test_branches_part_and_meet_in_text() -> None:
    """A fan-out opens a lane, a fan-in closes it."""
    assert as_text(DIAMOND) == (
        """\
●    a  some.type
├─╮
● │  b  some.type  <- audio
│ │
│ ●  c  some.type  <- audio
│ │
├─╯
●    d  some.type  <- audio from b; audio from c

● node"""
    )


def test_a_terminal_without_line_signs_gets_ascii() -> None:
    """Every sign of the drawing has an ASCII one."""
    assert as_text(DIAMOND, ascii_only=True).isascii()


@pytest.mark.parametrize("seed", range(20))
def test_every_box_is_drawn_once_below_what_feeds_it(seed: int) -> None:
    """In text, no box is missing, doubled, or above a box that feeds it."""
    drawn = random_picture(seed, 30)
    order = [word for line in as_text(drawn).splitlines() for word in line.split() if word.startswith("n") and word[1:].isdigit()]
    lines = [name for name in order if name in {box.id for box in drawn.boxes}]
    first = {name: lines.index(name) for name in lines}
    assert first.keys() == {box.id for box in drawn.boxes}
    assert all(first[arrow.source] < first[arrow.target] for arrow in drawn.arrows)


def test_mermaid_names_nodes_and_edges(tmp_path: Path) -> None:
    """Nodes have quoted names and a shape for their kind, edges their types; what belongs to a conversion is dashed."""
    drawn = run_pipeline("graph", project(tmp_path), "--format", "mermaid").stdout.splitlines()
    assert drawn[0] == "flowchart TD"
    assert '  n1(["clips<br/>source.files"])' in drawn
    assert '  n5[("out<br/>sink.npy")]' in drawn
    assert '  n1 -->|"record"| n2' in drawn
    assert '  n3 -.->|"audio#91;rate=16000, channels=1#93;"| n4' in drawn
    assert drawn[-1] == "  class n3 conversion"


def test_mermaid_escapes_what_it_would_read() -> None:
    """Quotes, brackets, hashes, back-ticks and tags in names are written as character codes."""
    odd = Picture("x", "", (Box("a", 'a"b`c#<d>', "t{}", "transform"),), ())
    (line,) = as_mermaid(odd).splitlines()[1:]
    assert line == '  n0("a#34;b#96;c#35;#60;d#62;<br/>t#123;#125;")'


def test_svg_stands_alone(tmp_path: Path) -> None:
    """It is XML with a title and a description, without scripts, and refers to nothing outside of itself."""
    text = LINE.replace("name: line", 'name: line\ndescription: "größer & <b>schöner</b>"')
    file = tmp_path / "line.svg"
    assert run_pipeline("graph", project(tmp_path, text), "-o", str(file)).stdout == ""
    root = ElementTree.parse(file).getroot()
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "line"
    assert (root.findtext(f"{SVG}desc") or "").startswith("größer & <b>schöner</b>")
    content = file.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not any(word in content for word in ("http", "<script", "@import", "url(h", "href"))
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert {"clips", "source.files", "audio~resample", "audio[rate=16000, channels=1]", "dead letters"} <= set(words)


def test_svg_is_the_same_every_time() -> None:
    """Drawing a picture twice gives the same bytes."""
    assert as_svg(random_picture(3, 40)) == as_svg(random_picture(3, 40))


def test_kinds_differ_by_more_than_colour() -> None:
    """Every shape has an outline of its own."""
    shapes: tuple[Shape, ...] = ("source", "transform", "gather", "conversion", "sink", "letters")
    outlines = set()
    for shape in shapes:
        root = ElementTree.fromstring(as_svg(Picture("x", "", (Box("a", "a", "b", shape),), ())))
        group = root.findall(f"{SVG}g")[0]
        outlines.add(
            tuple((one.tag, one.get("rx"), DASHED.get(str(one.get("class")))) for one in group.iter() if is_outline(one))
        )
    assert len(outlines) == len(shapes)


DASHED = {"box conversion": "dash", "box letters": "dots"}


def is_outline(element: ElementTree.Element) -> bool:
    return element.tag in {f"{SVG}rect", f"{SVG}polygon", f"{SVG}path"}


@pytest.mark.parametrize("seed", range(20))
def test_nothing_overlaps(seed: int) -> None:
    """No box and no label covers another box or label, however the graph branches."""
    drawn = random_picture(seed, 40)
    boxes = {box.id: Size(60 + 9 * (number % 17), 48) for number, box in enumerate(drawn.boxes)}
    labels = {arrow: Size(30 + 11 * (number % 23), 15 + 15 * (number % 2)) for number, arrow in enumerate(drawn.arrows)}
    placed = lay_out(drawn, boxes, labels)
    areas = [area(placed.centres[box_id], size) for box_id, size in boxes.items()]
    areas += [area(route.label, labels[route.arrow]) for route in placed.routes]
    assert [pair for pair in itertools.combinations(areas, 2) if overlap(*pair)] == []
    assert all(left >= -0.01 and right <= placed.size.width + 0.01 for left, _, right, _ in areas)


@pytest.mark.parametrize("seed", range(20))
def test_arrows_lead_from_box_to_box(seed: int) -> None:
    """An arrow leaves the lower side of its source, only goes down, and ends on the upper side of its target."""
    drawn = random_picture(seed, 40)
    boxes = {box.id: Size(100, 48) for box in drawn.boxes}
    placed = lay_out(drawn, boxes, {arrow: Size(50, 15) for arrow in drawn.arrows})
    for route in placed.routes:
        source, target = placed.centres[route.arrow.source], placed.centres[route.arrow.target]
        assert abs(route.points[0].x - source.x) <= 50 and route.points[0].y == source.y + 24
        assert abs(route.points[-1].x - target.x) <= 50 and route.points[-1].y == target.y - 24
        assert all(before.y < after.y for before, after in itertools.pairwise(route.points))


def area(centre: Point, size: Size) -> tuple[float, float, float, float]:
    return centre.x - size.width / 2, centre.y - size.height / 2, centre.x + size.width / 2, centre.y + size.height / 2


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    slack = 0.01
    return one[0] < other[2] - slack and other[0] < one[2] - slack and one[1] < other[3] - slack and other[1] < one[3] - slack


def test_a_thousand_nodes_are_drawn() -> None:
    """A graph of 1 000 nodes has a drawing in each format."""
    drawn = random_picture(1, 1000)
    assert as_svg(drawn).count('class="title"') == 1000
    assert as_text(drawn).count("some.type") == as_mermaid(drawn).count("some.type") == 1000


def test_a_drawing_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than igraph places in reasonable time is refused, naming the formats that have no limit."""
    monkeypatch.setattr(layout, "MAX_VERTICES", 5)
    with pytest.raises(TooLargeError):
        as_svg(DIAMOND)
    ended = run_pipeline("graph", project(tmp_path), "--format", "svg")
    assert ended.status == 1
    assert "too many for an SVG; --format text and mermaid have no limit" in ended.stderr


def test_without_igraph_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SVG without its library is one line that says what to install; text needs nothing."""
    monkeypatch.setitem(sys.modules, "igraph", None)
    path = project(tmp_path)
    ended = run_pipeline("graph", path, "--format", "svg")
    assert (ended.status, ended.stdout) == (1, "")
    assert "pip install 'phonograph[graph]'" in ended.stderr
    assert run_pipeline("graph", path).status == 0


@pytest.mark.parametrize(("name", "begin"), [("g.svg", "<svg"), ("g.mmd", "flowchart"), ("g.txt", "○")])
def test_the_file_name_chooses_the_format(tmp_path: Path, name: str, begin: str) -> None:
    """-o writes the format that the name of the file stands for."""
    assert run_pipeline("graph", project(tmp_path), "-o", str(tmp_path / name)).status == 0
    assert (tmp_path / name).read_text("utf-8").startswith(begin)


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is exit 1 and names the file."""
    ended = run_pipeline("graph", project(tmp_path), "-o", str(tmp_path / "none" / "g.svg"))
    assert ended.status == 1
    assert "g.svg: cannot be written: No such file or directory" in ended.stderr


def test_a_full_disk_leaves_the_drawing_that_was_there(tmp_path: Path) -> None:
    """The file is replaced as a whole or not at all; a limit on the size of files stands for the disk."""
    manifest, drawing = project(tmp_path), tmp_path / "g.svg"
    drawing.write_text("before")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, usual[1]))
    try:
        ended = run_pipeline("graph", manifest, "-o", str(drawing))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert ended.status == 1
    assert "g.svg: cannot be written: File too large" in ended.stderr
    assert drawing.read_text() == "before"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_name_that_means_no_format(tmp_path: Path) -> None:
    """A picture of a kind that cannot be drawn is refused, with the names of those that can."""
    ended = run_pipeline("graph", project(tmp_path), "-o", str(tmp_path / "g.png"))
    assert ended.status == 2
    assert "expected .svg, .mmd or .txt, or --format" in ended.stderr
    assert not (tmp_path / "g.png").exists()


def test_a_wrong_manifest_is_not_drawn(tmp_path: Path) -> None:
    """Its complaints come instead, and the status is 2."""
    ended = run_pipeline("graph", project(tmp_path, LINE.replace("audio.decode", "audio.decoed")))
    assert (ended.status, ended.stdout) == (2, "")


def test_inputs_and_outputs_of_an_embedded_manifest_are_drawn(tmp_path: Path) -> None:
    """What a program feeds and reads stands at the edge of the drawing, with its types."""
    text = """version: 1
name: embedded
inputs: {speech: {type: "audio[rate=16000, channels=1]"}}
outputs: {found: vad.segments}
nodes:
  vad: {type: vad.energy, input: inputs.speech}
"""
    drawn = run_pipeline("graph", project(tmp_path, text)).stdout
    assert "▷  inputs   speech" in drawn
    assert "▷  outputs  found       <- found: segments" in drawn
