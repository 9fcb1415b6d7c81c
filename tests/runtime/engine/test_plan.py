"""Plans: what runs as one, where branches part, what plan.json says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flow_graphs import TYPES
from flow_runs import HEAD, Keep, run_flow
from phonograph.engine.plan import Plan
from phonograph.errors import GraphError
from slow_nodes import SLOW
from small_runs import executor_for

DIAMOND = """
  numbers: {type: testing.numbers}
  first: {type: testing.pass, input: numbers}
  second: {type: testing.pass, input: first}
  a: {type: testing.pass, input: second}
  b: {type: testing.pass, input: second}
  more: {type: testing.pass, input: b}
  both: {type: JOIN, input: {a: a, b: more}}
  after: {type: testing.pass, input: both.PORT}
  out: {type: test.keep, input: after}
"""


def planned(folder: Path, nodes: str) -> Plan:
    return executor_for(folder, HEAD + nodes, *TYPES, Keep).plan


def diamond(type_name: str, port: str) -> str:
    return DIAMOND.replace("JOIN", type_name).replace("PORT", port)


def test_a_gathering_node_stands_alone(tmp_path: Path) -> None:
    """What gathers is a segment of its own without workers; lines before and after it are fused as ever."""
    plan = planned(tmp_path, diamond("flow.join", "a"))
    assert [segment.name for segment in plan.segments] == ["first+second", "a", "b+more", "both", "after", "out"]
    assert [segment.name for segment in plan.segments if segment.gathers] == ["both"]


@pytest.mark.parametrize(
    ("type_name", "port", "opened_at"),
    [("flow.join", "a", ("second",)), ("flow.zip", "a", ("numbers",)), ("flow.merge", "out", ())],
)
def test_where_tickets_open(tmp_path: Path, type_name: str, port: str, opened_at: tuple[str, ...]) -> None:
    """Those of a join open where its branches part, those of a zip at the source, and a merge in order of arrival has none."""
    assert planned(tmp_path, diamond(type_name, port)).openers == {"both": opened_at}


def test_nothing_is_fused_behind_an_opener(tmp_path: Path) -> None:
    """A node whose output and dead letters meet again ends its segment, though only one node reads its output."""
    plan = planned(
        tmp_path,
        """
  numbers: {type: testing.numbers}
  work: {type: test.fail, input: numbers}
  next: {type: test.work, input: work}
  both: {type: flow.join, input: {well: next, ill: work.dead_letter}}
  out: {type: test.keep, input: both.well}
""",
    )
    assert [segment.name for segment in plan.segments] == ["work", "next", "both", "out"]
    assert plan.openers == {"both": ("work",)}


@pytest.mark.parametrize(
    ("timed", "segments"),
    [
        ("", ["parts+next+late", "out"]),
        ("parts", ["parts", "next+late", "out"]),
        ("next", ["parts", "next+late", "out"]),
        ("late", ["parts+next", "late", "out"]),
    ],
)
def test_what_makes_several_is_not_lost_with_a_node_that_hangs(tmp_path: Path, timed: str, segments: list[str]) -> None:
    """Between a node that makes several items of one and one with a time-out, wherever behind it, a segment ends."""
    nodes = """
  numbers: {type: testing.numbers}
  parts: {type: slow.parts, input: numbers}
  next: {type: slow.work, input: parts}
  late: {type: slow.work, input: next}
  out: {type: test.keep, input: late}
"""
    nodes = nodes.replace(f"  {timed}: {{", f"  {timed}: {{timeout: 1s, ")
    plan = executor_for(tmp_path, HEAD + nodes, *SLOW, Keep).plan
    assert [segment.name for segment in plan.segments] == segments


def test_plan_json_names_what_gathers(tmp_path: Path) -> None:
    """plan.json says of each gathering node where its tickets open."""
    report, _ = run_flow(tmp_path, diamond("flow.join", "a"))
    segments = json.loads((report.run_directory / "plan.json").read_text())["segments"]
    assert [segment.get("gathers_from") for segment in segments] == [None, None, None, ["second"], None, None]


def test_a_sample_is_shared_out_over_the_sources(tmp_path: Path) -> None:
    """A sample of 7 reads 4 records of one source and 3 of the other; the run is a success."""
    report, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 500}}
        other: {type: testing.numbers, params: {count: 500}}
        a: {type: test.keep, input: one}
        b: {type: test.keep, input: other}
        """,
        sample=7,
    )
    assert (len(kept["a"]), len(kept["b"])) == (4, 3)
    assert (report.status, report.records.read, report.records.completed) == ("success", 7, 7)


def test_a_sample_of_nothing_is_refused(tmp_path: Path) -> None:
    """A sample counts from 1."""
    with pytest.raises(ValueError, match="sample is 0; expected at least 1"):
        executor_for(tmp_path, HEAD + "  n: {type: testing.numbers}\n  o: {type: test.keep, input: n}\n", Keep, sample=0)


def test_a_manifest_that_wants_inputs_does_not_run_by_itself(tmp_path: Path) -> None:
    """Each input that nothing feeds is a complaint where it is declared."""
    nodes = "  work: {type: testing.pass, input: inputs.record}\n  out: {type: test.keep, input: work}\n"
    nodes += "inputs: {record: {type: record}}\n"
    with pytest.raises(GraphError, match="nothing feeds the manifest's input 'record'; expected a source in its place") as raised:
        executor_for(tmp_path, HEAD + nodes, Keep).run()
    assert [(complaint.code, complaint.position.line) for complaint in raised.value.complaints] == [("missing_input", 8)]
