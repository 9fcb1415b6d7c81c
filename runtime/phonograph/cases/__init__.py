"""Test cases that stand in a manifest itself, in its section `tests`."""

from phonograph.cases.case import Case
from phonograph.cases.section import read_cases

__all__ = ["Case", "read_cases"]
