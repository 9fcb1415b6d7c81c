"""Watch: sees when nothing in a run can move, and lets someone through: who waits for a batch, at a gate or for memory."""

from __future__ import annotations

import asyncio

from phonograph.engine.admission import Admission
from phonograph.engine.assembly import Assembly
from phonograph.engine.course import Course

_LOOK_EVERY_S = 0.02  # how long nothing may move before it is looked into
_QUIET_TURNS = 16  # turns of the event loop; an item that can move does so within four


class Watch:
    """Watches one run.

    Args:
        admission: None in a run without a limit on its memory.
    """

    def __init__(self, course: Course, assembly: Assembly, admission: Admission | None) -> None:
        self._course = course
        self._assembly = assembly
        self._admission = admission

    @property
    def is_needed(self) -> bool:
        """Someone may come to wait for what others hold."""
        return any(gate.is_bounded for gate in self._assembly.gates) or self._admission is not None

    async def run(self) -> None:
        """When nothing else can happen, let batches go that are not full, or else widen gates that are waited at and let a record
        in; until it is cancelled.
        """
        course, admission = self._course, self._admission
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            waited_at = [gate for gate in self._assembly.gates if gate.is_waited_at]
            is_held_back = admission is not None and admission.is_waited_at
            if not (waited_at or is_held_back) or self._is_something_coming:
                continue
            before = course.num_events
            for _ in range(_QUIET_TURNS):
                await asyncio.sleep(0)
            if course.num_events != before or self._is_something_coming:
                continue
            if any(lane.hurry() for lane in self._assembly.lanes):
                continue
            for gate in waited_at:
                gate.widen()
                course.tell("info", "gate_widened", node=gate.gather, open_tickets=int(gate.limit))
            if admission is not None and is_held_back:
                admission.press()

    @property
    def _is_something_coming(self) -> bool:
        """A thread works on a call, or an item will come back from a back-off or a breaker."""
        return self._course.num_calls > 0 or any(lane.num_waiting for lane in self._assembly.lanes)
