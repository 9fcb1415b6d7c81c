"""Sessions through shipped nodes: what comes of a stream has the places, names and marks that it should."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.metrics import RecordCounts

RATE = 16_000
LOUD = AudioChunk(np.full((1, RATE // 10), 0.5, np.float32), RATE)
QUIET = AudioChunk(np.zeros((1, RATE // 10), np.float32), RATE)
HEAD = 'version: 1\nname: live\ninputs: {audio: {type: "audio[rate=16000, channels=1]"}}\n'


def talk(folder: Path, text: str, chunks: Sequence[AudioChunk]) -> tuple[list[Item], RecordCounts]:
    """What a session gives for chunks, and how these ended."""

    async def scenario() -> list[Item]:
        async with executor, executor.session("call") as session:
            for chunk in chunks:
                await session.send(chunk)
            await session.finish()
            return [item async for item in session]

    (folder / "live.yaml").write_text(HEAD + text, "utf-8")
    executor = Executor(load_manifest(folder / "live.yaml"), run_dir=folder / "run")
    items = asyncio.run(scenario())
    metrics = json.loads((folder / "run" / "metrics.json").read_text("utf-8"))
    return items, RecordCounts(**metrics["pipeline_execution"]["records"])


def test_each_part_of_speech_is_a_file_of_its_own(tmp_path: Path) -> None:
    """A sink of audio writes a file for each part that is cut out, under the key that its row has."""
    text = """
outputs: {part: speech.audio}
nodes:
  vad: {type: vad.energy, input: inputs.audio}
  speech: {type: segment.cut, input: {audio: vad.audio, segments: vad.segments}}
  files: {type: sink.wav, input: speech, params: {path: wav}}
  rows: {type: sink.jsonl, input: speech, params: {path: rows.jsonl}}
"""
    items, _ = talk(tmp_path, text, [LOUD, QUIET, QUIET, LOUD, LOUD, QUIET])
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    assert [item.start_sample for item in items] == [0, 3 * RATE // 10]
    assert [row["key"] for row in rows] == [item.key for item in items]
    assert sorted(path.name for path in (tmp_path / "wav").iterdir()) == sorted(f"{row['key']}.wav" for row in rows)


def test_a_stream_is_one_file(tmp_path: Path) -> None:
    """Rows of features that come one after the other are written together, at the end."""
    text = """
outputs: {rows: mel.features}
nodes:
  mel: {type: features.log_mel, input: inputs.audio, params: {frontend: kaldi}}
  arrays: {type: sink.npy, input: mel, params: {path: npy}}
"""
    items, _ = talk(tmp_path, text, [LOUD, QUIET, LOUD])
    (written,) = (tmp_path / "npy").iterdir()
    assert len(items) > 1
    assert np.array_equal(np.load(written), np.concatenate([item.payload["rows"] for item in items]))


def test_what_a_filter_leaves_out_is_a_gap(tmp_path: Path) -> None:
    """Chunks that do not pass end as filtered; behind them features begin afresh, at their place, and say so."""
    text = """
outputs: {rows: mel.features}
nodes:
  vad: {type: vad.energy, input: inputs.audio, params: {frame_ms: 10}}
  loud: {type: flow.filter, input: vad, params: {keep: attributes.speech_ratio > 0.5}}
  mel: {type: features.log_mel, input: loud, params: {frontend: kaldi}}
"""
    items, records = talk(tmp_path, text, [LOUD, QUIET, QUIET, LOUD])
    assert [(item.start_sample, item.discontinuity, len(item.payload["rows"])) for item in items] == [
        (0, False, 8), (3 * RATE // 10, True, 8)
    ]  # fmt: skip
    assert (records.completed, records.filtered) == (2, 2)  # the end of the session is no record


def test_audio_is_converted_where_an_edge_needs_it(tmp_path: Path) -> None:
    """A conversion that was inserted streams too; places are at the rate of what comes out."""
    text = """
outputs: {rows: mel.features}
nodes:
  mel: {type: features.log_mel, input: slow, params: {frontend: whisper}}
  slow: {type: audio.resample, input: inputs.audio, params: {sample_rate: 8000}}
"""
    items, _ = talk(tmp_path, text, [LOUD, QUIET, LOUD])
    (only,) = items
    assert only.payload["rows"].shape == (30, 80)


def test_the_end_of_a_session_is_no_record(tmp_path: Path) -> None:
    """Records are what was sent, and the journal has no others, though features come at the end alone."""
    text = "outputs: {rows: mel.features}\nnodes:\n"
    text += "  mel: {type: features.log_mel, input: inputs.audio, params: {frontend: whisper}}\n"
    items, records = talk(tmp_path, text, [LOUD, QUIET, LOUD])
    assert [item.key for item in items] == ["call#0003"]
    assert (records.read, records.completed) == (3, 3)
    journal = (tmp_path / "run" / "journal").iterdir()
    keys = [json.loads(line).get("key") for path in journal for line in path.read_text("utf-8").splitlines()]
    assert [key for key in keys if key] == ["call#0000", "call#0001", "call#0002"]
