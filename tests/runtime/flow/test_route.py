"""`flow.route` and `flow.filter`: their parameters, their ports, what becomes of items."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phonograph.errors import BadInputError, GraphError
from phonograph.executor import Executor, RunReport
from phonograph.flow.filter import Filter, FilterParams
from phonograph.flow.route import Route, RouteParams
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root
from small_runs import dead_letters, node_metrics

HEAD = """\
version: 1
name: flow
nodes:
  clips: {type: source.files, params: {paths: samples}}
  audio: {type: audio.decode, input: clips}
"""
THREE_WAYS = """\
  pick:
    type: flow.route
    input: audio
    params:
      cases: {short: duration < 4s, middle: duration < 6s}
      otherwise: long
  short: {type: sink.wav, input: pick.short, params: {path: out/short}}
  middle: {type: sink.wav, input: pick.middle, params: {path: out/middle}}
  long: {type: sink.wav, input: pick.long, params: {path: out/long}}
"""
SINK = "  out: {type: sink.wav, input: keep, params: {path: out}}\n"


def manifest_in(folder: Path, nodes: str) -> Path:
    """A manifest beside a copy of the bundled clips."""
    shutil.copytree(shipped_root("manifests") / "samples", folder / "samples")
    path = folder / "manifest.yaml"
    path.write_text(HEAD + nodes, encoding="utf-8")
    return path


def run(folder: Path, nodes: str) -> RunReport:
    return Executor(load_manifest(manifest_in(folder, nodes)), run_dir=folder / "run").run()


def complaints(folder: Path, nodes: str) -> list[str]:
    path = manifest_in(folder, nodes)
    with pytest.raises(GraphError) as caught:
        load_graph(path, Registry.installed())
    return [str(complaint).removeprefix(f"{path}:") for complaint in caught.value.complaints]


def item(**attributes: Any) -> Item:
    return Item(key="a", ordinal=0, payload={"item": "payload"}, attributes=attributes)


def route(cases: dict[str, str], otherwise: str = "rest") -> Route:
    node = Route(RouteParams(cases=cases, otherwise=otherwise), "pick")
    node.open()
    return node


def test_the_first_case_that_holds_takes_the_item() -> None:
    """Cases are asked in their order; the item leaves by one port alone, with its payload as it came."""
    node = route({"low": "attributes.n < 3", "even": "attributes.n in [2, 4]"})
    assert [dict(node.process(item(n=n), None).payload) for n in (2, 4, 5)] == [
        {"low": "payload"},
        {"even": "payload"},
        {"rest": "payload"},
    ]


def test_an_item_that_lacks_what_is_compared_is_bad_input() -> None:
    """A route does not guess where an item belongs of which it does not know enough."""
    with pytest.raises(BadInputError, match="a: has no attribute 'n'"):
        route({"low": "attributes.n < 3"}).process(item(), None)


def test_a_filter_lets_pass_what_its_expression_holds_for() -> None:
    """An item goes on unchanged, or not at all."""
    node = Filter(FilterParams(keep="attributes.n < 3"), "keep")
    node.open()
    passed = node.process(item(n=1), None)
    assert passed is not None
    assert dict(passed.payload) == {"out": "payload"}
    assert node.process(item(n=3), None) is None


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"cases": {}, "otherwise": "rest"}, "length >= 1"),
        ({"cases": {"Low": "key == 'a'"}, "otherwise": "rest"}, "regex"),
        ({"cases": {"low": "key == 'a'"}}, "otherwise"),
        ({"cases": {"low": "key == 'a'"}, "otherwise": "low"}, "a case as well"),
        ({"cases": {"dead_letter": "key == 'a'"}, "otherwise": "rest"}, "which every node has"),
    ],
)
def test_a_route_has_cases_and_one_other_way(params: dict[str, Any], words: str) -> None:
    """No case, a name that is none, no `otherwise`, one that is a case too, a reserved name: each is refused."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(params, RouteParams)


