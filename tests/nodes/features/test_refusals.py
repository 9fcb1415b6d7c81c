"""Tests of what is not taken: samples of the wrong kind, parameters that do not exist or contradict each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from front_end_cases import CASES
from phonograph.errors import AudioFormatError
from phonograph_nodes import LogMel, LogMelStream, log_mel
from phonograph_nodes.features import FRONT_ENDS, FrontEnd
from reference.features.signals import noise


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_refused_with_its_place(name: str, value: float) -> None:
    """NaN and infinity do not spread: the error says where the first one is, even where no window reads it."""
    for place in (0, 402, 999):
        samples = noise(1000)
        samples[place] = value
        with pytest.raises(AudioFormatError, match=f"sample {place} is {value}"):
            log_mel(samples, **CASES[name].arguments)


@pytest.mark.parametrize("name", CASES)
def test_opposite_infinities_are_refused(name: str) -> None:
    """Infinities of both signs do not cancel out."""
    samples = noise(1000)
    samples[[3, 500]] = np.inf, -np.inf
    with pytest.raises(AudioFormatError, match="sample 3 is inf, and 2 of 1000"):
        log_mel(samples, **CASES[name].arguments)


@given(
    name=st.sampled_from(sorted(CASES)),
    length=st.integers(1, 2500),
    places=st.lists(st.integers(0, 2499), min_size=1, max_size=4),
    value=st.sampled_from([math.nan, math.inf, -math.inf]),
)
@settings(max_examples=100, deadline=None)
def test_samples_that_are_not_finite_count_as_zero_when_asked_for(
    name: str, length: int, places: list[int], value: float
) -> None:
    """With non_finite="zero" features are those of the signal with zeros there, and `counted` says how many there were."""
    places = sorted({place % length for place in places})
    dirty, clean = noise(length), noise(length)
    dirty[places], clean[places] = value, 0.0
    features, num_zeroed = LogMel(**CASES[name].arguments, non_finite="zero").counted(dirty)
    assert num_zeroed == len(places)
    assert np.array_equal(features, log_mel(clean, **CASES[name].arguments))
    assert np.isnan(dirty[places[0]]) or np.isinf(dirty[places[0]])


def test_clean_signal_has_nothing_to_zero() -> None:
    """The count is 0, and the features are those of the strict call."""
    features, num_zeroed = LogMel("kaldi", non_finite="zero").counted(noise(2000))
    assert num_zeroed == 0
    assert np.array_equal(features, log_mel(noise(2000), frontend="kaldi"))


@pytest.mark.parametrize("name", ["zipformer", "whisper", "kaldi", "w2v-bert", "nemo", "librosa"])
@pytest.mark.parametrize("non_finite", ["refuse", "zero"])
def test_samples_whose_energy_overflows_are_refused(name: str, non_finite: Any) -> None:
    """Finite samples that float32 cannot square give an error and no infinite feature, also when a stream meets them."""
    samples = noise(3000) * np.float32(1e30)
    with pytest.raises(AudioFormatError, match=r"largest sample is .*float32 cannot hold"):
        log_mel(samples, frontend=name, non_finite=non_finite)
    stream = LogMelStream(name, non_finite=non_finite)
    with pytest.raises(AudioFormatError, match="float32 cannot hold"):
        stream.push(samples)
        stream.flush()
    stream.push(noise(3000))
    stream.flush()
    assert np.array_equal(stream.pop(), log_mel(noise(3000), frontend=name))


def test_the_greatest_float32_is_normalised_like_any_other() -> None:
    """Where the signal's peak is brought to 1, no sample is too large."""
    assert np.isfinite(log_mel(np.sign(noise(3000)) * np.float32(3e38), frontend="squeezeformer")).all()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(800), r'float64; expected float32 .*convert\(samples, dtype="f32"\)'),
        (np.zeros(800, np.int16), r'int16; expected float32 .*convert\(samples, dtype="f32"\)'),
        ([0.0] * 800, "float64; expected float32"),
        (np.zeros(800, ">f4"), r">f4; expected float32 .*samples\.astype\(np\.float32\) makes"),
        (np.zeros(800, np.float16), r"float16; expected float32 .*samples\.astype\(np\.float32\) makes"),
        (np.zeros(800, np.int64), r"int64; expected .*samples\.astype\(np\.float32\) .*divided by their full scale"),
        (np.zeros(800, ">i2"), r">i2; expected .*divided by their full scale \(32768"),
        (np.zeros(800, bool), r"bool; expected float32 in \[-1, 1\]$"),
        (None, "samples are None; expected float32"),
        ("clip.wav", r"samples are 'clip\.wav'; expected .*load reads a file"),
        (Path("clip.wav"), r"samples are 'clip\.wav'; expected .*load reads a file"),
        (b"\0" * 1600, r'samples are 1600 bytes; expected .*convert\(np\.frombuffer\(pcm, "<i2"\), dtype="f32"\)'),
        (bytearray(1600), "samples are 1600 bytes"),
        (np.zeros((2, 800), np.float32), r"2 channels; expected 1 \(mix first: samples\.mean\(axis=0\).*audio\.resample"),
        (np.zeros((800, 1), np.float32), r"800 channels; expected 1 .*\(num_samples, num_channels\): pass samples\.T\)"),
        (np.zeros((800, 2), np.float32), r"shape \(800, 2\) looks like .*samples\.T, or mix them: samples\.mean\(axis=1\)"),
        (np.zeros((0, 800), np.float32), r"shape \(0, 800\)"),
        (np.zeros((1, 1, 800), np.float32), r"shape \(1, 1, 800\)"),
        (np.float32(0.5), r"shape \(\)"),
    ],
    ids=[
        *("float64", "int16", "list", "big-endian", "float16", "int64", "big-endian int16", "bool", "None", "text", "path"),
        *("bytes", "bytearray", "stereo", "column", "interleaved", "no channel", "three dimensions", "scalar"),
    ],
)
def test_wrong_arrays_are_refused(samples: NDArray[Any], message: str) -> None:
    """Each error says what was given, what is taken and how to come by it; batch and stream refuse the same."""
    plan = LogMel("zipformer")
    for call in (plan, plan.counted, LogMelStream("zipformer").push, lambda clip: plan.batch([clip])):
        with pytest.raises(AudioFormatError, match=message):
            call(samples)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_another_rate_is_refused(name: str) -> None:
    """The error names both rates and the remedy, as a function and as a node."""
    rate = FRONT_ENDS[name].sample_rate
    remedy = rf"phonograph_nodes\.resample\(samples, in_rate=12345, out_rate={rate}\), in a manifest the node audio\.resample\)$"
    plan, message = LogMel(name), rf"12345 Hz; expected {rate} .*{remedy}"
    with pytest.raises(AudioFormatError, match=message):
        plan(noise(800), sample_rate=12_345)
    with pytest.raises(AudioFormatError, match=message):
        plan.batch([noise(800)], sample_rate=12_345)
    with pytest.raises(AudioFormatError, match=rf"before it is cut into pieces: {remedy}"):
        LogMelStream(name).push(noise(800), sample_rate=12_345)
    assert np.array_equal(plan(noise(3000), sample_rate=rate), plan(noise(3000)))


