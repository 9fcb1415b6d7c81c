"""`run: process` before a run: which nodes it can stand on, and what is said of those that it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.cli.check import complaints_about
from phonograph.engine.plan import make_plan
from phonograph.errors import GraphError, ManifestError
from phonograph.executor import Executor
from phonograph.explaining import explain
from phonograph.graph.model import Graph
from phonograph.item import Item
from phonograph.node import Node, Params, node
from process_nodes import Badly, Isolated
from small_runs import executor_for


def graph_of(folder: Path, text: str, *targets: object) -> Graph:
    return executor_for(folder, text, Badly, *targets).graph


def manifest(*, numbers: str = "", work: str = "", out: str = "", top: str = "", type_name: str = "test.badly") -> str:
    return f"""{top}
nodes:
  numbers: {{type: testing.numbers{numbers}}}
  work: {{type: {type_name}, input: numbers{work}}}
  out: {{type: testing.discard, input: work{out}}}
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            manifest(numbers=", run: process"),
            "on node 'numbers' (testing.numbers), a source, which reads in a thread",
        ),
        (
            manifest(out=", run: process"),
            "on node 'out' (testing.discard), a sink, which stores where the journal is",
        ),
        (manifest(work=", memory: 1GiB"), "'memory' on node 'work' (test.badly); expected it only beside 'run: process'"),
    ],
)
def test_node_that_cannot_run_in_a_process(tmp_path: Path, text: str, complaint: str) -> None:
    """What cannot be isolated is refused where the manifest asks for it."""
    with pytest.raises(GraphError) as refused:
        graph_of(tmp_path, text)
    (one,) = refused.value.complaints
    assert (one.code, complaint in str(one)) == ("process", True), one


@pytest.mark.parametrize("value", ["run: fork", "run: inline", "memory: 1MiB", "memory: 512"])
def test_value_that_is_none(tmp_path: Path, value: str) -> None:
    """Only threads and processes can be asked for, and a process needs some memory."""
    with pytest.raises(ManifestError):
        graph_of(tmp_path, manifest(work=f", {value}"))


def test_class_that_no_process_can_import(tmp_path: Path) -> None:
    """A node type that is made inside a function is refused, for another process would not find it."""

    @node("test.hidden", inputs={"record": "record"}, outputs={"record": "record"})
    class Hidden(Node[Params]):
        """Be made inside a function."""

        def process(self, item: Item, state: None) -> Item:
            return item

    with pytest.raises(GraphError, match=r"node 'work' \(test.hidden\) cannot run in a process: .*Hidden"):
        graph_of(tmp_path, manifest(work=", run: process", type_name="test.hidden"), Hidden)


def test_default_holds_where_it_can(tmp_path: Path) -> None:
    """In `defaults` it is meant for the nodes between sources and sinks, and `run: thread` takes one out."""
    top = "defaults: {run: process, memory: 1GiB}"
    graph = graph_of(tmp_path, manifest(top=top))
    assert {one.id: one.run for one in graph.nodes.values()} == {"numbers": "thread", "work": "process", "out": "thread"}
    assert graph_of(tmp_path, manifest(top=top, work=", run: thread")).nodes["work"].run == "thread"


def test_memory_parts_segments(tmp_path: Path) -> None:
    """Nodes with different limits run in different processes."""
    text = """
nodes:
  numbers: {type: testing.numbers}
  one: {type: test.badly, input: numbers, run: process, memory: 1GiB}
  two: {type: test.badly, input: one, run: process, memory: 1GiB}
  three: {type: test.badly, input: two, run: process, memory: 2GiB}
  four: {type: test.badly, input: three}
  out: {type: testing.discard, input: four}
"""
    plan = make_plan(graph_of(tmp_path, text))
    assert [(one.name, one.run, one.memory) for one in plan.segments] == [
        ("one+two", "process", 2**30),
        ("three", "process", 2**31),
        ("four", "thread", None),
        ("out", "thread", None),
    ]
    reasons = [one.reason for one in explain(plan, run_directory=tmp_path).segments[2:4]]
    assert reasons == ["another memory limit than two", "runs in threads, three in processes"]


def test_explain_says_who_asked(tmp_path: Path) -> None:
    """The node shows where it runs, with what limit, and where the manifest says so."""
    executor = executor_for(tmp_path, manifest(work=", run: process, memory: 1GiB"), Badly)
    work = explain(executor.plan, run_directory=tmp_path).nodes[1]
    assert [(fact.name, fact.value, ":" in fact.origin) for fact in work.policies] == [
        ("run", "process", True),
        ("memory", "1GiB", True),
    ]


def test_check_notes_processes(tmp_path: Path) -> None:
    """`check` names the nodes that run in processes, which stops nothing."""
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "version: 1\nname: test\nsteps:\n  - {type: source.files, params: {paths: .}}\n"
        "  - {type: audio.decode, run: process}\n  - {type: sink.wav, params: {path: out}}\n"
    )
    (note,) = [one for one in complaints_about(str(path), (), ()) if one.code == "process"]
    assert (note.severity, "node 'decode' (audio.decode) runs in processes" in note.found) == ("note", True)


def test_run_in_the_event_loop_cannot_be_asked_away_by_default(tmp_path: Path) -> None:
    """Nodes that run inline stay there under a default, and go where they are told to by name."""
    text = manifest(top="defaults: {run: process}", type_name="testing.pass")
    assert graph_of(tmp_path, text).nodes["work"].run == "inline"
    assert graph_of(tmp_path, manifest(work=", run: process", type_name="testing.pass")).nodes["work"].run == "process"


def test_executor_runs_an_inline_node_in_a_process(tmp_path: Path) -> None:
    """A node whose type runs inline does its work there too."""
    executor: Executor = executor_for(tmp_path, manifest(work=", run: process, workers: 1", type_name="testing.pass"))
    assert executor.run().records.completed == 10


def test_type_that_runs_in_processes(tmp_path: Path) -> None:
    """A node type may ask for a process itself, and a manifest may overrule it."""
    usual = executor_for(tmp_path, manifest(type_name="test.isolated"), Isolated)
    assert usual.graph.nodes["work"].run == "process"
    (fact,) = explain(usual.plan, run_directory=tmp_path).nodes[1].policies
    assert (fact.name, fact.value, fact.origin) == ("run", "process", "default of test.isolated")
    assert graph_of(tmp_path, manifest(work=", run: thread", type_name="test.isolated"), Isolated).nodes["work"].run == "thread"