def test_clips_go_three_ways(tmp_path: Path) -> None:
    """Each of the bundled clips is stored once, in the folder of its length, and every record completes."""
    report = run(tmp_path, THREE_WAYS)
    assert (report.status, report.records.completed) == ("success", 5)
    stored = {way: len(list((tmp_path / "out" / way).rglob("*.wav"))) for way in ("short", "middle", "long")}
    assert stored == {"short": 2, "middle": 1, "long": 2}
    counted = node_metrics(report)
    assert {way: counted[way].items_in for way in stored} == stored


def test_a_case_that_nobody_reads_ends_its_items(tmp_path: Path) -> None:
    """An item that leaves by a port without a reader is filtered there; the graph says so beforehand."""
    nodes = THREE_WAYS.replace("  middle: {type: sink.wav, input: pick.middle, params: {path: out/middle}}\n", "")
    report = run(tmp_path, nodes)
    assert (report.records.completed, report.records.filtered) == (4, 1)


def test_a_filter_ends_what_it_does_not_keep(tmp_path: Path) -> None:
    """The records of items that a filter holds back end as filtered, the others complete."""
    report = run(tmp_path, "  keep: {type: flow.filter, input: audio, params: {keep: duration >= 6s}}\n" + SINK)
    assert (report.records.completed, report.records.filtered) == (2, 3)


def test_what_cannot_be_judged_becomes_a_dead_letter(tmp_path: Path) -> None:
    """An attribute that a node declares and sets only sometimes is absent from an item; its dead letter says which."""
    report = run(tmp_path, "  keep: {type: flow.filter, input: audio, params: {keep: attributes.corrupt_packets > 0}}\n" + SINK)
    letters = dead_letters(report)
    assert len(letters) == report.records.dead_lettered == 5
    assert {letter["code"] for letter in letters} == {"bad_input"}
    assert all("has no attribute 'corrupt_packets'" in letter["message"] for letter in letters)


def test_a_field_of_a_list_can_be_judged(tmp_path: Path) -> None:
    """A source that reads a list may bring any attribute, so none is a fault; rows that have it are judged by it."""
    keep = "  keep: {type: flow.filter, input: audio, params: {keep: attributes.speaker == 'librivox-austen'}}\n"
    path = manifest_in(tmp_path, keep + SINK)
    path.write_text(path.read_text("utf-8").replace("paths: samples}", "paths: samples/samples.jsonl}"), "utf-8")
    report = Executor(load_manifest(path), run_dir=tmp_path / "run").run()
    assert report.records.completed == 5


def test_a_folder_brings_no_attributes(tmp_path: Path) -> None:
    """Where no list is read, an attribute that no node declares is a complaint, in its own column."""
    (told,) = complaints(
        tmp_path, "  keep: {type: flow.filter, input: audio, params: {keep: attributes.speaker == 'x'}}\n" + SINK
    )
    assert told.startswith("6:58: expression the attribute 'speaker', which no node before it sets,")


def test_a_likely_slip_behind_a_list_is_a_warning(tmp_path: Path) -> None:
    """Behind a list the graph is built, and warns of a name that nearly spells a declared attribute."""
    path = manifest_in(tmp_path, "  keep: {type: flow.filter, input: audio, params: {keep: attributes.codecs == 'x'}}\n" + SINK)
    path.write_text(path.read_text("utf-8").replace("paths: samples}", "paths: samples/samples.jsonl}"), "utf-8")
    warnings = [one for one in load_graph(path, Registry.installed()).warnings if one.code == "expression"]
    assert [(one.severity, one.position.line, one.candidates) for one in warnings] == [("warning", 6, ("attributes.codec",))]


def test_every_case_is_checked(tmp_path: Path) -> None:
    """The faults of all cases are told at once, each in its own column, quoted or not."""
    nodes = THREE_WAYS.replace("short: duration < 4s", "short: duration < 4x").replace(
        "middle: duration < 6s", "middle: 'key < 6'"
    )
    told = complaints(tmp_path, nodes)
    assert [line.partition(" ")[0] for line in told] == ["10:33:", "10:52:"]
    assert "parameter 'cases.short' of node 'pick'" in told[0]
