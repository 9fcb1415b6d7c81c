"""Errors that a manifest names: those of Python and of phonograph by their names alone, others with their module."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Sequence
from pathlib import PurePath

from phonograph import errors
from phonograph.errors import in_words, nearest, one_line
from phonograph.graph.plugins import load_plugin
from phonograph.retry import NEVER


class UnknownErrorError(Exception):
    """A name is not that of an error that can be tried again. Its words say what was found.

    Args:
        candidates: names that are like it.
    """

    def __init__(self, words: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.candidates = candidates


def named_error(name: str, plugins: Sequence[str]) -> type[Exception]:
    """The class of that name.

    Args:
        name: `ConnectionError`, `TransientError`; `package.module.Error`; `my_nodes.Error` for one of the plug-in my_nodes.py.
        plugins: paths of the manifest's plug-in files.

    Raises:
        UnknownErrorError: there is no such error, or none that is ever tried again.
    """
    module, _, attribute = name.rpartition(".")
    found: object = None
    if not module:
        found = getattr(builtins, attribute, None) or getattr(errors, attribute, None)
    else:
        path = next((path for path in plugins if PurePath(path).stem == module), None)
        try:
            owner = importlib.import_module(module) if path is None else load_plugin(path).module
        except Exception as error:  # the code of a module may raise anything
            raise UnknownErrorError(f"module {module!r} cannot be imported: {one_line(in_words(error))}") from error
        found = getattr(owner, attribute, None)
    if found is None:
        known = [one for space in (builtins, errors) for one in vars(space) if _is_error(getattr(space, one))]
        where = f"module {module!r} has" if module else "Python and phonograph have"
        raise UnknownErrorError(f"{where} no {attribute!r}", nearest(attribute, known) if not module else ())
    if not (isinstance(found, type) and issubclass(found, Exception)):
        raise UnknownErrorError(f"{name!r} is no Exception")
    if issubclass(found, NEVER):
        raise UnknownErrorError(f"{name!r} is never tried again")
    return found


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)
