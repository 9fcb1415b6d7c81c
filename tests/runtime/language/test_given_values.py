"""Values that a program gives for the parameters of a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from phonograph.errors import ManifestError
from phonograph.language.manifest import load_manifest

DEFAULTS = {"int": "0", "float": "0", "bool": "false", "duration": "0", "size": "0", "str": "x"}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "main.yaml"
    declared = "".join(f"  {kind}: {{type: {kind}, default: {default}}}\n" for kind, default in DEFAULTS.items())
    path.write_text(f"version: 1\nname: demo\nparams:\n{declared}steps: [{{type: source.files, params: {{paths: x}}}}]\n")
    return path


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("int", np.int64(3), 3),
        ("int", np.uint8(3), 3),
        ("float", np.int64(3), 3.0),
        ("float", np.float32(0.5), 0.5),
        ("float", np.float64(0.5), 0.5),
        ("bool", np.bool_(True), True),
        ("duration", np.float32(1.5), 1.5),
        ("size", np.int32(1024), 1024),
    ],
)
def test_numbers_of_numpy_are_numbers(manifest: Path, kind: str, given: object, value: object) -> None:
    """What counts as a number in NumPy counts as Python's own here."""
    found = load_manifest(manifest, params={kind: given}).params[kind].value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("int", np.float64(3.5), "'int' is the number 3.5; expected a whole number"),
        ("int", np.array([3]), "'int' is of type ndarray; expected a whole number"),
        ("int", 1 << 5000, "'int' is a long number; expected a whole number of at most 1000 bits"),
        ("int", True, "'int' is true; expected a whole number"),
        ("int", None, "'int' is empty; expected a whole number"),
        ("str", np.int64(3), "'str' is the number 3; expected text"),
        ("float", 1j, "'float' is of type complex; expected a number"),
    ],
)
def test_what_is_no_such_number_is_refused(manifest: Path, kind: str, given: object, words: str) -> None:
    """A value of another kind is a complaint, and no error of Python's."""
    with pytest.raises(ManifestError) as caught:
        load_manifest(manifest, params={kind: given})
    (complaint,) = caught.value.complaints
    assert complaint.words == f"the value given for parameter {words}"


def test_names_that_are_no_text_are_unknown(manifest: Path) -> None:
    """A name of another type is one that the manifest does not declare."""
    with pytest.raises(ManifestError, match="a value is given for the parameter 1, which the manifest does not declare"):
        load_manifest(manifest, params=cast(Any, {1: 2}))


@pytest.mark.parametrize("overrides", ["name=y", [b"name=y"], [("name", "y")]])
def test_overrides_that_are_no_list_of_texts_are_refused(manifest: Path, overrides: Any) -> None:
    """One text is not taken for a list of its letters."""
    with pytest.raises(TypeError, match="expected a list of texts, such as"):
        load_manifest(manifest, overrides=overrides)
