"""`run-pipeline nodes`: the node types that are installed."""

from __future__ import annotations

import click


@click.command("nodes")
def command() -> int:
    """List the installed node types."""
    from phonograph.registry import Registry

    registry = Registry.installed()
    width = max((len(name) for name in registry.types()), default=0)
    for name in registry.types():
        spec = registry.get(name)
        assert spec is not None
        click.echo(f"{name.ljust(width)}  {spec.summary}")
    return 0
