"""Chaos testing: a manifest is run under injected faults, in simulated time, and what it leaves is held against the rules.

`faults` says what a seed brings, `injection` lets nodes meet it, `disk` runs full and stops; `trial` runs, `remains` and
`judgement` look at what is left.
"""

from __future__ import annotations

from phonograph.chaos.faults import Event
from phonograph.chaos.judgement import Found
from phonograph.chaos.trial import Chaos, Verdict

__all__ = ["Chaos", "Event", "Found", "Verdict"]
