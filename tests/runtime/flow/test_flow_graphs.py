"""Random graphs of nodes that gather: each comes to an end, and every record with it."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from flow_graphs import TYPES, graphs, misplaced
from flow_runs import KEPT, Keep
from phonograph.errors import GraphError, NodeError
from phonograph.executor import Executor, RunReport
from small_runs import executor_for

HANGS_AFTER_S = 30.0  # hundreds of times what such a graph takes


async def finished(executor: Executor) -> RunReport:
    return await asyncio.wait_for(executor.run_async(), HANGS_AFTER_S)


def run_graph(text: str, workers: int) -> RunReport:
    KEPT.clear()
    with tempfile.TemporaryDirectory() as folder:
        try:
            executor = executor_for(Path(folder), text, *TYPES, Keep, workers=workers)
        except GraphError as error:
            assume({complaint.code for complaint in error.complaints} != {"no_common_ancestor"})
            raise
        return asyncio.run(finished(executor))


@pytest.mark.parametrize("across", [True, False], ids=["across records", "within records"])
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), workers=st.integers(1, 3))
def test_every_graph_comes_to_an_end(across: bool, data: st.DataObject, workers: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever meets whatever, a run ends, each record too; sinks in order have it; gates widen for what waits across records."""
    caplog.set_level(logging.INFO, logger="phonograph")
    caplog.clear()
    report = run_graph(data.draw(graphs(across=across)), workers)
    ended = report.records
    outcomes = (ended.completed, ended.filtered, ended.skipped, ended.dropped, ended.dead_lettered, ended.cancelled)
    assert sum(outcomes) == ended.read
    assert ended.cancelled == 0 or isinstance(report.error, NodeError)
    if not across:
        assert "gate_widened" not in caplog.text
    assert [key for items in KEPT.values() for key in misplaced(items)] == []
