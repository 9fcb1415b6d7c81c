"""Code of node types that raises, or does more than it should, while a manifest is checked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from phonograph.errors import GraphError
from phonograph.graph.builder import load_graph
from phonograph.graph.plugins import load_plugin, module_name
from phonograph.graph.registry import Registry
from pipeline_nodes import install, registry

HEAD = """\
from __future__ import annotations

import pathlib

import msgspec

from phonograph.audio import AudioChunk
from phonograph.node import Node, Params, Secret, node
"""
GOOD = """
@node("own.same")
def same(audio: AudioChunk, *, times: int = 1) -> AudioChunk:
    "Hand audio on."
    return audio
"""


def complaints(folder: Path, code: str, params: str = "{}", more: str = "") -> str:
    """What is said of a manifest whose node `own` is of the type `own.same` of a plug-in with this code."""
    (folder / "own.py").write_text(HEAD + code, encoding="utf-8")
    path = folder / "main.yaml"
    path.write_text(
        "version: 1\nname: demo\nplugins: own.py\nnodes:\n  clips: {type: source.clips, params: {paths: .}}\n"
        f"  audio: {{type: audio.decode, input: clips}}\n  own: {{type: own.same, input: audio, params: {params}}}\n{more}"
        "  out: {type: sink.any, input: own}\n",
        encoding="utf-8",
    )
    try:
        load_graph(path, registry())
    except GraphError as error:
        return str(error).replace(str(path), "FILE").replace(str(folder), "FOLDER")
    return ""


@pytest.mark.parametrize(
    "declared",
    ["class Lazy:\n    def __getattr__(self, name): raise RuntimeError(name)\nlazy = Lazy()", "import os\nproxy = os.environ"],
)
def test_other_objects_of_a_plug_in_are_left_alone(tmp_path: Path, declared: str) -> None:
    """Only classes and functions are asked whether they are nodes; a proxy of a service may raise at anything."""
    assert complaints(tmp_path, f"{declared}\n{GOOD}") == ""


def test_a_class_below_a_node_is_no_node_itself(tmp_path: Path) -> None:
    """What inherits a declaration has none of its own."""
    path = tmp_path / "own.py"
    code = '@node("own.base", inputs="audio", outputs="audio")\nclass Base(Node[Params]):\n    "One."\nclass More(Base): pass\n'
    path.write_text(HEAD + code, encoding="utf-8")
    assert [spec.type for spec in load_plugin(str(path)).specs] == ["own.base"]


PARAMS = """
class OwnParams(Params, frozen=True):
    times: int = 1
    word: Secret = ""
    {field}
    def __post_init__(self):
        {check}

@node("own.same", inputs="audio", outputs="audio"{options})
class Own(Node[OwnParams]):
    "Hand audio on."
"""


def test_parameters_whose_check_raises(tmp_path: Path) -> None:
    """ValueError says that parameters do not go together; anything else is the type's fault, and hides secrets too."""
    code = PARAMS.format(field="", check="raise KeyError(self.word)", options="")
    assert complaints(tmp_path, code, "{word: hunter2}") == (
        "FILE:7:47: type_unavailable the parameters of node 'own' (own.same) cannot be checked: KeyError: '***'; "
        "expected a node type whose code works"
    )


def test_a_struct_among_parameters_whose_check_raises(tmp_path: Path) -> None:
    """The same inside a parameter."""
    inner = "class Inner(msgspec.Struct, frozen=True):\n    low: int = 0\n    def __post_init__(self):\n        [][0]\n"
    code = inner + PARAMS.format(field="band: Inner | None = None", check="pass", options="")
    assert complaints(tmp_path, code, "{band: {low: 1}}") == (
        "FILE:7:15: type_unavailable the parameters of node 'own' (own.same) cannot be told: IndexError: list index out of "
        "range; expected a node type whose code works"
    )


def test_parameters_of_a_type_that_is_not_there(tmp_path: Path) -> None:
    """An annotation is looked up when parameters are read, and names nothing."""
    code = PARAMS.format(field="band: Band | None = None", check="pass", options="")
    assert "type_unavailable the parameters of node 'own' (own.same) cannot be told: NameError:" in complaints(tmp_path, code)


def test_attributes_that_cannot_be_told(tmp_path: Path) -> None:
    """A function that says whether there are more attributes raises where an expression needs to know."""
    code = PARAMS.format(field="", check="pass", options=", open_attributes=lambda params: {}['size']")
    kept = "  kept: {type: flow.filter, input: own, params: {keep: duration < 1}}\n"
    assert complaints(tmp_path, code) == ""
    assert complaints(tmp_path, code, more=kept) == (
        "FILE:7:15: type_unavailable the attributes of node 'own' (own.same) cannot be told: KeyError: 'size'; "
        "expected a node type whose code works"
    )


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        ("pathlib.Path", "Path"),
        ("list[complex]", "list[complex]"),
        ("str | complex", "str | complex"),
        ("object", "object"),
    ],
)
def test_parameters_that_no_text_can_give(tmp_path: Path, annotation: str, named: str) -> None:
    """They are refused when the type is declared, and not when a schema of it is asked for."""
    code = PARAMS.format(field=f"also: {annotation} = None", check="pass", options="")
    refused = f"TypeError: @node('own.same'): parameter 'also' is of type {named}, which a manifest cannot give; expected "
    assert refused in complaints(tmp_path, code)


def test_attributes_of_unknown_types_are_refused(tmp_path: Path) -> None:
    """What expressions compare is text, a number or a truth value."""
    code = PARAMS.format(field="", check="pass", options=", attributes={'level': 'number'}")
    assert "attribute 'level' is of type 'number'; expected one of 'str', 'int', 'float', 'bool'" in complaints(tmp_path, code)


def test_what_a_plug_in_prints_goes_to_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to what a verb prints, which may be JSON."""
    assert complaints(tmp_path, "print('loading')\n" + GOOD) == ""
    assert capfd.readouterr() == ("", "loading\n")


def test_what_a_package_prints_goes_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The catalogue of a package, and the module of a node type."""
    code = "print('catalogue')\nNODES = {'loud.same': 'loud_catalogue_nodes:same'}\n"
    (tmp_path / "loud_catalogue_nodes.py").write_text(HEAD + "print('nodes')\n" + GOOD.replace("own.", "loud."))
    install(tmp_path, monkeypatch, "loud", code)
    assert Registry.installed().get("loud.same") is not None
    assert capfd.readouterr() == ("", "catalogue\nnodes\n")


def test_an_interrupt_while_a_plug_in_loads(tmp_path: Path) -> None:
    """It leaves no half of a module behind, and is no fault of the file."""
    path = tmp_path / "own.py"
    path.write_text(HEAD + "raise KeyboardInterrupt\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        load_plugin(str(path))
    assert module_name(str(path)) not in sys.modules
