"""Tests of other libraries' words: errors about them name ours, in Python and in manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from phonograph import Registry
from phonograph.errors import GraphError
from phonograph.graph.builder import load_graph
from phonograph_nodes import LogMel, LogMelStream, log_mel
from phonograph_nodes.features import FRONT_ENDS, FrontEnd, LogMelParams
from phonograph_nodes.features.options import OVERRIDES
from phonograph_nodes.features.synonyms import SYNONYMS
from places import NEEDS_SOURCE_TREE, source_tree
from reference.features.signals import noise

NAMES = {
    "n_fft": "fft_length",
    "sr": "sample_rate",
    "fmin": "low_hz",
    "fmax": "high_hz",
    "norm": "mel_area",
    "features": "n_mels",
    "snip_edges": "placement",
    "normalize": "normalisation",
    "win_length": "window_length",
    "n_mfcc": "num_cepstra",
    "top_db": "range_below_peak",
    "hop_lenght": "hop_length",
}
VALUES = {
    ("window", "hanning"): "hann",
    ("normalisation", "per_feature"): "per_bin",
    ("edges", "constant"): "zero",
    ("placement", "center"): "centred",
    ("mel_scale", "HTK"): "htk",
    ("log", "natural"): "ln",
    ("frontend", "parakeet"): "nemo",
    ("frontend", "wisper"): "whisper",
}
CHOICES = {value for hint in get_type_hints(FrontEnd).values() for value in get_args(hint) if isinstance(value, str)}
MANIFEST = """version: 1
name: words
nodes:
  clips: {{type: source.files, params: {{paths: .}}}}
  audio: {{type: audio.decode, input: clips}}
  mono: {{type: audio.resample, input: audio}}
  mel: {{type: features.log_mel, input: mono, params: {{{params}}}}}
  npy: {{type: sink.npy, input: mel, params: {{path: out}}}}
"""


def complaint(folder: Path, params: str) -> str:
    """What is said about a manifest whose node has these parameters, behind what stands at the place that it names."""
    path, text = folder / "words.yaml", MANIFEST.format(params=params)
    path.write_text(text, "utf-8")
    with pytest.raises(GraphError) as caught:
        load_graph(path, Registry.installed())
    (said,) = caught.value.complaints
    at = text.splitlines()[said.position.line - 1][said.position.column - 1 :].rstrip("}")
    return f"{at}: {said.words}"


@pytest.mark.parametrize("word", NAMES)
def test_parameter_by_another_librarys_name_leads_to_ours(word: str, tmp_path: Path) -> None:
    """Function, class, stream and manifest name what is meant, and do not list all names."""
    arguments: dict[str, Any] = {word: 1}
    for call in (lambda: log_mel(noise(800), **arguments), lambda: LogMel(**arguments), lambda: LogMelStream(**arguments)):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{word}'; did you mean '{NAMES[word]}'") as caught:
            call()
        assert "padding_value" not in str(caught.value)
    said = complaint(tmp_path, f"{word}: 1")
    assert f"did you mean '{NAMES[word]}'" in said
    assert "padding_value" not in said


@pytest.mark.parametrize(("name", "word"), VALUES)
def test_value_by_another_librarys_name_leads_to_ours(name: str, word: str, tmp_path: Path) -> None:
    """The error names what is meant beside what there is."""
    arguments: dict[str, Any] = {name: word}
    meant = f"did you mean '{VALUES[name, word]}'"
    with pytest.raises(ValueError, match=f"{name} is '{word}'; expected one of .*; {meant}"):
        LogMel(**arguments)
    assert meant in complaint(tmp_path, f"{name}: {word}")


def test_name_that_is_near_none_is_answered_with_all(tmp_path: Path) -> None:
    """Then one may look for it oneself."""
    nothing: dict[str, Any] = {"xyzzy": 1}
    with pytest.raises(TypeError, match=r"'xyzzy'; expected one of n_mels, .*pad_rows_to$"):
        LogMel(**nothing)
    assert "expected one of frontend, n_mels" in complaint(tmp_path, "xyzzy: 1")


def test_length_by_another_librarys_name_may_be_a_time() -> None:
    """Kaldi's frame_length is 25 ms, so the error says what unit ours has."""
    kaldi: dict[str, Any] = {"frame_length": 25}
    with pytest.raises(TypeError, match=r"did you mean 'window_length'\? Lengths are in samples"):
        LogMel("kaldi", **kaldi)


