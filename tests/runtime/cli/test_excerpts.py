"""Complaints on a terminal: the line of the manifest, a caret, and never a secret."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from phonograph.cli.complaints import Excerpts, show_complaints
from phonograph.cli.redaction import redaction
from phonograph.drawing.cells import width_of
from phonograph.errors import Complaint, Position


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def excerpt(folder: Path, text: str, line: int, column: int, width: int = 100) -> list[str]:
    path = folder / "m.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return list(Excerpts(width=width).around(Position(str(path), line, column)))


def test_the_caret_is_below_the_column(tmp_path: Path) -> None:
    """The line of the manifest is shown with its number, and a caret below the column."""
    assert excerpt(tmp_path, "a: 1\nmel: {type: x}\n", 2, 7) == ["   2 | mel: {type: x}", "     |       ^"]


def test_wide_signs_move_the_caret(tmp_path: Path) -> None:
    """A sign that takes two cells counts as two, and a tab as one."""
    assert excerpt(tmp_path, "音声: x\tz\n", 1, 7) == ["   1 | 音声: x z", "     |         ^"]


@pytest.mark.parametrize("column", [1, 50, 250, 499, 500])
def test_a_long_line_is_cut_round_the_caret(tmp_path: Path, column: int) -> None:
    """The excerpt fits the width, and the caret stands below the sign that is meant."""
    text = "".join(chr(ord("a") + number % 26) for number in range(500))
    line, caret = excerpt(tmp_path, text, 1, column, width=60)
    assert width_of(line) <= 60
    assert line[caret.index("^")] == text[column - 1]


@pytest.mark.parametrize("place", [(3, 1), (99, 1), (0, 0)])
def test_a_place_without_a_line_has_no_excerpt(tmp_path: Path, place: tuple[int, int]) -> None:
    """An empty line, or one that is not there, is not shown."""
    assert excerpt(tmp_path, "a: 1\nb: 2\n\n", *place) == []


def test_a_file_that_cannot_be_read_has_no_excerpt(tmp_path: Path) -> None:
    """Missing files, folders and bytes that are not UTF-8 are no reason to fail."""
    (tmp_path / "odd").write_bytes(b"\xff\xfe: 1\n")
    for name in ("missing", "odd", "."):
        assert list(Excerpts(width=80).around(Position(str(tmp_path / name), 1, 1))) == []


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """An escape sequence in a manifest is shown as a replacement character."""
    line, _ = excerpt(tmp_path, "a: \x1b[31mred\n", 1, 1)
    assert "\x1b" not in line and "[31mred" in line


def test_only_a_terminal_gets_excerpts(tmp_path: Path) -> None:
    """In a pipe each complaint is exactly one line."""
    (tmp_path / "m.yaml").write_text("a: 1\n")
    complaint = Complaint("empty", Position(str(tmp_path / "m.yaml"), 1, 1), "nothing")
    piped, terminal = io.StringIO(), Terminal()
    show_complaints([complaint], piped)
    show_complaints([complaint], terminal)
    assert piped.getvalue() == f"{complaint}\n"
    assert terminal.getvalue().startswith(f"{complaint}\n   1 | a: 1\n")


SECRET = """version: 1
name: secret
params:
  token: {type: secret, default: hunter2hunter2, nonsense: 1}
  other: {type: int, default: 0, minimum: 5}
  block:
    type: secret
    default: [correct, horse]
nodes: {}
"""


@pytest.mark.parametrize(("line", "shown"), [(4, "default: ***, nonsense"), (5, "default: 0, minimum")])
def test_secrets_are_hidden_in_excerpts(tmp_path: Path, line: int, shown: str) -> None:
    """The default of a secret parameter is not shown, also when its declaration is wrong; others are."""
    path = tmp_path / "m.yaml"
    path.write_text(SECRET)
    excerpts = Excerpts(redaction(str(path), (), ()), width=100)
    text, _ = excerpts.around(Position(str(path), line, 5))
    assert shown in text and "hunter2" not in text


def test_defaults_are_hidden_where_the_text_is_no_yaml(tmp_path: Path) -> None:
    """What cannot be read cannot be known to be harmless."""
    path = tmp_path / "m.yaml"
    path.write_text(SECRET.replace("nodes: {}", "nodes: {"))
    assert list(Excerpts(redaction(str(path), (), ()), width=100).around(Position(str(path), 4, 5))) == []


MULTILINE = """version: 1
name: secret
params:
  token:
    type: secret
    default: |
      hunter2
      swordfish
nodes: {}
"""


@pytest.mark.parametrize(
    "text",
    [
        MULTILINE,
        MULTILINE.replace("default: |", 'default: "x').replace("swordfish", 'swordfish"'),
        MULTILINE.replace("default: |", "default: 'x").replace("swordfish", "swordfish'") + "nodes: [\n",
        MULTILINE.replace("nodes: {}", "nodes: {"),
        MULTILINE.replace("default: |", "default:").replace("type: secret", "type: secrte, x"),
    ],
)
def test_a_secret_on_several_lines_is_in_no_excerpt(tmp_path: Path, text: str) -> None:
    """Neither its first line nor a later one is shown, be the manifest readable or not."""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    excerpts = Excerpts(redaction(str(path), (), ()), width=100)
    shown = [line for number in range(1, 11) for line in excerpts.around(Position(str(path), number, 1))]
    assert not any("hunter2" in line or "swordfish" in line for line in shown)


def test_a_secret_in_a_broken_included_file_is_in_no_excerpt(tmp_path: Path) -> None:
    """Also where the manifest that includes it reads well, or has nothing else."""
    (tmp_path / "part.yaml").write_text(MULTILINE.replace("nodes: {}", "nodes: {"))
    path = tmp_path / "m.yaml"
    for rest in ("", "nodes: {a: {type: x.y}}\n"):
        path.write_text("version: 1\nname: x\ninclude: part.yaml\n" + rest)
        excerpts = Excerpts(redaction(str(path), (), ()), width=100)
        places = [Position(str(tmp_path / "part.yaml"), number, 1) for number in range(5, 9)]
        assert [line for place in places for line in excerpts.around(place)] == []


def test_text_that_is_no_yaml_and_without_secrets_is_shown(tmp_path: Path) -> None:
    """Where nothing secret can be declared, the line with the slip is shown."""
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\nname: x\nnodes: {\n")
    text, _ = Excerpts(redaction(str(path), (), ()), width=100).around(Position(str(path), 3, 8))
    assert text.endswith("nodes: {")
