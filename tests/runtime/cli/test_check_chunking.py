"""`run-pipeline check --chunking`: a stream against a file, node by node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import run_pipeline
from phonograph.shipped import shipped_manifests, shipped_root

NODES = '''
import numpy as np
from phonograph.audio import AudioChunk
from phonograph.node import node

@node("demo.gain", streaming="causal")
def gain(audio: AudioChunk, *, factor: float = 0.5) -> AudioChunk:
    """Change the level."""
    return AudioChunk(audio.samples * np.float32(factor), audio.sample_rate)

@node("demo.mean", streaming="causal")
def mean(audio: AudioChunk) -> AudioChunk:
    """Take out the mean of what comes, which is no property of a chunk."""
    return AudioChunk(audio.samples - audio.samples.mean(axis=1, keepdims=True), audio.sample_rate)

@node("demo.nearly", streaming="causal", tolerance=1.0)
def nearly(audio: AudioChunk) -> AudioChunk:
    """Take out the mean, and declare that."""
    return AudioChunk(audio.samples - audio.samples.mean(axis=1, keepdims=True), audio.sample_rate)

@node("demo.backwards")
def backwards(audio: AudioChunk) -> AudioChunk:
    """Turn audio round, all of it at once."""
    return AudioChunk(np.ascontiguousarray(audio.samples[:, ::-1]), audio.sample_rate)

@node("demo.picky", streaming="causal")
def picky(audio: AudioChunk) -> AudioChunk:
    """Refuse what is short."""
    if audio.num_samples < 4_000:
        raise ValueError("too short")
    return audio

@node("demo.words")
def words(text: str) -> str:
    """Count words, of a whole text."""
    return str(len(text.split()))

@node("demo.heard", streaming="causal")
def heard(audio: AudioChunk) -> str:
    """Say what was heard."""
    return "x" * audio.num_samples

@node("demo.another")
def another(record: dict) -> AudioChunk:
    """Give audio too."""
    return AudioChunk(np.zeros((1, 10), np.float32), 16_000)
'''

LIVE = """version: 1
name: live
plugins: [nodes.py]
inputs: {audio: {type: "audio[rate=8000, channels=1]"}}
outputs: {out: OUT}
nodes:
  first: {type: demo.gain, input: inputs.audio}
"""


def manifest(folder: Path, text: str) -> str:
    (folder / "nodes.py").write_text(NODES, "utf-8")
    (folder / "live.yaml").write_text(text, "utf-8")
    return str(folder / "live.yaml")


def live(folder: Path, *nodes: str) -> str:
    """A manifest with nodes behind each other, given as (id: type)."""
    names = ["first", *(node.partition(":")[0] for node in nodes)]
    lines = [
        f"  {name}: {{type: {node.partition(': ')[2]}, input: {before}}}\n"
        for node, name, before in zip(nodes, names[1:], names, strict=False)
    ]
    return manifest(folder, LIVE.replace("OUT", names[-1]) + "".join(lines))


def rows(output: str) -> dict[str, list[str]]:
    """Node -> type, class, difference."""
    table = [line.split(maxsplit=3) for line in output.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in table}


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_a_shipped_manifest_gives_the_same_in_chunks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node of it has no difference at all, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    ended = run_pipeline("check", name, "--chunking", "--seeds", "2")
    found = rows(ended.stdout)
    del found["node"]
    assert {row[2] for row in found.values()} == {"0"}
    assert ended.stdout.splitlines()[-1] == f"{name}: chunks give what one piece gives (3 records, each cut in 2 ways)"
    assert ended.status == 0
    assert list(tmp_path.iterdir()) == []


def test_a_front_end_is_of_the_class_that_its_parameters_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node's class is told for the parameters that it has."""
    monkeypatch.chdir(tmp_path)
    command = ("check", "features", "--chunking", "--seeds", "1", "--sample", "1")
    for frontend, streaming in (("kaldi", "causal"), ("whisper", "post-normalised"), ("paraformer", "whole")):
        ended = run_pipeline(*command, "--param", f"frontend={frontend}")
        assert rows(ended.stdout)["mel"] == ["features.log_mel", streaming, "0"]
        assert ended.status == 0


def test_a_node_that_does_not_keep_its_word_is_told(tmp_path: Path) -> None:
    """The largest difference, where it is, the record and the seed that show it; the status is 1."""
    ended = run_pipeline("check", live(tmp_path, "mean: demo.mean", "turned: demo.backwards"), "--chunking")
    found = rows(ended.stdout)
    assert found["first"] == ["demo.gain", "causal", "0"]
    assert found["mean"][2].startswith("0.")
    assert "port 'mean.audio': at [0, " in found["mean"][2]
    assert "; noise of " in found["mean"][2]
    assert "chunks give something else than one piece at 2 of 3 nodes (3 records, each cut in 3 ways)" in ended.stdout
    assert ended.status == 1


