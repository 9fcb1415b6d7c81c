"""Random graphs of nodes that gather: each comes to an end, and every record with it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_graphs import graphs, misplaced
from flow_runs import KEPT, is_lawful, run_graph


@pytest.mark.parametrize("across", [True, False], ids=["across records", "within records"])
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), workers=st.integers(1, 3))
def test_every_graph_comes_to_an_end(across: bool, data: st.DataObject, workers: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever meets whatever, a run ends, each record too; sinks in order have it; gates widen for what waits across records."""
    caplog.set_level(logging.INFO, logger="phonograph")
    caplog.clear()
    report = run_graph(data.draw(graphs(across=across)), workers)
    assert is_lawful(report), report.records
    if not across:
        assert "gate_widened" not in caplog.text
    assert [key for items in KEPT.values() for key in misplaced(items)] == []
