"""Values given for paths of a manifest, in place of those that stand there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonograph.errors import GraphError, ManifestError
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.graph.settable import settable
from phonograph.language.manifest import Manifest, load_manifest, read_manifest
from phonograph.language.overrides import NOTE
from phonograph.traced import Traced
from pipeline_nodes import ClipsParams, ResampleParams, registry

TEXT = """\
version: 1
name: demo
params:
  rate: {type: int, default: 16000, minimum: 8000}
defaults: {retry: {max_retries: 2}}
nodes:
  clips: {type: source.clips, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  mono: {type: audio.resample, input: audio, params: {sample_rate: "${params.rate}"}, workers: 1}
  vad: {type: vad.energy, input: mono, params: {bands: [{low: 10}, {low: 20, high: 30}]}}
  talk: {include: parts/talk.yaml, input: vad, params: {open_ms: 20}}
  out: {type: sink.any, input: {item: {from: talk, queue: {items: 4}}}}
"""
TALK = """\
params: {open_ms: {type: float}, closed: {type: float, default: 300, help: how long a pause may be}}
inputs: {audio: {type: audio}}
nodes:
  in: {type: vad.energy, input: inputs.audio, params: {open_ms: "${params.open_ms}", close_ms: "${params.closed}"}}
outputs: {audio: in.audio}
"""
LINE = "version: 1\nname: line\nsteps:\n  - {type: source.clips, params: {paths: clips}}\n  - {type: audio.decode}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "clips").mkdir()
    (tmp_path / "parts" / "talk.yaml").write_text(TALK)
    (tmp_path / "demo.yaml").write_text(TEXT)
    return tmp_path / "demo.yaml"


def complaints(path: Path, *overrides: str) -> list[str]:
    return [str(one).replace(str(path), "FILE") for one in read_manifest(path, overrides=overrides).complaints]


def param(manifest: Manifest, node_id: str, name: str) -> Any:
    params = manifest.nodes[node_id].params.value
    assert isinstance(params, Mapping)
    return params[name]


def test_value_of_a_node_parameter(path: Path) -> None:
    """A value that stands there is replaced, one that the node's type knows is added; both say so."""
    manifest = load_manifest(path, overrides=["nodes.mono.params.sample_rate=8000", "nodes.mono.params.quality=fast"])
    rate, quality = param(manifest, "mono", "sample_rate"), param(manifest, "mono", "quality")
    assert (rate.value, str(rate.position), rate.position.note) == (8000, f"{path}:9:68", NOTE)
    assert (quality.value, str(quality.position), quality.position.note) == ("fast", f"{path}:9:54", NOTE)
    graph = load_graph(path, registry(), overrides=["nodes.mono.params.sample_rate=8000"])
    assert graph.nodes["mono"].params == ResampleParams(sample_rate=8000)


def test_parameters_of_a_node_that_had_none(path: Path) -> None:
    """The mapping in between is one that the language knows, so it need not be there."""
    manifest = load_manifest(path, overrides=["nodes.audio.params.speed=2"])
    assert param(manifest, "audio", "speed").value == 2


def test_settings_that_the_manifest_does_not_have(path: Path) -> None:
    """Limits, defaults and policies are known to the language wherever they may stand."""
    overrides = ["limits.error_rate=0.1", "defaults.breaker.failure_threshold=9", "nodes.vad.retry.max_retries=0", "name=other"]
    manifest = load_manifest(path, overrides=overrides)
    assert (manifest.limits.error_rate, manifest.name) == (0.1, "other")
    assert manifest.nodes["vad"].breaker == {"failure_threshold": 9}
    assert (manifest.nodes["vad"].retry, manifest.nodes["mono"].retry) == ({"max_retries": 0}, {"max_retries": 2})
    assert manifest.nodes["vad"].origins["retry.max_retries"].note == NOTE


def test_values_are_yaml_1_2(path: Path) -> None:
    """Lists, mappings, numbers and quoted text mean what they mean in a manifest."""
    values = {"a": "1e-5", "b": "on", "c": "'1'", "d": "[1, x]", "e": "{x: {y: 1}}", "f": "", "g": "a=b", "h": "010"}
    manifest = load_manifest(path, overrides=[f"nodes.audio.params.{name}={text}" for name, text in values.items()])
    found = {name: param(manifest, "audio", name).value for name in values}
    assert [item.value for item in found.pop("d")] == [1, "x"]
    assert found.pop("e")["x"].value["y"].value == 1
    assert found == {"a": 1e-5, "b": "on", "c": "1", "f": None, "g": "a=b", "h": 10}


def test_elements_of_lists_go_by_number(path: Path) -> None:
    """Lists count from 0, in parameters and in steps; steps also go by their ids."""
    manifest = load_manifest(path, overrides=["nodes.vad.params.bands.1.low=25"])
    assert [band.value["low"].value for band in param(manifest, "vad", "bands").value] == [10, 25]
    path.write_text(LINE)
    for name in ("steps.0", "nodes.clips"):
        assert param(load_manifest(path, overrides=[f"{name}.params.limit=3"]), "clips", "limit").value == 3


def test_default_of_a_parameter(path: Path) -> None:
    """A default may be set like anything else; a value that is given for the parameter still goes before it."""
    overrides = ["params.rate.default=22050"]
    assert load_manifest(path, overrides=overrides).params["rate"].value == 22050
    assert load_manifest(path, overrides=overrides, params={"rate": 8000}).params["rate"].value == 8000
    (line,) = complaints(path, "params.rate.default=1000")
    assert line == (
        "FILE:4:30: wrong_value the default of parameter 'rate' is the number 1000 (overridden on the command line); "
        "expected at least 8000"
    )


def test_sub_graphs_are_reached_by_the_ids_of_their_nodes(path: Path) -> None:
    """What the including node gives is its own; what is inside goes by the flat id."""
    overrides = ["nodes.talk.params.open_ms=5", "nodes.talk/in.params.close_ms=50", "nodes.talk/in.workers=7"]
    manifest = load_manifest(path, overrides=overrides)
    assert param(manifest, "talk/in", "open_ms").value == 5.0
    close = param(manifest, "talk/in", "close_ms")
    assert (close.value, manifest.nodes["talk/in"].workers) == (50, 7)
    assert close.position.note == f"{NOTE}, included at {path}:11:19"


def test_the_later_of_two_holds(path: Path) -> None:
    """Overrides apply in their order, so that a later one sees what an earlier one put there."""
    overrides = ["nodes.vad.params={open_ms: 1}", "nodes.vad.params.open_ms=2", "nodes.vad.params.close_ms=3"]
    manifest = load_manifest(path, overrides=overrides)
    assert [param(manifest, "vad", name).value for name in ("open_ms", "close_ms")] == [2, 3]


def test_path_that_is_overridden_starts_at_the_working_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path on a command line belongs to the caller; one with a reference in it, too."""
    (path.parent / "here" / "other").mkdir(parents=True)
    monkeypatch.chdir(path.parent / "here")
    graph = load_graph(path, registry(), overrides=["nodes.clips.params.paths=other"])
    clips = graph.nodes["clips"].params
    assert isinstance(clips, ClipsParams)
    assert clips.paths == str(path.parent / "here" / "other")
    found = param(load_manifest(path, overrides=["nodes.clips.params.paths=a/${params.rate}"]), "clips", "paths").value
    assert isinstance(found, Traced) and found.is_outside
    assert found == "a/16000"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "nodes.mnoo.params.n=1",
            "FILE:7:3: override the override of 'nodes.mnoo.params.n' leads nowhere: 'nodes' has no 'mnoo'; "
            "expected one of clips, audio, mono, vad, talk, out; did you mean 'mono'?",
        ),
        (
            "node.mono.workers=1",
            "FILE:1:1: override the override of 'node.mono.workers' leads nowhere: a manifest has no 'node'; expected one of "
            "version, name, params, defaults, nodes, description, plugins, inputs, outputs, steps, limits, tests; "
            "did you mean 'nodes'?",
        ),
        (
            "nodes.mono.parms.rate=1",
            "FILE:9:9: override the override of 'nodes.mono.parms.rate' leads nowhere: 'nodes.mono' has no 'parms'; "
            "expected one of type, input, params, workers, include, run, memory, retry, breaker, timeout, "
            "total_timeout, on_error and 3 more; "
            "did you mean 'params'?",
        ),
        (
            "nodes.mono.workers.most=1",
            "FILE:9:96: override the override of 'nodes.mono.workers.most' leads nowhere: 'nodes.mono.workers' is a single value",
        ),
        (
            "nodes.vad.params.bands.2.low=1",
            "FILE:10:56: override the override of 'nodes.vad.params.bands.2.low' leads nowhere: "
            "'nodes.vad.params.bands' has no '2'; expected one of 0, 1",
        ),
        (
            "defaults.retry.max_retires=1",
            "FILE:5:19: override the override of 'defaults.retry.max_retires' leads nowhere: "
            "'defaults.retry' has no 'max_retires'; expected "
            "one of max_retries, base_delay, factor, max_delay, jitter, budget, retryable; "
            "did you mean 'max_retries'?",
        ),
        (
            "nodes.vad/in.workers=1",
            "FILE:7:3: override the override of 'nodes.vad/in.workers' leads nowhere: 'nodes' has no 'vad/in'; "
            "expected one of clips, audio, mono, vad, talk, out; did you mean 'vad'?",
        ),
        (
            "params.rat.default=1",
            "FILE:4:3: override the override of 'params.rat.default' leads nowhere: 'params' has no 'rat'; "
            "expected one of rate; did you mean 'rate'?",
        ),
        (
            "nodes.mono.workers",
            "FILE:1:1: override the override 'nodes.mono.workers' has no value; expected PATH=VALUE, such as "
            "nodes.mel.params.n_mels=128",
        ),
        (
            "nodes..x=1",
            "FILE:1:1: override the override 'nodes..x'; expected PATH=VALUE, such as nodes.mel.params.n_mels=128",
        ),
        (
            "name=[a",
            "FILE:1:1: override the value for 'name' cannot be read as YAML; expected a value; quotes round text that begins "
            "with a sign or has ': ' in it",
        ),
        (
            "nodes.mono.workers=none",
            "FILE:9:96: wrong_type 'workers' is 'none' (overridden on the command line); "
            "expected a whole number, at least 1, or auto",
        ),
        (
            "limits.error_rate=2",
            "FILE:1:1: wrong_value 'error_rate' is the number 2 (overridden on the command line); expected a number from 0 to 1",
        ),
    ],
    ids=lambda text: text.partition("=")[0] if "=" in text[:40] else "",
)
def test_override_that_is_wrong(path: Path, override: str, line: str) -> None:
    """A step that leads nowhere is named, with what would be right; a wrong value is told where it took its place."""
    assert complaints(path, override) == [line]


def test_slip_inside_a_sub_graph(path: Path) -> None:
    """The complaint stands in the sub-graph's file and names the whole path."""
    (line,) = complaints(path, "nodes.talk/inn.workers=2")
    assert line == (
        f"{path.parent}/parts/talk.yaml:4:3: override the override of 'nodes.talk/inn.workers' leads nowhere: "
        "'nodes' has no 'inn' (included at FILE:11:19); expected one of in; did you mean 'in'?"
    )


def test_all_wrong_overrides_are_told_at_once(path: Path) -> None:
    """Each wrong override has its complaint, beside those about the manifest."""
    path.write_text(TEXT.replace("workers: 1", "workers: 0"))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, overrides=["nodes.a.b=1", "limits.rate=2", "x"])
    assert sorted(one.code for one in caught.value.complaints) == ["override", "override", "override", "wrong_value"]


