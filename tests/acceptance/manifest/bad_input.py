"""Claims about manifests that are hostile, broken or careless."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import run, temporary_folder

PIPELINE = Path(sys.executable).parent / "run-pipeline"
HUGE_BYTES = 50_000_000

_NODES = """\
nodes:
  clips: {type: source.files, params: {paths: samples}}
  audio: {type: audio.decode, input: clips}
  wav: {type: sink.wav, input: audio, params: {path: out}}
"""
_HEAD = "version: 1\nname: bad\n"
_PLUGIN = """\
from phonograph.audio import AudioChunk
from phonograph.node import node

@node("audio.same")
def same(audio: AudioChunk) -> AudioChunk:
    \"\"\"Hand audio on.\"\"\"
    return audio
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One bad input: its files, what the command adds, and what has to stand in the complaints.

    `words` are all found in what is printed; the complaint is at `place`, which is FILE:LINE:COLUMN.
    """

    files: Mapping[str, bytes | str]
    place: str
    code: str
    words: Sequence[str] = ()
    options: Sequence[str] = field(default_factory=tuple)


CASES: dict[str, Case] = {
    "includes in a circle": Case(
        {
            "main.yaml": _HEAD + "include: one.yaml\n" + _NODES,
            "one.yaml": "include: two.yaml\nparams: {}\n",
            "two.yaml": "include: one.yaml\nparams: {}\n",
        },
        "two.yaml:1:10",
        "include_cycle",
        ("one.yaml", "two.yaml"),
    ),
    "a missing include": Case(
        {"main.yaml": _HEAD + "include: prats.yaml\n" + _NODES, "parts.yaml": "params: {}\n"},
        "main.yaml:3:10",
        "file_unreadable",
        ("parts.yaml",),
    ),
    "a sub-graph with an unconnected port": Case(
        {
            "main.yaml": _HEAD
            + _NODES
            + "  sub: {include: sub.yaml}\n  more: {type: sink.wav, input: sub.audio, params: {path: o}}\n",
            "sub.yaml": "version: 1\nname: sub\ninputs: {audio: {type: audio}}\nnodes:\n"
            "  mono: {type: audio.resample, input: inputs.audio}\noutputs: {audio: mono}\n",
        },
        "main.yaml:7:3",
        "missing_input",
        ("'audio'", "'sub'"),
    ),
    "two plug-ins that claim one type": Case(
        {
            "main.yaml": _HEAD + "plugins: [one.py, two.py]\n" + _NODES,
            "one.py": _PLUGIN,
            "two.py": _PLUGIN + "\n# another file\n",
        },
        "main.yaml:3:19",
        "registry",
        ("audio.same", "one.py", "two.py"),
    ),
    "an override of a path that does not exist": Case(
        {"main.yaml": _HEAD + _NODES},
        "main.yaml",
        "override",
        ("nodes.wave", "'wav'"),
        ("--set", "nodes.wave.params.path=elsewhere"),
    ),
    "a manifest that is not UTF-8": Case(
        {"main.yaml": _HEAD.encode() + b"description: caf\xe9\n" + _NODES.encode()}, "main.yaml:3:17", "encoding", ("0xe9",)
    ),
    "an included file that is not UTF-8": Case(
        {"main.yaml": _HEAD + "include: part.yaml\n" + _NODES, "part.yaml": b"params: {a\xff: {type: int}}\n"},
        "part.yaml:1:11",
        "encoding",
        ("0xff", "main.yaml:3:10"),
    ),
}


@claim(issue="manifest", bar=f"{len(CASES)} of {len(CASES)}", fast=True)
def bad_manifests_get_words() -> Figure:
    """Each bad input ends `run-pipeline check` with status 2 and a complaint at its place, without a traceback."""
    faults = []
    for name, case in CASES.items():
        with temporary_folder() as folder:
            for file, content in case.files.items():
                (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
            (folder / "samples").mkdir()
            ended = run([PIPELINE, "check", "main.yaml", *case.options], cwd=folder, deadline_s=60, accept=(0, 1, 2))
            printed = ended.stdout + ended.stderr
            found = [line for line in printed.splitlines() if line.startswith(f"{case.place}:") and f" {case.code} " in line]
            lacking = [word for word in case.words if word not in printed]
            if ended.returncode != 2 or not found or lacking or "Traceback" in printed:
                faults.append(f"{name}: status {ended.returncode}, lacking {lacking}: {printed.strip()[-400:]}")
    return Figure(f"{len(CASES) - len(faults)} of {len(CASES)}", not faults, "\n".join(faults))


@claim(issue="manifest", bar="status 2, < 1 s, < 100 MiB above an ordinary manifest", fast=True)
def a_huge_manifest_costs_nothing() -> Figure:
    """50 MB of YAML are refused without being read whole."""
    with temporary_folder() as folder:
        (folder / "samples").mkdir()
        (folder / "small.yaml").write_text(_HEAD + _NODES, encoding="utf-8")
        (folder / "huge.yaml").write_bytes((_HEAD + _NODES).encode() + b"# padding padding\n" * (HUGE_BYTES // 18))
        peaks, seconds, status = {}, {}, {}
        for name in ("small", "huge"):
            started = time.monotonic()
            command: list[str | Path] = [sys.executable, "-c", _WITH_PEAK, PIPELINE, "check", f"{name}.yaml"]
            ended = run(command, cwd=folder, deadline_s=60, accept=(0, 2))
            seconds[name], status[name] = time.monotonic() - started, ended.returncode
            peaks[name] = int(ended.stderr.splitlines()[-1]) / 1024
            refused = "too_large" in ended.stdout + ended.stderr
    more_mib = peaks["huge"] - peaks["small"]
    figure = f"status {status['huge']}, {seconds['huge']:.2f} s, {more_mib:+.0f} MiB"
    return Figure(
        figure, status == {"small": 0, "huge": 2} and refused and more_mib < 100 and seconds["huge"] < 1 + seconds["small"]
    )


_WITH_PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""

_SECRET = "s3cr3t-w0rd"
_LEAKY = """\
version: 1
name: leaky
plugins: [leaky.py]
params:
  token: {type: secret}
