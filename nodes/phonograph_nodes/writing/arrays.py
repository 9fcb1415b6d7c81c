"""The sink of numbers: arrays to NumPy files."""

from __future__ import annotations

from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.sink import FilePart, Part, Sink, output_path
from phonograph_nodes.writing.folders import OutputFolder, require_writable


class NpyParams(Params, frozen=True):
    path: OutputFolder


@node(
    "sink.npy",
    inputs="features",
    side_effects=True,
    sees_native_memory=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: features.log_mel}
          - {type: sink.npy, params: {path: out}}
        """,
)
class Npy(Sink[NpyParams]):
    """Write each array of numbers as a float32 NumPy file (.npy, version 1). What float32 cannot hold is refused."""

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        array = as_float32(item.payload["features"])
        return FilePart(output_path(self.params.path, item.key, ".npy"), partial(put, array))


def put(array: NDArray[np.float32], file: IO[bytes]) -> None:
    """Write an array as version 1 of NumPy's format: what `np.lib.format.write_array` does, without its copy of the content."""
    about = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, about)
    file.write((array.T if about["fortran_order"] else np.ascontiguousarray(array)).data)


def as_float32(values: Any) -> NDArray[np.float32]:
    """The numbers of an array as float32.

    Raises:
        BadInputError: no array of real numbers, or a finite value beyond the range of float32.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of unequal length
        raise BadInputError(f"features are no array ({error}); expected real numbers in rows of equal length") from error
    if array.dtype.kind not in "biuf":
        raise BadInputError(f"features are {array.dtype}; expected real numbers, which are stored as float32")
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32, copy=False)
    if array.dtype.itemsize > 4 and not np.array_equal(np.isinf(stored), np.isinf(array)):
        raise BadInputError(f"features are {array.dtype} with values beyond 3.4e38; expected what float32 holds; scale them")
    return stored
