"""The options that every verb about a manifest has, and what they complete to in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.language.manifest import Manifest

F = TypeVar("F", bound=Callable[..., Any])

Assignments = Sequence[tuple[str, str]]
"""What `--param` or `--set` was given: left and right of each `=`."""

FORMAT_VERSION = 1  # of what `--format json` prints; raised when a key changes its meaning or goes
_SUFFIXES = (".yaml", ".yml")


class ManifestName(click.ParamType[str]):
    """The path of a YAML file, or the name of a shipped manifest."""

    name = "manifest"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from phonograph.shipped import shipped_manifests

        names: Iterable[str] = [name for name in shipped_manifests() if name.startswith(incomplete)]
        return [CompletionItem(value) for value in (*names, *_files(incomplete))]


def _files(incomplete: str) -> list[str]:
    """Manifests below what is typed so far, and the folders that lead on, with a slash."""
    typed, separator, begun = incomplete.rpartition("/")
    try:
        entries = sorted(Path(typed + separator or ".").iterdir())
    except OSError:
        return []
    found = []
    for entry in entries:
        if not entry.name.startswith(begun) or (entry.name.startswith(".") and not begun):
            continue
        if entry.is_dir():
            found.append(f"{typed}{separator}{entry.name}/")
        elif entry.suffix in _SUFFIXES:
            found.append(f"{typed}{separator}{entry.name}")
    return found


class Assignment(click.ParamType[tuple[str, str]]):
    """NAME=VALUE.

    Args:
        names: the names that fit a manifest, for completion.
    """

    name = "assignment"

    def __init__(self, left: str, names: Callable[[click.Context], Iterable[tuple[str, str]]]) -> None:
        self._left = left
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, separator, rest = str(value).partition("=")
        if not separator or not name:
            option = param.opts[0] if param is not None else ""
            raise click.UsageError(f"{option} {value}: expected {self._left}=VALUE", ctx)
        return name, rest

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        if "=" in incomplete:
            return []
        return [CompletionItem(f"{name}=", help=words or None) for name, words in self._names(ctx) if name.startswith(incomplete)]


def manifest_options(command: F) -> F:
    """Give a command `--param` and `--set`, as the arguments `params` and `overrides`."""
    params = click.option(
        "params",
        "--param",
        "-p",
        type=Assignment("NAME", _parameter_names),
        metavar="NAME=VALUE",
        multiple=True,
        help="Set a parameter of the manifest; repeatable.",
    )
    overrides = click.option(
        "overrides",
        "--set",
        "-s",
        type=Assignment("PATH", _paths),
        metavar="PATH=VALUE",
        multiple=True,
        help="Replace a value of the manifest, such as nodes.mel.workers=2; repeatable.",
    )
    return params(overrides(command))


def complete_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The ids of the manifest's nodes."""
    manifest = _manifest(ctx)
    entries = () if manifest is None else manifest.nodes.values()
    return [CompletionItem(entry.id, help=entry.type) for entry in entries if entry.id.startswith(incomplete)]


def _parameter_names(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """Also those without a value, which no manifest that is read has: they are the ones that have to be given."""
    from phonograph.errors import ManifestError
    from phonograph.language.yaml12 import load

    manifest = _manifest(ctx)
    if manifest is None:
        return ()
    names = dict.fromkeys(manifest.params, "")
    for number, file in enumerate(manifest.files):
        try:
            root = load(file.read_bytes(), str(file)).value
        except (ManifestError, OSError):
            continue
        if not isinstance(root, Mapping) or (number and root.keys() & {"inputs", "outputs"}):
            continue  # a sub-graph, whose parameters the manifest itself gives
        declared = root.get("params")
        names |= dict.fromkeys(declared.value, "") if declared is not None and isinstance(declared.value, Mapping) else {}
    return {**names, **{name: parameter.help for name, parameter in manifest.params.items()}}.items()


def _paths(ctx: click.Context) -> Iterable[tuple[str, str]]:
    from phonograph.graph.registry import Registry, RegistryError
    from phonograph.graph.settable import settable

    manifest = _manifest(ctx)
    try:
        return () if manifest is None else settable(manifest, Registry.installed()).items()
    except RegistryError:
        return ()


def _manifest(ctx: click.Context) -> Manifest | None:
    """What can be read of the manifest that stands on the command line so far."""
    from phonograph.errors import ManifestError
    from phonograph.language.manifest import read_manifest
    from phonograph.shipped import find_manifest

    given = ctx.params.get("manifest") or ctx.params.get("manifests")
    if isinstance(given, tuple):
        given = given[0] if given else None
    if not given:  # click stops reading a line at an option without its value, which is the one to be completed
        given = next((word for word in ctx.args if not word.startswith("-")), None)
    if not given:
        return None
    try:
        return read_manifest(find_manifest(given)).manifest
    except ManifestError:
        return None


def joined(overrides: Assignments) -> list[str]:
    """What was given to `--set`, as the language reads it."""
    return [f"{path}={value}" for path, value in overrides]
