"""The measuring itself: unequal answers are refused, ratios are taken within rounds, the page is what was stored."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from places import NEEDS_SOURCE_TREE, TESTS, source_tree

if source_tree() is None:
    pytest.skip(NEEDS_SOURCE_TREE, allow_module_level=True)
sys.path.append(str(TESTS.parent))  # `benchmarks` is no part of what is installed

from benchmarks import record, report
from benchmarks.peers import compare
from benchmarks.peers.comparison import Comparison, Pair, UnequalAnswersError
from benchmarks.peers.comparison import compare as compare_pair
from benchmarks.signals import Features, Samples, speech
from benchmarks.timing import judged, race


def doubled(samples: Samples) -> Features:
    return samples.reshape(-1, 2) * 2


def comparison(theirs: Callable[[Samples], Features], *, tolerance: float = 1e-3) -> tuple[Comparison, Pair]:
    pair = Pair(ours=doubled, theirs=theirs)
    return Comparison("imagined", "peer", "doubled", "called", tolerance, prepare=lambda: pair), pair


def run(theirs: Callable[[Samples], Features], *, tolerance: float = 1e-3) -> float:
    one, pair = comparison(theirs, tolerance=tolerance)
    return compare_pair(one, pair, np.arange(6, dtype=np.float32), rounds=2).deviation


def test_answers_that_deviate_too_much_are_refused_before_anything_is_timed() -> None:
    """The error names the peer, the place, both values and the tolerance; the peer was called once, for its answer."""
    calls = []

    def wrong(samples: Samples) -> Features:
        calls.append(len(samples))
        features = doubled(samples)
        features[2, 1] += 0.25
        return features

    with pytest.raises(UnequalAnswersError, match=r"imagined: ours and peer deviate by 0\.25 at \(2, 1\) \(10 and 10\.25\)"):
        run(wrong)
    assert calls == [6]
    assert run(wrong, tolerance=0.5) == 0.25


def test_answers_of_another_shape_are_refused() -> None:
    """Features that would broadcast against ours are not equal to them."""
    with pytest.raises(UnequalAnswersError, match=r"ours gives shape \(3, 2\), peer gives \(1, 2\)"):
        run(lambda samples: doubled(samples)[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(value: float) -> None:
    """A NaN is above no tolerance, and is refused all the same."""
    with pytest.raises(UnequalAnswersError, match="not finite"):
        run(lambda samples: np.where(doubled(samples) == 4, np.float32(value), doubled(samples)))


def test_a_ratio_is_taken_in_each_round() -> None:
    """The ratio is the median of the rounds' ratios, with their quartiles, not the ratio of the medians."""
    found = judged([1.0, 2.0, 4.0], [2.0, 2.0, 16.0])
    assert (found.ours.median, found.theirs.median) == (2.0, 2.0)
    assert (found.ratio.lower, found.ratio.median, found.ratio.upper) == (1.5, 2.0, 3.0)


def test_the_slower_side_shows_in_the_ratio() -> None:
    """Theirs over ours is above 1 when theirs does a thousand times the work."""
    found = race(lambda: sum(range(10)), lambda: sum(range(10_000)), rounds=3)
    assert found.theirs.median > found.ours.median > 0
    assert found.ratio.median > 1


def test_a_missing_peer_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the comparison says what is missing and how to get it."""
    monkeypatch.setattr(record, "missing_peers", list)
    with pytest.raises(SystemExit, match=r"needs the extra `bench`: asrfront not installed; `pip install"):
        compare.main(["--only", "asrfront"])


def test_the_audio_is_the_same_every_time() -> None:
    """Both sides, and every process, get the same samples: speech in [-1, 1], no window of it silent."""
    samples = speech(2.5)
    assert samples.shape == (40_000,) and samples.dtype == np.float32
    assert np.array_equal(samples, speech(2.5))
    assert np.abs(samples).max() <= 1
    assert samples.reshape(-1, 400).std(axis=1).min() > 0


def test_the_page_of_results_is_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESULTS.md is generated from the stored results, and a page that was edited fails the check."""
    assert report.main(["--check"]) == 0
    edited = tmp_path / "RESULTS.md"
    edited.write_text(report.PAGE.read_text("utf-8") + "faster still\n", encoding="utf-8")
    monkeypatch.setattr(report, "CHECKOUT", tmp_path)
    monkeypatch.setattr(report, "PAGE", edited)
    assert report.main(["--check"]) == 1
