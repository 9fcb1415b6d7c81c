"""The claim about the tests of failures themselves: they are quick, and do not sleep."""

from __future__ import annotations

import json
import re
import resource
import sys
import time

from acceptance.claims import Figure, claim
from acceptance.processes import CHECKOUT, TESTS, run, temporary_folder

_ENGINE = (
    *("bad_nodes", "dead_letter_routing", "down", "failure_groups", "failures", "fallbacks", "fallbacks_served", "interrupts"),
    *("process_timeouts", "processes", "scribe", "serving_breakers", "session_timeouts", "source_failures", "stopping"),
    *("timeouts", "watchdog"),
)
_VERBS = ("chaos_verb", "ctrl_c", "redrive_verb", "resume_option", "status_verb")
SUITE = (
    "tests/runtime/journal",
    "tests/runtime/chaos",
    "tests/runtime/graph/test_fallbacks.py",
    "tests/runtime/test_retry.py",
    "tests/runtime/test_breaker.py",
    *(f"tests/runtime/engine/test_{name}.py" for name in _ENGINE),
    *(f"tests/runtime/cli/test_{name}.py" for name in _VERBS),
)


@claim(issue="failure", bar="< 180 s one after the other; 0 s of sleep in the code of tests", fast=False)
def the_tests_of_failures_are_quick_and_do_not_sleep() -> Figure:
    """Tests of journal, retries, breakers, time-outs, dead letters, chaos, processes that die: in three minutes, awake."""
    with temporary_folder() as folder:
        environment = {"SLEEPLESS": str(folder / "slept.json"), "PYTHONPATH": f"{TESTS}:{':'.join(sys.path[1:])}"}
        began, worked = time.monotonic(), _processor_s()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "acceptance.sleepless", "-p", "no:cacheprovider", *SUITE]
        ended = run(command, deadline_s=900, cwd=CHECKOUT, environment=environment)
        wall_s, processor_s = time.monotonic() - began, _processor_s() - worked
        slept = json.loads((folder / "slept.json").read_text())
    passed = re.search(r"(\d+) passed", ended.stdout)
    places = sorted({place for place, _ in slept})
    text = f"{passed[1] if passed else 0} tests of {len(SUITE)} files and folders in {wall_s:.0f} s, {processor_s:.0f} s of "
    text += f"the processor; {sum(seconds for _, seconds in slept):.3g} s of sleep {'; '.join(places)}"
    cause = "other programs had the processors" if wall_s >= 180 and processor_s < 150 else ""
    return Figure(text, bool(passed) and wall_s < 180 and not slept, cause)


def _processor_s() -> float:
    """What ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
