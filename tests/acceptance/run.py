"""Runs the claims of one issue: `python -m acceptance.run --issue spine [--fast]`.

Each claim is printed with its figure, its bar, and MET or UNMET; all go into a JSON file. The exit status is 0 when every
claim was judged, whatever the verdict; with `--strict` it is 1 when one is unmet.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acceptance.claims import Claim, Figure, claims_of, issues, package_of
from acceptance.machine import commit, machine, versions
from acceptance.processes import CHECKOUT


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chosen = [
        one
        for one in claims_of(options.issue)
        if (one.fast or not options.fast) and (not options.only or any(part in one.name for part in options.only))
    ]
    left_out = [one for one in chosen if one.needs_shared and options.without_shared]
    for one in left_out:
        print(f"left out, for it needs the shared data sets: {one.text}")
    chosen = [one for one in chosen if one not in left_out]
    if not chosen:
        sys.exit(f"no claim of {options.issue!r} is chosen; it has: {', '.join(one.name for one in claims_of(options.issue))}")
    verdicts = []
    for number, one in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {one.text}", flush=True)
        verdicts.append(_judge(one))
        _print(verdicts[-1])
    unmet = [verdict["claim"] for verdict in verdicts if not verdict["met"]]
    _write(options, verdicts)
    print(f"\n{len(verdicts) - len(unmet)} of {len(verdicts)} claims met; written to {options.out}")
    if unmet:
        print("UNMET: " + ", ".join(unmet))
    return 1 if unmet and options.strict else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance.run", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--issue", required=True, choices=issues(), help="whose claims to judge")
    parser.add_argument("--fast", action="store_true", help="only claims that take seconds")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="only claims so named; repeatable")
    parser.add_argument("--without-shared", action="store_true", help="leave out, by name, claims that need the shared data sets")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a claim is unmet")
    parser.add_argument(
        "--out", type=Path, help="where the verdicts go; by default beside the issue's claims when all were judged"
    )
    options = parser.parse_args(arguments)
    if options.out is None:
        in_part = options.fast or options.only or options.without_shared
        options.out = Path("build") if in_part else Path(__file__).parent / package_of(options.issue)
        options.out /= "acceptance.json"
    return options


def _judge(one: Claim) -> dict[str, Any]:
    started = time.monotonic()
    try:
        figure = one.measure()
    except Exception as error:  # noqa: BLE001  # a claim that cannot be measured does not hold; the others are still judged
        traceback.print_exc()
        figure = Figure("not measured", met=False, cause=f"{type(error).__name__}: {error}")
    return {
        "claim": one.name,
        "text": one.text,
        "figure": figure.text,
        "bar": one.bar,
        "met": figure.met,
        "cause": figure.cause,
        "fast": one.fast,
        "seconds": round(time.monotonic() - started, 1),
    }


def _print(verdict: dict[str, Any]) -> None:
    print(f"    figure  {verdict['figure']}\n    bar     {verdict['bar']}")
    if verdict["cause"]:
        print(f"    cause   {verdict['cause']}")
    print(f"    {'MET' if verdict['met'] else 'UNMET'}  ({verdict['seconds']} s)", flush=True)


def _write(options: argparse.Namespace, verdicts: list[dict[str, Any]]) -> None:
    report = {
        "issue": options.issue,
        "fast_only": options.fast,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(CHECKOUT),
        "machine": machine(),
        "versions": versions(),
        "claims": verdicts,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
