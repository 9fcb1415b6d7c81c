"""The published contracts, held against the code and against what a run writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from phonograph import contracts, errors
from phonograph.executor import Executor
from phonograph.manifest import load_manifest
from phonograph.registry import Registry
from phonograph.shipped import shipped_manifests, shipped_root

CONTRACTS = shipped_root("contracts")
SCHEMAS = ("manifest.schema.json", "metrics.schema.json", "dead-letter.schema.json")


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((CONTRACTS / name).read_text("utf-8")))


def test_contracts_agree_with_the_code() -> None:
    """No contract file differs from what the code generates; if one does, `make contracts` writes it again."""
    assert contracts.drifted(CONTRACTS, contracts.contracts(Registry.installed())) == []


def test_each_kind_of_drift_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names a file that was changed, one that is missing and one that no code stands behind, and exits with 1."""
    folder = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, folder)
    assert contracts.main(["--check", str(folder)]) == 0
    (folder / "nodes.json").write_text(
        (folder / "nodes.json").read_text("utf-8").replace("audio.decode", "audio.decoded"), "utf-8"
    )
    (folder / "error-codes.json").unlink()
    (folder / "imagined.json").write_text("{}", "utf-8")
    capsys.readouterr()
    assert contracts.main(["--check", str(folder)]) == 1
    named = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert named == ["error-codes.json", "imagined.json", "nodes.json"]
    assert contracts.main([str(folder)]) == 0
    assert contracts.main(["--check", str(folder)]) == 1  # writing does not remove what it does not know
    (folder / "imagined.json").unlink()
    assert contracts.main(["--check", str(folder)]) == 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema(name: str) -> None:
    """Each schema is valid JSON Schema, draft 2020-12."""
    Draft202012Validator.check_schema(json.loads((CONTRACTS / name).read_text("utf-8")))


def test_every_error_has_a_published_code() -> None:
    """The code of each exception class is in error-codes.json, with a sentence that explains it."""
    published = json.loads((CONTRACTS / "error-codes.json").read_text("utf-8"))
    classes, codes = [errors.PhonographError], set()
    while classes:
        found = classes.pop()
        codes.add(found.code)
        classes += found.__subclasses__()
    assert codes <= set(published)
    assert [code for code, meaning in published.items() if not meaning.endswith(".")] == []


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_a_shipped_manifest_fits_the_schema(name: str) -> None:
    """An editor that uses the schema shows no complaint about a shipped manifest."""
    validator("manifest.schema.json").validate(yaml.safe_load(shipped_manifests()[name].read_text("utf-8")))


GOOD: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "nodes": {
        "clips": {"type": "source.files", "params": {"paths": "clips"}},
        "audio": {"type": "audio.decode", "input": "clips", "workers": 2},
        "out": {"type": "sink.npy", "input": {"features": "audio"}, "params": {"path": "out"}, "on_error": "skip"},
    },
}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("version",), 2),
        (("name",), "Not A Name"),
        (("colour",), "red"),
        (("nodes",), {}),
        (("nodes", "audio", "type"), "audio.imagined"),
        (("nodes", "audio", "inputs"), "clips"),
        (("nodes", "audio", "workers"), 0),
        (("nodes", "audio", "retry"), {"base_delay": 5}),
        (("nodes", "out", "on_error"), "shrug"),
        (("nodes", "out", "params", "pathh"), "out"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_the_manifest_schema_refuses_what_is_wrong(where: tuple[str, ...], value: object) -> None:
    """A manifest with one wrong value does not fit the schema, and fits without it."""
    judge = validator("manifest.schema.json")
    judge.validate(GOOD)
    spoiled = json.loads(json.dumps(GOOD))
    *path, last = where
    place = spoiled
    for part in path:
        place = place[part]
    place[last] = value
    assert not judge.is_valid(spoiled)


def test_what_a_run_writes_fits_its_schemas(tmp_path: Path) -> None:
    """Metrics and dead letters of a real run with one broken clip fit the published schemas."""
    clips = tmp_path / "clips"
    clips.mkdir()
    samples = sorted((shipped_root("manifests") / "samples").glob("*.wav"))
    shutil.copy(samples[0], clips)
    (clips / "broken.wav").write_bytes(b"RIFF, or so it says")
    manifest = load_manifest(shipped_manifests()["features"], params={"corpus": str(clips), "out": str(tmp_path / "out")})
    report = Executor(manifest, run_dir=tmp_path / "run").run()
    assert (report.records.read, report.records.completed, report.records.dead_lettered) == (2, 1, 1)
    validator("metrics.schema.json").validate(json.loads((report.run_directory / "metrics.json").read_text("utf-8")))
    letters = (report.run_directory / "dead_letters.jsonl").read_text("utf-8").splitlines()
    assert len(letters) == 1
    validator("dead-letter.schema.json").validate(json.loads(letters[0]))
    assert "broken.wav" in json.loads(letters[0])["message"]
