"""Parameters of nodes: from what a manifest gives to the node's own type."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import pytest

from phonograph.errors import Complaint
from phonograph.language.binding import bind, bound_paths, is_missing, nearest_paths
from phonograph.language.fields import describe
from phonograph.language.references import UNREAD
from phonograph.language.units import Seconds, parse_duration
from phonograph.language.yaml12 import Located, load_value
from phonograph.node import InputPath, OutputPath, Params, Secret
from phonograph.traced import Home, Traced, from_outside, like


class Paths(Params, frozen=True):
    read: InputPath | list[InputPath] = "in"
    write: OutputPath = "out"
    secret: Secret | None = None
    others: dict[str, OutputPath] = {}  # noqa: RUF012  # msgspec copies it
    count: int = 0


class Spans(Params, frozen=True):
    short_ms: Annotated[float, msgspec.Meta(extra={"unit": "ms"})] = 1.0
    long_s: Annotated[float, msgspec.Meta(extra={"unit": "s"})] = 1.0


def bound(value: Located, complaints: list[Complaint] | None = None) -> Any:
    found: list[Complaint] = []
    params = bind(Paths, value, what="node 'x'", input_folder="/m/in", output_folder="/m/out", complaints=found)
    if complaints is None:
        assert found == []
    else:
        complaints.extend(found)
    return params


def given(**values: Any) -> Located:
    start = load_value("x", "f.yaml").position
    entries = {name: value if isinstance(value, Located) else Located(value, start) for name, value in values.items()}
    return Located(MappingProxyType(entries), start, MappingProxyType(dict.fromkeys(entries, start)))


def test_plain_path_starts_at_the_manifest() -> None:
    """Paths to read and to write have folders of their own; defaults of the node are no exception."""
    assert bound(given(read="a", write="../b")) == Paths(read="/m/in/a", write="/m/b")
    assert bound(given()) == Paths(read="/m/in/in", write="/m/out/out")


def test_path_that_was_written_elsewhere_starts_there() -> None:
    """Text that knows where it was written goes before the manifest's folders."""
    text = Traced("a", read_from="/r", write_to="/w")
    params = bound(given(read=text, write=text, others=load_value("{x: a}", "f.yaml")))
    assert (params.read, params.write, params.others) == ("/r/a", "/w/a", {"x": "/m/out/a"})
    assert type(params.read) is str


def test_path_from_outside_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path stays what it is, and `~` is the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert bound(given(read=from_outside("a"))).read == str(tmp_path / "a")
    assert bound(given(read=from_outside("/abs/a"), write=from_outside("~/b"))) == Paths(read="/abs/a", write="/home/me/b")


def test_manifest_and_its_included_files() -> None:
    """Text of the manifest itself stays plain; that of other files remembers their folder, or where a named manifest writes."""
    home = Home("/m/main.yaml")
    assert type(home.written("a", "/m/main.yaml")) is str
    traced = home.written("a", "/m/parts/x.yaml")
    assert isinstance(traced, Traced)
    assert (traced.read_from, traced.write_to) == ("/m/parts", "/m/parts")
    named = Home("/m/main.yaml", is_named=True).written("a", "/m/parts/x.yaml")
    assert isinstance(named, Traced)
    assert (named.read_from, named.write_to) == ("/m/parts", str(Path.cwd()))


def test_text_that_is_put_together() -> None:
    """It is from where its first part is, and secret when any part is."""
    outside, secret = from_outside("o"), Traced("s", is_secret=True)
    assert like("ox", outside, (outside, "x")) == "ox"
    joined = like("os", outside, (outside, secret))
    assert isinstance(joined, Traced)
    assert (joined.is_outside, joined.is_secret, repr(joined), describe(joined)) == (True, True, "'***'", "***")
    assert type(like("xy", "x", ("x", "y"))) is str
    assert isinstance(like("xs", "x", ("x", secret)), Traced)


@pytest.mark.parametrize(("text", "short_ms", "long_s"), [("30ms", 30.0, 0.03), ("2s", 2000.0, 2.0), ("57ms", 57.0, 0.057)])
def test_a_duration_is_counted_in_the_unit_of_the_parameter(text: str, short_ms: float, long_s: float) -> None:
    """What a manifest's own parameter gives in seconds is milliseconds where a node counts those."""
    value = given(short_ms=Seconds(parse_duration(text)), long_s=Seconds(parse_duration(text)))
    found = bind(Spans, value, what="node 'x'", input_folder="", output_folder="", complaints=[])
    assert found == Spans(short_ms=short_ms, long_s=long_s)


def test_secret_field_is_sealed() -> None:
    """The node gets the text, and whoever prints its parameters does not."""
    params = bound(given(secret="word"))
    assert params.secret == "word"
    assert "word" not in repr(params)
    assert "secret=None" in repr(bound(given()))


def test_value_that_could_not_be_read_gives_no_second_complaint() -> None:
    """Neither the value nor what is missing beside it is complained about again."""
    complaints: list[Complaint] = []
    assert bound(given(read=UNREAD, count=1), complaints) is None
    assert complaints == []


def test_paths_of_a_node_are_told_with_where_they_stand() -> None:
    """Each path of a list has a name of its own; a default stands where the parameters do."""
    located = given(read=load_value("[a, b]", "f.yaml"))
    params = bound(located)
    assert [(one.parameter, one.path) for one in bound_paths(params, located, "input")] == [
        ("read[0]", "/m/in/a"),
        ("read[1]", "/m/in/b"),
    ]
    assert [one.written for one in bound_paths(params, located, "output")] == [located]


def test_what_is_missing(tmp_path: Path) -> None:
    """A glob is missing when nothing matches it; of a path in a folder that is missing too, the folder is what was meant."""
    (tmp_path / "clips").mkdir()
    assert is_missing(str(tmp_path / "none*.wav"))
    assert not is_missing(str(tmp_path / "**" / "cl*"))
    (tmp_path / "a[1].wav").touch()
    assert not is_missing(str(tmp_path / "a[1].wav"))
    assert is_missing(str(tmp_path / "clisp" / "a.wav"))
    assert nearest_paths(str(tmp_path / "clisp" / "a.wav")) == (str(tmp_path / "clips"),)
