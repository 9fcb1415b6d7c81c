"""Plan -> what there is to tell of it: every value with its origin, every edge with its types, every decision with its reason.

Nothing here depends on the machine or on where the manifest lies: paths are given relative to its folder where they are below it,
and a number of workers that follows the cores is called `auto`.
"""

from __future__ import annotations

from phonograph.explaining.explainer import explain
from phonograph.explaining.facts import EdgeFacts, Explanation, Fact, NodeFacts, SegmentFacts, SubgraphFacts

__all__ = ["EdgeFacts", "Explanation", "Fact", "NodeFacts", "SegmentFacts", "SubgraphFacts", "explain"]
