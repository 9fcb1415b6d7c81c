"""`run-pipeline explain`: values with their origin, types on edges, segments with their reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import LINE, project, run_pipeline
from phonograph.explaining.words import path_in_words, value_in_words
from phonograph.language.units import duration_in_words, size_in_words
from phonograph.shipped import shipped_manifests
from places import TESTS

PART = """version: 1
name: part
params:
  level: {type: float, default: 0.02}
inputs: {audio: {type: audio}}
outputs: {speech: cut}
nodes:
  vad: {type: vad.energy, input: inputs.audio, params: {threshold: "${params.level}"}}
  cut: {type: segment.cut, input: {audio: vad, segments: vad.segments}}
"""

WHOLE = """version: 1
name: whole
params:
  token: {type: secret, default: hunter2hunter2}
  corpus: {type: path, default: "${env:CLIPS_FOLDER:-clips}"}
  pause: {type: duration, default: 90s}
defaults: {retry: {max_retries: 5, base_delay: 200ms}}
nodes:
  clips: {type: source.files, params: {paths: "${params.corpus}"}}
  audio: {type: audio.decode, input: clips, workers: 2, on_error: skip}
  part: {include: part.yaml, input: {audio: audio}, params: {level: 0.03}}
  mel: {type: features.log_mel, input: {audio: {from: part.speech, queue: {items: 4}}}}
  mel2: {type: features.log_mel, input: part.speech}
  both: {type: flow.join, input: {a: mel, b: mel2}}
  out: {type: sink.npy, input: both.a, params: {path: "out/${params.token}"}}
limits: {error_rate: 0.1}
"""

LINE_WITH_POLICIES = """version: 1
name: line
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  mel: {type: features.log_mel, input: audio, on_error: fail, retry: {max_retries: 7}}
  out: {type: sink.npy, input: mel, params: {path: out}}
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A manifest with everything that there is to explain, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLIPS_FOLDER", raising=False)
    project(tmp_path, PART, "part.yaml")
    project(tmp_path, WHOLE, "whole.yaml")
    return "whole.yaml"


def explained(*arguments: str) -> Any:
    ended = run_pipeline("explain", *arguments, "--format", "json")
    assert ended.status == 0, ended.stderr
    return json.loads(ended.stdout)


def node(found: Any, node_id: str) -> Any:
    return next(one for one in found["nodes"] if one["id"] == node_id)


def param(found: Any, node_id: str, name: str) -> tuple[str, str]:
    return next((fact["value"], fact["origin"]) for fact in node(found, node_id)["params"] if fact["name"] == name)


