"""Loads plug-in files: Python files beside a manifest, with node types of its own.

A file becomes a module under a name that is made of its path, so that two files called `nodes.py` do not meet. It is compiled
here and not imported by Python's machinery, which would take a file that was edited within a second for the one that it knows.
What was loaded is kept while the file says the same, because the classes of a file must be the same for every manifest with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import linecache
import os
import sys
import threading
from dataclasses import dataclass, replace
from traceback import extract_tb
from types import FunctionType, ModuleType

from phonograph.errors import PhonographError, in_words, one_line
from phonograph.language.include import read_start
from phonograph.spec import NodeSpec

MAX_BYTES = 2**22  # of a file; Python code that people write by hand is far below


class PluginError(PhonographError):
    """A plug-in file cannot be read, its code cannot be loaded, or it declares no node."""

    code = "plugin"

    def __init__(self, message: str, expected: str = "") -> None:
        super().__init__(message)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in file that was loaded.

    Args:
        specs: of the node types that it declares, in the order of the file; their origin is `PATH:NAME`.
    """

    path: str
    module: ModuleType
    specs: tuple[NodeSpec, ...]


_LOADED: dict[str, tuple[bytes, Plugin]] = {}  # real path -> (digest of its code, what it gave)
_LOADING = threading.RLock()  # modules are the process's, so two threads must not load one file at once


def load_plugin(path: str) -> Plugin:
    """Load a plug-in file, or give what it gave before when it has not changed since.

    Raises:
        PluginError: with the place in the file where there is one.
    """
    real = os.path.realpath(path)
    code = _read(path)
    digest = hashlib.sha256(code).digest()
    with _LOADING:
        known, plugin = _LOADED.get(real, (b"", None))
        if plugin is None or known != digest:
            plugin = _load(path, real, code)
            _LOADED[real] = (digest, plugin)
        return plugin


def module_name(path: str) -> str:
    """The name of the module that the file at a path becomes."""
    return f"phonograph_plugin_{hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]}"


def _read(path: str) -> bytes:
    try:
        code = read_start(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise PluginError(f"the plug-in {path!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(code) > MAX_BYTES:
        raise PluginError(f"the plug-in {path!r} has more than {MAX_BYTES} bytes; that is no file of node types")
    return code


def _load(path: str, real: str, code: bytes) -> Plugin:
    name = module_name(path)
    module = ModuleType(name)
    module.__file__ = real
    linecache.checkcache(real)  # or a traceback would show lines of the file as it was
    before = sys.modules.get(name)
    # Annotations are looked up there, and pickles and dataclasses find their classes there.
    sys.modules[name] = module
    try:
        # What a file prints must not stand among what a verb prints, which may be JSON.
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(code, real, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
        if not isinstance(error, Exception | SystemExit):  # Ctrl-C is for us; else the file's code may raise anything
            raise
        raise PluginError(f"the plug-in {path!r} cannot be loaded: {_reason(error, path, real)}", _remedy(error, real)) from error
    specs: dict[int, NodeSpec] = {}
    for declared in vars(module).values():
        # Anything else may do anything when it is asked for an attribute.
        spec = vars(declared).get("spec") if isinstance(declared, type | FunctionType) else None
        if isinstance(spec, NodeSpec) and declared.__module__ == name:
            specs[id(declared)] = replace(spec, origin=f"{path}:{spec.origin.partition(':')[2]}")
    if not specs:
        raise PluginError(f"the plug-in {path!r} declares no node", "a class or function of its own under @node")
    return Plugin(path, module, tuple(specs.values()))


def _remedy(error: BaseException, real: str) -> str:
    """What to do about an import of a file beside the plug-in, which is no module for it; empty for any other error."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    beside = os.path.join(os.path.dirname(real), name)
    if not name or not (os.path.isfile(f"{beside}.py") or os.path.isdir(beside)):
        return ""
    return (
        f"one file that needs no other; list {name}.py under 'plugins' too for its node types, and put code that several files "
        "share into an installed package"
    )


def _reason(error: BaseException, path: str, real: str) -> str:
    """What went wrong in words, with the last place in the file that had a part in it."""
    if isinstance(error, SyntaxError) and error.filename == real:
        return f"SyntaxError: {error.msg}, at {path}:{error.lineno}:{error.offset}"
    words = one_line(in_words(error))
    lines = [at.lineno for at in extract_tb(error.__traceback__) if at.filename == real]
    return f"{words}, at {path}:{lines[-1]}" if lines else words
