"""The published contracts, held against the code and against what a run writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator

from phonograph import cases, errors
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language import entries, parameters, policies
from phonograph.language.keys import MANIFEST
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, Secret, node
from phonograph.reference import catalogue, contracts
from phonograph.reference.schema import manifest_schema
from phonograph.shipped import shipped_manifests, shipped_root
from pipeline_nodes import registry

CONTRACTS = shipped_root("contracts")
SCHEMAS = ("manifest.schema.json", "metrics.schema.json", "dead-letter.schema.json", "baseline.schema.json")


def draft(name: str) -> type[Validator]:
    """The schema for editors is of the draft that they know; the others are read by programs."""
    return Draft7Validator if name == "manifest.schema.json" else Draft202012Validator


def published(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CONTRACTS / name).read_text("utf-8"))
    return schema


def validator(name: str) -> Validator:
    return draft(name)(published(name))


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
    """Each schema is valid JSON Schema, of the draft that it names."""
    judge = draft(name)
    judge.check_schema(published(name))
    assert published(name)["$schema"] == judge.META_SCHEMA["$schema"]


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


def test_good_manifests_fit_the_schema(checkout: Path) -> None:
    """Whatever the language allows, an editor takes: every right manifest of the tests fits, sub-graphs and fragments too."""
    judge = validator("manifest.schema.json")
    paths = sorted((checkout / "tests" / "manifests" / "good").rglob("*.yaml"))
    assert paths
    for path in paths:
        found = judge.iter_errors(yaml.safe_load(path.read_text("utf-8")))
        assert [f"{path.name}: {list(error.path)} {error.message}" for error in found] == []


def test_a_parameter_of_an_included_file_needs_no_type() -> None:
    """A manifest that includes another may replace a parameter's default alone; without one to include, a type is missing."""
    nodes = {"clips": {"type": "source.files", "params": {"paths": "clips"}}}
    manifest: dict[str, Any] = {"version": 1, "name": "a", "params": {"t": {"default": 0.75}}, "nodes": nodes}
    manifest["include"] = "common.yaml"
    assert validator("manifest.schema.json").is_valid(manifest)
    del manifest["include"]
    assert not validator("manifest.schema.json").is_valid(manifest)


def test_the_schema_has_the_keys_of_the_language() -> None:
    """What a mapping may hold is said twice, in the schema and in the code that reads it; both say the same."""
    schema = manifest_schema(catalogue.loadable(Registry.installed()))
    parts = schema["definitions"]

    def keys(part: dict[str, Any]) -> set[str]:
        patterns = {pattern.strip("^$") for pattern in part.get("patternProperties", {})}
        return {*part["properties"], *patterns}

    assert keys(schema) == set(MANIFEST)
    assert keys(parts["node"]) == set(entries.NODE_KEYS)
    assert keys(parts["step"]) == set(entries.STEP_KEYS)
    assert keys(schema["properties"]["defaults"]) == set(policies.KEYS)
    assert keys(parts["retry"]) == set(policies.RETRY)
    assert keys(parts["breaker"]) == set(policies.BREAKER)
    assert keys(parts["default_breaker"]) == set(policies.BREAKER_OF_MANY)
    assert keys(parts["param"]) == set(parameters.DECLARATION_KEYS)
    assert keys(parts["case"]) == set(cases.section.CASE_KEYS)
    assert keys(parts["case"]["properties"]["expect"]) == set(cases.section.OUTCOME_KEYS)


def test_a_secret_is_written_only() -> None:
    """A parameter that holds a secret is marked so in schema and catalogue, and programs that show values know to hide it."""

    class KeyParams(Params, frozen=True):
        api_key: Secret

    @node("asr.remote", inputs="audio", outputs="text")
    class Remote(Node[KeyParams]):
        """Ask a service."""

    assert catalogue.entry(Remote.spec)["params"]["api_key"]["writeOnly"] is True
    assert catalogue.parameters(Remote.spec)[0].takes == "secret text"
    params = manifest_schema([Remote.spec])["definitions"]["type asr.remote"]["properties"]["params"]
    assert params["properties"]["api_key"]["writeOnly"] is True


def test_structs_inside_parameters_are_defined() -> None:
    """Every reference inside the schema leads to a definition, also those to structs inside the parameters of nodes."""
    schema = manifest_schema(catalogue.loadable(registry()))
    text = json.dumps(schema)
    wanted = {part.partition('"')[0] for part in text.split('"$ref": "#/definitions/')[1:]}
    assert "vad.energy.Band" in wanted
    assert wanted <= set(schema["definitions"])


GOOD: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "params": {"rate": {"type": "int", "default": 16000}},
    "include": "common.yaml",
    "plugins": ["my_nodes.py"],
    "defaults": {"auto_convert": False, "retry": {"base_delay": 0, "max_delay": "800ms"}},
    "inputs": {"more": {"type": "audio[rate=16000]"}},
    "outputs": {"sound": "audio"},
    "nodes": {
        "clips": {"type": "source.files", "params": {"paths": "clips"}},
        "audio": {"type": "audio.decode", "input": "clips", "workers": 2},
        "mono": {"type": "audio.resample", "input": "audio", "params": {"sample_rate": "${params.rate}", "channels": 1}},
        "clean": {"include": "parts/clean.yaml", "input": {"audio": "mono"}, "params": {"level": 3}, "workers": 1},
        "both": {"type": "flow.join", "input": {"one": "clean.speech", "two": {"from": "mono", "queue": {"bytes": "1MiB"}}}},
        "rest": {"type": "sink.jsonl", "input": "*.dead_letter", "params": {"path": "rest.jsonl"}},
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
        (("nodes", "out", "params"), {}),
        (("nodes", "out", "input"), {"feature": "audio"}),
        (("nodes", "out", "input"), "no node"),
        (("nodes", "clips", "input"), "audio"),
        (("nodes", "mono", "params", "sample_rate"), "fast"),
        (("nodes", "mono", "params", "sample_rate"), 3),
        (("nodes", "mono", "params", "quality"), "hihg"),
        (("nodes", "clean", "type"), "audio.decode"),
        (("nodes", "clean", "include"), 3),
        (("nodes", "both", "input"), {}),
        (("steps",), [{"type": "audio.decode"}]),
        (("params", "rate", "type"), "integer"),
        (("defaults", "breaker"), {"when_open": "skip"}),
        (("inputs", "more", "type"), "sound"),
        (("plugins",), 3),
        (("tests",), [{"node": "audio"}]),
        (("name",), None),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else repr(value),
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