def segment(found: Any, *nodes: str) -> Any:
    return next(one for one in found["segments"] if one["nodes"] == list(nodes))


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_what_is_said_of_a_shipped_manifest(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is, to the letter, what was recorded; `make explained` records it again."""
    monkeypatch.chdir(tmp_path)
    ended = run_pipeline("explain", name, "--run-dir", "run")
    assert ended.status == 0
    assert ended.stdout == (TESTS / "manifests" / "explained" / f"{name}.txt").read_text("utf-8")
    assert list(tmp_path.iterdir()) == []


def test_nothing_depends_on_where_the_manifest_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies in two folders are explained alike, from wherever that is asked."""
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = project(tmp_path / name)
        monkeypatch.chdir(tmp_path / name if name == "one" else tmp_path)
        texts.append(run_pipeline("explain", path, "--run-dir", "/elsewhere/run").stdout)
    assert texts[0] == texts[1]


def test_text_fits_a_page(whole: str) -> None:
    """No line of the text is much wider than 100 columns."""
    assert max(map(len, run_pipeline("explain", whole).stdout.splitlines())) <= 130


def test_origins_of_values(whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value is told with the line that it stands on, the parameter that it comes from, or the type whose default it is."""
    found = explained(whole)
    assert param(found, "clips", "paths") == ("clips", "whole.yaml:9, from params.corpus")
    assert param(found, "audio", "keep_truncated") == ("false", "default of audio.decode")
    assert param(found, "part/vad", "threshold")[0] == "0.03"
    assert node(found, "part/vad")["place"] == "part.yaml:8 (included at whole.yaml:11:19)"
    assert [(fact["name"], fact["value"], fact["origin"]) for fact in found["params"]] == [
        ("token", "***", "default, whole.yaml:4"),
        ("corpus", "clips", "default, whole.yaml:5"),
        ("pause", "90s", "default, whole.yaml:6"),
    ]
    (subgraph,) = found["subgraphs"]
    assert subgraph["params"] == [{"name": "level", "value": "0.03", "origin": "whole.yaml:11"}]
    monkeypatch.setenv("CLIPS_FOLDER", "clips")
    assert explained(whole)["params"][1]["origin"] == "default, whole.yaml:5, from the environment variable CLIPS_FOLDER"


def test_the_origin_of_a_limit(whole: str) -> None:
    """It is told where a limit stands, or that the command line gave it; one that nobody set is not told."""
    assert explained(whole)["limits"] == [{"name": "error_rate", "value": "0.1", "origin": "whole.yaml:16"}]
    (fact,) = explained(whole, "--set", "limits.error_rate=1")["limits"]
    assert (fact["value"], fact["origin"]) == ("1", "whole.yaml:16 (overridden on the command line)")
    assert explained("features", "--set", "name=x")["limits"] == []


def test_values_from_the_command_line(whole: str) -> None:
    """What --param and --set gave is said to come from there."""
    found = explained(whole, "--param", "corpus=clips", "--set", "nodes.part.params.level=0.5", "--set", "nodes.audio.workers=3")
    assert found["params"][1]["origin"] == "--param corpus"
    assert found["subgraphs"][0]["params"][0]["origin"] == "whole.yaml:11 (overridden on the command line)"
    assert segment(found, "audio")["workers"]["value"] == "3"
    assert segment(found, "audio")["workers"]["origin"].endswith("(overridden on the command line)")


def test_a_secret_is_nowhere(whole: str) -> None:
    """The value of a secret parameter, also inside other text, is shown as ***."""
    for form in ("text", "json"):
        told = run_pipeline("explain", whole, "--format", form).stdout
        assert "hunter2" not in told
        assert "out/***" in told


def test_an_inserted_node_has_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told like any others, with the place in the manifest that they come from: its reader's."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, LINE_WITH_POLICIES, "line.yaml")
    inserted = node(explained("line.yaml"), "audio~resample")
    assert [tuple(fact.values()) for fact in inserted["policies"]] == [
        ("retry", "max_retries 7", "line.yaml:6"),
        ("on_error", "fail", "line.yaml:6"),
    ]


def test_types_and_conversions(whole: str) -> None:
    """Every edge has its type; an inserted conversion says in front of what it stands, what it changes and what it loses."""
    found = explained(whole)
    assert node(found, "part/cut")["inputs"][1] == {
        "port": "segments",
        "source": "part/vad.segments",
        "type": "segments",
        "taken": "",
        "dead_letters": False,
        "fallback": False,
    }
    inserted = node(found, "audio~resample")
    assert inserted["place"] == "inserted before part/vad"
    assert inserted["changes"] == "channels to 1"
    assert "channels" in inserted["loses"]


def test_reasons_of_segments(whole: str) -> None:
    """Each segment says why it does not run with what is in front of it, and who runs it."""
    found = explained(whole)
    assert "source" in segment(found, "clips")["reason"]
    assert segment(found, "clips")["workers"] is None
    assert segment(found, "audio")["reason"] == "follows the source clips"
    assert segment(found, "audio")["workers"] == {"name": "workers", "value": "2", "origin": "whole.yaml:10"}
    assert "workers: auto, those of audio: 2" in segment(found, "audio~resample", "part/vad")["reason"]
    assert segment(found, "part/cut")["reason"] == "runs inline, part/vad in threads"
    assert "event loop" in segment(found, "part/cut")["workers"]["origin"]
    reason = segment(found, "part/cut~resample", "mel")["reason"]
    assert "fan-out of part/cut" in reason and "explicit queue" in reason
    assert segment(found, "part/cut~resample", "mel")["queue"] == {
        "name": "queue",
        "value": "4 items, 256MiB",
        "origin": "whole.yaml:12",
    }
    assert segment(found, "both")["reason"] == "gathers mel, mel2"
    assert segment(found, "both")["opens_at"] == ["part/cut"]
    assert segment(found, "out")["reason"] == "a sink stands alone"


def test_every_segment_has_a_reason(whole: str) -> None:
    """There is no barrier that is not explained, in any manifest that we ship or made up here."""
    for manifest in (whole, *shipped_manifests()):
        assert [one["nodes"] for one in explained(manifest)["segments"] if not one["reason"]] == []


def test_policies_that_differ_are_told(whole: str) -> None:
    """What the manifest sets is one line with its place; what all nodes share is told once in the text."""
    found = explained(whole)
    assert node(found, "audio")["policies"] == [
        {"name": "retry", "value": "max_retries 5, base_delay 200ms", "origin": "whole.yaml:7"},
        {"name": "on_error", "value": "skip", "origin": "whole.yaml:10"},
    ]
    assert run_pipeline("explain", whole).stdout.count("max_retries 5") == 1


def test_dead_letters_and_their_readers(tmp_path: Path) -> None:
    """Who reads whose dead letters is told, and where the rest lands."""
    found = explained(project(tmp_path), "--run-dir", str(tmp_path / "run"))
    read, rest = found["dead_letters"]
    assert read["value"] == "rejected"
    assert {"clips", "audio", "mel", "out"} <= set(read["name"].split(", "))
    assert rest == {"name": "the others", "value": "run/dead_letters.jsonl", "origin": ""}


def test_one_node_alone(whole: str) -> None:
    """--node leaves only that node and its segment, with all of its policies."""
    told = run_pipeline("explain", whole, "--node", "audio").stdout
    assert "audio: audio.decode" in told and "max_retries 5" in told
    assert "mel" not in told


def test_a_node_that_is_not_there_is_refused(whole: str) -> None:
    """An unknown id is a wrong command line, with the nearest ids."""
    ended = run_pipeline("explain", whole, "--node", "audoi")
    assert ended.status == 2
    assert "did you mean 'audio'" in ended.stderr


def test_a_wrong_manifest_is_not_explained(tmp_path: Path) -> None:
    """Its complaints come instead, and the status is 2."""
    ended = run_pipeline("explain", project(tmp_path, LINE.replace("audio.decode", "audio.decoed")))
    assert (ended.status, ended.stdout) == (2, "")
    assert "unknown_type" in ended.stderr


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "", "null"),
        (True, "", "true"),
        (16000, "Hz", "16000 Hz"),
        (0.1 + 0.2, "", "0.30000000000000004"),
        (14400.0, "s", "14400 s"),
        ("", "", "''"),
        ("a\nb", "", "a b"),
        ([1, "x", None], "", "[1, x, null]"),
        ({"low": 1.5}, "", "{low: 1.5}"),
        (frozenset({"b", "a"}), "", "[a, b]"),
        (90.0, "duration", "90s"),
        (2**20, "size", "1MiB"),
    ],
)
def test_values_in_words(value: object, unit: str, words: str) -> None:
    """Values are written as a manifest has them."""
    assert value_in_words(value, unit) == words


@pytest.mark.parametrize(("seconds", "words"), [(0, "0s"), (0.1, "100ms"), (1.5, "1.5s"), (60, "1m"), (90, "90s"), (7200, "2h")])
def test_durations_in_words(seconds: float, words: str) -> None:
    """A duration has the largest unit of which it is a whole number."""
    assert duration_in_words(seconds) == words


@pytest.mark.parametrize(("num_bytes", "words"), [(0, "0B"), (1000, "1000B"), (2**28, "256MiB"), (3 * 2**30, "3GiB")])
def test_sizes_in_words(num_bytes: int, words: str) -> None:
    """A size has the largest unit of which it is a whole number."""
    assert size_in_words(num_bytes) == words


def test_paths_in_words() -> None:
    """A path is relative to the first folder that it is below, else absolute."""
    assert path_in_words("/a/b/c", "/a", "/a/b") == "b/c"
    assert path_in_words("c", "/x", "/a/b") == "c"
    assert path_in_words("/y", "/x", "/a") == "/y"
    assert path_in_words("/abc", "/ab") == "/abc"


LOUD = '''
from phonograph import AudioChunk
from phonograph.node import node


@node("my.quiet", batch=True)
def quiet(audio: list[AudioChunk]) -> list[AudioChunk]:
    """Leave it."""
    return audio
'''

IN_BATCHES = """version: 1
name: batches
plugins: [loud.py]
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  quiet: {type: my.quiet, input: {audio: {from: audio, batch: {max_items: 4, max_audio: 90s, bucket: duration}}}}
  again: {type: my.quiet, input: quiet}
  out: {type: sink.wav, input: again, params: {path: out}}
"""


def test_a_batch_is_a_barrier(whole: str, tmp_path: Path) -> None:
    """A node that takes batches runs by itself, and it is told which items it takes together."""
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "batches.yaml").write_text(IN_BATCHES)
    found = explained("batches.yaml")
    assert segment(found, "quiet")["reason"] == "takes batches"
    assert segment(found, "quiet")["batch"] == {
        "name": "batch",
        "value": "up to 4 items or 90s of audio, waits 20ms, by duration",
        "origin": "batches.yaml:7",
    }
    assert segment(found, "again")["reason"] == "quiet takes batches, and stands alone"
    assert segment(found, "again")["batch"] is None
    told = run_pipeline("explain", "batches.yaml").stdout
    assert "batch    up to 4 items or 90s of audio, waits 20ms, by duration (batches.yaml:7)" in told


def test_a_batch_is_set_from_the_command_line(whole: str, tmp_path: Path) -> None:
    """Its keys are keys of the language like others."""
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "batches.yaml").write_text(IN_BATCHES)
    told = run_pipeline("explain", "batches.yaml", "--set", "nodes.quiet.input.audio.batch.max_items=2").stdout
    assert "up to 2 items" in told
