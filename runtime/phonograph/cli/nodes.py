"""`run-pipeline nodes`: the node types that are installed."""

from __future__ import annotations

import click


@click.command("nodes")
def command() -> int:
    """List the installed node types; a line that begins with ! names one that cannot be used, with the reason."""
    from phonograph.registry import Registry, RegistryError

    try:
        registry = Registry.installed()
    except RegistryError as error:
        click.echo(_one_line(error), err=True)
        return 1
    width = max((len(name) for name in registry.types()), default=0)
    for name in registry.types():
        try:
            spec = registry.get(name)
        except RegistryError as error:
            click.echo(f"! {name}: {_one_line(error)}")
            continue
        assert spec is not None
        click.echo(f"{name.ljust(width)}  {spec.summary}")
    for origin, reason in registry.broken():
        click.echo(f"! entry point {origin}: {' '.join(reason.split())}; repair or remove its package")
    return 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
