"""TimeoutPolicy: how long one attempt of a node may take, and all attempts for an item together."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """`base_s + per_audio * duration` for an attempt, and `total_s` for all attempts with the waiting between them.

    Args:
        base_s: seconds; inf: an attempt may take for ever.
        per_audio: seconds for each second of audio.
        total_s: seconds; inf: no limit. Waiting for an open breaker does not count.
    """

    base_s: float = inf
    per_audio: float = 0.0
    total_s: float = inf

    @property
    def is_set(self) -> bool:
        return self.base_s < inf or self.total_s < inf

    @property
    def shortest_s(self) -> float:
        """No attempt ends earlier for want of time; 0 when that is up to the audio."""
        return min(self.base_s, self.total_s)

    def limit_s(self, audio_s: float | None) -> float:
        """Seconds that one attempt may take.

        Args:
            audio_s: duration of what it works on. None: it is not known; then `base_s` is what there is, unless that is nothing.
        """
        if audio_s is None:
            return min(self.base_s or inf, self.total_s)
        return min(self.base_s + self.per_audio * audio_s, self.total_s)


UNBOUNDED = TimeoutPolicy()
