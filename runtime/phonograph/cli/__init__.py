"""`run-pipeline`: its entry point. What it offers is in `phonograph.cli.verbs`, imported when Ctrl-C is seen to."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Entry point of the console script; exits with 0, 1, 2 or 130."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
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


def heed_interrupts() -> None:
    """From now on Ctrl-C is raised as KeyboardInterrupt, for something begins that is to be cleaned up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    """Ctrl-C before anything has begun. It is not raised, because importing may lose it, or make another error of it."""
    os._exit(_INTERRUPTED)


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
