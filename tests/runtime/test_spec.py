"""What a node type declares of its parameters, as others read it."""

from __future__ import annotations

import gc
import weakref
from typing import Annotated

import msgspec

from phonograph.node import InputPath, OutputPath, Params, Secret
from phonograph.spec import fields_of, marks, path_fields, secret_fields, units


class ManyParams(Params, frozen=True, rename="camel"):
    in_path: InputPath | None = None
    out_paths: list[OutputPath] | None = None
    token: dict[str, Secret] | None = None
    length: Annotated[Annotated[float, msgspec.Meta(ge=0)] | None, msgspec.Meta(extra={"unit": "ms"})] = None


def test_what_annotations_say_however_deep() -> None:
    """A mark is found inside optionals, lists and mappings; it is asked for by the name of the field."""
    assert path_fields(ManyParams, "input") == ("in_path",)
    assert path_fields(ManyParams, "output") == ("out_paths",)
    assert secret_fields(ManyParams) == ("token",)
    assert units(ManyParams) == {"length": "ms"}


def test_all_marks_of_a_field_stand_under_its_written_name() -> None:
    """What a manifest writes may be called otherwise than what the code reads."""
    assert marks(ManyParams) == {
        "inPath": {"path": "input"},
        "outPaths": {"path": "output"},
        "token": {"secret": True},
        "length": {"unit": "ms"},
    }


def test_a_parameter_type_that_is_gone_is_forgotten() -> None:
    """A plug-in that is loaded anew makes new types; what was kept of the old ones goes with them."""

    def used() -> weakref.ref[type]:
        made = msgspec.defstruct("Made", [("path", InputPath)], bases=(Params,), frozen=True, kw_only=True)
        assert issubclass(made, Params)
        assert (path_fields(made, "input"), len(fields_of(made))) == (("path",), 1)
        assert fields_of(made) is fields_of(made), "kept while the type is there"
        return weakref.ref(made)

    gone = used()
    gc.collect()
    assert gone() is None
