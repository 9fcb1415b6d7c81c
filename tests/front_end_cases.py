"""Each front end of the golden set: what it is called with, and the reference's settings for the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from acceptance.golden_names import SETTINGS
from reference.features.golden import GOLDEN
from reference.features.settings import Settings


@dataclass(frozen=True, slots=True)
class Case:
    """Arguments of `log_mel`, and the reference's settings."""

    arguments: dict[str, Any]
    settings: Settings


CASES: Mapping[str, Case] = MappingProxyType(
    {name: Case(arguments, GOLDEN[name]) for name, arguments in SETTINGS.items() if "pad_to_s" not in arguments}
)
"""Golden name -> case; those that fill up the signal first are left out."""
