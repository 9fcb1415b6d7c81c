"""Calls that take too long in processes of their own: the process is killed, and a fresh one goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.engine import crew
from phonograph.engine.blocks import Block, Blocks
from phonograph.testing import PassOn
from slow_nodes import ReallySlow, ReallySlowLarge
from small_runs import dead_letters, node_metrics, run_text

TEXT = """
nodes:
  numbers: {type: testing.numbers, params: {count: 6}}
  work:
    type: slow.really
    input: numbers
    run: process
    workers: 1
    timeout: 300ms
    retry: {max_retries: 1, base_delay: 10ms}
    params: {takes: {'2': [0]}}
  out: {type: testing.discard, input: work}
"""


def test_a_process_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """The item is tried again in a fresh process, then given up; the others are done, and nothing is left behind."""
    report = run_text(tmp_path, TEXT, ReallySlow)
    metrics = node_metrics(report)["work"]
    assert [(letter["key"], letter["code"], letter["attempts"]) for letter in dead_letters(report)] == [
        ("numbers/2", "timeout", 2)
    ]
    assert "ended with its process, which was killed" in dead_letters(report)[0]["message"]
    assert (report.records.completed, metrics.timeouts, metrics.errors, metrics.retries) == (5, 2, 2, 1)
    assert report.metrics is not None and report.metrics.pipeline_execution.left_behind == ()


def test_a_line_in_a_process_is_tried_again_from_its_beginning(tmp_path: Path) -> None:
    """What nodes before the one that hung had made is lost with the process, so they are called again; that node is named."""
    text = TEXT.replace("  work:", "  before: {type: testing.pass, input: numbers, run: process, workers: 1}\n  work:")
    text = text.replace("input: numbers\n    run", "input: before\n    run").replace("6}}", "3}}")
    report = run_text(tmp_path, text, ReallySlow, PassOn)
    (letter,) = dead_letters(report)
    assert (letter["node"], letter["code"], letter["attempts"]) == ("work", "timeout", 2)
    assert report.records.completed == 2


def test_a_batch_in_a_process_is_cut(tmp_path: Path) -> None:
    """A batch whose process is killed is cut until the item that hangs is alone."""
    from slow_nodes import ReallySlowBatch

    text = TEXT.replace("slow.really", "slow.really_batch").replace("max_retries: 1", "max_retries: 0")
    text = text.replace("input: numbers", "input: {record: {from: numbers, batch: {max_items: 3, max_wait: 1s}}}")
    report = run_text(tmp_path, text.replace("6}}", "3}}"), ReallySlowBatch)
    assert [letter["key"] for letter in dead_letters(report)] == ["numbers/2"]
    assert report.records.completed == 2


def test_a_process_that_is_killed_gives_back_what_it_was_lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the block for the answer that it never gave; the fresh process is lent others."""
    lent: list[Block] = []

    class Counted(Blocks):
        def lend(self, num_bytes: int) -> Block | None:
            block = super().lend(num_bytes)
            lent.extend([] if block is None else [block])
            return block

        def give_back(self, block: Block) -> None:
            super().give_back(block)
            lent.remove(block)
            back.append(block)

    back: list[Block] = []
    monkeypatch.setattr(crew, "Blocks", Counted)
    report = run_text(tmp_path, TEXT.replace("slow.really", "slow.really_large"), ReallySlowLarge)
    assert (report.records.completed, node_metrics(report)["work"].timeouts) == (5, 2)
    assert (lent, len(back) >= 3) == ([], True)
