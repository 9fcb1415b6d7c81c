"""The page on front ends: its examples run, its tables are the code's, its pictures show what the code computes now."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph.errors import AudioFormatError
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root
from phonograph_nodes.features import FRONT_ENDS, LogMel
from places import NEEDS_SOURCE_TREE, shared_folder, source_tree

MOST_BYTES = 60_000  # of a picture

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
_HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<file>[^)#]*)(?:#(?P<section>[\w-]+))?\)")

# Front end on the page -> names of the golden set, and the bound that the page gives.
_GOLDEN = re.compile(r"^\| (?P<names>[\w, -]+?)(?:, 80 and 128 bins)? \| [^|]+ \| (?P<bound>0\.\d+) \|$", re.MULTILINE)
_IN_THE_GOLDEN_SET = {
    "whisper": ("whisper80", "whisper128"),
    "w2v-bert": ("w2v_bert_pad1",),
    "squeezeformer": ("squeezeformer",),
    "paraformer": ("paraformer",),
    "zipformer": ("zipformer",),
    "kaldi": ("kaldi80_snip_x1", "kaldi80_snip_x32768"),
    "icefall": ("icefall80",),
    "nemo": ("nemo80", "nemo128"),
    "librosa": ("librosa_db128",),
    "speaker-mfcc": ("streamz_mfcc60",),
}

pytestmark = pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)


def docs() -> Path:
    root = source_tree()
    assert root is not None
    return root / "docs"


def page() -> str:
    return "" if source_tree() is None else (docs() / "features.md").read_text("utf-8")


def blocks(language: str) -> list[tuple[int, str]]:
    """Line at which a block begins, and its text."""
    text = page()
    found = [match for match in _FENCE.finditer(text) if match["language"] == language]
    return [(text.count("\n", 0, match.start("text")), match["text"]) for match in found]


def section(name: str) -> str:
    """What stands under the heading of a front end."""
    _, heading, rest = page().partition(f"\n### {name}\n")
    assert heading, f"docs/features.md has no section {name}"
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes the table and draws the pictures."""
    spec = importlib.util.spec_from_file_location("features_page", docs() / "features_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the bundled clips in `samples`."""
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_blocks_run(folder: Path) -> None:
    """The Python blocks run one after the other in one program, as the page says, and what they assert holds."""
    assert len(blocks("python")) > 5
    names: dict[str, Any] = {}
    for line, text in blocks("python"):
        code = compile("\n" * line + text, str(docs() / "features.md"), "exec")  # so that a traceback names the page's line
        exec(code, names)


@pytest.mark.parametrize("text", [pytest.param(text, id=f"line_{line}") for line, text in blocks("yaml")])
def test_a_manifest_on_the_page_runs(text: str, folder: Path) -> None:
    """Every manifest on the page passes the check without a word but notes, and runs to its end on the bundled clips."""
    (folder / "manifest.yaml").write_text(text + "\n", "utf-8")
    checked = CliRunner().invoke(check, ["manifest.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output
    report = Executor(load_manifest("manifest.yaml"), run_dir=folder / "run").run()
    assert (report.status, report.records.completed) == ("success", 5), report.error


def test_the_table_of_constants_is_the_codes(script: ModuleType) -> None:
    """The page's table is what the code gives; if it is not, docs/features_page.py writes it again."""
    assert script.with_table(page()) == page()


def test_a_page_that_lost_its_table_is_refused(script: ModuleType) -> None:
    """Without the marks around the table there is nothing to replace, and the script says so."""
    with pytest.raises(ValueError, match="lacks its table"):
        script.with_table("# Front ends\n")


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_front_end_has_a_section(name: str) -> None:
    """Each front end has a section with its picture, and the section tells its rows and its streaming as the code has them."""
    told = section(name)
    assert f"![{name}](pictures/{name}.png)" in told
    law = re.search(r"^- \*\*Rows\*\* `([^`]+)`", told, re.MULTILINE)
    assert law is not None
    log_mel = LogMel(name)
    lengths = [*range(1, 2500), 16_000, 44_099, 479_999]
    counted = [eval(law[1], {"n": length, "max": max}) for length in lengths]
    assert counted == [log_mel.num_rows(length) for length in lengths]
    streaming = re.search(r"^- \*\*Stream\*\* ([\w-]+)", told, re.MULTILINE)
    assert streaming is not None
    assert streaming[1] == log_mel.streaming
    none_below = re.search(r"none for less than (\d+) samples", told)
    assert log_mel.num_rows(int(none_below[1]) if none_below else 1) > 0
    if none_below:
        assert log_mel.num_rows(int(none_below[1]) - 1) == 0
    else:
        with pytest.raises(AudioFormatError, match="empty"):
            log_mel.num_rows(0)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_picture_is_of_the_front_end_as_it_is(name: str, script: ModuleType) -> None:
    """Each picture is small, not of one colour, and was drawn from the constants that the code has now."""
    path = docs() / "pictures" / f"{name}.png"
    assert path.stat().st_size <= MOST_BYTES
    chunks = dict(png_chunks(path))
    key, _, carried = chunks[b"tEXt"].partition(b"\0")
    assert key.decode() == script.CARRIES
    assert carried.decode("latin-1") == script.definition(name), "docs/features_page.py draws it again"
    assert len(set(zlib.decompress(chunks[b"IDAT"]))) > 100


def test_there_is_no_picture_of_anything_else() -> None:
    """A front end that was renamed or removed leaves no picture behind."""
    assert {path.name for path in (docs() / "pictures").glob("*.png")} == {f"{name}.png" for name in FRONT_ENDS}


def test_a_picture_can_be_drawn(script: ModuleType, tmp_path: Path) -> None:
    """Where matplotlib is installed, the script draws a picture that the checks above take."""
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("drawing needs matplotlib: pip install 'phonograph[docs]'")
    path = tmp_path / "kaldi.png"
    # In a process of its own, because matplotlib keeps fonts open as long as it lives.
    program = f"import features_page, pathlib; features_page.draw('kaldi', pathlib.Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=docs(), check=True, timeout=120)
    assert dict(png_chunks(path))[b"tEXt"].startswith(script.CARRIES.encode())
    assert path.stat().st_size <= MOST_BYTES


def test_links_on_the_page_lead_somewhere() -> None:
    """Each link to a section has one, each link to a file too."""
    anchors = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in _HEADING.findall(page())}
    links = [(match["file"], match["section"]) for match in _LINK.finditer(page())]
    assert {part for file, part in links if not file} - anchors == set()
    assert {file for file, _ in links if file and not (docs() / file).is_file()} == set()


def test_the_bounds_are_those_of_the_golden_set() -> None:
    """The page states for each front end the bound that the golden set has for an ordinary clip."""
    index = shared_folder() / "golden" / "dev" / "index.json"
    if not index.is_file():
        pytest.skip(f"needs the shared data sets ({index})")
    bounds = {name: one["recommended_tol_median"] for name, one in json.loads(index.read_text("utf-8"))["frontends"].items()}
    told = {name: float(match["bound"]) for match in _GOLDEN.finditer(page()) for name in match["names"].split(", ")}
    assert told.keys() == FRONT_ENDS.keys()
    assert {name: {bounds[golden] for golden in _IN_THE_GOLDEN_SET[name]} for name in told} == {
        name: {bound} for name, bound in told.items()
    }


def png_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of a PNG file's chunks; those of the image as one."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    image, place = b"", 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IDAT":
            image += content
        else:
            yield kind, content
    yield b"IDAT", image
