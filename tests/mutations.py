"""Mutilates the text of manifests, as slips of the hand, bad merges and broken disks do."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from phonograph.cases import read_cases
from phonograph.engine.plan import make_plan
from phonograph.errors import Complaint, GraphError, ManifestError
from phonograph.explaining import explain
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.language.manifest import read_manifest
from phonograph.shipped import shipped_manifests

_GOOD = Path(__file__).parent / "manifests" / "good"

GOOD = tuple(path.read_text("utf-8") for path in (*shipped_manifests().values(), *sorted(_GOOD.glob("*.yaml"))))
"""Texts of manifests with nothing wrong in them, which between them use all of the language."""

_TOKEN = re.compile(r"[\w.-]+|\s+|.", re.DOTALL)
_HOSTILE = (
    *("${", "}", "${params.}", "${params.x.y}", "${env:}", "${env:A:-${params.b}}", "*.dead_letter", "inputs.x", "a/b", ".."),
    *("~", "null", "-1", "0", "1e400", "9" * 400, ".nan", "true", "[]", "{}", "[[]]", "{a: b}", "''", '"\\x00"', "*a", "&a"),
    *("!!int", "<<", "|", ">", "\t", "\u2028", "\ufeff", "é", "\U0001f600", "30s", "1h1m", "-5ms", "512MiB", "? ", ": ", "- "),
    *("flow.join", "flow.route", "sink.npy", "audio.", ".audio", "# ", "%YAML 1.1\n---\n", "\n...\n", "version: 1\n"),
    *("0x" + "f" * 5000, "include: x.yaml\n", "nodes:\n", "plugins: [x.py]\n"),
)


def mutated(text: str, chance: random.Random) -> bytes:
    """The text after one to four random mutilations, as bytes that need not be UTF-8."""
    for _ in range(chance.randint(1, 4)):
        text = chance.choice(_KINDS)(text, chance)
    content = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.05 and content:
        place = chance.randrange(len(content))
        content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    return content


class Trial:
    """Reads mutilated texts as far as they go, in a folder of its own: cases, graph, plan, explanation."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "mutated.yaml"
        self._registry = Registry.installed()
        (folder / "samples").mkdir()
        shutil.copytree(_GOOD / "parts", folder / "parts")

    def complaints_about(self, content: bytes) -> int:
        """How many complaints a text gets, those about its test cases included.

        Raises:
            AssertionError: a complaint is about a place that the text does not have. Whatever else is raised is a fault as well.
        """
        self._path.write_bytes(content)
        complaints = self._complaints()
        num_lines = content.count(b"\n") + content.count(b"\r") + 2
        for complaint in complaints:
            assert str(complaint)
            place = complaint.position
            assert place.file != str(self._path) or (1 <= place.line <= num_lines and place.column >= 1), str(complaint)
        return len(complaints)

    def _complaints(self) -> Sequence[Complaint]:
        try:
            graph = load_graph(self._path, self._registry)
        except (ManifestError, GraphError) as error:
            assert any(complaint.severity == "error" for complaint in error.complaints)
            manifest = read_manifest(self._path).manifest
            return [*error.complaints, *(read_cases(manifest, None)[1] if manifest is not None else ())]
        explain(make_plan(graph), run_directory=self._path.parent / "run")
        return read_cases(graph.manifest, graph)[1]


def _without_token(text: str, chance: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    if tokens:
        del tokens[chance.randrange(len(tokens))]
    return "".join(tokens)


def _with_hostile_token(text: str, chance: random.Random) -> str:
    tokens = _TOKEN.findall(text) or [""]
    tokens[chance.randrange(len(tokens))] = chance.choice(_HOSTILE)
    return "".join(tokens)


def _with_swapped_tokens(text: str, chance: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    words = [number for number, token in enumerate(tokens) if token.strip()]
    if len(words) > 1:
        one, other = chance.sample(words, 2)
        tokens[one], tokens[other] = tokens[other], tokens[one]
    return "".join(tokens)


def _with_changed_word(text: str, chance: random.Random) -> str:
    words = list(re.finditer(r"\w{3,}", text))
    if not words:
        return text
    word = chance.choice(words)
    place = chance.randrange(word.start(), word.end())
    return text[:place] + chance.choice("abcxyz019_-") + text[place + chance.randint(0, 1) :]


def _with_moved_line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        line = lines.pop(chance.randrange(len(lines)))
        lines.insert(chance.randint(0, len(lines)), chance.choice((line, line * 2, "  " + line, line.lstrip())))
    return "".join(lines)


def _cut_short(text: str, chance: random.Random) -> str:
    return text[: chance.randint(0, len(text))]


_KINDS: tuple[Callable[[str, random.Random], str], ...] = (
    _without_token,
    _with_hostile_token,
    _with_swapped_tokens,
    _with_changed_word,
    _with_moved_line,
    _cut_short,
)
