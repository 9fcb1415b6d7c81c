"""Draws random graphs of nodes that fan out, choose, filter, split, fail, drop and gather, for tests that they all end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from phonograph.errors import BadInputError
from phonograph.flow.collect import Collect
from phonograph.flow.gather import child_order
from phonograph.flow.join import Join
from phonograph.flow.merge import Merge
from phonograph.flow.order import Order
from phonograph.flow.window import Window
from phonograph.flow.zip import Zip
from phonograph.item import Item
from phonograph.node import Node, Params, node

RECORD = {"record": "record"}
_LONG = bytes(500_000)


class EveryParams(Params, frozen=True):
    every: int = 3


def _number(item: Item) -> int:
    """Something reproducible to decide by; the digits of the key, because composites have payloads of their own."""
    return sum(int(sign) for sign in item.key if sign.isdigit())


@node("test.thin", inputs={"record": "any"}, outputs=RECORD, cardinality="1:0..1", run="inline")
class Thin(Node[EveryParams]):
    """Let every n-th item go no further."""

    def process(self, item: Item, state: None) -> Item | None:
        return None if _number(item) % self.params.every == 0 else item


@node("test.split", inputs={"record": "any"}, outputs=RECORD, cardinality="1:N", run="inline")
class Split(Node[EveryParams]):
    """Emit no child, one, or several."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        return (item.child(number, item.payload) for number in range(_number(item) % (self.params.every + 1)))


@node("test.fail", inputs={"record": "any"}, outputs=RECORD)
class Fail(Node[EveryParams]):
    """Refuse every n-th item."""

    def process(self, item: Item, state: None) -> Item:
        if _number(item) % self.params.every == 0:
            raise BadInputError(f"{item.key} is refused")
        return item


