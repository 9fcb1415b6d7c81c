"""Durations and sizes as parameters: of manifests, of nodes, from one to the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from phonograph.errors import Complaint
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.language.binding import bind
from phonograph.language.manifest import load_manifest
from phonograph.language.units import NumBytes, Seconds
from phonograph.language.yaml12 import Located, load_value
from phonograph.node import Duration, Params, Size
from phonograph.reference.catalogue import parameters
from phonograph.spec import NodeSpec, fields_of, measures


class Waits(Params, frozen=True):
    wait: Annotated[Duration | None, msgspec.Meta(description="how long")] = None
    soon: Annotated[Duration, msgspec.Meta(le=60)] = 1.5
    room: Size = 2**20
    pauses: list[Duration] = []  # noqa: RUF012  # msgspec copies it
    text: str = ""


def bound(text: str) -> Any:
    complaints: list[Complaint] = []
    params = bind(Waits, load_value(text, "f.yaml"), what="node 'x'", input_folder="/", output_folder="/", complaints=complaints)
    return params if not complaints else [complaint.words for complaint in complaints]


def test_text_with_a_unit_is_seconds_or_bytes() -> None:
    """A node gets plain numbers, also inside a list."""
    found = bound("{wait: 2m, soon: 100ms, room: 1KiB, pauses: [1s, 0]}")
    assert found == Waits(wait=120.0, soon=0.1, room=1024, pauses=[1.0, 0.0])
    assert bound("{wait: null}") == Waits()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "{wait: 5}",
            "parameter 'wait' is the number 5; expected a duration with its unit, such as 100ms, 30s, 10m or 1h",
        ),
        ("{wait: true}", "parameter 'wait' is true; expected a duration with its unit"),
        ("{wait: [5s]}", "parameter 'wait' is a list; expected a duration with its unit"),
        ("{soon: 2m}", "parameter 'soon' is '2m'; expected a duration with its unit, such as 100ms, 30s, 10m or 1h, at most 1m"),
        ("{soon: null}", "parameter 'soon' is empty; expected a duration with its unit"),
        ("{room: 7 MB extra}", "parameter 'room' is '7 MB extra'; expected a size with its unit, such as 512MiB or 1GB"),
        ("{pauses: [1s, 2]}", "parameter 'pauses' is the number 2; expected a duration"),
    ],
)
def test_what_is_no_quantity_is_refused(given: str, words: str) -> None:
    """A complaint says what is expected with its unit, never as a bare number."""
    (found,) = bound(given)
    assert found.startswith(words)


def test_a_reference_knows_its_unit() -> None:
    """What came from a parameter of type duration or size needs no text any more; a duration is still no size."""
    start = load_value("x", "f.yaml").position
    for values, expected in (
        ({"wait": Seconds(5), "room": NumBytes(7)}, Waits(wait=5.0, room=7)),
        ({"wait": NumBytes(5)}, None),
        ({"room": Seconds(5)}, None),
    ):
        complaints: list[Complaint] = []
        located = Located({name: Located(value, start) for name, value in values.items()}, start, dict.fromkeys(values, start))
        params = bind(Waits, located, what="node 'x'", input_folder="/", output_folder="/", complaints=complaints)
        assert params == expected
        assert bool(complaints) == (expected is None)


def test_the_parameter_of_a_manifest_feeds_a_timeout(tmp_path: Path) -> None:
    """A duration of the manifest reaches a node, also through a sub-graph; in longer text it stands with its unit."""
    (tmp_path / "samples").mkdir()
    (tmp_path / "batch.yaml").write_text(
        "params: {wait: {type: duration}}\ninputs: {item: {type: record}}\noutputs: {items: many}\nnodes:\n"
        '  many: {type: flow.collect, input: inputs.item, params: {by: count, size: 2, timeout: "${params.wait}"}}\n'
    )
    path = tmp_path / "main.yaml"
    path.write_text(
        "version: 1\nname: demo\n"
        "params: {t: {type: duration, default: 5s}, room: {type: size, default: 512MiB}, long: {type: duration, default: 90s}}\n"
        "nodes:\n"
        "  clips: {type: source.files, params: {paths: samples}}\n"
        '  two: {type: flow.collect, input: clips, params: {by: count, size: 2, timeout: "${params.t}"}}\n'
        '  more: {include: batch.yaml, input: clips, params: {wait: "${params.long}"}}\n'
        "  rest: {type: sink.jsonl, input: two, params: {path: out/two.jsonl}}\n"
        '  out: {type: sink.jsonl, input: more, params: {path: "out/${params.t}-${params.room}-${params.long}.jsonl"}}\n'
    )
    nodes: Any = {name: node.params for name, node in load_graph(path, Registry.installed()).nodes.items()}
    assert (nodes["two"].timeout, nodes["more/many"].timeout) == (5.0, 90.0)
    assert type(nodes["two"].timeout) is float
    assert nodes["out"].path == str(tmp_path / "out" / "5s-512MiB-90s.jsonl")
    nodes = load_graph(path, Registry.installed(), params={"t": "250ms"}).nodes
    assert nodes["two"].params.timeout == 0.25


def test_values_of_a_manifests_own_parameters_are_plain_numbers(tmp_path: Path) -> None:
    """Only text that refers to a duration or a size knows that it is one; the parameters themselves are seconds and bytes."""
    path = tmp_path / "main.yaml"
    path.write_text(
        "version: 1\nname: demo\nparams: {t: {type: duration, default: 5s}, room: {type: size, default: 1KiB}}\n"
        "steps: [{type: source.files, params: {paths: x}}]\n"
    )
    params = load_manifest(path).params
    assert [type(params[name].value) for name in ("t", "room")] == [float, int]


def test_documentation_shows_quantities_with_their_units() -> None:
    """The catalogue says what such a parameter takes, and its default, as a manifest would have them."""
    assert measures(Waits) == {"wait": "duration", "soon": "duration", "pauses": "duration", "room": "size"}
    spec = NodeSpec(type="x.y", kind="transform", summary="", params=Waits, factory=lambda params, node_id: None)
    shown = {one.name: (one.takes, one.default) for one in parameters(spec)}
    assert shown == {
        "wait": ("duration with its unit", ""),
        "soon": ("duration with its unit", "1.5s"),
        "room": ("size with its unit", "1MiB"),
        "pauses": ("list of duration with its unit", "[]"),
        "text": ("text", ""),
    }
    assert len(fields_of(Waits)) == len(shown)
