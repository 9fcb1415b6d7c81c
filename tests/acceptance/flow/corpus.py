"""Claims about a corpus on its way to features, beside what its stages take alone; `benchmarks/corpus.py` says how."""

from __future__ import annotations

from typing import Any

from acceptance.claims import Figure, claim
from acceptance.measured import measured, needs_bench

FORMATS, FILES, SHARE = 6, 2_000, 0.90


@claim(issue="flow", bar=f"each >= {SHARE:.2f} of the ideal, over >= {FILES} files", fast=False, needs_shared=True)
@needs_bench("soundfile")
def a_corpus_takes_little_more_than_its_stages() -> Figure:
    """Corpus to features on disk with 2 workers reaches S2 / (t_decode + t_resample + t_mel + t_write), format by format."""
    entries: list[dict[str, Any]] = measured("corpus", one_thread=True)["entries"]
    synced, bare = ([one for one in entries if one["synced"] is is_synced] for is_synced in (True, False))
    num_files, num_resampled = (sum(one[key] for one in synced) for key in ("files", "resampled"))
    slow = [one["format"] for one in synced if one["share"]["median"] < SHARE]
    disturbed = {one["format"]: one["others"]["median"] for one in synced if one["others"]["median"] > 0.1}
    shares = ", ".join(f"{one['format']} {one['share']['median']:.2f} (S2 {one['S2']['median']:.2f})" for one in synced)
    unsynced = ", ".join(f"{one['format']} {one['share']['median']:.2f}" for one in bare)
    text = f"{shares}; {num_files} files, {num_resampled} resampled; without the disk's syncs {unsynced}"
    causes = [f"below the bar: {', '.join(slow)}"] * bool(slow)
    if disturbed:
        causes.append("other programs had a core meanwhile: " + ", ".join(f"{name} {one:.0%}" for name, one in disturbed.items()))
    met = len(synced) == FORMATS and num_files >= FILES and 2 * num_resampled >= num_files and not slow
    return Figure(text, met, "; ".join(causes))
