"""What `run-pipeline` offers: a run, and the verbs that installed packages have under `phonograph.commands`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import click
from click.shell_completion import CompletionItem

from phonograph.cli import heed_interrupts
from phonograph.cli.options import ManifestName
from phonograph.cli.run import command as run_command

_VERBS_GROUP = "phonograph.commands"
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}
_COMPLETION = "_RUN_PIPELINE_COMPLETE"  # set by a shell that wants to know how a command line can go on


class Verbs(click.Group):
    """A command group whose default verb is `run`; the others are found by entry point and loaded when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({"run", *(point.name for point in _verbs())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "run":
            return run_command
        for point in _verbs():
            if point.name == cmd_name:
                return _loaded(point)
        return None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Verbs and manifests, for both can come first."""
        verbs = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            return verbs
        return [*ManifestName().shell_complete(ctx, run_command.params[0], incomplete), *verbs]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`run-pipeline MANIFEST ...` means `run-pipeline run MANIFEST ...`."""
        own = {"--help", "-h", "--version"}
        if args and args[0] not in own and args[0] not in self.list_commands(ctx):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _loaded(verb: EntryPoint) -> click.Command:
    """The command of a verb; for one that cannot be loaded, one that says so, since the other verbs are to work all the same."""
    try:
        command = verb.load()
    except Exception as error:  # noqa: BLE001  # anything can be wrong in a package of somebody else
        reason = f"cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())}"
    else:
        if isinstance(command, click.Command):
            return command
        reason = f"is no click command but {type(command).__name__}"
    message = f"the verb {verb.name!r}, {verb.value}, {reason}"

    def refuse() -> None:
        raise click.ClickException(message)

    return click.Command(verb.name, callback=refuse, help=f"! {message}", context_settings=_ANYTHING)


def _verbs() -> Iterable[EntryPoint]:
    return entry_points(group=_VERBS_GROUP)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 120},
    options_metavar="",
    subcommand_metavar="MANIFEST [OPTIONS] | VERB ...",
)
@click.version_option(package_name="phonograph", message="phonograph %(version)s")
def cli() -> None:
    """Run the pipeline that MANIFEST describes: a YAML file, or the name of a shipped manifest such as `features`.

    `run-pipeline run --help` shows the options of a run.
    """
    if click.get_current_context().invoked_subcommand != run_command.name:  # which says so itself, as it loads more first
        heed_interrupts()


def run() -> int:
    """Do what the command line says. Returns the exit status; raises what click does."""
    if _COMPLETION in os.environ:
        import phonograph.cli.completion  # noqa: F401  # for what it changes about bash
    return cli(prog_name="run-pipeline", standalone_mode=False) or 0
