"""Claims about the places where YAML surprises."""

from __future__ import annotations

import math
import time
from typing import Any

from acceptance.claims import Figure, claim
from phonograph.errors import ManifestError
from phonograph.language.yaml12 import MAX_BYTES, load

# Text of a plain scalar -> what the core schema of YAML 1.2 (chapter 10.3) says that it is.
SCALARS: dict[str, Any] = {
    "1e-5": 1e-5,
    "1:30": "1:30",
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "0b11": "0b11",
    "1_000": "1_000",
    "on": "on",
    "off": "off",
    "yes": "yes",
    "no": "no",
    "y": "y",
    "true": True,
    "False": False,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    ".5": 0.5,
    "1.": 1.0,
    "+12": 12,
    "-.inf": -math.inf,
    "2026-11-21": "2026-11-21",
    "=": "=",
    "12e03": 12000.0,
    "nan": "nan",
    "0.1.2": "0.1.2",
}
REFUSED: dict[str, tuple[str, str]] = {
    "a key twice": ("duplicate_key", "a: 1\nb: 2\na: 3\n"),
    "a key twice, in a flow mapping": ("duplicate_key", "a: {b: 1, b: 2}\n"),
    "a merge key": ("yaml_feature", "a: &x {b: 1}\nc: {<<: *x}\n"),
    "a tag": ("yaml_feature", "a: !!python/object/apply:os.system [echo]\n"),
    "two documents": ("yaml_feature", "a: 1\n---\nb: 2\n"),
    "an alias inside its own value": ("yaml_feature", "a: &x [*x]\n"),
    "not UTF-8": ("encoding", "a: \udcff\n"),
}
NUM_DOUBLINGS = 40


def _code(content: bytes) -> str:
    try:
        load(content, "trap.yaml")
    except ManifestError as error:
        return error.complaints[0].code
    return "read"


@claim(issue="manifest", bar=f"{len(SCALARS)} of {len(SCALARS)} scalars, {len(REFUSED)} of {len(REFUSED)} refusals", fast=True)
def yaml_means_what_yaml_1_2_says() -> Figure:
    """Plain scalars mean what YAML 1.2 says, and what makes a text mean something else than it shows is refused."""
    wrong = []
    for text, meant in SCALARS.items():
        root: Any = load(f"value: {text}\n".encode(), "trap.yaml").value
        found = root["value"].value
        if type(found) is not type(meant) or found != meant:
            wrong.append(f"{text} is {found!r}")
    kept = {name: _code(text.encode("utf-8", "surrogateescape")) for name, (_, text) in REFUSED.items()}
    read = [f"{name}: {kept[name]}" for name, (code, _) in REFUSED.items() if kept[name] != code]
    figure = f"{len(SCALARS) - len(wrong)} of {len(SCALARS)} scalars, {len(REFUSED) - len(read)} of {len(REFUSED)} refusals"
    return Figure(figure, not wrong and not read, "; ".join(wrong + read))


@claim(issue="manifest", bar="both refused as too_large, each in less than a second", fast=True)
def hostile_sizes_are_refused_at_once() -> Figure:
    """An alias bomb and 50 MB of YAML are refused, without unfolding the one or reading the other whole."""
    rows = [f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, NUM_DOUBLINGS)]
    bomb = "\n".join(["a0: &a0 [x, x]", *rows]).encode()
    huge = b"version: 1\n" + b"# padding\n" * 5_000_000
    figures, met = [], True
    for name, content in ((f"{NUM_DOUBLINGS} doublings", bomb), (f"{len(huge) / 1e6:.0f} MB", huge[: MAX_BYTES + 1])):
        started = time.perf_counter()
        code = _code(content)
        took_s = time.perf_counter() - started
        figures.append(f"{name}: {code} in {took_s * 1e3:.0f} ms")
        met = met and code == "too_large" and took_s < 1
    return Figure("; ".join(figures), met)
