"""Manifests under faults: those that are right come through, and what is wrong with the others is found."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

import chaos_nodes as wrong
from flow_graphs import TYPES, graphs
from flow_runs import Keep
from phonograph.chaos import Chaos, Found, Verdict
from phonograph.chaos.faults import KINDS
from phonograph.engine.queues import BoundedQueue
from phonograph.engine.simulated import delay
from phonograph.errors import ChaosError, GraphError
from phonograph.flow.order import Order
from phonograph.graph.builder import build_graph
from phonograph.item import Item, Record
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, Source, node
from phonograph_nodes.writing.rows import Jsonl
from resumed import Shout, texts_in
from small_runs import registry_with


def chaos(folder: Path, text: str = wrong.GRAPH, *targets: type, kinds: Sequence[str] = KINDS, rate: float = 0.1) -> Chaos:
    graph = wrong.graph_in(folder, text, Order, *targets)
    return Chaos(graph, kinds=kinds, rate=rate)


def first_found(tried: Chaos, seeds: Sequence[int]) -> Verdict:
    with tried:
        assert not tried.found
        verdicts = (tried.run(seed) for seed in seeds)
        return next(verdict for verdict in verdicts if verdict.found)


def test_a_manifest_that_is_right_comes_through(tmp_path: Path) -> None:
    """Nothing is lost, twice or torn, whatever is injected; every kind of fault is among it, and nothing of it stays."""
    threads = threading.active_count()
    with chaos(tmp_path) as tried:
        assert (tried.num_records, tried.left_out, list(tried.found)) == (5, (), [])
        verdicts = [tried.run(seed) for seed in range(1, 21)]
    assert [(verdict.seed, verdict.found) for verdict in verdicts if verdict.found] == []
    names = {event.name for verdict in verdicts for event in verdict.events}
    assert names >= {"transient error", "bad input", "fault of the node", "delay", "crash", "torn writes", "full disk"}
    assert threading.active_count() == threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.yaml", "texts"]


def test_the_same_seed_is_the_same_run(tmp_path: Path) -> None:
    """Twice in one go, and again in another: the same faults in the same order."""
    with chaos(tmp_path) as tried:
        first = [tried.run(seed) for seed in (3, 4, 3)]
    with chaos(tmp_path) as tried:
        again = tried.run(3)
    assert first[0].events == first[2].events == again.events
    assert first[0].num_runs == again.num_runs
    assert first[0].events != first[1].events


@pytest.mark.parametrize(
    ("sink", "target", "rules"),
    [
        ("wrong.in_place", wrong.InPlace, {"torn"}),
        ("wrong.append", wrong.Append, {"torn", "twice"}),
        ("wrong.unsynced", wrong.Unsynced, {"torn"}),
    ],
)
def test_a_sink_without_the_commit_protocol_is_found(tmp_path: Path, sink: str, target: type, rules: set[str]) -> None:
    """What is written under its final name, added without the journal, or not synced is torn or twice after a stop."""
    verdict = first_found(chaos(tmp_path, wrong.with_sink(sink), target, kinds=("crash", "torn")), range(1, 21))
    assert verdict.found[0].rule in rules
    assert verdict.found[0].node == "more"
    assert {event.name for event in verdict.events} <= {"crash", "torn writes"}


@pytest.mark.parametrize(
    ("name", "target", "rules"),
    [
        ("wrong.once", wrong.Once, {"outcome", "lost"}),
        ("wrong.spending", wrong.Spending, {"other", "torn"}),
        ("wrong.opened", wrong.Opened, {"dead letter"}),
    ],
)
def test_a_node_that_cannot_be_tried_again_is_found(tmp_path: Path, name: str, target: type, rules: set[str]) -> None:
    """It swallows the item, gives something else, or fails of itself at the second attempt."""
    verdict = first_found(chaos(tmp_path, wrong.with_node(name), target, kinds=("error",), rate=0.4), range(1, 21))
    assert verdict.found[0].rule in rules
    assert any(event.name == "transient error" for event in verdict.events)


@pytest.mark.parametrize(
    ("name", "target", "rule", "words"),
    [
        ("wrong.numbering", wrong.Numbering, "other", "not what an undisturbed run makes"),
        ("wrong.leaving", wrong.Leaving, "left behind", "temporary files"),
        ("wrong.holding", wrong.Holding, "left behind", "left open"),
        ("wrong.working", wrong.Working, "left behind", "threads were left behind: at work"),
        ("wrong.waiting", wrong.Waiting, "left behind", "tasks were left behind: waits"),
    ],
)
def test_what_is_wrong_without_faults_is_found_before_any(tmp_path: Path, name: str, target: type, rule: str, words: str) -> None:
    """A node that counts records, or leaves something behind, needs no fault to be found."""
    with chaos(tmp_path, wrong.with_node(name), target) as tried:
        found: Found = tried.found[0]
        assert found.rule == rule
        assert words in found.words
    while wrong.Holding.KEPT:
        wrong.Holding.KEPT.pop().close()
    while wrong.Working.KEPT:
        wrong.Working.KEPT.pop().set()
    wrong.Waiting.KEPT.clear()


def test_queues_that_do_not_keep_their_bounds_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose queues take whatever comes is found, with the node in front of which too much waits."""
    monkeypatch.setattr(BoundedQueue, "has_room_for", lambda queue, num_bytes: True)
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "version: 1\nname: flooded\nnodes:\n  numbers: {type: testing.numbers, params: {count: 2000}}\n"
        "  slow: {type: slow.record, workers: 1, input: {record: {from: numbers, queue: {items: 1}}}}\n"
        "  out: {type: testing.discard, input: slow}\n"
    )
    with Chaos(build_graph(load_manifest(path), registry_with(SlowRecord)), records=None) as tried:
        assert "in front of slow" in tried.found[0].words


