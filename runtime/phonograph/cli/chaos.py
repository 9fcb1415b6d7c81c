"""`run-pipeline chaos`: runs a manifest under injected faults, and says which rules do not hold then."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from phonograph.cli.loading import load_or_complain
from phonograph.cli.options import FORMAT_VERSION, Assignments, ManifestName, manifest_options

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.chaos import Found, Verdict

_INTERRUPTED = 130
_KINDS = ("error", "delay", "crash", "torn", "disk")
_SEEDS = 20
_SHOWN_EVENTS = 12
_SHOWN_FOUND = 3


class Kinds(click.ParamType[tuple[str, ...]]):
    """Kinds of faults, with commas between them."""

    name = "kinds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        kinds = tuple(word.strip() for word in str(value).split(","))
        for kind in kinds:
            if kind not in _KINDS:
                raise click.UsageError(f"--faults {value}: unknown kind {kind!r}; expected some of {', '.join(_KINDS)}", ctx)
        return kinds


@click.command("chaos")
@click.argument("manifest", type=ManifestName())
@manifest_options
@click.option("--seeds", type=click.IntRange(1, 10**9), metavar="N", help="Try the seeds 1 to N.  [default: 20]")
@click.option("--seed", type=click.IntRange(min=1), metavar="S", help="Try this one alone.")
@click.option("--faults", type=Kinds(), default=",".join(_KINDS), show_default=True, metavar="KINDS", help="What to inject.")
@click.option(
    "--rate", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of the items at each node that meet one."
)
@click.option("--records", type=click.IntRange(min=1), default=20, show_default=True, metavar="K", help="Of each source.")
@click.option("format_", "--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    manifest: str,
    params: Assignments,
    overrides: Assignments,
    seeds: int | None,
    seed: int | None,
    faults: tuple[str, ...],
    rate: float,
    records: int,
    format_: str,
) -> int:
    """Run MANIFEST under injected faults, and tell which rules do not hold then.

    Each seed runs the first records of each source in a temporary folder (TMPDIR says where), in simulated time and in an order
    of its own, with errors and delays at nodes, a disk without room, and stops behind any step of storing, as if the process had
    been killed or the power had gone. A run that stopped or failed is gone on with, and at the end what is left is healed by a
    run without faults. Nothing may be lost, twice, torn, or other than in a run without faults. The outputs of the manifest are
    not touched.

    Exit status: 0 every rule held; 1 one did not; 2 wrong manifest, or one that cannot be tried; 130 interrupted.
    """
    if seeds is not None and seed is not None:
        raise click.UsageError("--seed beside --seeds; expected one of both")
    graph = load_or_complain(manifest, params, overrides)
    if graph is None:
        return 2
    from phonograph.chaos import Chaos  # not before: it needs kernels that can run here
    from phonograph.cli.complaints import show_complaints
    from phonograph.errors import ChaosError, GraphError

    clean = graph.secrets.clean
    command_line = _command_line(manifest, params, overrides, faults, rate, records)
    tried = range(seed, seed + 1) if seed is not None else range(1, (seeds or _SEEDS) + 1)
    verdicts: list[Verdict] = []
    began = time.monotonic()
    try:
        with _sigterm_as_ctrl_c(), Chaos(graph, records=records, kinds=faults, rate=rate) as chaos:
            report = _Report(clean, command_line, chaos.num_records, chaos.left_out, chaos.found)
            for one in [] if chaos.found else tried:
                verdicts.append(chaos.run(one))
                if format_ == "text" and verdicts[-1].found:
                    click.echo("\n".join(report.violation(verdicts[-1])))
                if sys.stderr.isatty():
                    click.echo(f"\r{len(verdicts)} of {len(tried)} seeds", nl=False, err=True)
    except GraphError as error:  # it is fine as a part of something, and cannot run by itself
        show_complaints(error.complaints, sys.stderr)
        return 2
    except ChaosError as error:
        click.echo(f"error: {clean(str(error))}", err=True)
        return 2
    except KeyboardInterrupt:
        click.echo(f"interrupted: {len(verdicts)} of {len(tried)} seeds were tried", err=True)
        return _INTERRUPTED
    finally:
        if sys.stderr.isatty():
            click.echo("\r", nl=False, err=True)
    seconds = time.monotonic() - began
    if format_ == "json":
        click.echo(json.dumps(report.as_json(verdicts, seconds), indent=1))
    else:
        click.echo("\n".join(report.closing(verdicts, seconds)))
    return 1 if chaos.found or any(verdict.found for verdict in verdicts) else 0


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does: the temporary folder goes then too."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Report:
    """Says what was found.

    Args:
        clean: hides secrets. command_line: which says it again, up to the seed.
        in_order: what another order of events alone makes wrong.
    """

    def __init__(
        self, clean: Any, command_line: str, num_records: int, left_out: Sequence[str], in_order: Sequence[Found]
    ) -> None:
        self._clean = clean
        self._command_line = command_line
        self._num_records = num_records
        self._left_out = left_out
        self._in_order = in_order

    def violation(self, verdict: Verdict) -> list[str]:
        """What is wrong under a seed, and how it came to that."""
        lines = [f"seed {verdict.seed}: {self._words(found)}" for found in verdict.found[:_SHOWN_FOUND]]
        if len(verdict.found) > _SHOWN_FOUND:
            lines.append(f"  and {len(verdict.found) - _SHOWN_FOUND} more")
        if verdict.events:
            lines.append(f"  what was injected, in {verdict.num_runs} runs:")
            untold = len(verdict.events) - _SHOWN_EVENTS
            lines += [f"    ... {untold} more before"] * (untold > 0)
            lines += [f"    {self._clean(str(event))}" for event in verdict.events[-_SHOWN_EVENTS:]]
        return [*lines, f"  again: {self._again(verdict.seed)}"]

    def closing(self, verdicts: Sequence[Verdict], seconds: float) -> list[str]:
        """The last lines."""
        lines = [f"without any fault: {self._words(found)}" for found in self._in_order[:_SHOWN_FOUND]]
        if any(found.rule != "left behind" for found in self._in_order):
            lines.append("  a node keeps something from one record to the next, draws at random, or asks for the time")
        if lines:
            lines.append("  no faults were injected; first things first")
        lines += [f"left out: {words}" for words in self._left_out]
        faults, wrong = _counts(verdicts), self._num_wrong(verdicts)
        told = f" ({', '.join(f'{count} {name}' for name, count in faults.items())})" if faults else ""
        records = "1 record" if self._num_records == 1 else f"{self._num_records} records"
        violations = "1 violation" if wrong == 1 else f"{wrong} violations"
        seeds = "1 seed" if len(verdicts) == 1 else f"{len(verdicts)} seeds"
        return [
            *lines,
            f"{seeds} on {records}: {faults.total()} faults injected{told}, {violations}, {seconds:.1f} s",
        ]

    def as_json(self, verdicts: Sequence[Verdict], seconds: float) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "version": FORMAT_VERSION,
            "seeds": len(verdicts),
            "records": self._num_records,
            "runs": sum(verdict.num_runs for verdict in verdicts),
            "faults": dict(_counts(verdicts)),
            "violations": [
                *(self._as_json(None, found, ()) for found in self._in_order),
                *(self._as_json(verdict, found, verdict.events) for verdict in verdicts for found in verdict.found),
            ],
            "left_out": [self._clean(words) for words in self._left_out],
            "seconds": round(seconds, 3),
        }

    def _as_json(self, verdict: Verdict | None, found: Found, events: Sequence[object]) -> dict[str, Any]:
        return {
            "seed": None if verdict is None else verdict.seed,
            "rule": found.rule,
            "message": self._clean(found.words),
            "record": self._clean(found.record) or None,
            "node": found.node or None,
            "history": [self._clean(str(event)) for event in events],
            "again": None if verdict is None else self._again(verdict.seed),
        }

    def _num_wrong(self, verdicts: Sequence[Verdict]) -> int:
        return bool(self._in_order) + sum(bool(verdict.found) for verdict in verdicts)

    def _words(self, found: Found) -> str:
        where = "".join(f" {name} {value}:" for name, value in (("node", found.node), ("record", found.record)) if value)
        return str(self._clean(f"{found.rule}:{where} {found.words}"))

    def _again(self, seed: int) -> str:
        return str(self._clean(f"{self._command_line} --seed {seed}"))


def _counts(verdicts: Sequence[Verdict]) -> Counter[str]:
    """How many faults of each kind, most frequent first."""
    counts = Counter(event.name for verdict in verdicts for event in verdict.events)
    return Counter(dict(counts.most_common()))


def _command_line(
    manifest: str, params: Assignments, overrides: Assignments, faults: Sequence[str], rate: float, records: int
) -> str:
    words = ["run-pipeline", "chaos", manifest]
    words += [word for name, value in params for word in ("--param", f"{name}={value}")]
    words += [word for path, value in overrides for word in ("--set", f"{path}={value}")]
    words += ["--faults", ",".join(faults)] if tuple(faults) != _KINDS else []
    words += ["--rate", f"{rate:g}"] if rate != 0.1 else []
    words += ["--records", str(records)] if records != 20 else []
    return shlex.join(words)
