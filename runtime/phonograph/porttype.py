"""What a port carries: a family of payloads, narrowed by axes.

The text form is `family` or `family[axis=value, ...]`: `audio[rate=16000, channels=1]`. A value is one of

    16000            a literal
    8000|16000       a set
    8000..48000      a range, both ends included
    r                a variable: the same value on every port of the node that names it
    dynamic          known only once an item is there
    {sample_rate}    the value of the node's parameter of this name; dynamic where that is null
    {channels|c}     the same, and what stands after the bar where it is null

An axis that is not named can be anything on an input, and is dynamic on an output. `any[type=t]` is a port whose whole type is
the variable `t`: nodes that only direct what flows hand on what comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from phonograph.errors import nearest

Family = Literal["audio", "features", "text", "segments", "bytes", "record", "any"]

FAMILIES: tuple[str, ...] = get_args(Family)

AXES: Mapping[str, tuple[str, ...]] = {"audio": ("rate", "channels"), "features": ("bins",), "any": ("type",)}
"""The axes of each family that has some, in the order in which they are printed."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """A set of at least two literals, ascending."""

    values: tuple[int, ...]

    def contains(self, value: int) -> bool:
        return value in self.values

    def nearest(self, value: int) -> int:
        """The literal of the set that is closest."""
        return min(self.values, key=lambda one: abs(one - value))

    @property
    def low(self) -> int:
        return self.values[0]

    @property
    def high(self) -> int:
        return self.values[-1]

    def __str__(self) -> str:
        return "|".join(map(str, self.values))


@dataclass(frozen=True, slots=True)
class Between:
    """Every literal from `low` to `high`, both included."""

    low: int
    high: int

    def contains(self, value: int) -> bool:
        return self.low <= value <= self.high

    def nearest(self, value: int) -> int:
        """The literal of the range that is closest."""
        return min(max(value, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class Variable:
    """Stands for one value on all ports of a node."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A value that is known only per item."""

    def __str__(self) -> str:
        return "dynamic"


@dataclass(frozen=True, slots=True)
class FromParameter:
    """The value of a parameter, or `otherwise` where that is None."""

    parameter: str
    otherwise: int | OneOf | Between | Variable | Dynamic | None = None

    def __str__(self) -> str:
        return f"{{{self.parameter}}}" if self.otherwise is None else f"{{{self.parameter}|{self.otherwise}}}"


DYNAMIC = Dynamic()
Bound = int | OneOf | Between | Dynamic
"""What an axis is once variables and parameters are filled in."""

AxisValue = Bound | Variable | FromParameter
Agreement = Literal["proven", "unknown", "contradicted"]

