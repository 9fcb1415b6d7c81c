"""YAML 1.2 core schema, positions, refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phonograph.errors import ManifestError, Position
from phonograph.language import yaml12
from phonograph.language.scalars import scalar
from phonograph.language.yaml12 import Located, load
from places import TESTS

WRONG = sorted((TESTS / "manifests" / "wrong").glob("*.yaml"))


@pytest.fixture(params=["libyaml", "pure Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's parsers in turn."""
    name: str = request.param
    if name == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml12, "_Parser", yaml.CSafeLoader if name == "libyaml" else yaml.SafeLoader)
    return name


def plain(located: Located) -> object:
    value = located.value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def entry(located: Located, key: str) -> Located:
    assert isinstance(located.value, Mapping)
    return located.value[key]


def refusal(text: str | bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        load(text if isinstance(text, bytes) else text.encode(), "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("010", 10),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("2026-11-21", "2026-11-21"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_plain_scalar_means_what_the_core_schema_says(text: str, value: object) -> None:
    """A plain scalar has the type and value of YAML 1.2, not of 1.1."""
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_nan_is_read() -> None:
    """`.nan` is not a number."""
    found = scalar(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
def test_number_survives_writing_and_reading(number: float) -> None:
    """What Python prints for a number is read as that number."""
    text = repr(number).replace("inf", ".inf")
    assert scalar(text) == number


def test_values_are_read_with_either_parser(parser: str) -> None:
    """Quotes make text, plain scalars have types, block text keeps its lines."""
    content = b"a: '1'\nb: [on, 1e-5, {c: null}]\nd: |\n  x\n  y\ne: 1:30\n"
    assert plain(load(content, "f.yaml")) == {"a": "1", "b": ["on", 1e-5, {"c": None}], "d": "x\ny\n", "e": "1:30"}, parser


def test_positions_count_characters_from_one(parser: str) -> None:
    """Keys and values know line and column, in characters also behind letters that take several bytes."""
    root = load("# ö\nname: {ünï: x, key: [1, 22]}\n".encode(), "f.yaml")
    inner = entry(root, "name")
    assert inner.keys["key"] == Position("f.yaml", 2, 16), parser
    numbers = entry(inner, "key").value
    assert isinstance(numbers, tuple)
    assert numbers[1].position == Position("f.yaml", 2, 25)


def test_byte_order_mark_is_no_part_of_the_text(parser: str) -> None:
    """A UTF-8 byte order mark is passed over and moves no position."""
    assert load(b"\xef\xbb\xbfversion: 1\n", "f.yaml").keys["version"] == Position("f.yaml", 1, 1), parser


def test_alias_gives_the_anchored_value(parser: str) -> None:
    """An alias stands for its anchor's value, at the anchor's position."""
    root = load(b"a: &x [1]\nb: *x\n", "f.yaml")
    assert entry(root, "b") == entry(root, "a"), parser


def test_every_complaint_before_a_syntax_error_is_kept(parser: str) -> None:
    """A duplicate key above a tab is told with it."""
    complaints = refusal("a: 1\na: 2\nb:\n\tc: 3\n").splitlines()
    assert [line.split()[:2] for line in complaints] == [["f.yaml:2:1:", "duplicate_key"], ["f.yaml:4:1:", "yaml_syntax"]], parser


def test_aliases_cannot_make_a_value_deeper_than_the_cap(parser: str) -> None:
    """A chain of anchors, each one level deep where it stands, is refused at the depth that it unfolds to."""
    chain = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert "too_large values nested too deeply" in refusal(chain), parser


def test_billion_laughs_is_refused_without_unfolding_it(parser: str) -> None:
    """Ten aliases of ten aliases of ... stop at the cap."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert "too_large too many values" in refusal(bomb), parser


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml takes this text for a key without a value")
def test_colon_without_a_value_in_a_flow_mapping() -> None:
    """Where libyaml stops at a colon, the complaint says how a colon is written, in words of its own."""
    assert refusal("a: {b:}\n") == (
        "f.yaml:1:6: yaml_syntax a ':' without a space after it; expected 'key: value', or quotes round text with ':' in it"
    )


def test_syntax_that_has_no_words_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parser says is shown, and what to do all the same."""
    monkeypatch.setattr(yaml12, "_IN_WORDS", ())
    complaint = refusal("a: ]\n")
    assert complaint.startswith("f.yaml:1:4: yaml_syntax text that is not YAML (did not find expected node content)")
    assert complaint.endswith("; expected 'key: value'; quotes round text that has signs in it")


def test_file_beyond_the_size_cap_is_refused() -> None:
    """More than a mebibyte is no manifest."""
    assert "too_large a file of" in refusal(b"#" * (yaml12.MAX_BYTES + 1))


def test_number_that_python_cannot_hold_is_refused() -> None:
    """An integer of five thousand digits gives a complaint."""
    assert "f.yaml:1:4: wrong_value the number 99999999999999999..." in refusal("a: " + "9" * 5000)


def test_old_yaml_version_is_refused(parser: str) -> None:
    """A %YAML 1.1 directive asks for another language."""
    assert "yaml_feature the directive %YAML 1.1" in refusal("%YAML 1.1\n---\na: 1\n"), parser


@pytest.mark.parametrize("path", WRONG, ids=[path.stem for path in WRONG])
def test_pure_python_parser_agrees_on_wrong_texts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libyaml a text is refused with the same codes, or read alike."""

    def outcome() -> object:
        try:
            return plain(load(path.read_bytes(), "f.yaml"))
        except ManifestError as error:
            return [(complaint.code, complaint.position.line) for complaint in error.complaints]

    usual = outcome()
    monkeypatch.setattr(yaml12, "_Parser", yaml.SafeLoader)
    assert outcome() == usual


@given(st.text(alphabet=st.sampled_from("ab:- \n\t[]{},&*!|>'\"#%@`?~<0é\x01"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, the result is a mapping or a ManifestError that places each complaint in it."""
    try:
        assert isinstance(load(text.encode(), "f.yaml").value, Mapping)
    except ManifestError as error:
        assert error.complaints
        assert all(complaint.position.line <= text.count("\n") + 2 for complaint in error.complaints)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Whatever the bytes, the result is a mapping or a ManifestError."""
    try:
        load(content, "f.yaml")
    except ManifestError as error:
        assert error.complaints


@pytest.mark.parametrize("number", ["9" * 400, "0x" + "f" * 5000, "0o" + "7" * 400, "-" + "9" * 5000])
def test_whole_number_beyond_a_double(number: str) -> None:
    """Whatever the base, a whole number that no double can hold is refused where it stands."""
    assert refusal(f"a: {number}\n").startswith("f.yaml:1:4: wrong_value the number ")
    assert refusal(f"? {number}\n: 1\n").startswith("f.yaml:1:3: wrong_value the number ")


def test_wrong_byte_behind_a_byte_order_mark() -> None:
    """The mark counts neither for the place of a byte that is not UTF-8 nor for which byte it is."""
    assert refusal(b"\xef\xbb\xbf# \xc3\xa9\xc3\xa9\xff") == (
        "f.yaml:1:5: encoding the byte 0xff; expected UTF-8; save the file in that encoding"
    )


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("text", ["a: 1{}b: 2\n", "# x{}a: 1\n", 'a: "x{}y"\n', "a: |\n  x{}  y\n", "a: 'x'\nb{}: 1\n"])
def test_line_separator_that_parsers_take_for_a_line_end(text: str, sign: str) -> None:
    """What would end a line for the parser and for no editor is refused wherever it stands, with its escape as the remedy."""
    name = f"{ord(sign):04x}"
    assert f"yaml_syntax the line separator U+{name.upper()}; expected an ordinary line end, or" in refusal(text.format(sign))
    assert plain(load(f'a: "x\\u{name}y"\n'.encode(), "f.yaml")) == {"a": f"x{sign}y"}
