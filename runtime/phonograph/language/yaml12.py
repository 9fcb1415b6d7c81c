"""Loads YAML 1.2 (core schema) into values that know their place in the file.

PyYAML reads YAML 1.1: `on` becomes true, `1:30` becomes 90, `1e-5` stays text, `010` becomes 8, and the second of two equal keys
wins. So only its scanner and parser are used, and the events that they give are turned into values here.

Manifests are small texts that people edit. Tags, merge keys and several documents are refused, because each makes a value mean
something that is not written where it stands. Size, depth and what aliases may unfold to are capped, so that reading a hostile
file ends soon.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn, TypeAlias

import yaml

from phonograph.errors import Complaint, ManifestError, Position
from phonograph.language.scalars import scalar

Value: TypeAlias = "bool | int | float | str | tuple[Located, ...] | Mapping[str, Located] | None"

MAX_BYTES = 2**20
MAX_DEPTH = 64
MAX_VALUES = 100_000  # after aliases are unfolded; 1 MiB of text without aliases holds fewer in practice

_Parser: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_BARE_REFERENCE = re.compile(r"\$\{[^}\s]*\}[^\s,\]}]*")
_NO_SPACE = re.compile(r"\s*(?:- +)?([A-Za-z_][\w-]*):(?=[^\s:/\\])")
_NO_COLON = re.compile(r"\s*(?:- +)?([A-Za-z_][\w-]*)\s*(?=\{)")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_ENDS = "\x85\u2028\u2029"  # of YAML 1.1 and of the parsers; in YAML 1.2 they are letters like any other

# What the parser says -> what a person who wrote a manifest can do with it. The first fitting needle counts;
# {opened} stands for where the mapping or list began.
_IN_WORDS = (
    (
        "mapping values are not allowed",
        "a ': ' that begins no mapping",
        "quotes round text with ': ' in it, or the same indentation",
    ),
    ("could not find expected ':'", "a line without ':' among keys", "'key: value'"),
    ("did not find expected key", "a line that does not continue the mapping above", "a key at the mapping's indentation"),
    ("did not find expected '-'", "a line that does not continue the list above", "'- ' at the list's indentation"),
    ("sequence entries are not allowed", "a '- ' where no list can begin", "the list on lines of its own, below its key"),
    ("expected <block end>, but found '-'", "a '- ' among keys", "either keys or a list at one indentation"),
    ("expected <block end>", "a line that does not continue the block above", "the same indentation as its neighbours"),
    ("',' or ']'", "a '[' list{opened} that does not go on here", "',' or ']'"),
    ("',' or '}'", "a '{' mapping{opened} that does not go on here", "',' or '}'"),
    ("unexpected ':'", "a ':' without a space after it", "'key: value', or quotes round text with ':' in it"),
    ("alphabetic or numeric", "a '*' or '&' that begins no name", "quotes round text that begins with it, such as '*.wav'"),
    ("expected node content", "a punctuation mark where a value belongs", "a value; quotes round text that begins with it"),
    ("comment or line break", "text behind '|' or '>'", "the text on the next lines, or quotes round all of it"),
    ("expected <document start>", "a line to the left of the first key", "every top-level key at one indentation"),
    ("unexpected end of stream", "text in quotes that never end", "the closing quote"),
    (
        "unknown escape character",
        "an escape that does not exist, inside double quotes",
        "single quotes, or '\\\\' for a backslash",
    ),
)


@dataclass(frozen=True, slots=True)
class Located:
    """A value out of a file; lists are tuples and mappings are read-only, both of Located values.

    Args:
        position: where the value begins.
        keys: for a mapping, where each key begins.
        came_from: the parameter of the manifest with whose value the text here begins, or `env:` and a variable of the
            environment; empty when it begins otherwise.
        text_column: where the text itself begins, when it stands on one line as it is; 0 for all else.
    """

    value: Value
    position: Position
    keys: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))
    came_from: str = ""
    text_column: int = 0


def load(content: bytes, file: str, note: str = "") -> Located:
    """Read one document whose root is a mapping.

    Args:
        content: the file's bytes, UTF-8 with or without a byte order mark; one more than MAX_BYTES tell that it is too large.
        file, note: what positions carry.

    Raises:
        ManifestError: with every complaint up to the first place where the text stops being YAML.
    """
    return _Loader(file, note).load(content)


def load_value(text: str, file: str) -> Located:
    """Read text that is one value of any kind, such as one given on a command line.

    Raises:
        ManifestError: with every complaint up to the first place where the text stops being YAML.
    """
    return _Loader(file, "").load(text.encode("utf-8", "surrogatepass"), any_root=True)


@dataclass(frozen=True, slots=True)
class _Extent:
    """What using a value once more costs: its levels, and the values in it counting itself."""

    levels: int
    values: int


class _StopError(Exception):
    """Nothing after this place can be read; the complaint is already noted."""


class _Loader:
    """Turns the events of one document into Located values."""

    def __init__(self, file: str, note: str) -> None:
        self._file = file
        self._note = note
        self._complaints: list[Complaint] = []
        self._anchors: dict[str, tuple[Located, _Extent] | None] = {}  # None while the anchored value is being read
        self._num_values = 0
        self._events: Iterator[yaml.Event] = iter(())

    def load(self, content: bytes, *, any_root: bool = False) -> Located:
        root = None
        text = ""
        try:
            text = self._decode(content)
            self._events = iter(yaml.parse(text, Loader=_Parser))
            root = self._document(any_root)
        except _StopError:
            pass
        except yaml.MarkedYAMLError as error:
            self._syntax(error, text)
        if root is None or self._complaints:
            raise ManifestError(self._complaints)
        return root

    def _decode(self, content: bytes) -> str:
        start = self._position(1, 1)
        if len(content) > MAX_BYTES:
            self._stop("too_large", start, f"a file of more than {MAX_BYTES} bytes", "a smaller one")
        content = content.removeprefix(codecs.BOM_UTF8)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            position = self._place(content[: error.start].decode("utf-8"))
            self._stop("encoding", position, f"the byte 0x{content[error.start]:02x}", "UTF-8; save the file in that encoding")
        if match := _UNPRINTABLE.search(text):
            name, position = f"U+{ord(match[0]):04X}", self._place(text[: match.start()])
            if match[0] in _LINE_ENDS:
                expected = f"an ordinary line end, or inside double quotes its escape, \\u{ord(match[0]):04x}"
                self._stop("yaml_syntax", position, f"the line separator {name}", expected)
            self._stop("yaml_syntax", position, f"the control character {name}", "printable text")
        return text

    def _place(self, before: str) -> Position:
        """The position of what follows the text `before`."""
        lines = re.split("\r\n|\r|\n", before)
        return self._position(len(lines), len(lines[-1]) + 1)

    def _document(self, any_root: bool) -> Located:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            if any_root:
                return Located(None, self._position(1, 1))
            self._stop("empty", self._position(1, 1), "an empty file", "a manifest, which begins with 'version: 1'")
        assert isinstance(start, yaml.DocumentStartEvent)
        if start.version not in (None, (1, 2)):
            found = f"the directive %YAML {'.'.join(map(str, start.version))}"
            self._complain("yaml_feature", self._at(start), found, "YAML 1.2, which needs no directive")
        if start.tags:
            self._complain("yaml_feature", self._at(start), "a %TAG directive", "plain values without tags")
        root, _ = self._value(next(self._events), depth=0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop("yaml_feature", self._at(after), "a second document", "one document in a file")
        if any_root:
            return root
        if root.value is None:
            self._stop("empty", self._position(1, 1), "an empty file", "a manifest, which begins with 'version: 1'")
        if not isinstance(root.value, Mapping):
            found = "a list at the top" if isinstance(root.value, tuple) else "plain text at the top"
            self._stop("wrong_type", root.position, found, "a mapping, which begins with 'version: 1'")
        return root

    def _value(self, event: yaml.Event, depth: int) -> tuple[Located, _Extent]:
        position = self._at(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, position, depth)
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)
        self._count(1, position)
        if depth >= MAX_DEPTH:
            self._too_deep(position)
        if event.tag is not None:
            self._complain("yaml_feature", position, f"the tag {_tag(event.tag)}", "a plain value; quotes make text of it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = Located(self._scalar(event, position), position, text_column=_text_column(event)), _Extent(1, 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self._sequence(position, depth)
        else:
            built = self._mapping(position, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        return built

    def _scalar(self, event: yaml.ScalarEvent, position: Position) -> bool | int | float | str | None:
        text: str = event.value
        if not event.implicit[0]:
            return text
        try:
            return scalar(text)
        except ValueError as error:
            shown = text if len(text) <= 20 else text[:17] + "..."
            self._complain("wrong_value", position, f"the number {shown}, {str(error).partition(';')[0]}", "a smaller number")
            return 0

    def _sequence(self, position: Position, depth: int) -> tuple[Located, _Extent]:
        values: list[Located] = []
        levels, size = 0, 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value, extent = self._value(event, depth + 1)
            values.append(value)
            levels, size = max(levels, extent.levels), size + extent.values
        return Located(tuple(values), position), _Extent(levels + 1, size)

    def _mapping(self, position: Position, depth: int) -> tuple[Located, _Extent]:
        values: dict[str, Located] = {}
        keys: dict[str, Position] = {}
        levels, size = 0, 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_position = self._at(event)
            key = self._key(event, depth)
            value, extent = self._value(next(self._events), depth + 1)
            levels, size = max(levels, extent.levels), size + extent.values
            if key is None:
                continue
            if key in keys:
                found = f"the key {key!r}, which also stands on line {keys[key].line}"
                self._complain("duplicate_key", key_position, found, "each key once")
                continue
            values[key], keys[key] = value, key_position
        return Located(MappingProxyType(values), position, MappingProxyType(keys)), _Extent(levels + 1, size)

    def _key(self, event: yaml.Event, depth: int) -> str | None:
        position = self._at(event)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
            self._complain(
                "yaml_feature", position, "the merge key '<<'", "the keys themselves; 'defaults' holds what nodes share"
            )
            return None
        known = len(self._complaints)
        key = self._value(event, depth + 1)[0].value
        if isinstance(key, str):
            return key
        if len(self._complaints) == known:
            is_block = isinstance(key, tuple | Mapping)
            found = "a list or mapping as a key" if is_block else f"the key {_as_written(key)}, which is not text"
            self._complain("wrong_type", position, found, "text; put it in quotes")
        return None

    def _alias(self, event: yaml.AliasEvent, position: Position, depth: int) -> tuple[Located, _Extent]:
        name = str(event.anchor)
        if name not in self._anchors:
            self._stop("yaml_syntax", position, f"the alias *{name}", f"an anchor &{name} before it; quotes make text of it")
        built = self._anchors[name]
        if built is None:
            self._stop("yaml_feature", position, f"the alias *{name} inside the value that it names", "a value that ends")
        value, extent = built
        if depth + extent.levels > MAX_DEPTH:
            self._too_deep(position)
        self._count(extent.values, position)
        return value, extent

    def _count(self, values: int, position: Position) -> None:
        self._num_values += values
        if self._num_values > MAX_VALUES:
            self._stop("too_large", position, "too many values, with aliases unfolded", f"at most {MAX_VALUES}")

    def _too_deep(self, position: Position) -> None:
        self._stop("too_large", position, "values nested too deeply", f"at most {MAX_DEPTH} levels")

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> None:
        mark = error.problem_mark or error.context_mark
        if error.context_mark is not None and "quoted scalar" in (error.context or ""):
            mark = error.context_mark  # the opening quote tells more than the end of the file
        position = self._position(mark.line + 1, mark.column + 1) if mark else self._position(1, 1)
        problem = (error.problem or "text that is not YAML").replace("\n", " ")
        lines = text.splitlines()
        rest = lines[position.line - 1][position.column - 1 :] if position.line <= len(lines) else ""
        if rest.startswith("\t") or "found character '\\t'" in problem or "tab character" in problem:
            self._complain("yaml_syntax", position, "a tab", "spaces for indentation")
            return
        if "cannot start any token" in problem and rest:
            expected = "quotes round text that begins with it"
            self._complain("yaml_syntax", position, f"the character {rest[0]!r} at the start of a value", expected)
            return
        if slip := _slip(lines, position):
            line, column, found, expected = slip
            self._complain("yaml_syntax", self._position(line, column), found, expected)
            return
        opened = error.context_mark
        where = f", opened on line {opened.line + 1}, column {opened.column + 1}," if opened is not None else ""
        for needle, found, expected in _IN_WORDS:
            if needle in problem:
                self._complain("yaml_syntax", position, found.replace("{opened}", where), expected)
                return
        expected = "'key: value'; quotes round text that has signs in it"
        self._complain("yaml_syntax", position, f"text that is not YAML ({problem})", expected)

    def _at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None  # the parser marks every event
        return self._position(mark.line + 1, mark.column + 1)

    def _position(self, line: int, column: int) -> Position:
        return Position(self._file, line, column, self._note)

    def _complain(self, code: str, position: Position, found: str, expected: str = "") -> None:
        self._complaints.append(Complaint(code, position, found, expected))

    def _stop(self, code: str, position: Position, found: str, expected: str) -> NoReturn:
        self._complain(code, position, found, expected)
        raise _StopError


def _slip(lines: list[str], position: Position) -> tuple[int, int, str, str] | None:
    """A common slip that the parser only trips over afterwards: its line, its column, what it is, what it should be."""
    if position.line > len(lines):
        return None
    line = lines[position.line - 1]
    match = _BARE_REFERENCE.match(line, max(position.column - 2, 0))  # it ends a word at '$', and cannot go on at '{'
    if match:
        found = f"{match[0]} without quotes, inside '{{ }}' or '[ ]'"
        return position.line, match.start() + 1, found, f'quotes round it: "{match[0]}"'
    for number in (position.line, position.line - 1):  # text without a colon goes on in the next line, up to a colon there
        line = lines[number - 1] if number else ""
        if match := _NO_SPACE.match(line):
            return number, match.end(1) + 1, f"no space after the colon of {match[1]!r}", f"'{match[1]}: value'"
        if match := _NO_COLON.match(line):
            return number, match.start(1) + 1, f"{match[1]!r} without a colon before its '{{'", f"'{match[1]}: {{...}}'"
    return None


def _text_column(event: yaml.ScalarEvent) -> int:
    """Where the text of a scalar begins; 0 when it does not stand there as it is. An escape is longer than its meaning."""
    start, end = event.start_mark, event.end_mark
    if start is None or end is None or start.line != end.line:
        return 0
    quote = 1 if event.style in ("'", '"') else 0
    return start.column + 1 + quote if end.column - start.column == len(event.value) + 2 * quote else 0


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!", 1)


def _as_written(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)
