"""Runs of `audio.decode` with `chunk` over files that are larger than what may be in memory at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from phonograph.engine.emission import STRETCH_BYTES
from phonograph.executor import Executor, RunReport
from phonograph.language.manifest import load_manifest

RATE, SECONDS = 48_000, 300  # 115 MB as float32 in two channels

MANIFEST = """
version: 1
name: chunks
nodes:
  clips: {{type: source.files, params: {{paths: long.flac}}}}
  audio: {{type: audio.decode, input: clips, workers: 1, {run} params: {{chunk: 10s}}}}
  out: {{type: sink.jsonl, input: audio, params: {{path: out}}}}
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """FLAC of five minutes."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("flac", rate=RATE, layout="stereo", format="s16")
        assert isinstance(stream, AudioStream)
        stream.codec_context.open()
        length = stream.codec_context.frame_size
        packed = (9000 * np.sin(np.arange(2 * length) / 7)).astype(np.int16)[np.newaxis]
        for start in range(0, RATE * SECONDS, length):
            block = av.AudioFrame.from_ndarray(packed[:, : 2 * (RATE * SECONDS - start)], format="s16", layout="stereo")
            block.sample_rate, block.pts = RATE, start
            output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return path.read_bytes()


def manifest(folder: Path, content: bytes, run: str = "") -> Path:
    (folder / "long.flac").write_bytes(content)
    (folder / "chunks.yaml").write_text(MANIFEST.format(run=run))
    return folder / "chunks.yaml"


def run_chunks(folder: Path, content: bytes, run: str = "") -> tuple[RunReport, list[str]]:
    report = Executor(load_manifest(manifest(folder, content, run)), run_dir=folder / "run").run()
    written = [path for path in (folder / "out", folder / "out.partial") if path.exists()]  # the latter of a run that failed
    return report, [json.loads(line)["key"] for path in written for line in path.read_text().splitlines()]


@pytest.mark.parametrize("run", ["", "run: process, memory: 100MiB,"], ids=["thread", "process"])
def test_a_long_file_needs_memory_for_some_chunks(tmp_path: Path, long: bytes, run: str) -> None:
    """All chunks arrive in order, their seconds are counted, and only a stretch or two of them were there at once."""
    report, keys = run_chunks(tmp_path, long, run)
    assert keys == [f"clips/long.flac#{number:04d}" for number in range(SECONDS // 10)]
    assert report.metrics is not None
    (audio,) = [node for node in report.metrics.pipeline_execution.nodes if node.id == "audio"]
    assert (audio.items_in, audio.items_out) == (1, SECONDS // 10)
    assert audio.audio_seconds == pytest.approx(SECONDS)
    assert audio.array_peak_mb < 3 * STRETCH_BYTES / 1e6


def test_a_damaged_long_file_ends(tmp_path: Path, long: bytes) -> None:
    """Where packets are destroyed all over a file, the run ends, with the chunks of what was left."""
    content = bytearray(long)
    for place in range(len(content) // 10, len(content), len(content) // 9):
        content[place : place + 5000] = bytes(5000)
    report, keys = run_chunks(tmp_path, bytes(content))
    assert report.records.read == report.records.completed + report.records.dead_lettered == 1
    assert 0 < len(keys) <= SECONDS // 10


@pytest.mark.parametrize("run", ["", "run: process,"], ids=["thread", "process"])
def test_ctrl_c_twice_ends_a_run_in_the_middle_of_a_file(tmp_path: Path, long: bytes, run: str) -> None:
    """The first lets what is in flight end, the second ends it; either way the program is gone, and says 130."""
    path = manifest(tmp_path, long, run)
    text = path.read_text().replace("chunk: 10s", "chunk: 1ms")  # 300 000 items, which take a while
    path.write_text(text)
    code = "from phonograph.cli import main; main()"
    command = [sys.executable, "-c", code, str(path), "--run-dir", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        partial = tmp_path / "out.partial"
        while not (partial.exists() and partial.stat().st_size) and child.poll() is None:
            pass  # the first chunk shows that the run is under way
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert "interrupt again" in child.stderr.readline()  # before that the two could become one
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=60)
    assert child.returncode == 130, words
