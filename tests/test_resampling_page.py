"""The page on resampling: its examples run, its tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph_nodes import ResampleStream
from phonograph_nodes.resample import Quality
from phonograph_nodes.resample.filters import FILTERS
from phonograph_nodes.resample.plans import Latency
from places import NEEDS_SOURCE_TREE, source_tree

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
_ROW = re.compile(r"^\| (\d+) \| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_COLUMNS: tuple[tuple[Latency, Quality], ...] = (("block", "high"), ("low", "fast"), ("low", "high"), ("low", "best"))

pytestmark = pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)


def page() -> str:
    root = source_tree()
    return "" if root is None else (root / "docs" / "resampling.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return [match["text"] for match in _FENCE.finditer(page()) if match["language"] == language]


def test_python_blocks_run_one_after_the_other() -> None:
    """They go on from one another, and what they assert holds."""
    names: dict[str, object] = {}
    assert len(blocks("python")) == 4
    for text in blocks("python"):
        exec(text, names)


def test_the_manifest_is_right(tmp_path: Path) -> None:
    """It passes the check as it stands."""
    (text,) = blocks("yaml")
    (tmp_path / "resample.yaml").write_text(text)
    (tmp_path / "samples").mkdir()
    checked = CliRunner().invoke(check, [str(tmp_path / "resample.yaml")], standalone_mode=False)
    assert checked.return_value == 0, checked.output


def test_the_table_of_latencies_is_the_codes() -> None:
    """Every figure is what a stream declares, and its time at the input's rate."""
    rows = _ROW.findall(page())
    assert len(rows) == 5
    for in_rate, out_rate, *cells in rows:
        for cell, (latency, quality) in zip(cells, _COLUMNS, strict=True):
            samples = ResampleStream(int(in_rate), int(out_rate), quality=quality, latency=latency).latency_samples
            assert samples is not None
            shown = 1000 * samples / int(in_rate)
            assert cell == f"{samples} ({shown:.{0 if latency == 'block' else 1}f} ms)"


def test_lengths_of_filters_are_the_codes() -> None:
    """The text names them in the order of the qualities."""
    lengths = [str(2 * one.half_length) for one in FILTERS.values()]
    assert f"{', '.join(lengths[:2])} and {lengths[2]} samples of the lower rate" in " ".join(page().split())


def test_links_lead_to_headings() -> None:
    """Each link within the page has a heading that it leads to."""
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page(), re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", page())) <= headings