def test_a_manifest_that_reads_nothing_is_refused(tmp_path: Path) -> None:
    """No fault would ever be met, and nothing could be wrong."""
    graph = wrong.graph_in(tmp_path, wrong.GRAPH, Order)
    for path in (tmp_path / "texts").iterdir():
        path.unlink()
    with pytest.raises(ChaosError, match="reads no record"), Chaos(graph):
        pass


def test_what_cannot_be_moved_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """A sink whose place is no parameter would store for real, as often as chaos runs."""
    text = f"{wrong.GRAPH}  more: {{type: wrong.sending, input: loud}}\n"
    with pytest.raises(ChaosError, match=r"'more'.*has effects outside, and no parameter that is an OutputPath"):
        chaos(tmp_path, text, wrong.Sending)


def test_a_node_that_writes_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that it would have written is not there."""
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ChaosError, match="writing below paths"),
        chaos(tmp_path, wrong.with_node("wrong.outside"), wrong.Outside),
    ):
        pass
    assert sorted(os.listdir(tmp_path)) == ["manifest.yaml", "texts"]


def test_a_manifest_that_fails_by_itself_is_refused(tmp_path: Path) -> None:
    """There is nothing to hold other runs against."""
    text = wrong.GRAPH.replace("input: loud", "input: loud, on_error: fail").replace("test.shout,", "test.shout, on_error: fail,")
    graph = wrong.graph_in(tmp_path, text, Order)
    (tmp_path / "texts" / "f").write_text("bad")
    with pytest.raises(ChaosError, match=r"undisturbed run.*a bad word"), Chaos(graph):
        pass


def test_a_manifest_with_inputs_is_refused(tmp_path: Path) -> None:
    """Nothing would feed it."""
    path = tmp_path / "manifest.yaml"
    nodes = "nodes:\n  loud: {type: test.shout, input: inputs.text}\n"
    path.write_text("version: 1\nname: fed\ninputs: {text: {type: text}}\noutputs: {out: loud}\n" + nodes)
    with pytest.raises(GraphError, match="inputs"):
        Chaos(build_graph(load_manifest(path), registry_with(Shout)))


@node("slow.text", inputs={"text": "text"}, outputs={"text": "text"})
class Slow(Node[Params]):
    """Pass texts on; chaos says how long that takes."""

    def process(self, item: Item, state: None) -> Item:
        return item


@node("slow.record", inputs={"record": "record"}, outputs={"record": "record"})
class SlowRecord(Node[Params]):
    """Pass records on, each after a simulated second."""

    def process(self, item: Item, state: None) -> Item:
        delay(1.0)
        return item


def test_calls_that_take_longer_than_their_time_outs_heal(tmp_path: Path) -> None:
    """They are given up, left behind and tried again, in simulated time."""
    text = wrong.with_node("slow.text").replace("slow.text,", "slow.text, timeout: 1s, total_timeout: 1h,")
    with chaos(tmp_path, text, Slow, kinds=("delay",), rate=0.5) as tried:
        verdicts = [tried.run(seed) for seed in range(1, 9)]
    assert [verdict.found for verdict in verdicts if verdict.found] == []
    assert any(event.name == "delay" and event.node == "more" for verdict in verdicts for event in verdict.events)


def test_nodes_that_run_in_processes_are_told_of(tmp_path: Path) -> None:
    """They run in threads here, and what that leaves out is said."""
    text = wrong.with_node("slow.text").replace("slow.text,", "slow.text, run: process, memory: 1GiB,")
    text += "limits: {memory: 8GiB}\n"
    with chaos(tmp_path, text, Slow) as tried:
        assert "'run: process' is run in a thread" in tried.left_out[0]
        assert "limits.memory" in tried.left_out[1]
        assert not tried.run(1).found


def test_nodes_with_a_fallback_lose_nothing(tmp_path: Path) -> None:
    """Who makes what then depends on what fails, so outputs are not compared; every record ends, also behind a crash."""
    text = wrong.GRAPH.replace(
        "input: texts}", "input: texts, breaker: {failure_threshold: 1, fallback: other}}\n  other: {type: test.shout}"
    )
    with chaos(tmp_path, text, rate=0.3) as tried:
        assert "fallbacks stand in" in tried.left_out[0]
        verdicts = [tried.run(seed) for seed in range(1, 13)]
    assert [verdict.found for verdict in verdicts if verdict.found] == []
    assert {event.node for verdict in verdicts for event in verdict.events} >= {"loud", "other"}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], derandomize=True)
@given(text=graphs(max_nodes=6))
def test_random_graphs_come_through(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever branches, gathers, drops and fails: every record ends in one outcome, also when the run is gone on with."""
    folder = tmp_path_factory.mktemp("graph")
    path = folder / "manifest.yaml"
    path.write_text(f"version: 1\nname: drawn\n{text}")
    try:
        graph = build_graph(load_manifest(path), registry_with(*TYPES, Keep))
    except GraphError:
        assume(False)
    try:
        with Chaos(graph, records=12) as tried:
            found = [*tried.found, *(one for seed in (1, 2, 3) for one in tried.run(seed).found)]
    except ChaosError as error:
        assert "an undisturbed run" in str(error)
        return
    assert found == []


