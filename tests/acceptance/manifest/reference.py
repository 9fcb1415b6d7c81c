"""Claims about the reference documentation of the node types."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import CommandError, run, temporary_folder
from extras import missing_extra_of
from phonograph.graph.registry import Registry
from phonograph.shipped import shipped_root

PIPELINE = Path(sys.executable).parent / "run-pipeline"


@claim(issue="manifest", bar="every shipped type; where an extra is missing, a failure that says how to install it", fast=False)
def every_example_runs() -> Figure:
    """The example in the documentation of each shipped node type, as `run-pipeline nodes TYPE` prints it, runs to success."""
    types = Registry.installed().types()
    failed, without = [], []
    for type_name in types:
        with temporary_folder() as folder:
            shutil.copytree(shipped_root("manifests") / "samples", folder / "samples")
            example = folder / "example.yaml"
            try:
                example.write_text(_example(run([PIPELINE, "nodes", type_name], deadline_s=60).stdout), encoding="utf-8")
                run([PIPELINE, example, "--run-dir", folder / "run"], deadline_s=120, cwd=folder)
            except CommandError as error:
                extra = missing_extra_of(type_name)
                if extra and f"pip install 'phonograph[{extra}]'" in str(error):
                    without.append(f"{type_name} says that it needs the extra {extra}")
                else:
                    failed.append(f"{type_name}: {error}")
    ran = f"{len(types) - len(failed) - len(without)} of {len(types)}"
    return Figure("; ".join([ran, *without]), not failed, "\n".join(failed))


def _example(page: str) -> str:
    """The manifest in what `nodes TYPE` prints: from its first line on, without the indentation."""
    lines = page.splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() == "version: 1"), None)
    if start is None:
        raise CommandError("the page shows no example")
    indent = len(lines[start]) - len(lines[start].lstrip())
    block = []
    for line in lines[start:]:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        block.append(line[indent:])
    return "\n".join(block) + "\n"
