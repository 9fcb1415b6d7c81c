"""The reference page of node types, and the examples on it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import pytest

from extras import skip_without_extra_of
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.reference import catalogue, contracts
from phonograph.reference.nodes_page import nodes_page
from phonograph.shipped import shipped_root
from phonograph.spec import NodeSpec
from pipeline_nodes import registry as declared_for_tests

INSTALLED = Registry.installed()
SPECS = catalogue.loadable(INSTALLED)


def test_the_page_agrees_with_the_code(checkout: Path) -> None:
    """docs/nodes.md is what the code generates; if it is not, `make contracts` writes it again."""
    assert contracts.drifted(checkout / "docs", contracts.pages(INSTALLED)) == []


def test_a_page_that_drifted_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check tells of a page that is missing and of one that was changed, and leaves pages alone that people wrote."""
    folders = [str(tmp_path / "contracts"), str(tmp_path / "docs")]
    assert contracts.main(folders) == 0
    (tmp_path / "docs" / "guide.md").write_text("# By hand\n", "utf-8")
    assert contracts.main(["--check", *folders]) == 0
    (tmp_path / "docs" / "nodes.md").write_text("# Node types\n", "utf-8")
    assert contracts.main(["--check", *folders]) == 1
    (tmp_path / "docs" / "nodes.md").unlink()
    assert contracts.main(["--check", *folders]) == 1
    named = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert named == ["nodes.md", "nodes.md"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.type)
def test_an_example_runs(spec: NodeSpec, tmp_path: Path) -> None:
    """The example of each installed type, on the bundled clips, succeeds and has the type at work."""
    assert spec.example, f"{spec.type} has no example"
    skip_without_extra_of(spec.type)
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    path = tmp_path / "example.yaml"
    path.write_text(f"version: 1\nname: example\n{spec.example}\n", encoding="utf-8")
    report = Executor(load_manifest(path), run_dir=tmp_path / "run").run()
    assert (report.status, report.exit_code) == ("success", 0)
    assert report.records.completed > 0
    assert report.records.dead_lettered == 0
    assert report.metrics is not None
    at_work = [node for node in report.metrics.pipeline_execution.nodes if node.type == spec.type]
    assert at_work
    assert all(node.items_out > 0 if spec.kind == "source" else node.items_in > 0 for node in at_work)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.type)
def test_everything_about_a_type_is_explained(spec: NodeSpec) -> None:
    """Each installed type says what it does in a sentence, and so does each of its parameters."""
    assert re.fullmatch(r"[A-Z].*\.", spec.summary)
    assert [one.name for one in catalogue.parameters(spec) if not one.description] == []


def test_links_of_the_page_lead_somewhere() -> None:
    """Every type in the table at the top has a heading that the link names as GitHub does."""
    page = nodes_page(SPECS)
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in page.splitlines() if line[:1] == "#"
    }
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert len(links) >= len(SPECS)
    assert [link for link in links if link not in headings] == []


def test_tables_of_the_page_are_whole() -> None:
    """No bar inside a cell breaks a row: all rows of a table have as many cells as its head."""
    tables = re.findall(r"(?:^\|.*\|\n)+", nodes_page(SPECS), re.MULTILINE)
    assert tables
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_what_a_parameter_takes_is_told_in_words() -> None:
    """Bounds, choices, lists, mappings, paths: each has words that need no JSON Schema."""
    specs = (*SPECS, *catalogue.loadable(declared_for_tests()))
    taken = {(spec.params.__name__, one.name): one.takes for spec in specs for one in catalogue.parameters(spec)}
    assert taken["FilesParams", "paths"] == "path to read or list of paths to read"
    assert taken["FilterParams", "keep"] == "expression"
    assert taken["NpyParams", "also"] == "mapping: name to path to write"
    assert taken["VadParams", "threshold"] == "number, at least 0, at most 1"
    assert taken["VadParams", "bands"] == "list of mapping"
    assert taken["ResampleParams", "quality"] == "`fast`, `high`, `best`"


def test_the_catalogue_knows_everything_about_a_type() -> None:
    """Attributes, axes of ports, units, kinds of paths, defaults and the example stand in the catalogue."""
    entries = {spec.type: catalogue.entry(spec) for spec in SPECS}
    assert entries["audio.decode"]["attributes"]["duration"] == "float"
    assert entries["source.files"]["open_attributes"] is True
    assert entries["source.files"]["params"]["paths"]["path"] == "input"
    assert entries["sink.npy"]["params"]["path"]["path"] == "output"
    assert entries["audio.resample"]["params"]["sample_rate"]["unit"] == "Hz"
    assert entries["audio.resample"]["outputs"]["audio"].startswith("audio[")
    assert entries["flow.route"]["params"]["cases"]["expression"] is True
    assert entries["flow.route"]["chooses"] is True
    assert msgspec.json.encode(entries)  # plain data, all of it
