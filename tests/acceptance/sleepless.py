"""A pytest plugin that notes for how long the code of tests sleeps in real time: `-p acceptance.sleepless`.

It writes the file that SLEEPLESS names. Sleeping in the simulated time of an event loop is none, nor is what is done by processes
that tests start.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

TESTS = str(Path(__file__).resolve().parent.parent) + os.sep
SLEPT: list[tuple[str, float]] = []
"""Place and seconds of each."""


def pytest_configure() -> None:
    sleep, sleep_in_loop = time.sleep, asyncio.sleep

    def noted(seconds: Any) -> None:
        _note(sys._getframe(1), seconds)
        sleep(seconds)

    def noted_in_loop(delay: float, result: Any = None) -> Any:
        if type(asyncio.get_running_loop()) is asyncio.SelectorEventLoop:
            _note(sys._getframe(1), delay)
        return sleep_in_loop(delay, result)

    time.sleep = noted
    asyncio.sleep = noted_in_loop


def pytest_unconfigure() -> None:
    Path(os.environ["SLEEPLESS"]).write_text(json.dumps(SLEPT))


def _note(frame: FrameType, seconds: float) -> None:
    if seconds > 0 and frame.f_code.co_filename.startswith(TESTS):
        SLEPT.append((f"{frame.f_code.co_filename.removeprefix(TESTS)}:{frame.f_lineno}", seconds))
