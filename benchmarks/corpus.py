"""Times a corpus on its way to features, beside what its stages take alone: `python -m benchmarks.corpus --out FILE.json`.

The corpus is cut from the shared speech: utterances of 2 to 15 s at 16, 22.05, 44.1 and 48 kHz, every fourth with two channels,
in each of six formats; three quarters are to be resampled, of Opus all. The pipeline decodes, mixes to 16 kHz, computes log-mel
features and stores them, with 2 workers, journal and metrics. For each format, in turns,

- `stages`: decoding, resampling, log-mel and writing in one thread, file by file, by the functions that the nodes call; writing
  is the commit protocol of the sink, with its digest and its two syncs.
- `decoders`: decoding alone, in one thread and in two; the gain is S2.
- `pipeline`: `Executor.run`, from the start of its threads to the report. Node types are looked up and the manifest is made a
  graph before, because that is the same for three files and for three million.

The ideal is a pipeline in which all stages gain what decoding does, and nothing else takes time: the sum of the stages over S2.
`share` is the ideal's time over the pipeline's, round by round, on the wall; it is above 1 where syncs and other stages gain more
from threads than decoding does. `speedup` is the stages' time over the pipeline's. `work` compares processor time: what the
stages need in one thread over what the process needed; other programs do not count there. Everything is measured once as users
run it, and once with `fsync` taken away from both sides, which shows what is not the disk's.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from acceptance.processes import shared
from benchmarks import record
from benchmarks.audio_files import Audio, make
from benchmarks.audio_speed import Clocks, clocks
from benchmarks.timing import Spread
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.sink import FilePart, output_path
from phonograph_nodes import resample
from phonograph_nodes.audio import AudioDecoder, load
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.features import LogMel
from phonograph_nodes.writing.arrays import put

FORMATS = ("wav", "flac", "mp3", "opus", "m4a", "vorbis")
RATES = (16_000, 22_050, 44_100, 48_000)
OUT_RATE = 16_000
WORKERS = 2
SHORTEST_S, LONGEST_S = 2.0, 15.0
STAGES = ("decode", "resample", "mel", "write")
MOST_OTHERS = 0.1  # of a core, that other programs may have had in a turn
MOST_TRIES = 2  # rounds for each that is wanted

MANIFEST = """
version: 1
name: corpus
nodes:
  clips: {{type: source.files, params: {{paths: "{corpus}"}}}}
  audio: {{type: audio.decode, input: clips}}
  mono: {{type: audio.resample, input: audio, params: {{sample_rate: 16000, channels: 1}}}}
  mel: {{type: features.log_mel, input: mono, params: {{frontend: whisper, n_mels: 80}}}}
  out: {{type: sink.npy, input: mel, params: {{path: "{features}"}}}}
