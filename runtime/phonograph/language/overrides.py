"""Replaces values of a manifest by those that a command line or a program gives: `nodes.mel.params.n_mels=128`.

A path goes from key to key, through lists by number from 0, into sub-graphs by ids such as `clean/vad`. It has to lead to what is
there, or what the language knows at that place: a slip in a path would otherwise change nothing, without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from phonograph.errors import Complaint, ManifestError, Position, listed, nearest
from phonograph.language import batches, policies, queues
from phonograph.language.about import LIMITS
from phonograph.language.entries import NODE_KEYS, STEP_KEYS, step_ids
from phonograph.language.fields import complain
from phonograph.language.keys import MANIFEST
from phonograph.language.parameters import DECLARATION_KEYS
from phonograph.language.yaml12 import Located, load_value
from phonograph.traced import from_outside

NOTE = "overridden on the command line"


@dataclass(frozen=True, slots=True)
class Override:
    """One value for one path.

    Args:
        steps: what is left of the path, from the manifest or sub-graph on that it is for.
        path: the whole, as it was given.
    """

    steps: tuple[str, ...]
    value: Located
    path: str


@dataclass(frozen=True, slots=True)
class _Place:
    """What the language has at one place.

    Args:
        keys: those that it knows there, and so may be new.
        below: what stands under any other key, or in a list; None: nothing may.
        is_open: other keys may be new too, for it takes more than the language to know them.
    """

    keys: Mapping[str, _Place] = field(default_factory=dict)
    below: _Place | None = None
    is_open: bool = False


def _leaves(names: Iterable[str]) -> dict[str, _Place]:
    return dict.fromkeys(names, _Place())


_FREE = _Place(is_open=True)  # parameters of nodes: their types know what may stand there
_POLICIES = {**_leaves(policies.KEYS), "retry": _Place(_leaves(policies.RETRY)), "breaker": _Place(_leaves(policies.BREAKER))}
_OF_MANY = {**_POLICIES, "breaker": _Place(_leaves(policies.BREAKER_OF_MANY))}
_INPUT = _Place({"from": _Place(), "queue": _Place(_leaves(queues.KEYS)), "batch": _Place(_leaves(batches.KEYS))})
_NODE = {"params": _FREE, "input": _Place(below=_INPUT, is_open=True), **_POLICIES}
_BELOW = {
    "params": _Place(below=_Place(_leaves(DECLARATION_KEYS))),
    "defaults": _Place(_OF_MANY),
    "inputs": _Place(below=_Place(_leaves(("type",)))),
    "outputs": _Place(below=_Place()),
    "nodes": _Place(below=_Place({**_leaves(NODE_KEYS), **_NODE})),
    "steps": _Place(below=_Place({**_leaves(STEP_KEYS), **_NODE})),
    "limits": _Place(_leaves(LIMITS)),
    "tests": _FREE,
}
# What is included is merged in before anything is overridden.
_ROOT = _Place({key: _BELOW.get(key, _Place()) for key in MANIFEST if key != "include"})


def read_overrides(given: Sequence[str], start: Position, complaints: list[Complaint]) -> list[Override]:
    """`PATH=VALUE` taken apart; the value is read as YAML 1.2.

    Args:
        start: where complaints about what cannot be taken apart are placed.
    """
    overrides = []
    for text in given:
        path, separator, value = text.partition("=")
        steps = tuple(path.strip().split("."))
        if not separator or not all(steps):
            found = f"the override {path.strip()!r}" + ("" if separator else " has no value")
            complain(complaints, "override", start, found, "PATH=VALUE, such as nodes.mel.params.n_mels=128")
            continue
        try:
            overrides.append(Override(steps, load_value(value, start.file), path.strip()))
        except ManifestError:
            # Neither the value nor what is wrong with it, which would quote it: it may be a secret.
            found = f"the value for {path.strip()!r} cannot be read as YAML"
            complain(complaints, "override", start, found, "a value; quotes round text that begins with a sign or has ': ' in it")
    return overrides


def overridden(
    root: Located, overrides: Iterable[Override], complaints: list[Complaint]
) -> tuple[Located, dict[str, list[Override]]]:
    """The manifest with the values in their places, and by node id what is left for the sub-graphs that nodes include."""
    inside: dict[str, list[Override]] = {}
    for override in overrides:
        if node_id := _including(root, override.steps):
            rest = ("nodes", override.steps[1].partition("/")[2], *override.steps[2:])
            inside.setdefault(node_id, []).append(replace(override, steps=rest))
            continue
        try:
            root = _with(root, _ROOT, _by_number(root, override.steps), override)
        except _NowhereError as nowhere:
            place, step = ".".join(override.steps[: nowhere.depth]), override.steps[nowhere.depth]
            lacks = f"{place!r} has no {step!r}" if place else f"a manifest has no {step!r}"
            reason = f"{place!r} is a single value" if nowhere.is_single else lacks
            found = f"the override of {override.path!r} leads nowhere: {reason}"
            expected = f"one of {listed(nowhere.known)}" if nowhere.known else ""
            if override.steps[0] == "include":
                found = f"the override of {override.path!r}: which files a manifest includes cannot be overridden"
                expected = "a value of what is included, which stands at its own path: params, defaults, limits, nodes"
                complain(complaints, "override", nowhere.position, found, expected)
                continue
            complain(complaints, "override", nowhere.position, found, expected, nearest(step, nowhere.known))
    return root, inside


class _NowhereError(Exception):
    """A step of a path leads nowhere: how many steps were fine, and what would be right there."""

    def __init__(self, depth: int, position: Position, known: tuple[str, ...], *, is_single: bool = False) -> None:
        super().__init__(depth)
        self.depth = depth
        self.position = position
        self.known = known
        self.is_single = is_single


def _with(located: Located, place: _Place, steps: tuple[str, ...], override: Override, depth: int = 0) -> Located:
    """The value with another one at the end of `steps[depth:]`."""
    if depth == len(steps):
        position = replace(located.position, note=", ".join(filter(None, (NOTE, located.position.note))))
        return _moved(override.value, position)
    step, value = steps[depth], located.value
    if isinstance(value, tuple):
        return _with_element(located, value, place, steps, override, depth)
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise _NowhereError(depth, located.position, (), is_single=True)
    known = tuple(dict.fromkeys((*value, *place.keys)))
    is_last = depth + 1 == len(steps)
    if step not in value and step not in place.keys and not (is_last and place.is_open):
        raise _NowhereError(depth, located.position, known)
    below = place.keys.get(step, place if place.is_open and place.below is None else place.below or _Place())
    if step in value:
        child, keys = value[step], located.keys
    else:  # it begins where the mapping begins that it is new in
        child = Located(MappingProxyType({}), located.position)
        note = ", ".join(filter(None, (NOTE, located.position.note)))
        keys = MappingProxyType({**located.keys, step: replace(located.position, note=note)})
    changed = {**value, step: _with(child, below, steps, override, depth + 1)}
    return replace(located, value=MappingProxyType(changed), keys=keys)


def _with_element(
    located: Located, values: tuple[Located, ...], place: _Place, steps: tuple[str, ...], override: Override, depth: int
) -> Located:
    numbers = tuple(map(str, range(len(values))))
    if steps[depth] not in numbers:
        raise _NowhereError(depth, located.position, numbers)
    number = int(steps[depth])
    below = place.below or place
    changed = _with(values[number], below, steps, override, depth + 1)
    return replace(located, value=(*values[:number], changed, *values[number + 1 :]))


def _moved(located: Located, position: Position) -> Located:
    """A value from outside, which stands where the one stood that it replaces."""
    value = located.value
    if isinstance(value, str):
        return Located(from_outside(value), position)
    if isinstance(value, tuple):
        return Located(tuple(_moved(item, position) for item in value), position)
    if isinstance(value, Mapping):
        entries = {key: _moved(item, position) for key, item in value.items()}
        return Located(MappingProxyType(entries), position, MappingProxyType(dict.fromkeys(entries, position)))
    return Located(value, position)


def _by_number(root: Located, steps: tuple[str, ...]) -> tuple[str, ...]:
    """The path of a step by its number, when it was given by its id, like that of a node."""
    line = _line(root)
    if line is None or len(steps) < 2 or steps[0] != "nodes":
        return steps
    ids = step_ids(line)
    if steps[1] not in ids:
        raise _NowhereError(1, root.position, tuple(ids))
    return ("steps", str(ids.index(steps[1])), *steps[2:])


def _including(root: Located, steps: tuple[str, ...]) -> str:
    """The node whose sub-graph a path leads into, such as `clean` for `nodes.clean/vad.params.threshold`; else empty."""
    if len(steps) < 2 or steps[0] != "nodes" or "/" not in steps[1]:
        return ""
    name = steps[1].partition("/")[0]
    sections, line = root.value, _line(root)
    assert isinstance(sections, Mapping)
    node: Located | None = None
    if line is not None:
        node = dict(zip(step_ids(line), line, strict=True)).get(name)
    elif "nodes" in sections and isinstance(nodes := sections["nodes"].value, Mapping):
        node = nodes.get(name)
    return name if node is not None and isinstance(node.value, Mapping) and "include" in node.value else ""


def _line(root: Located) -> tuple[Located, ...] | None:
    """The steps of a manifest that has these and no nodes."""
    assert isinstance(root.value, Mapping)
    steps = None if "nodes" in root.value else root.value.get("steps")
    return steps.value if steps is not None and isinstance(steps.value, tuple) else None
