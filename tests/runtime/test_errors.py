"""Tests of what complaints are made of: listed names, nearest names."""

import difflib

from phonograph.errors import MAX_LISTED, listed, nearest


def test_few_names_are_all_listed() -> None:
    """A short list of names stands as it is."""
    assert listed(["mel", "mono", "out"]) == "mel, mono, out"
    assert listed([]) == ""


def test_of_many_names_the_first_are_listed() -> None:
    """What is left out of a long list is counted."""
    names = [f"n{number}" for number in range(MAX_LISTED + 30)]
    assert listed(names) == ", ".join(names[:MAX_LISTED]) + " and 30 more"


def test_a_slip_among_a_thousand_names_finds_its_name() -> None:
    """Among many names the nearest one is the same as when each is compared letter by letter."""
    names = [f"{kind}-{number:04d}" for number in range(250) for kind in ("resample", "decode", "features", "speech")]
    for slip in ("resampel-0017", "decod-0123", "feature-0249", "spech-0000", "resample0200"):
        assert nearest(slip, names)[0] == difflib.get_close_matches(slip, names, n=1, cutoff=0.6)[0]


def test_a_word_unlike_any_of_many_has_no_nearest_name() -> None:
    """Nothing is proposed for a word that is like none of the names."""
    assert nearest("zzz", [f"node-{number}" for number in range(500)]) == ()


def test_a_very_long_word_is_a_slip_of_nothing() -> None:
    """Words that no one mistypes are not compared, which would cost the square of their length."""
    assert nearest("a" * 100_000, ["a" * 99_999, "mel"]) == ()