@node("test.doubled", outputs={"text": "text"})
class Doubled(Source[Params]):
    """Give some keys more than once."""

    def read(self) -> Iterator[Record]:
        for key in "abbcccd":
            yield Record(key=key, payload={"text": key})


def test_a_key_that_is_read_more_than_once_ends_as_often(tmp_path: Path) -> None:
    """That is no fault of the run; each of its records ends once, also where runs are gone on with."""
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "version: 1\nname: doubled\nnodes:\n  texts: {type: test.doubled}\n"
        "  rows: {type: sink.jsonl, input: texts, params: {path: rows.jsonl}}\n"
    )
    with Chaos(build_graph(load_manifest(path), registry_with(Doubled, Jsonl))) as tried:
        assert list(tried.found) == [] and tried.num_records == 7
        verdicts = [tried.run(seed) for seed in range(1, 21)]
    assert not [found for verdict in verdicts for found in verdict.found]
    assert any(event.name == "crash" for verdict in verdicts for event in verdict.events)


def test_a_list_of_one_row_may_be_empty(tmp_path: Path) -> None:
    """A list that has a single row is no file of one record: where that record failed, it is there all the same."""
    graph = wrong.graph_in(tmp_path, wrong.GRAPH, Order)
    texts_in(tmp_path, b="", c="", d="", e="")
    with Chaos(graph, kinds=["error"], rate=0.3) as tried:
        verdicts = [tried.run(seed) for seed in range(1, 11)]
    assert not [found for verdict in verdicts for found in verdict.found]
    assert {"bad input", "fault of the node"} & {event.name for verdict in verdicts for event in verdict.events}
