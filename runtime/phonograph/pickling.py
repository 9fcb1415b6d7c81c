"""Pickles what travels between processes: items, errors, and the nodes that a worker process is to make.

It is pickle protocol 5, whose large buffers stay out of the stream, with three additions. A read-only mapping travels as the
mapping behind it. An error keeps its type, its words, its attributes, its causes and the places of its traceback, whatever
arguments its class takes. What `@node` made of a function travels as that function.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from itertools import pairwise
from traceback import extract_tb
from types import MappingProxyType
from typing import Any

_PROTOCOL = 5
_PLACES = "_places_in_worker"  # attribute of an error that was raised in another process
_MOST_CAUSES = 8


def dumps(value: object, buffers: list[pickle.PickleBuffer] | None = None) -> bytes:
    """Pickle a value; `pickle.loads` reads it.

    Args:
        buffers: is added to: the memory of contiguous arrays, which then is not in the result.

    Raises:
        Exception: something in it cannot be pickled; which exception is up to what it is.
    """
    stream = io.BytesIO()
    _Pickler(stream, _PROTOCOL, buffer_callback=None if buffers is None else buffers.append).dump(value)
    return stream.getvalue()


def places(error: BaseException) -> tuple[str, ...]:
    """Where an error was raised, outermost first, as FILE:LINE in FUNCTION; also when that was in another process."""
    inside: tuple[str, ...] = getattr(error, _PLACES, ())
    return inside or tuple(f"{at.filename}:{at.lineno} in {at.name}" for at in extract_tb(error.__traceback__))


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, MappingProxyType):
            return _read_only, (dict(value),)
        if isinstance(value, BaseException):
            return _rebuilt, (_forms(value),)
        if isinstance(value, type) and (made_of := vars(value).get("__wrapped__")) is not None:
            return _made_of, (made_of, "factory" if made_of.spec.factory is value else "params")
        return NotImplemented


def _read_only(mapping: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(mapping)


def _made_of(function: Any, part: str) -> Any:
    """The node class, or the class of parameters, that `@node` made of a function."""
    return getattr(function.spec, part)


_Form = tuple[bytes, tuple[str, ...]]
"""An error: pickled, and the places of its traceback."""


def _forms(error: BaseException) -> list[_Form]:
    """An error, then its causes, nearest first; a chain that bites its tail ends there."""
    forms: list[_Form] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen and len(forms) < _MOST_CAUSES:
        seen.add(id(cause))
        forms.append((_form(cause), places(cause)))
        cause = cause.__cause__
    return forms


def _rebuilt(forms: list[_Form]) -> BaseException:
    chain = []
    for form, raised_at in forms:
        error: BaseException = pickle.loads(form)
        setattr(error, _PLACES, raised_at)
        chain.append(error)
    for error, cause in pairwise(chain):
        error.__cause__ = cause
    return chain[0]


def _form(error: BaseException) -> bytes:
    """The error pickled: as its class says, else by type, arguments and attributes, else as the nearest base that can be."""
    words = _words(error)
    state = {name: value for name, value in vars(error).items() if name != _PLACES and _travels(value)}
    candidates: list[object] = [error]
    for cls in type(error).__mro__[:-2]:  # up to BaseException and object
        candidates += [_Remade(cls, error.args, state), _Remade(cls, (words,), {})]
    for candidate in candidates:
        try:
            form = pickle.dumps(candidate, _PROTOCOL)
            again = pickle.loads(form)
        except Exception:  # noqa: BLE001  # an exception's own code may raise anything; there is a next way
            continue
        if isinstance(again, BaseException) and _words(again) == words:
            return form
    return pickle.dumps(Exception(words), _PROTOCOL)


def _travels(value: object) -> bool:
    try:
        pickle.loads(pickle.dumps(value, _PROTOCOL))
    except Exception:  # noqa: BLE001  # which exception is up to what the value is
        return False
    return True


class _Remade:
    """Pickles as an error of a class that is made without its `__init__`, which may want other arguments."""

    def __init__(self, cls: type[BaseException], arguments: tuple[object, ...], state: Mapping[str, object]) -> None:
        self._parts = (cls, arguments, dict(state))

    def __reduce__(self) -> Any:
        return _remade, self._parts


def _remade(cls: type[BaseException], arguments: tuple[object, ...], state: Mapping[str, object]) -> BaseException:
    error = cls.__new__(cls, *arguments)
    error.__dict__.update(state)
    return error


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # as in phonograph.errors
        return "(its message cannot be shown)"
