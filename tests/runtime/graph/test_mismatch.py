"""What is said of two types that do not fit, once for each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.errors import GraphError
from pipeline_nodes import CLIPS, graph_of


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            "vad: {type: vad.energy, input: audio}\nown: {type: sunk.audio, input: vad.segments, params: {path: out}}",
            "vad.segments gives segments; expected audio, which own.audio takes; did you mean 'vad.audio'?",
        ),
        (
            "own: {type: asr.model, input: audio}",
            "audio.audio gives audio; expected features[bins=80], which own.features takes; put features.mel between them",
        ),
        ("own: {type: asr.model, input: audio.dead_letter}", "dead letters are of type record; expected features[bins=80], "),
        (
            "own: {type: flow.merge, input: {one: audio, other: clips}}",
            "clips.record gives record; expected audio, as audio.audio gives to the same node 'own'",
        ),
        (
            "mel: {type: features.mel, input: audio, params: {n_mels: 40}}\nown: {type: asr.model, input: mel}",
            "mel.features gives features[bins=40]; expected features[bins=80], which own.features takes; "
            "set n_mels: 80 on node 'mel'",
        ),
        (
            "split: {type: signal.split, input: audio}\nmono: {type: signal.mix, input: {left: split.low, right: split.low}}\n"
            "own: {type: features.mel, auto_convert: false, input: split.low}",
            "split.low gives audio[rate=8000], and 'auto_convert' is off for node 'own'; expected audio[rate=16000, channels=1], "
            "which own.audio takes; put audio.resample with sample_rate: 16000, channels: 1 between them",
        ),
        (
            "up: {type: audio.resample, input: audio, params: {sample_rate: 48000}}\nown: {type: takes.low_rates, input: up}",
            "; set sample_rate: 16000 on node 'up'",
        ),
        (
            "mono: {type: audio.resample, input: audio, params: {sample_rate: 8000, channels: 1}}\n"
            "own: {type: takes.stereo, input: mono}",
            ", and audio.resample cannot make that",
        ),
    ],
    ids=["other port", "bridge", "dead letters", "mixed", "parameter", "refused", "nearest in a range", "nothing helps"],
)
def test_both_ends_both_types_and_the_shortest_fix(tmp_path: Path, nodes: str, words: str) -> None:
    """A complaint names the edge and what to write."""
    with pytest.raises(GraphError) as caught:
        graph_of(tmp_path, CLIPS + nodes)
    said = [complaint.words for complaint in caught.value.complaints if complaint.code in ("port_type", "conversion_refused")]
    assert any(words in one for one in said), said