"""


def make_corpus(folder: Path, num_files: int) -> None:
    """So many files in each format, in folders of their own; the same ones every time."""
    chance = np.random.default_rng(7)
    speech = np.concatenate([load(path, sr=OUT_RATE)[0] for path in sorted((shared() / "data" / "speech").rglob("*.flac"))])
    sources: dict[int, Audio] = {}
    for rate in RATES:
        left = resample(speech * np.float32(0.9), in_rate=OUT_RATE, out_rate=rate)
        sources[rate] = np.stack([left, 0.7 * np.roll(left, rate // 1000)])

    def written(task: tuple[str, int, int, float, float]) -> None:
        name, number, rate, seconds, place = task
        source = sources[rate]
        length = round(seconds * rate)
        first = int(place * (source.shape[1] - length))
        channels = source[: 2 if number % 4 == 3 else 1, first : first + length]
        make(folder / name, name, np.ascontiguousarray(channels), rate, f"{number:04d}")

    tasks = []
    for name in FORMATS:
        (folder / name).mkdir(parents=True)
        for number in range(num_files):
            rate = RATES[number // 4 % 4] if name != "opus" else (16_000, 48_000)[number // 4 % 2]
            tasks.append((name, number, rate, chance.uniform(SHORTEST_S, LONGEST_S), chance.random()))
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(written, tasks):
            pass


def decode(path: str) -> tuple[Audio, int]:
    with AudioDecoder(path, non_finite="zero") as decoder:
        return np.atleast_2d(decoder.decode()), decoder.sample_rate


class Stages:
    """What the nodes of the pipeline do, one file after another in one thread."""

    def __init__(self, features: Path) -> None:
        self._features = str(features)
        self._log_mel = LogMel("whisper", n_mels=80)
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.num_resampled = 0

    def run(self, paths: Sequence[str]) -> None:
        clock = time.perf_counter
        for path in paths:
            began = clock()
            samples, rate = decode(path)
            decoded = clock()
            samples = mix_to_mono(samples)
            if rate != OUT_RATE:
                samples = resample(samples, in_rate=rate, out_rate=OUT_RATE)
                self.num_resampled += 1
            resampled = clock()
            rows, _ = self._log_mel.counted(samples, sample_rate=OUT_RATE)
            analysed = clock()
            place = output_path(self._features, f"clips/{os.path.basename(path)}", ".npy")
            FilePart(place, partial(put, rows)).commit()
            written = clock()
            times = (decoded - began, resampled - decoded, analysed - resampled, written - analysed)
            for stage, taken in zip(STAGES, times, strict=True):
                self.seconds[stage] += taken


class Turn(NamedTuple):
    """One round of a format."""

    stages: Clocks
    seconds: dict[str, float]
    num_resampled: int
    decoders_1: Clocks
    decoders_2: Clocks
    pipeline: Clocks

    @property
    def gain(self) -> float:
        return self.decoders_1.wall_s / self.decoders_2.wall_s

    @property
    def speedup(self) -> float:
        return sum(self.seconds.values()) / self.pipeline.wall_s

    @property
    def share(self) -> float:
        return self.speedup / self.gain

    @property
    def work(self) -> float:
        return self.stages.processor_s / self.pipeline.processor_s

    @property
    def others(self) -> float:
        return max(self.stages.others, self.decoders_1.others, self.decoders_2.others, self.pipeline.others)


class Course:
    """The files of one format, and the ways to take them."""

    def __init__(self, corpus: Path, folder: Path) -> None:
        self.paths = sorted(str(path) for path in corpus.iterdir())
        self._corpus, self._folder = corpus, folder
        self._turns = itertools.count()
        self._features = folder, folder

    def turn(self) -> Turn:
        # New folders in each turn: what was deleted just before makes ext4 search long for free inodes.
        turn = self._folder / f"turn-{next(self._turns)}"
        turn.mkdir()
        self._features = turn / "alone", turn / "together"
        stages = Stages(self._features[0])
        manifest = turn / "corpus.yaml"
        manifest.write_text(MANIFEST.format(corpus=self._corpus, features=self._features[1]), encoding="utf-8")
        executor = Executor(load_manifest(manifest), run_dir=turn / "run", workers=WORKERS)
        os.sync()
        one, two = clocks(lambda: self._decode(1)), clocks(lambda: self._decode(2))
        alone = clocks(lambda: stages.run(self.paths))
        return Turn(alone, stages.seconds, stages.num_resampled, one, two, clocks(lambda: self._run(executor)))

    def check(self) -> None:
        """Raises SystemExit when the pipeline gives other features than its stages."""
        alone, together = ({path.relative_to(side): path for path in side.rglob("*.npy")} for side in self._features)
        differ = [name for name, path in alone.items() if not np.array_equal(np.load(path), np.load(together[name]))]
        if differ or len(alone) != len(self.paths) != len(together):
            raise SystemExit(f"{len(alone)}, {len(together)} of {len(self.paths)} stored, {len(differ)} differ; nothing is timed")

    def _run(self, executor: Executor) -> None:
        report = executor.run()
        if report.error is not None or report.records.completed != len(self.paths):
            raise SystemExit(f"not every file was completed: {report.records}, {report.error}; nothing is timed")

    def _decode(self, num_threads: int) -> None:
        if num_threads == 1:
            for path in self.paths:
                decode(path)
            return
        with ThreadPoolExecutor(num_threads) as pool:
            for _ in pool.map(decode_only, self.paths):
                pass


def decode_only(path: str) -> None:
    """Decode a file, and keep nothing, so that no memory is taken that the pipeline does not take either."""
    decode(path)


@contextlib.contextmanager
def syncing(is_on: bool) -> Iterator[None]:
    """With or without the disk's part in `fsync`."""
    with contextlib.nullcontext() if is_on else mock.patch("os.fsync"):
        yield


def measure(corpus: Path, folder: Path, name: str, rounds: int) -> Iterator[dict[str, Any]]:
    """The figures of one format, with syncs and without."""
    course = Course(corpus, folder)
    for is_synced in (True, False):
        with syncing(is_synced):
            course.turn()
            course.check()
            turns: list[Turn] = []
            while len(turns) < MOST_TRIES * rounds and sum(one.others <= MOST_OTHERS for one in turns) < rounds:
                turns.append(course.turn())
        chosen = sorted(turns, key=lambda one: one.others)[:rounds]
        num_files = len(course.paths)
        median_ms = {
            f"{stage}_ms": round(statistics.median(one.seconds[stage] for one in chosen) / num_files * 1e3, 3) for stage in STAGES
        }
        spreads = {
            "share": [one.share for one in chosen],
            "speedup": [one.speedup for one in chosen],
            "work": [one.work for one in chosen],
            "S2": [one.gain for one in chosen],
            "pipeline_s": [one.pipeline.wall_s for one in chosen],
            "pipeline_processor_s": [one.pipeline.processor_s for one in chosen],
            "stages_processor_s": [one.stages.processor_s for one in chosen],
            "others": [one.others for one in chosen],
        }
        yield {
            "format": name, "synced": is_synced, "files": num_files, "resampled": chosen[0].num_resampled, **median_ms,
            **{key: Spread.of(values).as_json() for key, values in spreads.items()},
        }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=350, help="of each format (350)")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS, help="which to time (all)")
    parser.add_argument("--corpus", type=Path, help="keep the files in this folder, and take those that are there")
    record.add_options(parser, "corpus", rounds=3)
    options = parser.parse_args(arguments)
    entries = []
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-") as name:
        folder = Path(name)
        corpus = options.corpus or folder / "corpus"
        if not corpus.exists():
            make_corpus(corpus, options.files)
        for one in options.formats:
            (folder / one).mkdir()
            for entry in measure(corpus / one, folder / one, one, options.rounds):
                entries.append(entry)
                print({key: value["median"] if isinstance(value, dict) else value for key, value in entry.items()}, flush=True)
    record.write(options.out, {"rounds": options.rounds, "workers": WORKERS, "entries": entries})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
