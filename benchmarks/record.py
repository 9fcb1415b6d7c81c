"""Stored results: JSON files that say on which machine, with which versions and at which commit they were measured."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acceptance.machine import commit, machine, versions
from benchmarks import CHECKOUT
from benchmarks.timing import ONE_THREAD
from phonograph.isa import AVAILABLE

RESULTS = CHECKOUT / "benchmarks" / "results"
PEERS = ("asrfront", "kaldi-native-fbank", "librosa", "miniaudio", "numba", "scipy", "soundfile", "transformers")
ENGINES = ("haystack-ai", "remotemedia-client", "spdl-core")


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Store one measurement's figures with all that they depend on."""
    stored = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(CHECKOUT),
        "machine": machine(),
        "instruction_sets": AVAILABLE,
        "versions": versions() | peer_versions(),
        **content,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def peer_versions() -> dict[str, str]:
    """Name -> version of the peers that are installed."""
    found = {}
    for name in PEERS + ENGINES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def missing_peers(names: Sequence[str] = PEERS) -> list[str]:
    """Those of the peers that are not installed."""
    there = peer_versions()
    return [name for name in names if name not in there]


def environment(isa: str | None = None) -> dict[str, str]:
    """Of a process in which something is timed: one thread a library, and the kernels of one instruction set when told."""
    chosen = {} if isa is None else {"PHONOGRAPH_ISA": isa}
    # transformers and librosa look for updates and caches; nothing that is timed here may
    return {**os.environ, **ONE_THREAD, **chosen, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def in_process(arguments: Sequence[str], *, isa: str | None = None, more: Mapping[str, str] | None = None) -> Any:
    """Run a module of ours in a fresh process; returns the JSON that it prints last.

    Raises:
        SystemExit: it failed; what it complained about is passed on.
    """
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT,
        env={**environment(isa), **(more or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit("\n".join(ended.stderr.splitlines()[-20:]) or f"{' '.join(arguments)}: exit status {ended.returncode}")
    return json.loads(ended.stdout.splitlines()[-1])


def add_options(parser: argparse.ArgumentParser, name: str, *, rounds: int) -> None:
    """What every measurement is told: how many rounds, and where its figures go."""
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each side ({rounds})")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json", help=f"where the figures go (results/{name}.json)")
