"""A claim: one line that an issue says must hold, as a function that measures it.

    @claim(issue="spine", bar="65 of 65", fast=True)
    def every_codec_gives_features() -> Figure:
        \"\"\"Features for each file of the codec set.\"\"\"
        return Figure(f"{stored} of 65", met=stored == 65)

The claim's text is the first line of the docstring. A claim that raises is unmet, and the exception is the cause.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import acceptance


@dataclass(frozen=True, slots=True)
class Figure:
    """What a claim measured.

    Args:
        text: the figure, comparable with the bar.
        met: whether it reaches the bar.
        cause: why not, as far as it is known.
    """

    text: str
    met: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A line that must hold, and how to find out.

    `fast` ones take seconds and run in every CI run; those that `need_shared` read the shared data sets.
    """

    issue: str
    name: str
    text: str
    bar: str
    fast: bool
    needs_shared: bool
    measure: Callable[[], Figure]


_CLAIMS: list[Claim] = []


def claim(
    *, issue: str, bar: str, fast: bool, needs_shared: bool = False
) -> Callable[[Callable[[], Figure]], Callable[[], Figure]]:
    """Declare a function as a claim of an issue."""

    def declare(measure: Callable[[], Figure]) -> Callable[[], Figure]:
        text = (measure.__doc__ or "").strip().partition("\n")[0]
        if not text:
            raise TypeError(f"claim {measure.__name__} has no docstring; expected one line that says what must hold")
        _CLAIMS.append(Claim(issue, measure.__name__, text, bar, fast, needs_shared, measure))
        return measure

    return declare


def issues() -> tuple[str, ...]:
    """The issues that have claims: each is a package beside this file, with `_` for the `-` of its name."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(acceptance.__path__) if found.ispkg))


def package_of(issue: str) -> str:
    """The name of the package that holds an issue's claims."""
    return issue.replace("-", "_")


def claims_of(issue: str) -> tuple[Claim, ...]:
    """The claims of one issue, in the order of its modules' names and, within a module, of the text."""
    package = importlib.import_module(f"acceptance.{package_of(issue)}")
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        importlib.import_module(f"{package.__name__}.{found.name}")
    return tuple(one for one in _CLAIMS if one.issue == issue)
