"""Reads the signature of a typed function as ports, parameters, cardinality of a node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from phonograph.audio import AudioChunk, Segment
from phonograph.porttype import Family
from phonograph.spec import Cardinality, Params

_FAMILY_OF: Mapping[Any, Family] = {AudioChunk: "audio", str: "text", bytes: "bytes"}


class Axes:
    """Narrows the port that an annotation declares: `Annotated[AudioChunk, Axes(rate=16000, channels="c")]`.

    Args:
        axes: values as in the text form of a port type; see `phonograph.porttype`.
    """

    __slots__ = ("_axes",)

    def __init__(self, **axes: int | str) -> None:
        self._axes = axes

    def __repr__(self) -> str:
        return f"Axes({', '.join(f'{name}={value!r}' for name, value in self._axes.items())})"

    def on(self, family: Family) -> str:
        """The text form of the port type with these axes."""
        return f"{family}[{', '.join(f'{name}={value}' for name, value in self._axes.items())}]"


def _unaliased(annotation: Any) -> Any:
    """What a type alias stands for. `NDArray[np.float32]` is one from NumPy 2.5 on, and so is all that `type X = ...` makes."""
    while True:
        arguments = get_args(annotation)
        # The origin first: a subscripted alias passes the look-up of `__value__` on, and would lose its arguments.
        alias = get_origin(annotation) if arguments else annotation
        if not hasattr(alias, "__value__"):
            return annotation
        annotation = alias.__value__
        if arguments and getattr(annotation, "__parameters__", ()):
            annotation = annotation[arguments]


def _type_of(annotation: Any) -> str:
    """The text form of the port type that an annotation stands for."""
    family = _family_of(annotation)
    annotation = _unaliased(annotation)
    while get_origin(annotation) is Annotated:
        for meta in annotation.__metadata__:
            if isinstance(meta, Axes):
                return meta.on(family)
        annotation = _unaliased(get_args(annotation)[0])
    return family


def _family_of(annotation: Any) -> Family:
    annotation = _unaliased(annotation)
    while get_origin(annotation) is Annotated:
        annotation = _unaliased(get_args(annotation)[0])
    if annotation in _FAMILY_OF:
        return _FAMILY_OF[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple and arguments and arguments[0] is Segment:
        return "segments"
    if origin is not None and getattr(origin, "__name__", "") == "ndarray":
        return "features"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "record"
    return "any"


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's signature, read as a node.

    Args:
        inputs, outputs: port -> text form of its type.
        payload: makes the payload, by port, of what the function returns.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]
    payload: Callable[[Any], dict[str, Any]]
    cardinality: Cardinality
    params: type[Params]

    @classmethod
    def of(cls, function: Callable[..., Any], *, batch: bool = False) -> Signature:
        """Read a function.

        Args:
            batch: it takes and returns lists, of which the elements are read.

        Raises:
            TypeError: it cannot be called as a node, or does not say what it takes and returns.
        """
        name_of = function.__qualname__
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{name_of}: is an `async def`; expected a plain function, which a worker thread calls")
        hints = get_type_hints(function, include_extras=True)
        element = _element_of if batch else _itself
        inputs: dict[str, str] = {}
        fields: list[Any] = []
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in hints:
                raise TypeError(f"{name_of}: parameter {name!r} has no annotation; expected {name}: TYPE")
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                required = parameter.default is inspect.Parameter.empty
                fields.append((name, hints[name]) if required else (name, hints[name], parameter.default))
            elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
                if parameter.default is not inspect.Parameter.empty:
                    found = f"{name!r} stands before `*`, as input ports do, and has a default"
                    raise TypeError(f"{name_of}: {found}; put it after `*` to make it a parameter")
                inputs[name] = _type_of(element(hints[name], f"{name_of}: parameter {name!r}"))
            else:
                raise TypeError(f"{name_of}: *args and **kwargs are not ports or parameters")
        if not inputs:
            raise TypeError(f"{name_of}: has no input port; expected at least one positional parameter")
        if "return" not in hints:
            raise TypeError(f"{name_of}: has no return annotation; expected `-> TYPE`, which becomes the output port")
        returned, cardinality = _returned(element(hints["return"], f"{name_of}: what it returns"))
        outputs, payload = _outputs(returned)
        params = msgspec.defstruct(
            f"{function.__name__}_params", fields, bases=(Params,), frozen=True, kw_only=True, forbid_unknown_fields=True
        )
        return cls(inputs, outputs, payload, cardinality, cast(type[Params], params))


def _itself(annotation: Any, what: str) -> Any:
    return annotation


def _element_of(annotation: Any, what: str) -> Any:
    """X of `list[X]` or `Sequence[X]`."""
    plain = _unaliased(annotation)
    if get_origin(plain) not in (list, Sequence):
        raise TypeError(f"{what} is {annotation}; expected list[TYPE] or Sequence[TYPE], because it takes batches")
    return get_args(plain)[0]


def _outputs(returned: Any) -> tuple[dict[str, str], Callable[[Any], dict[str, Any]]]:
    """One port, called after its family; or, for a class whose fields are all payloads, a port for each field."""
    fields = _payload_fields(returned)
    if fields is None:
        family = _family_of(returned)
        name = family if family != "any" else "out"
        return {name: _type_of(returned)}, lambda value: {name: value}
    names = tuple(fields)
    types = {name: _type_of(annotation) for name, annotation in fields.items()}
    if is_typeddict(returned):
        return types, lambda value: {name: value[name] for name in names}
    return types, lambda value: {name: getattr(value, name) for name in names}


def _payload_fields(annotation: Any) -> Mapping[str, Any] | None:
    """The fields of a NamedTuple, a TypedDict or a frozen dataclass, when each is of a family; None for anything else."""
    is_frozen = inspect.isclass(annotation) and getattr(getattr(annotation, "__dataclass_params__", None), "frozen", False)
    is_named = inspect.isclass(annotation) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")
    if not (is_frozen or is_named or is_typeddict(annotation)):
        return None
    hints = get_type_hints(annotation, include_extras=True)
    return hints if hints and all(_family_of(hint) != "any" for hint in hints.values()) else None


def _returned(annotation: Any) -> tuple[Any, Cardinality]:
    annotation = _unaliased(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if type(None) in arguments and len(arguments) == 2:
        return next(argument for argument in arguments if argument is not type(None)), "1:0..1"
    if inspect.isclass(origin) and issubclass(origin, Iterator):
        return arguments[0], "1:N"
    return annotation, "1:1"