def test_a_node_may_differ_as_far_as_it_declares(tmp_path: Path) -> None:
    """A tolerance covers the node that declares it and those behind it, and is told beside the difference."""
    ended = run_pipeline("check", live(tmp_path, "nearly: demo.nearly", "turned: demo.backwards"), "--chunking")
    found = rows(ended.stdout)
    assert found["nearly"][2].endswith("(declared: 1)")
    assert found["turned"][2].endswith("(declared: 1)")
    assert ended.status == 0


def test_a_node_that_fails_on_chunks_alone_is_told(tmp_path: Path) -> None:
    """What is refused in one way and not in the other is a difference, with the reason."""
    ended = run_pipeline("check", live(tmp_path, "picky: demo.picky"), "--chunking")
    assert "no failure on one piece, exception (ValueError: too short) on chunks" in rows(ended.stdout)["picky"][2]
    assert ended.status == 1


def test_the_same_for_programs(tmp_path: Path) -> None:
    """JSON has a row for each node, with null for a difference that has no figure."""
    ended = run_pipeline("check", live(tmp_path, "picky: demo.picky"), "--chunking", "--format", "json", "--seeds", "1")
    (found,) = json.loads(ended.stdout)["chunking"]
    first, picky = found["nodes"]
    assert (found["records"], found["holds"]) == (3, False)
    assert first == {
        "id": "first", "type": "demo.gain", "streaming": "causal", "tolerance": 0.0, "deviation": 0.0, "where": "", "key": None,
        "seed": None, "holds": True,
    }  # fmt: skip
    assert (picky["deviation"], picky["seed"], picky["holds"]) == (None, 0, False)


def complaint(ended: Any) -> str:
    assert ended.status == 2
    (found,) = [line for line in ended.stdout.splitlines() if " chunking " in line or " streaming " in line]
    return str(found.partition(" ")[2])


def test_without_audio_there_is_nothing_to_cut(tmp_path: Path) -> None:
    """A manifest in which audio begins nowhere is refused."""
    text = "version: 1\nname: none\nnodes:\n  clips: {type: source.files, params: {paths: nodes.py}}\n"
    text += "  out: {type: sink.jsonl, input: clips, params: {path: out.jsonl}}\n"
    assert complaint(run_pipeline("check", manifest(tmp_path, text), "--chunking")) == (
        "chunking audio begins at no node; expected one node that gives audio and takes none"
    )


def test_a_manifest_whose_audio_only_goes_to_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink gets what was cut, so that there is no difference to find."""
    monkeypatch.chdir(tmp_path)
    samples = shipped_root("manifests") / "samples"
    text = f"version: 1\nname: copy\nnodes:\n  clips: {{type: source.files, params: {{paths: {samples}}}}}\n"
    text += "  audio: {type: audio.decode, input: clips}\n  out: {type: sink.wav, input: audio, params: {path: out}}\n"
    ended = run_pipeline("check", manifest(tmp_path, text), "--chunking")
    assert rows(ended.stdout)["out"] == ["sink.wav", "whole", "0"]
    assert ended.status == 0


def test_audio_that_begins_twice_is_refused(tmp_path: Path) -> None:
    """With two beginnings nobody could say what is cut with what."""
    text = "version: 1\nname: two\nplugins: [nodes.py]\nnodes:\n  clips: {type: source.files, params: {paths: nodes.py}}\n"
    text += "  one: {type: demo.another, input: clips}\n  two: {type: demo.another, input: clips}\n"
    text += "  both: {type: flow.merge, input: {a: one, b: two}}\n  out: {type: sink.wav, input: both, params: {path: out}}\n"
    assert "audio begins at 'one' and 'two'" in complaint(run_pipeline("check", manifest(tmp_path, text), "--chunking"))


def test_a_node_that_reads_beside_the_audio_is_refused(tmp_path: Path) -> None:
    """What does not come of the audio has no chunks."""
    text = "version: 1\nname: aside\nplugins: [nodes.py]\nnodes:\n  clips: {type: source.files, params: {paths: nodes.py}}\n"
    text += "  audio: {type: demo.another, input: clips}\n  both: {type: flow.join, input: {a: audio, r: clips}}\n"
    text += "  out: {type: sink.jsonl, input: both.r, params: {path: out.jsonl}}\n"
    found = complaint(run_pipeline("check", manifest(tmp_path, text), "--chunking"))
    assert found == (
        "chunking node 'both' (flow.join) also reads 'clips', which does not come from 'audio'; "
        "expected nodes that only read what comes of the audio"
    )


def test_a_node_that_cannot_be_in_a_stream_is_refused(tmp_path: Path) -> None:
    """A type that takes something else than audio, all of it at once, has no place in a session."""
    found = complaint(run_pipeline("check", live(tmp_path, "heard: demo.heard", "words: demo.words"), "--chunking"))
    assert "node 'words' (demo.words)" in found


def test_a_wrong_manifest_is_not_run(tmp_path: Path) -> None:
    """What has errors is told as ever, and nothing runs."""
    ended = run_pipeline("check", live(tmp_path, "mean: demo.maen"), "--chunking", "--format", "json")
    assert (ended.status, json.loads(ended.stdout)["chunking"]) == (2, [])
