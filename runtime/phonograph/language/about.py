"""Reads what a manifest, a sub-graph or a fragment says of itself: version, name, limits."""

from __future__ import annotations

from phonograph.errors import Complaint, Position
from phonograph.language import fields
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.parameters import ID

_SPELLING = "a-z, then a-z, 0-9, '_' or '-'"


def check_version(found: Fields, complaints: list[Complaint]) -> None:
    """Complain of any version but 1."""
    located = found.get("version")
    if located is not None and (located.value != 1 or isinstance(located.value, bool | float)):
        expected = "1, the version that this release reads"
        complain(complaints, "unsupported_version", located.position, f"'version' is {describe(located.value)}", expected)


def read_name(found: Fields, complaints: list[Complaint]) -> str:
    """The name; empty where there is none, or none that can be read."""
    located, name = found.get("name"), found.read("name", fields.text)
    if located is not None and name is not None and ID.fullmatch(name) is None:
        complain(complaints, "bad_id", located.position, f"'name' is {describe(name)}", _SPELLING)
    return name or ""


def read_error_rate(found: Fields, complaints: list[Complaint]) -> tuple[float, Position | None]:
    """The share of dead-lettered records above which a run fails, out of `limits`, and where it stands."""
    located = found.get("limits")
    if located is None:
        return 1.0, None
    limits = Fields(located, what="'limits'", allowed=("error_rate",), complaints=complaints)
    written, rate = limits.get("error_rate"), limits.read("error_rate", fields.number(0, 1))
    return 1.0 if rate is None else rate, None if written is None else written.position


def check_subgraph(found: Fields, complaints: list[Complaint]) -> None:
    """Read what a sub-graph says of itself, which matters when it is run or tested alone; a slip in it is told all the same."""
    check_version(found, complaints)
    read_name(found, complaints)
    found.read("description", fields.text)
    read_error_rate(found, complaints)
    tests = found.get("tests")
    if tests is not None and not isinstance(tests.value, tuple):
        complain(complaints, "wrong_type", tests.position, f"'tests' is {describe(tests.value)}", "a list of cases")