def test_rate_that_is_no_number_is_refused_as_such() -> None:
    """Text that reads like the right rate is not called wrong but text."""
    rate: Any = "16000"
    with pytest.raises(AudioFormatError, match="sample_rate is '16000', which is text; expected the number 16000"):
        log_mel(noise(800), sample_rate=rate)


@pytest.mark.parametrize("frontend", ["squeezeformer", "zipformer", "paraformer", "librosa"])
def test_empty_audio_is_refused_where_there_would_be_a_row(frontend: str) -> None:
    """Without a sample there is nothing to normalise or to reflect; `num_rows` says the same as the call."""
    with pytest.raises(AudioFormatError, match="samples are empty; expected at least one"):
        log_mel(noise(0), frontend=frontend)
    with pytest.raises(AudioFormatError, match="samples are empty; expected at least one"):
        LogMel(frontend).num_rows(0)


def test_empty_audio_that_is_filled_up_has_rows() -> None:
    """With `pad_to_s` there is something to compute, and `num_rows` says so."""
    plan = LogMel("zipformer", pad_to_s=0.5)
    assert len(plan(noise(0))) == plan.num_rows(0) == 51


@pytest.mark.parametrize("num_samples", [-1, 1.5, "800", True, None])
def test_number_of_samples_that_is_none_is_refused(num_samples: Any) -> None:
    """A fraction, text or less than nothing has no number of rows."""
    with pytest.raises(ValueError, match="expected a whole number, at least 0"):
        LogMel("kaldi").num_rows(num_samples)
    assert LogMel("kaldi").num_rows(np.int64(800)) == 3  # type: ignore[arg-type]  # NumPy's integers are taken


