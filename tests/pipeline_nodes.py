"""Node types that tests of manifests and graphs are written over: they are declared, and never run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from phonograph.node import InputPath, Node, OutputPath, Params, Source, node
from phonograph.registry import Registry
from phonograph.sink import Sink


class ClipsParams(Params, frozen=True):
    paths: InputPath | list[InputPath]
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


@node("source.clips", outputs={"record": "record"})
class Clips(Source[ClipsParams]):
    """Read clips."""


@node("audio.decode", inputs={"record": "record"}, outputs="audio")
class Decode(Node[Params]):
    """Decode clips."""


class ResampleParams(Params, frozen=True):
    sample_rate: Annotated[int, msgspec.Meta(ge=8000, le=192000, extra={"unit": "Hz"})]
    quality: Literal["fast", "high", "best"] = "high"


@node("audio.resample", inputs="audio", outputs={"audio": "audio[rate=16000]"}, retryable=(KeyError,))
class Resample(Node[ResampleParams]):
    """Change the sample rate."""


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: float
    high: float = 8000.0


class VadParams(Params, frozen=True):
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.02
    open_ms: Annotated[float, msgspec.Meta(extra={"unit": "ms"})] = 30.0
    close_ms: float = 300.0
    bands: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        if self.open_ms > self.close_ms:
            raise ValueError(f"open_ms is {self.open_ms:g}; expected at most close_ms, {self.close_ms:g}")


@node("vad.energy", inputs="audio", outputs={"audio": "audio", "segments": "segments"})
class Vad(Node[VadParams]):
    """Find speech."""


@node("segment.cut", inputs={"audio": "audio", "segments": "segments"}, outputs="audio", cardinality="1:N")
class Cut(Node[Params]):
    """Cut segments out."""


@node("audio.narrow", inputs={"audio": "audio[rate=8000]"}, outputs="audio")
class Narrow(Node[Params]):
    """Take telephone audio only."""


class NpyParams(Params, frozen=True):
    path: OutputPath
    index: OutputPath = "index.txt"
    also: dict[str, OutputPath] = msgspec.field(default_factory=dict)


@node("sink.audio", inputs="audio")
class AudioSink(Sink[NpyParams]):
    """Store audio."""


def registry() -> Registry:
    """A registry with the nodes of this module."""
    made = Registry()
    for declared in (Clips, Decode, Resample, Vad, Cut, Narrow, AudioSink):
        made.register(declared)
    return made


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    """Put a package with one module on the path, its NODES under the entry-point group."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[phonograph.nodes]\n{name} = {name}_catalogue:NODES\n")
    (folder / f"{name}_catalogue.py").write_text(code)
    monkeypatch.delitem(sys.modules, f"{name}_catalogue", raising=False)
    monkeypatch.syspath_prepend(folder)
