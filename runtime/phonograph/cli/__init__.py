"""`run-pipeline`: its entry point. What it offers is in `phonograph.cli.verbs`, imported where Ctrl-C is already heeded."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Entry point of the console script; exits with 0, 1, 2 or 130."""
    try:
        status = _status()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    while True:  # what is left is the interpreter's own end, which would show a traceback
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            status = _INTERRUPTED
        else:
            sys.exit(status)


def _status() -> int:
    import click

    from phonograph.cli.verbs import run

    try:
        return run()
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        return _INTERRUPTED
    except OSError as error:  # standard output is a full disk, or nobody reads it any more
        with contextlib.suppress(OSError):
            click.echo(f"error: {error}", err=True)
        os._exit(1)  # flushing standard output once more at exit would raise the same error again
