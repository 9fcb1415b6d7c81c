"""Node types that tests of manifests and graphs are written over: they are declared, and never run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from phonograph.flow.collect import Collect
from phonograph.flow.filter import Filter
from phonograph.flow.order import Order
from phonograph.graph.builder import load_graph
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.item import Item
from phonograph.node import Emitted, InputPath, Node, OutputPath, Params, Port, PortType, Source, node
from phonograph.sink import Sink
from phonograph.spec import Ports


class ClipsParams(Params, frozen=True):
    paths: InputPath | list[InputPath]
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


@node("source.clips", outputs={"record": "record"})
class Clips(Source[ClipsParams]):
    """Read clips."""


@node("audio.decode", inputs={"record": "record"}, outputs="audio", attributes={"duration": "float", "codec": "str"})
class Decode(Node[Params]):
    """Decode clips."""


class ResampleParams(Params, frozen=True):
    sample_rate: Annotated[Annotated[int, msgspec.Meta(ge=8000, le=192000)] | None, msgspec.Meta(extra={"unit": "Hz"})]
    channels: Literal[1] | None = None
    quality: Literal["fast", "high", "best"] = "high"


@node(
    "audio.resample",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate={sample_rate|r}, channels={channels|c}]"},
    converts={"rate": "sample_rate", "channels": "channels"},
    retryable=(KeyError,),
)
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


@node(
    "vad.energy",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate=r, channels=c]", "segments": "segments"},
    attributes={"speech_ratio": "float", "start_ms": "float", "clipped": "bool"},
)
class Vad(Node[VadParams]):
    """Find speech."""


@node("segment.cut", inputs={"audio": "audio", "segments": "segments"}, outputs="audio", cardinality="1:N")
class Cut(Node[Params]):
    """Cut segments out."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        raise NotImplementedError


@node("audio.narrow", inputs={"audio": "audio[rate=8000]"}, outputs="audio")
class Narrow(Node[Params]):
    """Take telephone audio only."""


@node("takes.stereo", inputs={"audio": "audio[channels=2]"}, outputs="audio")
class Stereo(Node[Params]):
    """Take stereo audio only."""


@node("takes.low_rates", inputs={"audio": "audio[rate=8000..16000, channels=1|2]"}, outputs="audio")
class LowRates(Node[Params]):
    """Take low rates only."""


class MelParams(Params, frozen=True):
    n_mels: int | None = None


@node("features.mel", inputs={"audio": "audio[rate=16000, channels=1]"}, outputs={"features": "features[bins={n_mels|80}]"})
class Mel(Node[MelParams]):
    """Make features."""


@node("asr.model", inputs={"features": "features[bins=80]"}, outputs="text")
class Model(Node[Params]):
    """Take 80 bins."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        raise NotImplementedError


@node("signal.mix", inputs={"left": "audio[rate=r]", "right": "audio[rate=r]"}, outputs={"audio": "audio[rate=r, channels=2]"})
class Mix(Node[Params]):
    """Take two signals of one rate."""


@node("signal.split", inputs="audio", outputs={"low": "audio[rate=8000]", "high": "audio[rate=16000]"})
class Split(Node[Params]):
    """Give two signals of different rates."""


@node("takes.both", inputs={"raw": "audio", "low": "audio[rate=8000]", "high": "audio[rate=48000]"}, outputs="audio")
class Both(Node[Params]):
    """Take audio as it is, and at two rates."""


def _named(params: Params, names: tuple[str, ...]) -> Ports:
    return tuple(Port(name, PortType.parse("any[type=t]")) for name in names), (Port("out", PortType.parse("any[type=t]")),)


@node("flow.merge", ports_of=_named, variadic=True)
class Merge(Node[Params]):
    """Hand on whatever comes."""


def _alike(params: Params, names: tuple[str, ...]) -> Ports:
    if len(names) < 2:
        raise ValueError("joins one input; expected at least two")
    ports = tuple(Port(name, PortType.parse(f"any[type={name}]")) for name in names)
    return ports, ports


def _broken(params: Params, names: tuple[str, ...]) -> Ports:
    raise KeyError("weights")


@node("broken.ports", ports_of=_broken)
class BrokenPorts(Node[Params]):
    """Cannot tell its ports."""


@node("flow.join", ports_of=_alike, variadic=True, joins=True)
class Join(Node[Params]):
    """Put together what belongs together."""


class RouteParams(Params, frozen=True):
    cases: tuple[str, ...]


def _cases(params: RouteParams, names: tuple[str, ...]) -> Ports:
    whole = PortType.parse("any[type=t]")
    return (Port("item", whole),), tuple(Port(name, whole) for name in params.cases)


@node("flow.route", ports_of=_cases, chooses=True)  # type: ignore[arg-type]  # is called with this type's own parameters
class Route(Node[RouteParams]):
    """Send each item one of several ways."""


class TextParams(Params, frozen=True):
    path: OutputPath
    folder: Annotated[OutputPath, msgspec.Meta(extra={"folder": True})] = "texts"


@node("sink.text", inputs={"item": "any"})
class TextSink(Sink[TextParams]):
    """Store everything in one file, and more below a folder."""


@node("sink.more", inputs={"item": "any"})
class MoreSink(Sink[TextParams]):
    """The same, for another type."""


@node("sink.any", inputs={"item": "any"})
class AnySink(Sink[Params]):
    """Store anything."""


class NpyParams(Params, frozen=True):
    path: OutputPath
    index: OutputPath = "index.txt"
    also: dict[str, OutputPath] = msgspec.field(default_factory=dict)


@node("sunk.audio", inputs="audio")
class AudioSink(Sink[NpyParams]):
    """Store audio."""


def registry() -> Registry:
    """A registry with the nodes of this module."""
    made = Registry()
    for declared in (
        *(Clips, Decode, Resample, Vad, Cut, Narrow, Stereo, LowRates, Mel, Model, Mix, Split, Both),
        *(Merge, Join, BrokenPorts, Route, Filter, Collect, Order, AudioSink, AnySink, TextSink, MoreSink),
    ):
        made.register(declared)
    return made


def graph_of(folder: Path, nodes: str, *more: str) -> Graph:
    """The graph of a manifest with these nodes, one a line, and what else stands at its top; a clip folder is there."""
    (folder / "samples").mkdir(exist_ok=True)
    path = folder / "demo.yaml"
    lines = [f"  {line.strip()}" for line in nodes.strip().splitlines()]
    path.write_text("\n".join(["version: 1", "name: demo", *more, "nodes:", *lines, ""]), encoding="utf-8")
    return load_graph(path, registry())


CLIPS = """
clips: {type: source.clips, params: {paths: samples}}
audio: {type: audio.decode, input: clips}
"""
"""The beginning of most graphs: `audio` is of any rate and number of channels."""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    """Put a package with one module on the path, its NODES under the entry-point group."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[phonograph.nodes]\n{name} = {name}_catalogue:NODES\n")
    (folder / f"{name}_catalogue.py").write_text(code)
    monkeypatch.delitem(sys.modules, f"{name}_catalogue", raising=False)
    monkeypatch.syspath_prepend(folder)