def test_definition_calls_mel_bins_by_their_own_name() -> None:
    """`n_mels` is a word of `log_mel` only, and a slip is told as elsewhere."""
    bins: dict[str, Any] = {"n_mels": 40}
    with pytest.raises(TypeError, match="'n_mels'; did you mean 'num_mel_bins'"):
        FrontEnd(**bins)
    with pytest.raises(TypeError, match="'xyzzy'; expected one of sample_rate, scale"):
        FrontEnd(**{"xyzzy": 1})  # type: ignore[arg-type]


def test_every_word_leads_to_something_there_is() -> None:
    """What other words stand for is a parameter, a value of one, or a front end."""
    ours = {*OVERRIDES, *LogMelParams.__struct_fields__, *FRONT_ENDS, *CHOICES}
    assert {meant for several in SYNONYMS.values() for meant in several} <= ours


@pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)
def test_every_word_of_the_page_is_known() -> None:
    """What docs/features.md lists as other libraries' words leads to the parameter of that row, or to a value."""
    root = source_tree()
    assert root is not None
    table = (
        (root / "docs" / "features.md").read_text("utf-8").partition("## Options by their other names")[2].partition("\n## ")[0]
    )
    checked, lost = 0, []
    for row in re.findall(r"^\| `.*\|$", table, re.MULTILINE):
        ours, *others = row.strip("|").split("|")
        known = {*re.findall(r"`(\w+)`", ours), "num_mel_bins", *CHOICES}
        words = {*re.findall(r"`(\w+)(?:=[^`]*)?`", " ".join(others))} - known
        checked += len(words)
        lost += [word for word in words if not known & {*SYNONYMS.get(word, ())}]
    assert checked > 30
    assert lost == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("gain: 0", "parameter 'gain' is the number 0.0; expected a number from 1e-09 to 1e+09, or as much below 0"),
        ("high_hz: .nan", "parameter 'high_hz' is the number nan; expected a frequency in Hz; 0 is the Nyquist frequency"),
        ("frontend: kaldi, high_hz: 9000", "parameter 'high_hz' is the number 9000.0; expected at most 8000 Hz"),
        ("floor: 0", "parameter 'floor' is the number 0; expected a number, more than 0.0"),
        ("floor: 1.0e-40", "parameter 'floor' is the number 1e-40; expected a number from 1.2e-38"),
        ("scale: 0", "parameter 'scale' is the number 0; expected a number, at least 1e-09"),
        ("min_samples: 99999999999", "parameter 'min_samples' is the number 99999999999; expected a whole number, at most"),
        ("shift: .inf", "parameter 'shift' is the number inf; expected a number from"),
        ("frontend: kaldi, deltas: true", "parameter 'deltas' is true; expected it only with cepstra"),
        ("frontend: w2v-bert, bins_first: true", "parameter 'bins_first' is true; expected it off with stack"),
        ("frontend: librosa, num_cepstra: 13", "for cepstra set range_below_peak to None (in a manifest 0)"),
        ("frontend: nemo, pad_to_s: 30", "parameter 'pad_to_s' is the number 30.0; expected none with a front end"),
    ],
)
def test_value_that_cannot_be_is_told_at_its_own_place(params: str, said: str, tmp_path: Path) -> None:
    """One value is at fault and not all of them together, and none of the words is Python's alone."""
    told = complaint(tmp_path, params)
    assert told.startswith(f"{params.rpartition(': ')[2]}: ")
    assert said in told
    assert "do not go together" not in told
    assert not re.search(r"\b(True|False)\b", told)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("frontend: kaldi, low_hz: 5000, high_hz: 4000", "low_hz is 5000 and high_hz 4000; expected low_hz < high_hz"),
        (
            "frontend: kaldi, fft_length: 256",
            "'window_length' is the number 400; expected a whole number from 1 to fft_length, 256",
        ),
        ("frontend: speaker-mfcc, normalisation: per_bin", "'deltas' is true; expected it off with normalisation 'per_bin'"),
    ],
)
def test_values_at_odds_are_told_together(params: str, said: str, tmp_path: Path) -> None:
    """Of what the front end brings along there is no place of its own."""
    told = complaint(tmp_path, params)
    assert f"do not go together: {said}" in told
