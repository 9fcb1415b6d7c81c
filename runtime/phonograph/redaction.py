"""Cleans text of secrets before anybody sees it.

A secret gets into text in ways that nobody plans: a service answers "401 for Bearer ...", a path with a token does not exist. So
whatever leaves the process as text (complaints, log lines, dead letters, errors) is cleaned at the last moment, by content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from phonograph.errors import Complaint

HIDDEN = "***"
"""What stands where a secret stood."""


class Secrets:
    """Values that must not be seen; empty ones are none. Its own `repr` tells only how many there are.

    Each is also found as it looks inside quotes (Python's, JSON's) and inside a URL.
    """

    __slots__ = ("_pattern", "_values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = frozenset(str.__str__(value) for value in values if value)
        forms = {form for value in self._values for form in _forms(value)}
        # The longest first, so that of a secret that begins with another nothing is left over.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if forms else None

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(self._values | other._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} secrets>"

    def clean(self, text: str) -> str:
        """The text with `***` for every secret in it."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def clean_all(self, value: Any) -> Any:
        """The same for every text inside lists and mappings, keys included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return {self.clean_all(key): self.clean_all(entry) for key, entry in value.items()}
        return type(value)(map(self.clean_all, value)) if type(value) in (list, tuple) else value


NO_SECRETS = Secrets()


def redacted(complaints: Iterable[Complaint], secrets: Secrets) -> tuple[Complaint, ...]:
    """The complaints without the secrets in them."""
    if not secrets:
        return tuple(complaints)
    return tuple(
        replace(
            complaint,
            found=secrets.clean(complaint.found),
            expected=secrets.clean(complaint.expected),
            candidates=tuple(map(secrets.clean, complaint.candidates)),
        )
        for complaint in complaints
    )


def _forms(secret: str) -> Iterable[str]:
    return (
        secret,
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe="", errors="replace"),
        quote_plus(secret, errors="replace"),
    )
