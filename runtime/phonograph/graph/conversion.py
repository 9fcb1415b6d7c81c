"""The nodes that are inserted where the two ends of an edge differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec

from phonograph.errors import Position
from phonograph.graph.registry import Registry, RegistryError
from phonograph.item import Item
from phonograph.language.queues import QueueBounds
from phonograph.node import Emitted, Node
from phonograph.porttype import Between, Bound, OneOf, PortType
from phonograph.spec import NodeSpec, Params, Port
from phonograph.streaming import emptied, joined_values

CONVERTERS: Mapping[str, str] = {"audio": "audio.resample"}
"""Family -> the node type that changes axes of it. Named here, for finding one would load every installed node."""


@dataclass(frozen=True, slots=True)
class Converter:
    """A node type that can be inserted: one port in, one port out, one item for an item.

    Args:
        settings: axis -> the parameter that sets it.
    """

    spec: NodeSpec
    settings: Mapping[str, str]

    @classmethod
    def of(cls, family: str, registry: Registry) -> Converter | None:
        """The converter of a family; None when there is none, or it cannot be loaded."""
        try:
            spec = registry.get(CONVERTERS.get(family, ""))
        except RegistryError:
            return None
        if spec is None or not spec.converts or spec.cardinality != "1:1":
            return None
        return cls(spec, spec.converts) if len(spec.inputs) == len(spec.outputs) == 1 else None

    def params_for(self, given: PortType, wanted: Mapping[str, int]) -> Params | None:
        """Parameters with which it makes what is wanted of what is given; None when it cannot.

        The constraints on its parameters say what it can make. An axis that nobody asks for keeps its value where that is known,
        and is null, for "as it is", where it is not.
        """
        if not wanted.keys() <= self.settings.keys():
            return None
        asked = {self.settings[axis]: value for axis, value in wanted.items()}
        as_it_is: dict[str, int | None] = dict.fromkeys(self.settings.values())
        known = {parameter: given.axis(axis) for axis, parameter in self.settings.items()}
        # What is given may be more than its parameter can make, two channels for one: then null.
        for kept in ({name: value for name, value in known.items() if isinstance(value, int)}, {}):
            try:
                return msgspec.convert({**as_it_is, **kept, **asked}, self.spec.params)
            except (msgspec.ValidationError, ValueError):
                continue
        return None

    def makes(self, given: PortType, wanted: Mapping[str, int]) -> bool:
        """Whether it can turn what is given into what is wanted, by its parameters and by the type that it declares."""
        params = self.params_for(given, wanted)
        if params is None:
            return False
        made = self.made_of(given, params)
        return all(made.axis(axis) == value for axis, value in wanted.items())

    def made_of(self, given: PortType, params: Params) -> PortType:
        """The type of what it makes."""
        bound = self.spec.inputs[0].type.binding(given)
        return self.spec.outputs[0].type.filled(lambda name: getattr(params, name)).bound(bound)


@dataclass(slots=True)
class Insertion:
    """A node that unification puts between two others.

    Args:
        id: of its own. source: what it reads.
        port: of the source, whose payload is converted. output: the name of the result.
        given, made: types before and after.
        wanted: axis -> literal.
        carried: ports of the source that it hands on, with their types; the converted one only where it is wanted as it is, too.
        before: the nodes that read it, in the order in which they were found. queue, position: of the input of the first.
    """

    id: str
    source: str
    port: str
    output: str
    converter: Converter
    params: Params
    given: PortType
    made: PortType
    wanted: Mapping[str, int]
    queue: QueueBounds | None
    position: Position
    carried: dict[str, PortType] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> tuple[Port, ...]:
        declared = self.converter.spec.inputs[0].type
        taken = declared.bound(declared.binding(self.given))
        return (Port(self.port, taken), *(Port(name, type_) for name, type_ in self.carried.items() if name != self.port))

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port(self.output, self.made), *(Port(name, type_) for name, type_ in self.carried.items()))

    @property
    def changes(self) -> str:
        return ", ".join(f"{axis} to {value}" for axis, value in self.wanted.items())

    @property
    def loses(self) -> str:
        """What is lost for certain, or where items are of the wrong kind; empty when nothing can be."""
        lost = (_loss(axis, self.given.axis(axis), value) for axis, value in self.wanted.items())  # type: ignore[arg-type]  # bound
        return ", ".join(filter(None, lost))

    def spec(self) -> NodeSpec:
        """The converter's declaration with these ports, and a factory of nodes that leave the other ports alone."""
        base = self.converter.spec
        make = partial(  # and no closure, so that it can be made in another process
            Converting,
            make=base.factory,
            ends=(base.inputs[0].name, base.outputs[0].name),
            port=self.port,
            output=self.output,
            carried=tuple(self.carried),
        )
        return replace(base, factory=make, inputs=self.inputs, outputs=self.outputs)


