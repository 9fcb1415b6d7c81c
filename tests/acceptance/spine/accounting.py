"""Claims about what a run costs, and about what it says that it costs."""

from __future__ import annotations

from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import run_pipeline, temporary_folder

SIZES = (1_000_000, 20_000_000, 150_000_000)  # bytes

CHAIN = """\
version: 1
name: {name}
nodes:
  numbers: {{type: testing.numbers, params: {{count: {records}}}}}
{nodes}
"""


def _write(folder: Path, name: str, records: int, *nodes: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(CHAIN.format(name=name, records=records, nodes="\n".join(f"  {line}" for line in nodes)), encoding="utf-8")
    return path


@claim(issue="spine", bar="memory_mb within 5 % of 1, 20 and 150 MB, held and freed", fast=True)
def memory_of_a_node_is_measured() -> Figure:
    """A node that allocates a known amount shows it in memory_mb, and its neighbours do not."""
    largest, neighbour, seen = 0.0, 0.0, []
    for kind in ("hold", "free"):
        for size in SIZES:
            with temporary_folder() as folder:
                manifest = _write(
                    folder,
                    "memory",
                    3,
                    "before: {type: testing.pass, input: numbers}",
                    f"{kind}: {{type: probe.{kind}, input: before, params: {{num_bytes: {size}}}, workers: 1}}",
                    f"out: {{type: testing.discard, input: {kind}}}",
                )
                ran = run_pipeline(manifest, folder, deadline_s=60)
            measured = ran.node(kind)["memory_mb"]
            seen.append(f"{kind} {size / 1e6:g}: {measured:g}")
            largest = max(largest, abs(measured / (size / 1e6) - 1))
            neighbour = max(neighbour, ran.node("before")["memory_mb"], ran.node("out")["memory_mb"])
    text = f"at most {largest:.2%} off; neighbours at most {neighbour:g} MB ({', '.join(seen)})"
    return Figure(text, met=largest <= 0.05 and neighbour <= 0.05)


@claim(issue="spine", bar="total time <= 0.75 of both branches' busy time", fast=True)
def branches_overlap_in_time() -> Figure:
    """Two slow branches of one graph run at the same time."""
    with temporary_folder() as folder:
        manifest = _write(
            folder,
            "branches",
            20,
            "left: {type: probe.wait, input: numbers, params: {seconds: 0.05}, workers: 1}",
            "right: {type: probe.wait, input: numbers, params: {seconds: 0.05}, workers: 1}",
            "left_out: {type: testing.discard, input: left}",
            "right_out: {type: testing.discard, input: right}",
        )
        ran = run_pipeline(manifest, folder, deadline_s=60)
    total = ran.metrics["total_time_ms"]
    left, right = (ran.node(name)["execution_time_ms"] for name in ("left", "right"))
    apart = min(left, right) < 1000  # the waits themselves take 1000 ms a branch: less would mean that they did not happen
    share = total / (left + right)
    text = f"{total:.0f} ms for branches of {left:.0f} and {right:.0f} ms: {share:.2f} of their sum"
    return Figure(text, met=share <= 0.75 and not apart)


@claim(issue="spine", bar="peak at 200 000 records <= 1.05 of the peak at 20 000", fast=True)
def memory_is_flat_in_the_number_of_records() -> Figure:
    """Ten times as many records through no-op nodes need no more memory."""
    peaks, completed = [], []
    for records in (20_000, 200_000):
        with temporary_folder() as folder:
            manifest = _write(
                folder,
                "flat",
                records,
                "first: {type: testing.pass, input: numbers}",
                "second: {type: testing.pass, input: first}",
                "out: {type: testing.discard, input: second}",
            )
            ran = run_pipeline(manifest, folder, deadline_s=300)
        peaks.append(ran.peak_mib)
        completed.append(ran.records["completed"])
    ratio = peaks[1] / peaks[0]
    text = f"{peaks[1]:.1f} MiB for {completed[1]} records, {peaks[0]:.1f} MiB for {completed[0]}: {ratio:.3f}"
    return Figure(text, met=ratio <= 1.05 and completed == [20_000, 200_000])
