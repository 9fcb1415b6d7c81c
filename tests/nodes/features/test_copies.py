"""Tests of copies: of LogMel, which other processes get, and of streams, of which there are none."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from front_end_cases import CASES
from phonograph.errors import ParameterError
from phonograph_nodes import LogMel, LogMelStream
from phonograph_nodes.features import FrontEnd
from reference.features.signals import noise

PICKLED: Callable[[Any], Any] = lambda one: pickle.loads(pickle.dumps(one))  # noqa: E731
COPIES: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": PICKLED}

PROCESSES = """
import multiprocessing, sys
import numpy as np
from phonograph_nodes import LogMel

mel = LogMel("nemo", n_mels=128)
clips = [np.full(length, 0.1, np.float32) for length in (900, 4000)]
for method in ("fork", "spawn"):
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert all(map(np.array_equal, pool.map(mel, clips), map(mel, clips))), method
"""


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", CASES)
def test_copy_gives_the_bits_of_the_original(name: str, way: str) -> None:
    """Copied, deeply or not, or pickled: front end, layout and features are the same."""
    plan = LogMel(**CASES[name].arguments)
    plan(noise(3000))
    other = COPIES[way](plan)
    assert (other.front_end, other.num_columns, other.streaming) == (plan.front_end, plan.num_columns, plan.streaming)
    assert np.array_equal(other(noise(2500)), plan(noise(2500)))


def test_all_options_are_pickled() -> None:
    """Layout, length and what is done about NaN come along, and the name that `repr` tells."""
    plan = LogMel("whisper", pad_to_s=0.5, bins_first=True, non_finite="zero")
    dirty = noise(3000)
    dirty[7] = np.nan
    other = PICKLED(plan)
    assert other.bins_first
    assert repr(other) == repr(plan)
    assert np.array_equal(other(dirty), plan(dirty))


def test_other_processes_compute_the_same() -> None:
    """A pool's workers take a LogMel, whether they are forked or spawned."""
    subprocess.run([sys.executable, "-W", "error", "-c", PROCESSES], check=True, timeout=60)


@pytest.mark.parametrize("way", COPIES)
def test_stream_cannot_be_copied(way: str) -> None:
    """Two streams on the same buffers would spoil each other: the error says so, and the stream goes on."""
    stream = LogMelStream("kaldi")
    stream.push(noise(3000)[:1000])
    with pytest.raises(TypeError, match=r"a stream cannot be copied or pickled.*make another: LogMelStream\('kaldi'\)"):
        COPIES[way](stream)
    stream.push(noise(3000)[1000:])
    stream.flush()
    assert np.array_equal(stream.pop(), LogMel("kaldi")(noise(3000)))


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (LogMel("nemo", n_mels=128), "LogMel('nemo', num_mel_bins=128)"),
        (LogMel("kaldi", window="povey"), "LogMel('kaldi')"),
        (LogMel("whisper", pad_to_s=30), "LogMel('whisper', pad_to_s=30)"),
        (LogMel("zipformer", bins_first=True, non_finite="zero"), "LogMel('zipformer', bins_first=True, non_finite='zero')"),
        (LogMel(FrontEnd(hop_length=80)), "LogMel(FrontEnd(hop_length=80))"),
        (LogMelStream("icefall", scale=32768.0), "LogMelStream('icefall', scale=32768.0)"),
        (LogMelStream("nemo", max_samples=160_000), "LogMelStream('nemo', max_samples=160000)"),
    ],
    ids=str,
)
def test_representation_says_what_differs_from_the_front_end(one: object, text: str) -> None:
    """As the call that makes another one of the kind."""
    assert repr(one) == text
    assert repr(eval(text, {"LogMel": LogMel, "LogMelStream": LogMelStream, "FrontEnd": FrontEnd})) == text


def test_errors_about_parameters_can_be_pickled() -> None:
    """A worker process hands them to the one that asked."""
    with pytest.raises(ParameterError) as caught:
        LogMel("kaldi", gain=0.0)
    assert (
        str(PICKLED(caught.value))
        == str(caught.value)
        == "gain is 0.0; expected a number from 1e-09 to 1e+09, or as much below 0"
    )
