"""`run-pipeline schema`: the manifest language with the installed node types, as JSON Schema for editors."""

from __future__ import annotations

import click

from phonograph.cli.options import ManifestName


@click.command("schema")
@click.argument("manifest", required=False, type=ManifestName())
@click.option("--path", "as_path", is_flag=True, help="Print the path of a file with the schema, for an editor to point at.")
def command(manifest: str | None, as_path: bool) -> int:
    """Print the JSON Schema of manifests, with the parameters of every installed node type.

    With a MANIFEST the node types of its plug-ins are in it too.

    An editor that speaks to yaml-language-server (VS Code with the YAML extension, Neovim, Emacs, ...) completes node types and
    parameters, and marks what is wrong, in a manifest that opens with

    \b
        # yaml-language-server: $schema=PATH

    where PATH is what `run-pipeline schema --path` prints. `run-pipeline new` writes that line. The path stays good until other
    node types are installed; then ask again.

    Exit status: 0 printed, 1 the schema cannot be written, 2 there is no such manifest or its plug-ins cannot be loaded.
    """
    from phonograph.cli.editor import schema_file, schema_of
    from phonograph.cli.installed import registry_with
    from phonograph.errors import ManifestError, PhonographError

    try:
        schema = schema_of(registry_with(manifest=manifest))
        shown = str(schema_file(schema.text)) if as_path else schema.text.rstrip("\n")
    except ManifestError as error:
        click.echo(str(error), err=True)
        return 2
    except PhonographError as error:
        click.echo(f"error: {error}", err=True)
        return 1
    for reason in schema.left_out:
        click.echo(f"not in the schema: {reason}", err=True)
    click.echo(shown)
    return 0