def test_secret_in_a_value_that_is_no_yaml(path: Path) -> None:
    """What is wrong with a value is told without the value, which may be a secret."""
    (line,) = complaints(path, "params.rate.default={hunter2: 1, hunter2: 2}")
    assert "hunter2" not in line


def settable_in(path: Path, types: Registry) -> dict[str, str]:
    """The paths of a manifest of which something can be read."""
    manifest = read_manifest(path).manifest
    assert manifest is not None
    return settable(manifest, types)


def test_paths_that_can_be_set(path: Path) -> None:
    """Every path that is listed can be set; the parameters of a node are those of its type."""
    found = settable_in(path, registry())
    assert {
        *("params.rate.default", "limits.error_rate", "defaults.retry.max_retries", "nodes.mono.params.quality"),
        *("nodes.talk.params.closed", "nodes.talk/in.params.threshold", "nodes.talk.workers", "nodes.out.on_error"),
    } <= found.keys()
    assert found["nodes.talk.params.closed"] == "how long a pause may be"
    for name in found:
        assert not [line for line in complaints(path, f"{name}=") if " override " in line], name


def test_paths_of_what_can_be_read(path: Path) -> None:
    """Without node types the parameters are those that stand there; a manifest that is wrong gives what it can."""
    assert {"nodes.mono.params.sample_rate", "nodes.vad.params.bands"} <= settable_in(path, Registry()).keys()
    assert "nodes.mono.params.quality" not in settable_in(path, Registry())
    path.write_text(TEXT.replace("workers: 1", "workers: 0"))
    assert "nodes.vad.params.threshold" in settable_in(path, registry())