@pytest.mark.parametrize("max_samples", [1e6, "1h", 0, True])
def test_cap_that_is_no_number_of_samples_is_refused(max_samples: Any) -> None:
    """The error names it and says what it takes."""
    with pytest.raises(ValueError, match=f"max_samples is {max_samples!r}; expected a whole number of samples"):
        LogMelStream("whisper", max_samples=max_samples)


@pytest.mark.parametrize("name", ["front_end", "bins_first", "num_columns"])
def test_what_tables_were_built_for_cannot_be_replaced(name: str) -> None:
    """A front end that is exchanged afterwards would be told and not computed with."""
    with pytest.raises(AttributeError):
        setattr(LogMel("kaldi"), name, FRONT_ENDS["nemo"])
    if name != "bins_first":
        with pytest.raises(AttributeError):
            setattr(LogMelStream("kaldi"), name, FRONT_ENDS["nemo"])


@pytest.mark.parametrize(
    ("frontend", "too_short"),
    [("whisper", 159), ("nemo", 159), ("kaldi", 399), ("w2v-bert", 399), ("icefall", 79), ("speaker-mfcc", 799)],
)
def test_clip_that_is_too_short_for_a_window_has_no_row(frontend: str, too_short: int) -> None:
    """(0, num_columns) up to a length, a row from the next one on."""
    for length in (0, 1, too_short):
        assert log_mel(noise(length), frontend=frontend).shape == (0, LogMel(frontend).num_columns)
    assert len(log_mel(noise(too_short + 1), frontend=frontend)) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"frontend": "mfcc"}, r"frontend is 'mfcc'; expected one of squeezeformer, zipformer"),
    ({"frontend": "wisper"}, "did you mean 'whisper'"),
    ({"frontend": 3}, "frontend is 3"),
    ({"non_finite": "ignore"}, "non_finite is 'ignore'; expected one of refuse, zero"),
    ({"n_mels": 0}, "n_mels is 0; expected a whole number from 1"),
    ({"n_mels": 80.0}, r"n_mels is 80\.0; expected a whole number"),
    ({"n_mels": True}, "n_mels is True"),
    ({"n_mels": 64, "num_mel_bins": 80}, "n_mels is 64 and num_mel_bins 80"),
    ({"frontend": "whisper", "pad_to_s": 0.0}, "pad_to_s is 0.0; expected 0.01 to 3600"),
    ({"frontend": "whisper", "pad_to_s": float("nan")}, "pad_to_s is nan; expected 0.01 to 3600"),
    ({"frontend": "nemo", "pad_to_s": 30.0}, r"pad_to_s is 30\.0; expected none .*normalises over time"),
    ({"frontend": "squeezeformer", "pad_to_s": 30.0}, r"pad_to_s is 30\.0; expected none"),
    ({"frontend": "w2v-bert", "bins_first": True}, r"bins_first is True; expected it off with stack"),
    ({"bins_first": "false"}, r"bins_first is 'false'; expected True or False"),
    ({"window_length": 401}, "window_length is 401; expected a whole number from 1 to fft_length, 400"),
    ({"window_length": 0}, "window_length is 0"),
    ({"hop_length": 0}, "hop_length is 0"),
    ({"hop_length": 160.0}, r"hop_length is 160\.0; expected a whole number"),
    ({"fft_length": 1}, "fft_length is 1"),
    ({"fft_length": 10**9}, "fft_length is 1000000000; expected a whole number from 2 to 65536"),
    ({"window": "triangle"}, "window is 'triangle'; expected one of hann"),
    ({"placement": "outside"}, "placement is 'outside'; expected one of centred"),
    ({"edges": "mirror"}, "edges is 'mirror'; expected one of zero"),
    ({"power": 3}, "power is 3; expected one of 1, 2"),
    ({"mel_scale": "bark"}, "mel_scale is 'bark'; expected one of htk"),
    ({"log": "log2"}, "log is 'log2'; expected one of ln"),
    ({"normalisation": "per_clip"}, "normalisation is 'per_clip'"),
    ({"preemphasis": 1.0}, r"preemphasis is 1\.0; expected at least 0 and below 1"),
    ({"preemphasis": float("nan")}, "preemphasis is nan"),
    ({"scale": 0.0}, r"scale is 0\.0"),
    ({"scale": float("inf")}, "scale is inf"),
    ({"dither": -1.0}, r"dither is -1\.0"),
    ({"dither_seed": -1}, "dither_seed is -1"),
    ({"floor": 0.0}, r"floor is 0\.0"),
    ({"gain": 0.0}, r"gain is 0\.0"),
    ({"deviation_floor": 0.0}, r"deviation_floor is 0\.0"),
    ({"range_below_peak": 0.0}, "range_below_peak is 0.0; expected"),
    ({"low_hz": -1.0}, r"low_hz is -1\.0"),
    ({"high_hz": 8001.0}, r"high_hz is 8001\.0; expected at most 8000 Hz, half the sample rate"),
    ({"high_hz": math.nan}, "high_hz is nan; expected a frequency in Hz; 0 is the Nyquist frequency"),
    ({"low_hz": 4000.0, "high_hz": 4000.0}, "low_hz is 4000 and high_hz 4000"),
    ({"low_hz": 20.0, "high_hz": -7980.0}, r"low_hz is 20 and high_hz 20 \(-7980 counted from the Nyquist frequency\)"),
    ({"remove_mean": 1}, "remove_mean is 1; expected True or False"),
    ({"stack": 0}, "stack is 0"),
    ({"pad_rows_to": 0}, "pad_rows_to is 0"),
    ({"num_cepstra": 81}, "num_cepstra is 81; expected a whole number from 0 to the number of mel bins, 80"),
    ({"frontend": "zipformer", "deltas": True}, "deltas is True; expected it only with cepstra"),
    (
        {"frontend": "librosa", "num_cepstra": 20},
        r"expected 0 beside range_below_peak, which is 80 .*set range_below_peak to None",
    ),
    ({"frontend": "kaldi", "num_cepstra": 20, "gain": 2.0}, r"expected 0 beside gain, which is 2 .*set gain to 1"),
    ({"frontend": "kaldi", "num_cepstra": 20, "shift": 2.0}, r"expected 0 beside shift, which is 2 .*set shift to 0"),
    ({"range_below_peak": 8.0}, r"range_below_peak is 8\.0; expected None \(in a manifest 0\) with normalisation 'per_bin'"),
    ({"scale": 2.0}, "scale is 2.0; expected 1 with normalize_signal"),
    ({"frontend": "speaker-mfcc", "scale": 2.0}, "scale is 2.0; expected 1 with quantise"),
    ({"frontend": "squeezeformer", "dither": 1e-3}, "dither is 0.001; expected 0 with normalize_signal"),
    ({"quantise": True, "normalize_signal": True}, "quantise is True; expected it off with normalize_signal"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[", ".join(map(str, arguments)) for arguments, _ in WRONG])
def test_parameters_that_are_wrong_or_contradict_each_other_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The error names the parameter, what it was given and what it takes; function, class and stream refuse the same."""
    with pytest.raises(ValueError, match=message):
        log_mel(noise(800), **arguments)
    with pytest.raises(ValueError, match=message):
        LogMel(**arguments)
    with pytest.raises(ValueError, match=message):
        LogMelStream(**arguments)


def test_definition_that_does_not_hold_together_cannot_be_made() -> None:
    """Whoever has a FrontEnd has one that works."""
    with pytest.raises(ValueError, match="window_length is 512; expected a whole number from 1 to fft_length, 400"):
        FrontEnd(window_length=512)
