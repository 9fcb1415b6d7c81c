"""The mutation run: so many mutants of real and of broken files, and what became of each.

    PYTHONPATH=tests python -m hostile.run --inputs 100000 --seed 1

The mutants are read in worker processes with limits on time and memory. A process that dies, or does not come back from a mutant,
is replaced, and the mutant kept in a folder, cut down to what still shows the same. Figures go to standard output as JSON; the
exit status is 1 when something crashed, hung, raised what is no error of the project's own, or gave neither audio nor an error.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hostile.mutations import mutant, originals
from hostile.trial import ENDS, STATE, STATE_BYTES
from places import TESTS, shared_folder

_TARGET = "hostile.target:read"
_LOOK_EVERY_S = 0.05
_KEPT_OF_A_KIND = 3
_CRASHED_AT = re.compile(r'File "(?P<file>.*)", line (?P<line>\d+) in')


@dataclass(frozen=True)
class Finding:
    """A mutant that something is wrong with. `kind`: crash, hang, exception or silent; `what`: the same for equal causes."""

    kind: str
    what: str
    number: int
    original: str


@dataclass
class Run:
    """One run over mutants of some files.

    Args:
        hang_s: on the wall, for one mutant. memory: bytes for one process besides what it begins with.
    """

    folders: tuple[Path, ...]
    seed: int
    num_inputs: int
    num_workers: int = 2
    hang_s: float = 15.0
    memory: int = 512 * 2**20
    target: str = _TARGET
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        self.files = originals(self.folders)
        if not self.files:
            raise SystemExit(f"no audio files below {', '.join(map(str, self.folders))}; set PHONOGRAPH_SHARED, or give --folder")

    def run(self) -> None:
        """Work off all mutants."""
        workers = [_Worker(self, first) for first in range(self.num_workers)]
        try:
            while sum(worker.look() for worker in workers):  # all are looked at
                time.sleep(_LOOK_EVERY_S)
        finally:
            for worker in workers:
                self.slowest_s = max(self.slowest_s, worker.close())

    def add(self, kind: str, what: str, number: int) -> None:
        """Take a finding in."""
        self.findings.append(Finding(kind, what, number, mutant(self.files, self.seed, number)[0]))

    @property
    def environment(self) -> dict[str, str]:
        """Of the processes, which have to find the tests."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))}

    def job(self, **more: Any) -> list[str]:
        job = {"folders": [str(one) for one in self.folders], "seed": self.seed, "target": self.target, "memory": self.memory}
        return [sys.executable, "-m", "hostile.trial", json.dumps(job | more)]

    def as_dict(self) -> dict[str, Any]:
        """The figures."""
        kinds = Counter((one.kind, one.what) for one in self.findings)
        return {
            "inputs": self.num_inputs,
            "seed": self.seed,
            "files": len(self.files),
            **{end: self.counts[end] for end in (*ENDS, "crash", "hang")},
            "slowest_ms": round(self.slowest_s * 1e3),
            "findings": [
                {
                    "kind": kind,
                    "what": what,
                    "count": count,
                    "numbers": [one.number for one in self.findings if (one.kind, one.what) == (kind, what)][:10],
                    "originals": sorted({one.original for one in self.findings if (one.kind, one.what) == (kind, what)})[:10],
                }
                for (kind, what), count in kinds.most_common()
            ],
        }