_FORM = re.compile(r"\s*([a-z]+)\s*(?:\[([^\[\]]*)\]\s*)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PARAMETER = re.compile(r"\{\s*([A-Za-z_]\w*)\s*(?:\|([^{}]*))?\}")
_RANGE = re.compile(r"(\d+)\s*\.\.\s*(\d+)")
_VALUES = "a whole number, a set (8000|16000), a range (8000..48000), a variable, dynamic, or a {parameter}"


@dataclass(frozen=True, slots=True)
class PortType:
    """The type of a port; see the module's opening. `axes` are in the order of `AXES`."""

    family: Family
    axes: tuple[tuple[str, AxisValue], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PortType:
        """Read the text form.

        Raises:
            ValueError: it is malformed, or names a family or an axis that there is not.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"port type {text!r}; expected 'family' or 'family[axis=value, ...]', as in 'audio[rate=16000]'")
        family = match[1]
        if family not in FAMILIES:
            raise ValueError(f"port type {text!r}; expected one of {', '.join(FAMILIES)}{_hint(family, FAMILIES)}")
        known = AXES.get(family, ())
        axes: dict[str, AxisValue] = {}
        for part in match[2].split(",") if match[2] is not None and match[2].strip() else ():
            name, separator, value = (piece.strip() for piece in part.partition("="))
            if not separator or not name or not value:
                raise ValueError(f"port type {text!r}: axis {part.strip()!r}; expected name=value")
            if name not in known:
                expected = f"one of {', '.join(known)}" if known else "none"
                raise ValueError(f"port type {text!r}: {family} has no axis {name!r}; expected {expected}{_hint(name, known)}")
            if name in axes:
                raise ValueError(f"port type {text!r}: axis {name!r} stands twice")
            axes[name] = _value(value, text)
        if "type" in axes and not isinstance(axes["type"], Variable):
            raise ValueError(f"port type {text!r}: 'type' is {axes['type']}; expected a variable, as in 'any[type=t]'")
        return cls(cast(Family, family), tuple((name, axes[name]) for name in known if name in axes))

    @property
    def whole(self) -> str | None:
        """The name of the variable that stands for the whole type, in `any[type=t]`."""
        return str(self.axes[0][1]) if self.family == "any" and self.axes else None

    def axis(self, name: str) -> AxisValue | None:
        """The value of an axis, None where it is not named."""
        for axis, value in self.axes:
            if axis == name:
                return value
        return None

    def parameters(self) -> Iterator[str]:
        """The names of the parameters that the axes depend on."""
        return (value.parameter for _, value in self.axes if isinstance(value, FromParameter))

    def filled(self, value_of: Callable[[str], object]) -> PortType:
        """The type with the values of parameters in place of their names.

        Args:
            value_of: parameter -> value.

        Raises:
            ValueError: the value of a parameter is neither a positive whole number nor None.
        """
        if not any(self.parameters()):
            return self
        return PortType(self.family, tuple((name, _filled(value, value_of)) for name, value in self.axes))

    def binding(self, given: PortType) -> dict[str, Bound]:
        """The values that the variables of this type have when `given` comes in."""
        return {
            value.name: _known(given.axis(axis))
            for axis, value in self.axes
            if isinstance(value, Variable) and given.family == self.family
        }

    def bound(self, values: Mapping[str, Bound]) -> PortType:
        """The type with these values in place of variables; a variable without one is dynamic."""
        if not any(isinstance(value, Variable | FromParameter) for _, value in self.axes):
            return self
        return PortType(
            self.family,
            tuple(
                (axis, values.get(value.name, DYNAMIC) if isinstance(value, Variable) else _known(value))
                for axis, value in self.axes
            ),
        )

    @property
    def demanded(self) -> PortType:
        """The type without the axes that say nothing on an input: dynamic ones, variables."""
        return PortType(self.family, tuple(axis for axis in self.axes if not isinstance(axis[1], Dynamic | Variable)))

    def narrowed(self, other: PortType) -> PortType:
        """What both types demand, for something that has to pass this one behind the other.

        Of two literals this one's counts, because what passes can be converted twice. A literal goes before anything else, unless
        the other would never let it pass. A family that is not `any` goes before `any`; of two others, this one's.
        """
        if self.family == "any" or other.family not in (self.family, "any"):
            return other.demanded if self.family == "any" and other.family != "any" else self
        axes = dict(self.axes)
        for axis, value in other.demanded.axes:
            known = axes.get(axis)
            if not isinstance(known, int) or (isinstance(value, OneOf | Between) and not value.contains(known)):
                axes[axis] = value
        return PortType(self.family, tuple((axis, axes[axis]) for axis in AXES.get(self.family, ()) if axis in axes))

    def meeting(self, demand: PortType) -> PortType:
        """The type once it has what a demand of the same family leaves no choice about."""
        axes = dict(self.axes)
        for axis, value in demand.demanded.axes:
            if isinstance(value, int) or isinstance(axes.get(axis, DYNAMIC), Dynamic):
                axes[axis] = value
        return PortType(self.family, tuple((axis, axes[axis]) for axis in AXES.get(self.family, ()) if axis in axes))

    def __str__(self) -> str:
        return f"{self.family}[{', '.join(f'{name}={value}' for name, value in self.axes)}]" if self.axes else self.family


def agreement(given: Bound | None, taken: Bound | None) -> Agreement:
    """Whether an axis that is `given` is always, maybe or never what is `taken`; None is an axis that is not named."""
    if taken is None or isinstance(taken, Dynamic):
        return "proven"
    if given is None or isinstance(given, Dynamic):
        return "unknown"
    if isinstance(given, int):
        inside = given == taken if isinstance(taken, int) else taken.contains(given)
        return "proven" if inside else "contradicted"
    if isinstance(taken, int):
        return "unknown" if given.contains(taken) else "contradicted"
    if isinstance(given, OneOf):
        inside_of = [taken.contains(value) for value in given.values]
        return "proven" if all(inside_of) else "unknown" if any(inside_of) else "contradicted"
    if isinstance(taken, OneOf):
        return "unknown" if any(given.contains(value) for value in taken.values) else "contradicted"
    if taken.low <= given.low and given.high <= taken.high:
        return "proven"
    return "unknown" if given.low <= taken.high and taken.low <= given.high else "contradicted"


def _value(text: str, whole: str) -> AxisValue:
    if match := _PARAMETER.fullmatch(text):
        otherwise = None if match[2] is None else _value(match[2].strip(), whole)
        if isinstance(otherwise, FromParameter):
            raise ValueError(f"port type {whole!r}: {text!r}; expected one parameter")
        return FromParameter(match[1], otherwise)
    if text == "dynamic":
        return DYNAMIC
    if _NAME.fullmatch(text):
        return Variable(text)
    if match := _RANGE.fullmatch(text):
        low, high = int(match[1]), int(match[2])
        if not 1 <= low <= high:
            raise ValueError(f"port type {whole!r}: the range {text!r}; expected the lower end first, at least 1")
        return low if low == high else Between(low, high)
    numbers = [number.strip() for number in text.split("|")]
    if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise ValueError(f"port type {whole!r}: the value {text!r}; expected {_VALUES}")
    values = tuple(sorted({int(number) for number in numbers}))
    return values[0] if len(values) == 1 else OneOf(values)


def _known(value: AxisValue | None) -> Bound:
    """The value, where it is one before an item is there."""
    return DYNAMIC if value is None or isinstance(value, Variable | FromParameter) else value


def _filled(value: AxisValue, value_of: Callable[[str], object]) -> AxisValue:
    if not isinstance(value, FromParameter):
        return value
    found = value_of(value.parameter)
    if found is None:
        return DYNAMIC if value.otherwise is None else value.otherwise
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        expected = "a whole number, at least 1, for a port's type depends on it"
        raise ValueError(f"parameter {value.parameter!r} is {found!r}; expected {expected}")
    return found


def _hint(name: str, known: tuple[str, ...]) -> str:
    close = nearest(name, known)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
