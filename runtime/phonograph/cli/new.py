"""`run-pipeline new`: a manifest to begin with, which runs as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from click.shell_completion import CompletionItem


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from phonograph.shipped import shipped_manifests

    return [CompletionItem(name) for name in shipped_manifests() if name.startswith(incomplete)]


@click.command("new")
@click.argument("name")
@click.option(
    "--from",
    "shipped",
    metavar="MANIFEST",
    shell_complete=_complete,
    help="Begin with a copy of this shipped manifest, not with the starter.",
)
@click.option("--samples", is_flag=True, help="Copy the shipped clips beside it, into `samples`.")
def command(name: str, shipped: str | None, samples: bool) -> int:
    """Write NAME.yaml: a manifest with comments that runs as it is.

    NAME may be a path. A file that is there already is never changed. Without --samples the manifest reads the clips that came
    with phonograph from where they are installed; your own are read with --param corpus=FOLDER, or after a change of the default.

    Exit status: 0 written, 1 it cannot be written, 2 there is something of that name, or no such shipped manifest.
    """
    from phonograph.cli.starter import NewManifestError, file_and_id, make_manifest
    from phonograph.errors import PhonographError, nearest
    from phonograph.shipped import shipped_manifests

    known = shipped_manifests()
    if shipped is not None and shipped not in known:
        close = "".join(f"; did you mean {name!r}?" for name in nearest(shipped, known, limit=1))
        raise click.BadParameter(
            f"no shipped manifest {shipped!r}; expected one of {', '.join(known)}{close}", param_hint="--from"
        )
    template = Path(__file__).with_name("starter.yaml") if shipped is None else known[shipped]
    try:
        path, identifier = file_and_id(name)
        made = make_manifest(template, path, identifier=identifier, modeline=_modeline(), with_samples=samples)
    except NewManifestError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    except PhonographError as error:
        click.echo(f"error: {error}", err=True)
        return 1
    click.echo(f"wrote {made.manifest}" + (f", and the clips in {made.samples}" if made.samples else ""))
    click.echo("\nnext:")
    for verb in ("check ", "explain ", "test ", ""):
        click.echo(f"  run-pipeline {verb}{shlex.quote(_as_argument(made.manifest))}")
    return 0


def _modeline() -> str:
    """The line for editors, with the schema of the installed node types where that can be written, else the shipped one."""
    from phonograph.cli.editor import SCHEMA, CacheError, modeline, schema_file, schema_of
    from phonograph.graph.registry import Registry
    from phonograph.shipped import shipped_root

    try:
        return modeline(schema_file(schema_of(Registry.installed()).text))
    except CacheError as error:
        click.echo(f"note: the editor will know the shipped node types alone: {error}", err=True)
        return modeline(shipped_root("contracts") / SCHEMA)


def _as_argument(path: Path) -> str:
    """The path as a command line takes it, also where it looks like an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
