"""Ctrl-C at `run-pipeline`: while it is loaded, while the interpreter ends, and when a node never comes back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]
STUCK = """
import threading
from pathlib import Path
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node

@node("test.numbers", outputs={"record": "record"})
class Numbers(Source[Params]):
    \"\"\"Give some numbers.\"\"\"

    def read(self):
        for number in range(20):
            yield Record(key=f"number-{number}", payload={"record": {"number": number}})

@node("test.stuck", inputs={"record": "record"}, outputs={"record": "record"})
class Stuck(Node[Params]):
    \"\"\"Never come back from the third record.\"\"\"

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == 2:
            Path("stuck").touch()
            threading.Event().wait()
        return item
"""


def test_ctrl_c_twice_ends_a_run_whose_node_never_comes_back(tmp_path: Path) -> None:
    """The second one ends it with exit status 130; node and record are named, and every record has an outcome."""
    (tmp_path / "nodes.py").write_text(STUCK)
    (tmp_path / "stuck.yaml").write_text(
        "version: 1\nname: stuck\nplugins: [nodes.py]\nnodes:\n  numbers: {type: test.numbers}\n"
        "  work: {type: test.stuck, input: numbers, workers: 1}\n"
        "  out: {type: sink.jsonl, input: work, params: {path: out.jsonl}}\n"
    )
    process = subprocess.Popen(
        [*COMMAND, "stuck.yaml", "--run-dir", "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "stuck").exists() and process.poll() is None:
        pass
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while "interrupt again" not in (line := process.stderr.readline()) and line:
        pass
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "threads_abandoned" in stderr and "node 'work', record 'number-2'" in stderr and "Traceback" not in stderr
    records = json.loads((tmp_path / "run" / "metrics.json").read_text())["pipeline_execution"]["records"]
    assert records["completed"] + records["cancelled"] == records["read"]
    assert not (tmp_path / "run" / "lock").exists()


INTERRUPTED_AT = """
import atexit, signal, sys

class Lost:
    def __del__(self):  # where the interpreter drops whatever is raised
        signal.raise_signal(signal.SIGINT)

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "NAME":
            Lost()

sys.meta_path.insert(0, Finder())
from phonograph.cli import main
EXIT
sys.argv = ["run-pipeline", "WHAT"]
main()
"""


@pytest.mark.parametrize(
    ("module", "what"),
    [("click", "--help"), ("phonograph.cli.verbs", "--help"), ("phonograph.cli.run", "x.yaml"), ("numpy", "features")],
)
def test_ctrl_c_while_it_is_loaded_is_never_lost(tmp_path: Path, module: str, what: str) -> None:
    """Whoever presses it before anything has begun gets exit status 130 and nothing else, at whatever moment."""
    code = INTERRUPTED_AT.replace("NAME", module).replace("WHAT", what).replace("EXIT", "")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_ctrl_c_while_the_interpreter_ends_changes_nothing(tmp_path: Path) -> None:
    """What has been done by then stays done: the exit status is that of the command, and no traceback is shown."""
    code = (
        INTERRUPTED_AT.replace("NAME", "")
        .replace("WHAT", "--help")
        .replace("EXIT", "atexit.register(signal.raise_signal, signal.SIGINT)")
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