@node("test.choose", inputs={"record": "any"}, outputs={"left": "any", "right": "any"}, run="inline", chooses=True)
class Choose(Node[EveryParams]):
    """Send every n-th item to the left."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"left" if _number(item) % self.params.every == 0 else "right": item.payload["record"]})


@node("test.work", inputs={"record": "any"}, outputs=RECORD)
class Work(Node[Params]):
    """Hand items on from a thread, some of them late, so that those behind them overtake them."""

    def process(self, item: Item, state: None) -> Item:
        if _number(item) % 4 == 1:
            hashlib.sha256(_LONG)  # other threads run meanwhile
        return item


@node("test.down", inputs={"record": "any"}, outputs=RECORD)
class Down(Node[EveryParams]):
    """Fail on every n-th item, as if something else were at fault."""

    def process(self, item: Item, state: None) -> Item:
        if _number(item) % self.params.every == 0:
            raise ValueError(f"{item.key} is too much")
        return item


TYPES = (Thin, Split, Fail, Choose, Work, Down, Merge, Join, Zip, Collect, Window, Order)


@dataclass
class Drawn:
    """A graph in the making: lines of YAML, the outputs that may be read, and which sources lead to each."""

    lines: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    origins: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, name: str, text: str, outputs: tuple[str, ...], origins: frozenset[str]) -> None:
        self.lines.append(f"  {name}: {text}")
        self.outputs += outputs
        self.origins |= dict.fromkeys(outputs, origins)


@st.composite
def graphs(draw: st.DrawFn, *, across: bool = True, max_nodes: int = 9, tight: bool = False) -> str:
    """The text of a manifest without its head. What a sink `ordered...` keeps is to be in order, see `misplaced`.

    Args:
        across: with nodes that bring together items of different records.
        tight: every queue holds one item.
    """
    drawn, edge = Drawn(), _Edges(draw, tight)
    for number in range(draw(st.integers(1, 2))):
        count = draw(st.sampled_from([0, 1, 7, 30, 150]))
        name = f"s{number}"
        drawn.add(name, f"{{type: testing.numbers, params: {{count: {count}}}}}", (name,), frozenset({name}))
    kinds = [
        "thin",
        "split",
        "fail",
        "choose",
        "work",
        "work",
        "work",
        "down",
        "down",
        "merge",
        "source",
        "join",
        "join",
        "record",
        "order",
        "window",
    ]
    kinds += ["count", "zip", "all"] * across
    for number in range(draw(st.integers(1, max_nodes))):
        _add_node(draw, drawn, edge, f"n{number}", draw(st.sampled_from(kinds)))
    read = " ".join(drawn.lines)
    loose = [one for one in drawn.outputs if f" {one}," not in read and f" {one}}}" not in read]
    for number, output in enumerate(loose or drawn.outputs[-1:]):
        if draw(st.booleans()):
            drawn.lines.append(f"  ordered{number}: {{type: test.keep, input: {{item: {edge.lossy(output)}}}, order: true}}")
        else:
            drawn.lines.append(f"  out{number}: {{type: testing.discard, input: {{item: {edge.lossy(output)}}}}}")
    letters = draw(st.sampled_from(["", "", "testing.discard", "test.keep"]))
    if letters:
        name, order = ("ordered-letters", ", order: true") if letters == "test.keep" else ("letters", "")
        drawn.lines.append(f'  {name}: {{type: {letters}, input: "*.dead_letter"{order}}}')
    policy = draw(st.sampled_from(["dead_letter", "dead_letter", "skip", "fail"]))
    defaults = f"defaults: {{breaker: {{failure_threshold: 100000}}, on_error: {policy}}}\n"
    return f"{defaults}limits: {{error_rate: 1.0}}\nnodes:\n" + "\n".join(drawn.lines) + "\n"


def misplaced(items: Sequence[Item]) -> list[str]:
    """Keys of items that stand behind one that their source read later. What several records became has no place of its own."""
    latest: dict[str, tuple[int, tuple[int, ...]]] = {}
    wrong = []
    for item in items:
        source, place = item.key.partition("/")[0], (item.ordinal, child_order(item.key))
        if item.ordinal >= 0:
            if place < latest.get(source, place):
                wrong.append(item.key)
            latest[source] = place
    return wrong


class _Edges:
    """Draws inputs, sometimes with a queue that holds next to nothing, or that drops."""

    def __init__(self, draw: st.DrawFn, tight: bool) -> None:
        self._draw = draw
        self._bounds = ["items: 1"] if tight else ["", "items: 1"]

    def plain(self, output: str) -> str:
        return self._with(output, self._draw(st.sampled_from(self._bounds)))

    def lossy(self, output: str) -> str:
        bounds = [f"items: 1, full: {full}" for full in ("newest", "oldest")]
        return self._with(output, self._draw(st.sampled_from([*self._bounds * 2, *bounds])))

    @staticmethod
    def _with(output: str, bounds: str) -> str:
        return f"{{from: {output}, queue: {{{bounds}}}}}" if bounds else output


def _add_node(draw: st.DrawFn, drawn: Drawn, edge: _Edges, name: str, kind: str) -> None:
    if kind in ("merge", "source", "zip", "join"):
        inputs = draw(st.lists(st.sampled_from(drawn.outputs), min_size=2, max_size=3))
        if kind == "join":
            alike = [one for one in inputs if drawn.origins[one] == drawn.origins[inputs[0]] and len(drawn.origins[one]) == 1]
            inputs = (alike or inputs[:1]) * 2
        connected = ", ".join(f"p{number}: {edge.plain(one)}" for number, one in enumerate(inputs))
        origins = frozenset().union(*(drawn.origins[one] for one in inputs))
        types = {"merge": "flow.merge", "source": "flow.merge, params: {order: source}", "zip": "flow.zip", "join": "flow.join"}
        outputs = tuple(f"{name}.p{number}" for number in range(len(inputs))) if kind in ("zip", "join") else (f"{name}.out",)
        drawn.add(name, f"{{type: {types[kind]}, input: {{{connected}}}}}", outputs, origins)
        return
    source = draw(st.sampled_from(drawn.outputs))
    origins, fed = drawn.origins[source], edge.lossy(source)
    if kind in ("record", "count"):
        params = "" if kind == "record" else f", params: {{by: count, size: {draw(st.sampled_from([1, 4, 100]))}}}"
        drawn.add(name, f"{{type: flow.collect, input: {{item: {fed}}}{params}}}", (f"{name}.items",), origins)
        return
    if kind in ("window", "all"):
        size, every, partial = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.sampled_from(["keep", "drop"]))
        params = f"{{size: {size}, every: {every}, over: {'all' if kind == 'all' else 'record'}, partial: {partial}}}"
        drawn.add(name, f"{{type: flow.window, input: {{item: {fed}}}, params: {params}}}", (f"{name}.items",), origins)
        return
    if kind == "order":
        window = draw(st.sampled_from([1, 3, 64]))
        text = f"{{type: flow.order, input: {{item: {fed}}}, params: {{window: {window}}}}}"
        drawn.add(name, text, (f"{name}.item",), origins)
        return
    every, port = draw(st.integers(1, 4)), "record"
    if kind == "down":
        breaker = f"{{failure_threshold: {draw(st.sampled_from([1, 3, 1000]))}, reset_timeout: 1ms, fallback: {name}-spare}}"
        text = f"{{type: test.down, input: {{record: {fed}}}, params: {{every: {every}}}, workers: 2, breaker: {breaker}}}"
        drawn.add(name, text, (f"{name}.record",), origins)
        spare = draw(st.sampled_from(["work", "thin", "fail", "down"]))
        drawn.add(f"{name}-spare", f"{{type: test.{spare}}}", draw(st.sampled_from([(), (f"{name}-spare.record",)])), origins)
        return
    outputs = (f"{name}.left", f"{name}.right") if kind == "choose" else (f"{name}.record",)
    if kind == "fail" and draw(st.booleans()):
        outputs += (f"{name}.dead_letter",)
    params = f"params: {{every: {every}}}" if kind != "work" else f"workers: {draw(st.integers(1, 4))}"
    order = ", order: true" if kind != "work" and draw(st.integers(0, 4)) == 0 else ""
    drawn.add(name, f"{{type: test.{kind}, input: {{{port}: {fed}}}, {params}{order}}}", outputs, origins)
