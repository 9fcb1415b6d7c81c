"""Tests of the sink `sink.npy`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from limits import no_file_over
from phonograph.errors import BadInputError, OutputError
from phonograph_nodes.writing.arrays import Npy, NpyParams
from written import item


def test_npy_holds_the_features(tmp_path: Path) -> None:
    """An array comes back from its file as float32, under the record's key, only after commit."""
    sink = Npy(NpyParams(path=str(tmp_path / "out")), "matrices")
    sink.open()
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    part = sink.stage(item({"features": features}))
    final = tmp_path / "out" / "clips" / "a.wav.npy"
    assert not final.exists()
    written = part.commit()
    assert (written.path, written.num_bytes) == (str(final), final.stat().st_size)
    loaded = np.load(final)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, features)


def test_npy_of_no_rows_keeps_its_width(tmp_path: Path) -> None:
    """Features of a clip too short for one frame are stored as an empty matrix."""
    part = Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": np.empty((0, 80), np.float32)}))
    assert np.load(part.commit().path).shape == (0, 80)


@pytest.mark.parametrize(
    "features",
    [np.zeros(3, np.complex64), np.array(["a"]), np.array([None]), [[1.0], [1.0, 2.0]], np.array([1.0, 1e39]), "text"],
)
def test_npy_refuses_what_float32_cannot_hold(tmp_path: Path, features: Any) -> None:
    """Complex numbers, text, objects, ragged rows and values out of range are bad input, not damaged silently."""
    with pytest.raises(BadInputError, match="features are"):
        Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": features}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("features", [np.array([1.0, np.inf, np.nan]), np.array([True, False]), np.array([2**40, -1]), [0.5, 1]])
def test_npy_takes_any_real_numbers(tmp_path: Path, features: Any) -> None:
    """Doubles, integers and truth values become float32; infinity and NaN are kept."""
    stored = np.load(Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": features})).commit().path)
    np.testing.assert_array_equal(stored, np.asarray(features, np.float32))


@pytest.mark.parametrize(
    "lay_out",
    [
        lambda array: array,
        np.asfortranarray,
        lambda array: array[::2, 1:],
        lambda array: array.T,
        lambda array: array[:, :0],
        lambda array: array[0, 0],
        lambda array: array.reshape(2, 3, 4),
    ],
    ids=["rows", "columns", "strided", "transposed", "empty", "a number", "three axes"],
)
def test_npy_is_what_numpy_writes(tmp_path: Path, lay_out: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    """However an array lies in memory, its file holds the bytes that `numpy.save` gives, and the digest is of them."""
    array = lay_out(np.arange(24, dtype=np.float32).reshape(4, 6))
    written = Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": array})).commit()
    np.save(tmp_path / "expected.npy", array)
    content = (tmp_path / "expected.npy").read_bytes()
    assert Path(written.path).read_bytes() == content
    assert (written.num_bytes, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_an_array_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    """A file that cannot be written whole is an OutputError with nothing left behind."""
    sink, large = Npy(NpyParams(path=str(tmp_path)), "out"), item({"features": np.zeros((100, 80), np.float32)}, "a")
    with no_file_over(1000), pytest.raises(OutputError):
        sink.stage(large)
    assert os.listdir(tmp_path) == []
