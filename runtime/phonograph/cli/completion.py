"""`run-pipeline completion`: how a shell learns to complete its command lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

VARIABLE = "_RUN_PIPELINE_COMPLETE"

_ACTIVATION: Mapping[str, tuple[str, str]] = {
    "bash": ("~/.bashrc", f'eval "$({VARIABLE}=bash_source run-pipeline)"'),
    "zsh": ("~/.zshrc", f'eval "$({VARIABLE}=zsh_source run-pipeline)"'),
    "fish": ("~/.config/fish/completions/run-pipeline.fish", f"{VARIABLE}=fish_source run-pipeline | source"),
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_ACTIVATION)))
def command(shell: str) -> int:
    """Print the line that turns completion on in SHELL.

    A comment above it says where it belongs. Verbs, manifests, --param NAME=, --set PATH= and --node ID are completed.
    To try it in bash:

    \b
        eval "$(run-pipeline completion bash)"
    """
    file, line = _ACTIVATION[shell]
    click.echo(f"# for every new shell, put this line into {file}\n{line}")
    return 0


@add_completion_class
class BashWithAssignments(BashComplete):
    """Bash, without a space behind `NAME=`: the value is still to come."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=($value); [[ "$value" == *[=/.] ]] && compopt -o nospace'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Bash splits words at `=`, so `NAME = VALUE` and `--param = NAME` are put together again."""
        args, incomplete = super().get_completion_args()
        while args and args[-1] == "=" and len(args) > 1 and not args[-2].startswith("-"):
            incomplete = f"{args[-2]}={incomplete}"
            args = args[:-2]
        if incomplete == "=" and args and not args[-1].startswith("-"):
            incomplete = f"{args[-1]}="
            args = args[:-1]
        return _joined(args), incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value}"


def _joined(words: list[str]) -> list[str]:
    """The words of a command line with `NAME`, `=`, `VALUE` in one."""
    joined: list[str] = []
    is_open = False
    for word in words:
        if word == "=" and joined:
            joined[-1] += "="
            is_open = True
        elif is_open:
            joined[-1] += word
            is_open = False
        else:
            joined.append(word)
            is_open = False
    return joined
