"""The expressions by which `flow.route` and `flow.filter` judge items: `attributes.speech_ratio >= 0.1 and not key == "a"`.

An expression compares facts about an item with values that stand in it. It is read once (`parse`), held against what the nodes
upstream declare before anything runs (`check`), and becomes a function that judges items (`compiled`). It is no code: it cannot
compute, call or loop, and it is judged in a time that its length bounds.
"""

from __future__ import annotations

from phonograph.expressions.checks import AttributeTypes, check, check_all, united
from phonograph.expressions.evaluation import compiled
from phonograph.expressions.parser import parse
from phonograph.expressions.tree import Expression, ExpressionError, Fault

__all__ = [
    "AttributeTypes",
    "Expression",
    "ExpressionError",
    "Fault",
    "check",
    "check_all",
    "compiled",
    "parse",
    "united",
]
