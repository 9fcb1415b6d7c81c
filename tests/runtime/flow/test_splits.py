"""Splits: what can be reached from where with a ticket."""

from __future__ import annotations

from pathlib import Path

from phonograph.flow.join import Join
from phonograph.flow.splits import reaches
from small_runs import executor_for


def test_a_branch_knows_the_meeting_that_its_tickets_are_for(tmp_path: Path) -> None:
    """In a row of branches that part and meet, none knows of the meetings further down, whose tickets have not been opened."""
    lines, before = ["  numbers: {type: testing.numbers}"], "numbers"
    for number in range(5):
        lines += [f"  {side}{number}: {{type: testing.pass, input: {before}}}" for side in "ab"]
        lines.append(f"  j{number}: {{type: flow.join, input: {{a: a{number}, b: b{number}}}}}")
        before = f"j{number}.a"
    text = "\n".join(["nodes:", *lines, f"  out: {{type: testing.discard, input: {before}}}\n"])
    executor = executor_for(tmp_path, text, Join)
    found = reaches(executor.graph, executor.plan.openers)
    assert found == {
        **{f"{side}{number}": {f"j{number}": (port,)} for number in range(5) for port, side in enumerate("ab")},
        **{node: {} for node in ("numbers", *(f"j{number}" for number in range(5)), "out")},
    }
