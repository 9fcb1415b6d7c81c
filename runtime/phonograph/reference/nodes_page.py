"""The page of reference documentation about all node types, made from what they declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from phonograph.errors import one_line
from phonograph.reference.catalogue import CARDINALITY, LESS_BY_PARAMETERS, STREAMING, Parameter, parameters, ports_in_words
from phonograph.spec import NodeSpec

_OPENING = """\
# Node types

<!-- Generated from the code by `make contracts`. -->

The node types that phonograph ships, made from what the types themselves declare. `run-pipeline nodes` lists them, with those
of your own plug-ins; `run-pipeline nodes TYPE` shows one. An example lacks only the first two lines of a manifest, `version: 1`
and a `name`; the tests run each of them on a folder `samples` with a few clips.

Ports are written as `name` (type). A type is a family (audio, features, text, segments, bytes, record, any), narrowed by axes
where they matter: `audio[rate=16000]` is audio at 16 kHz. A letter (`rate=r`) stands for one value wherever the node has it,
`{sample_rate}` for the value of that parameter, `{sample_rate|r}` for the letter where the parameter is null, and `dynamic` for
what only each item tells. Every node also has a port `dead_letter`, with the records that it could not process.
"""

_ROOMS = {
    "source": "Sources",
    "audio": "Audio",
    "vad": "Speech detection",
    "segment": "Segments",
    "features": "Features",
    "flow": "Flow",
    "sink": "Sinks",
}
_EXPRESSIONS = """\
### Expressions

`flow.route` and `flow.filter` judge items by expressions. An expression compares a fact about the item with a value:

| Written | Means |
|---|---|
| `duration >= 1.5s` | seconds of audio, once a node upstream has decoded it; a bare number is seconds too |
| `key == 'clips/a.wav'` | the item's key |
| `attributes.speech_ratio < 0.1` | an attribute that a node upstream sets, or that the row of a list brings |
| `attributes.codec in ['mp3', 'aac']` | one of several values; `not in` for none of them |
| `has attributes.speaker` | whether the item has the attribute at all |

Comparisons are joined by `and`, `or`, `not` and parentheses; `not` binds tightest, then `and`. Operators are `==`, `!=`, `<`,
`<=`, `>`, `>=` and `in`; only numbers have an order. Values are numbers, durations (`200ms`, `1.5s`, `10m`), text in quotes,
`true` and `false`. Expressions are checked before a run: an attribute that no node upstream sets, or one that is compared with
a value of another type, is a complaint. An item that turns out to lack an attribute which is compared becomes a dead letter.
"""


def nodes_page(specs: Iterable[NodeSpec]) -> str:
    """The page, Markdown."""
    specs = sorted(specs, key=lambda spec: (_room_order(spec), spec.type))
    parts = [_OPENING, _overview(specs)]
    for room, members in groupby(specs, key=_room):
        parts.append(f"## {_ROOMS.get(room, room.capitalize())}\n")
        parts.extend(_section(spec) for spec in members)
        if room == "flow":
            parts.append(_EXPRESSIONS)
    return "\n".join(parts)


def _overview(specs: Sequence[NodeSpec]) -> str:
    rows = [f"| [`{spec.type}`](#{_anchor(spec)}) | {_cell(spec.summary)} |" for spec in specs]
    return "\n".join(["| Type | What it does |", "|---|---|", *rows, ""])


def _section(spec: NodeSpec) -> str:
    lines = [f"### `{spec.type}`", "", spec.summary, ""]
    if spec.description:
        lines += [spec.description, ""]
    lines += [*_facts(spec), ""]
    lines += [*_parameter_table(parameters(spec)), ""]
    if spec.example:
        lines += ["```yaml", spec.example, "```", ""]
    return "\n".join(lines)


def _facts(spec: NodeSpec) -> Iterator[str]:
    inputs, outputs = ports_in_words(spec)
    if spec.kind != "source":
        yield f"- **Takes** {inputs}"
    if spec.kind != "sink":
        leaves = "; an item leaves by one of them" if spec.chooses else ""
        yield f"- **Gives** {outputs}{leaves}"
    if spec.kind == "transform":
        yield f"- **Items**: {CARDINALITY[spec.cardinality]}"
    if spec.kind != "source":
        yield f"- **In a stream**: {STREAMING[spec.streaming]}{LESS_BY_PARAMETERS if spec.streaming_of else ''}"
    if spec.batches:
        yield "- **Takes batches**: `batch` on its input gathers items for one call"
    if spec.attributes:
        listed = ", ".join(f"`{name}` ({kind})" for name, kind in spec.attributes.items())
        yield f"- **Sets attributes** {listed}"
    if spec.open_attributes:
        yield "- **Sets attributes** that only the data tells"


def _parameter_table(found: Sequence[Parameter]) -> list[str]:
    if not found:
        return ["It has no parameters."]
    rows = [
        f"| `{one.name}` | {_cell(one.takes)} | {one.unit} | {_default(one)} | {_cell(one.description)} |"
        for one in sorted(found, key=lambda one: not one.is_required)
    ]
    return ["| Parameter | Takes | Unit | Default | What it does |", "|---|---|---|---|---|", *rows]


def _default(parameter: Parameter) -> str:
    if parameter.is_required:
        return "required"
    return f"`{parameter.default}`" if parameter.default else "none"


def _cell(text: str) -> str:
    """Text inside a table, where a bar would end the cell."""
    return one_line(text).replace("|", r"\|")


def _anchor(spec: NodeSpec) -> str:
    """What GitHub makes of the heading: everything but letters, digits, underscores and hyphens is dropped."""
    return "".join(character for character in spec.type.lower() if character.isalnum() or character in "_-")


def _room(spec: NodeSpec) -> str:
    return spec.type.partition(".")[0]


def _room_order(spec: NodeSpec) -> tuple[int, str]:
    room = _room(spec)
    return (list(_ROOMS).index(room) if room in _ROOMS else len(_ROOMS), room)