def test_paths_of_a_line_can_be_set(path: Path) -> None:
    """Steps are listed by their ids."""
    path.write_text(LINE)
    found = settable_in(path, registry())
    assert "nodes.clips.params.limit" in found
    assert complaints(path, "nodes.clips.params.limit=2") == []


STEPS = ["nodes", "params", "defaults", "limits", "mono", "vad", "talk", "talk/in", "bands", "0", "retry", "rate", "x"]
VALUES = ["", "1", "x", "[a, 1]", "{a: {b: 1}}", "*a", "${params.rate}", "${", "null", "\t", "1e999", "in.audio"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(st.sampled_from(STEPS), max_size=5), st.sampled_from(VALUES)), min_size=1, max_size=3))
def test_any_override_is_taken_or_refused(path: Path, given: list[tuple[list[str], str]]) -> None:
    """Whatever the paths and values, the result is a graph or complaints, never another exception."""
    try:
        graph = load_graph(path, registry(), overrides=[f"{'.'.join(steps)}={value}" for steps, value in given])
    except (ManifestError, GraphError) as error:
        assert error.complaints
    else:
        assert graph.nodes


def test_included_files_cannot_be_overridden(tmp_path: Path) -> None:
    """What is included is merged in before; the complaint says what can be replaced instead."""
    (tmp_path / "main.yaml").write_text("version: 1\nname: a\nnodes:\n  c: {type: source.clips}\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "main.yaml", overrides=["include=[b.yaml]"])
    assert "which files a manifest includes cannot be overridden" in str(caught.value)


def test_manifest_out_of_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths in it start at the working directory."""
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    os.write(writing, b"version: 1\nname: a\nplugins: [my.py]\nnodes:\n  c: {type: source.clips}\n")
    os.close(writing)
    manifest = load_manifest(f"/dev/fd/{reading}")
    os.close(reading)
    assert (manifest.input_folder, manifest.output_folder) == (str(tmp_path), str(tmp_path))
    assert [path for path, _ in manifest.plugins] == [str(tmp_path / "my.py")]