nodes:
  clips: {type: source.files, params: {paths: samples}}
  call: {type: leaky.call, input: clips, params: {token: "${params.token}"}}
  rows: {type: sink.jsonl, input: call, params: {path: out/rows.jsonl}}
"""
_LEAKY_NODE = """\
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.node import Node, Params, Secret, node

class CallParams(Params, frozen=True):
    token: Secret

@node("leaky.call", inputs="record", outputs="record")
class Call(Node[CallParams]):
    \"\"\"Say in an error what nobody should see.\"\"\"

    def process(self, item: Item, state: None) -> Item:
        raise BadInputError(f"401 for Bearer {self.params.token}")
"""


@claim(issue="manifest", bar="0 places", fast=True)
def a_secret_is_printed_nowhere() -> Figure:
    """The value of a secret stands nowhere in what check, explain, a failing run, its log and its run directory say."""
    with temporary_folder() as folder:
        (folder / "samples").mkdir()
        (folder / "samples" / "clip.wav").write_bytes(b"RIFF")
        (folder / "main.yaml").write_text(_LEAKY, encoding="utf-8")
        (folder / "leaky.py").write_text(_LEAKY_NODE, encoding="utf-8")
        wrong = _LEAKY.replace('token: "${params.token}"', 'token: "${params.token}", tokn: "${params.token}"').replace(
            "paths: samples", 'paths: "${params.token}"'
        )
        (folder / "wrong.yaml").write_text(wrong, encoding="utf-8")
        given = ["--param", f"token={_SECRET}"]
        said = {}
        for name, arguments in {
            "check": ["check", "main.yaml"],
            "check of a wrong one": ["check", "wrong.yaml"],
            "check as JSON": ["check", "wrong.yaml", "--format", "json"],
            "explain": ["explain", "main.yaml"],
            "explain as JSON": ["explain", "main.yaml", "--format", "json"],
            "graph": ["graph", "main.yaml"],
            "dry run": ["main.yaml", "--dry-run"],
            "run": ["main.yaml", "--run-dir", "run", "--log-level", "debug", "--metrics", "metrics.json"],
            "run, log as JSON": ["main.yaml", "--run-dir", "run", "--log-level", "debug", "--log-format", "json"],
        }.items():
            ended = run([PIPELINE, *arguments, *given], cwd=folder, deadline_s=60, accept=(0, 1, 2))
            said[name] = ended.stdout + ended.stderr
        for path in sorted([*(folder / "run").rglob("*"), *folder.glob("*.json"), *(folder / "out").rglob("*")]):
            if path.is_file():
                said[str(path.relative_to(folder))] = path.read_text("utf-8", "replace")
    leaks = [name for name, text in said.items() if _SECRET in text]
    happened = "401 for Bearer ***" in said["run/dead_letters.jsonl"]
    cause = f"in {leaks}" if leaks else "" if happened else "the node's error is not among the dead letters"
    return Figure(f"{len(leaks)} of {len(said)} places", not leaks and happened, cause)