class Converting(Node[Params]):
    """Runs a converter over one port of each item; the other ports pass.

    Args:
        make: makes the converter. ends: the names of its ports.
        port, output: what it is given, and where the result goes. carried: the ports that pass.

    Attributes:
        num_changed: items whose payload the converter did not hand back as it was.
    """

    def __init__(
        self,
        params: Params,
        node_id: str,
        *,
        make: Callable[[Any, str], Any],
        ends: tuple[str, str],
        port: str,
        output: str,
        carried: tuple[str, ...],
    ) -> None:
        super().__init__(params, node_id)
        self.num_changed = 0
        self._inner: Node[Any] = make(params, node_id)
        self._taken, self._made = ends
        self._port, self._output, self._carried = port, output, carried

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def start(self) -> _Conversion:
        return _Conversion(self._inner.start())

    def process(self, item: Item, state: _Conversion | None) -> Emitted:
        before = item.payload[self._port]
        result = self._inner.process(item.with_payload({self._taken: before}), None if state is None else state.inner)
        if item.session is not None and state is not None:
            return self._streamed(result, item, state)
        if not isinstance(result, Item) or self._made not in result.payload:
            return result  # the contract of the node names it
        after = result.payload[self._made]
        self.num_changed += after is not before
        return result.with_payload({**{name: item.payload[name] for name in self._carried}, self._output: after})

    def flush(self, state: _Conversion) -> Emitted:
        return self._streamed(self._inner.flush(state.inner), None, state)

    def _streamed(self, result: Emitted, item: Item | None, state: _Conversion) -> Emitted:
        """What the converter made of a chunk; what is carried comes with the last of it, and waits when it made nothing."""
        made = [result] if isinstance(result, Item) else list(result or ())
        if item is not None:
            for name in self._carried:
                state.waiting.setdefault(name, []).append(item.payload[name])
                state.nothing[name] = emptied(item.payload[name])
        if not made:
            return None
        self.num_changed += item is None or any(one.payload[self._made] is not item.payload[self._port] for one in made)
        carried = {**state.nothing, **{name: joined_values(values, name) for name, values in state.waiting.items()}}
        state.waiting.clear()
        *before, last = (one.payload[self._made] for one in made)
        payloads = [*({**state.nothing, self._output: value} for value in before), {**carried, self._output: last}]
        return [one.with_payload(payload) for one, payload in zip(made, payloads, strict=True)]


class _Conversion:
    """The state of a stream.

    Attributes:
        inner: the converter's own. waiting: what is carried and has nothing to go with yet, by port. nothing: payloads of the
            same kinds with nothing in them.
    """

    __slots__ = ("inner", "nothing", "waiting")

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.waiting: dict[str, list[Any]] = {}
        self.nothing: dict[str, Any] = {}


_LOSSES: Mapping[str, tuple[str, str]] = {
    "rate": ("down-sampling from {given} Hz", "down-sampling of items above {wanted} Hz"),
    "channels": ("mixing of {given} channels", "mixing of items with more channels"),
}


def _loss(axis: str, given: Bound | None, wanted: int) -> str:
    certain, maybe = _LOSSES.get(axis, (f"{axis} from {{given}}", f"{axis} of items above {{wanted}}"))
    if isinstance(given, int):
        return certain.format(given=given) if given > wanted else ""
    if isinstance(given, OneOf | Between) and given.high <= wanted:
        return ""
    return maybe.format(wanted=wanted)
