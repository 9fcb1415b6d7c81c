"""A pytest plug-in for builds that are many times slower: property tests try few examples, and do not simplify what fails."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

EXAMPLES = 8


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lower the limits that tests declare for themselves, which no profile overrules."""
    for item in items:
        if item.get_closest_marker("hypothesis") is not None:
            test = item.obj  # type: ignore[attr-defined]
            declared: settings = test._hypothesis_internal_use_settings
            fewer = min(declared.max_examples, EXAMPLES)
            test._hypothesis_internal_use_settings = settings(
                declared, max_examples=fewer, phases=(Phase.explicit, Phase.generate), derandomize=True, database=None
            )