class _Worker:
    """A process that works off every so many mutants, and is replaced when it dies or hangs."""

    def __init__(self, run: Run, first: int) -> None:
        self._run = run
        self._descriptor = os.memfd_create("hostile")
        os.ftruncate(self._descriptor, STATE_BYTES)
        self._state = mmap.mmap(self._descriptor, STATE_BYTES)
        self._child: subprocess.Popen[bytes] | None = None
        self._start(first)

    def look(self) -> bool:
        """Whether there is more to do, once what has happened since is accounted for."""
        if self._child is None:
            return False
        number, began, *_ = STATE.unpack_from(self._state)
        status = self._child.poll()
        if status is None and (not began or time.monotonic() - began < self._run.hang_s):
            return True
        if status is None:
            self._child.kill()
            self._child.wait()
        said = self._collect()
        if status == 0:
            self._child = None
            return False
        if status is None:
            self._lost("hang", "hang", number)
        elif not began:
            raise SystemExit(f"a worker died before its first mutant: {said[-2000:]}")
        else:
            at = _CRASHED_AT.search(said)
            where = f" at {Path(at['file']).name}:{at['line']}" if at else ""
            self._lost("crash", f"{_signal(status)}{where}", number)
        return self._child is not None

    def close(self) -> float:
        """Take the counts; returns the seconds of the slowest mutant."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
            self._collect()
        *counts, slowest_us = STATE.unpack_from(self._state)[2:]
        self._run.counts.update(dict(zip(ENDS, counts, strict=True)))
        self._state.close()
        os.close(self._descriptor)
        return float(slowest_us) / 1e6

    def _start(self, number: int) -> None:
        self._child = None
        if number >= self._run.num_inputs:
            return
        counts = STATE.unpack_from(self._state)[2:]
        STATE.pack_into(self._state, 0, number, 0.0, *counts)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `_collect`
        self._told: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        command = self._run.job(start=number, stop=self._run.num_inputs, step=self._run.num_workers, state=self._descriptor)
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._told,
            stderr=self._said,
            env=self._run.environment,
            pass_fds=[self._descriptor],
        )

    def _lost(self, kind: str, what: str, number: int) -> None:
        self._run.counts[kind] += 1
        self._run.add(kind, what, number)
        self._start(number + self._run.num_workers)

    def _collect(self) -> str:
        """What the process said on standard error; what it told of exceptions becomes findings."""
        for file in (self._told, self._said):
            file.seek(0)
        for line in self._told.read().splitlines():
            told = json.loads(line)
            kind = "silent" if told["words"] == "silent" else "exception"
            self._run.add(kind, f"{told['words']} at {told['place']}", told["number"])
        said = self._said.read().decode(errors="replace")
        self._told.close()
        self._said.close()
        return said


def keep(run: Run, folder: Path) -> None:
    """Write the first mutants of each kind of finding to a folder, as they were and cut down."""
    seen: Counter[tuple[str, str]] = Counter()
    for finding in run.findings:
        seen[finding.kind, finding.what] += 1
        if seen[finding.kind, finding.what] > _KEPT_OF_A_KIND:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        _, content = mutant(run.files, run.seed, finding.number)
        name = f"{finding.kind}-{run.seed}-{finding.number}{Path(finding.original).suffix}"
        (folder / name).write_bytes(content)
        if finding.kind in ("crash", "exception") and seen[finding.kind, finding.what] == 1:
            (folder / f"small-{name}").write_bytes(_smallest(run, finding, content))


def _smallest(run: Run, finding: Finding, content: bytes, most_tries: int = 40) -> bytes:
    """The mutant without the blocks that it shows the same without, larger blocks first."""
    expected = _ending(run, finding.number, content)
    size, tries = len(content) // 2, 0
    while size >= 16 and tries < most_tries:
        start = len(content) - size
        while start >= 0 and tries < most_tries:
            without, tries = content[:start] + content[start + size :], tries + 1
            if _ending(run, finding.number, without) == expected:
                content = without
            start -= size
        size //= 2
    return content


def _ending(run: Run, number: int, content: bytes) -> tuple[int, str]:
    """How a process ends that reads this, and the last words of its traceback's type."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            ended = subprocess.run(
                run.job(start=number, file=file.name), env=run.environment, capture_output=True, timeout=run.hang_s, check=False
            )
        except subprocess.TimeoutExpired:
            return 0, "hang"
        last = ended.stderr.decode(errors="replace").strip().splitlines()
        return ended.returncode, last[-1].partition(":")[0] if last and ended.returncode > 0 else ""


def _signal(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def main(arguments: list[str] | None = None) -> int:
    """Run, print the figures, keep what was found."""
    shared = shared_folder() / "data"
    parser = argparse.ArgumentParser(prog="python -m hostile.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, action="append", help="of originals; the shared malformed and codecs by default")
    parser.add_argument("--kept", type=Path, default=Path("build/hostile"), help="folder for what was found")
    parser.add_argument("--target", default=_TARGET, help="module:function that reads (content, number)")
    parser.add_argument("--hang-s", type=float, default=15.0)
    given = parser.parse_args(arguments)
    folders = tuple(given.folder or (shared / "malformed", shared / "codecs"))
    run = Run(folders, given.seed, given.inputs, given.workers, given.hang_s, target=given.target)
    began = time.monotonic()
    run.run()
    keep(run, given.kept)
    print(json.dumps({**run.as_dict(), "seconds": round(time.monotonic() - began, 1)}, indent=1))
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
