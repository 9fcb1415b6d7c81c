"""Plug-in files: node types of a manifest's own, and a package of somebody else's beside them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from phonograph.errors import Complaint, GraphError, Position
from phonograph.graph.builder import build_graph, load_graph
from phonograph.graph.plugins import PluginError, load_plugin, module_name
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from pipeline_nodes import registry
from places import TESTS

THIRD_PARTY = TESTS / "third_party" / "loudness"
PLUGIN = '''\
"""A plug-in."""

from __future__ import annotations

import msgspec

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, node


class Band(msgspec.Struct, frozen=True):
    low: float = 1.0


class GainParams(Params, frozen=True):
    gain_db: float = 0.0
    bands: list[Band] = []


@node("my.gain", inputs="audio", outputs="audio")
class Gain(Node[GainParams]):
    """Make audio louder."""

    def process(self, item: Item, state: None) -> Item:
        return item


@node("my.same")
def same(audio: AudioChunk, *, times: int = 1) -> AudioChunk:
    """Hand audio on."""
    return audio


also = same
'''
HERE = Position("main.yaml", 1, 1)


def write(folder: Path, **files: str) -> Path:
    """Plug-ins by name; the path of the last one."""
    path = folder
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.write_text(text, encoding="utf-8")
    return path


def manifest(folder: Path, plugins: str, type_name: str = "my.gain") -> Path:
    path = folder / "main.yaml"
    path.write_text(
        f"version: 1\nname: demo\nplugins: {plugins}\nnodes:\n  clips: {{type: source.clips, params: {{paths: .}}}}\n"
        f"  audio: {{type: audio.decode, input: clips}}\n  own: {{type: {type_name}, input: audio}}\n"
        "  out: {type: sunk.audio, input: own, params: {path: out}}\n"
    )
    return path


def test_every_node_of_the_file_is_registered(tmp_path: Path) -> None:
    """Classes and functions that the file declares, each once, with the file as their origin."""
    path = write(tmp_path, own=PLUGIN)
    plugin = load_plugin(str(path))
    assert [(spec.type, spec.origin) for spec in plugin.specs] == [("my.gain", f"{path}:Gain"), ("my.same", f"{path}:same")]
    assert plugin.module.__name__ == module_name(str(path))
    assert sys.modules[plugin.module.__name__] is plugin.module


def test_node_types_of_a_plug_in_are_in_the_graph(tmp_path: Path) -> None:
    """A manifest uses them like any others, whether it is read and built at once or one after the other."""
    write(tmp_path, own=PLUGIN)
    path = manifest(tmp_path, "[own.py]")
    graph = load_graph(path, registry())
    assert graph.nodes["own"].spec.origin == f"{tmp_path}/own.py:Gain"
    assert graph.nodes["own"].spec.factory(graph.nodes["own"].params, "own").node_id == "own"
    assert build_graph(load_manifest(path), registry()).nodes["own"].spec is graph.nodes["own"].spec


def test_one_path_may_stand_without_a_list(tmp_path: Path) -> None:
    """`plugins: own.py` means what `plugins: [own.py]` does."""
    write(tmp_path, own=PLUGIN)
    ((path, position),) = load_manifest(manifest(tmp_path, "own.py")).plugins
    assert (path, str(position)) == (str(tmp_path / "own.py"), f"{tmp_path}/main.yaml:3:10")


def test_types_of_a_plug_in_stay_with_their_manifest(tmp_path: Path) -> None:
    """The registry that was given knows nothing of them afterwards, and so no other manifest does."""
    write(tmp_path, own=PLUGIN)
    types = registry()
    load_graph(manifest(tmp_path, "[own.py]"), types)
    assert types.get("my.gain") is None
    assert "my.gain" not in types.types()
    with pytest.raises(GraphError, match=r"unknown_type no node type 'my\.gain'"):
        load_graph(manifest(tmp_path, "[]"), types)


def test_file_that_is_named_twice_is_one_module(tmp_path: Path) -> None:
    """Also by another way to it: the classes are the same, and so do not clash."""
    path = write(tmp_path, own=PLUGIN)
    (tmp_path / "link.py").symlink_to(path)
    assert load_plugin(str(path)).module is load_plugin(str(tmp_path / "link.py")).module
    assert "own" in load_graph(manifest(tmp_path, "[own.py, ./own.py, link.py]"), registry()).nodes


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """They are two modules."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, nodes=PLUGIN.replace("my.", f"{name}."))
    found = registry().with_plugins([(str(tmp_path / name / "nodes.py"), HERE) for name in ("one", "two")], [])
    assert {"one.gain", "two.gain"} <= set(found.types())


def test_edited_file_is_loaded_anew(tmp_path: Path) -> None:
    """Even when it was edited within a second and has its old length; what was loaded before goes on as it was."""
    path = write(tmp_path, own=PLUGIN)
    before = load_plugin(str(path))
    stamp = path.stat()
    path.write_text(PLUGIN.replace("my.gain", "my.drop"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = load_plugin(str(path))
    assert [spec.type for spec in after.specs] == ["my.drop", "my.same"]
    assert after.module is not before.module
    assert before.specs[0].factory(before.specs[0].params(), "x").node_id == "x"


def test_clash_with_a_type_that_is_known(tmp_path: Path) -> None:
    """The plug-in is refused that type, both origins are named, and its other types are there."""
    write(tmp_path, own=PLUGIN.replace("my.gain", "audio.decode"))
    complaints: list[Complaint] = []
    found = registry().with_plugins([(str(tmp_path / "own.py"), HERE)], complaints)
    assert [str(one) for one in complaints] == [
        f"main.yaml:1:1: registry node type 'audio.decode' is declared twice: by pipeline_nodes:Decode "
        f"and by {tmp_path}/own.py:Gain; remove one, or rename its type"
    ]
    spec = found.get("audio.decode")
    assert spec is not None and spec.origin == "pipeline_nodes:Decode"
    assert found.get("my.same") is not None


def test_clash_inside_one_file(tmp_path: Path) -> None:
    """Two objects of one type in one file are as unclear as in two."""
    write(tmp_path, own=PLUGIN.replace("my.same", "my.gain"))
    complaints: list[Complaint] = []
    registry().with_plugins([(str(tmp_path / "own.py"), HERE)], complaints)
    assert len(complaints) == 1
    assert "own.py:Gain and by " in complaints[0].found


def test_clash_with_a_package_loads_neither(tmp_path: Path) -> None:
    """A type that a package declares is taken, whether or not its code was loaded."""
    write(tmp_path, own=PLUGIN)
    types = Registry()
    types.add({"my.gain": "no_such_module:Gain"}, origin="third = third:NODES")
    complaints: list[Complaint] = []
    types.with_plugins([(str(tmp_path / "own.py"), HERE)], complaints)
    assert "by no_such_module:Gain (third = third:NODES) and by " in complaints[0].found


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def broken(:\n", "SyntaxError: invalid syntax, at {path}:1:12"),
        (
            "import os\nimport no_such_module_of_ours\n",
            "ModuleNotFoundError: No module named 'no_such_module_of_ours', at {path}:2",
        ),
        ("import json\n\njson.loads('{')\n", "JSONDecodeError: Expecting property name enclosed in double quotes: "),
        ("import sys\n\n\nsys.exit(3)\n", "SystemExit: 3, at {path}:4"),
        ("from phonograph.node import node\n\n@node('a.b')\ndef f(x): ...\n", "f: parameter 'x' has no annotation"),
        ("x = '\0'\n", "source code string cannot contain null bytes"),
    ],
    ids=["syntax", "import", "inside another module", "exit", "no node", "null byte"],
)
def test_plug_in_that_cannot_be_loaded(tmp_path: Path, code: str, reason: str) -> None:
    """The message has the exception's words, and the last line of the file that had a part in it."""
    path = write(tmp_path, own=code)
    with pytest.raises(PluginError) as caught:
        load_plugin(str(path))
    assert str(caught.value).startswith(f"the plug-in {str(path)!r} cannot be loaded: ")
    assert reason.format(path=path) in str(caught.value)
    assert module_name(str(path)) not in sys.modules


def test_file_that_is_repaired_is_loaded(tmp_path: Path) -> None:
    """A failure leaves nothing behind: neither a half module, nor the memory of it."""
    path = write(tmp_path, own=PLUGIN.replace("times: int", "times: Int"))
    with pytest.raises(PluginError, match="name 'Int' is not defined"):
        load_plugin(str(path))
    path.write_text(PLUGIN)
    assert len(load_plugin(str(path)).specs) == 2


def test_file_that_breaks_leaves_the_loaded_module(tmp_path: Path) -> None:
    """An edit that cannot be loaded takes nothing from graphs that were built before it."""
    path = write(tmp_path, own=PLUGIN)
    before = load_plugin(str(path))
    path.write_text("raise OSError('half an edit')\n")
    with pytest.raises(PluginError, match=r"OSError: half an edit, at .*own\.py:1"):
        load_plugin(str(path))
    assert sys.modules[module_name(str(path))] is before.module


def test_slip_in_the_name_of_a_file(tmp_path: Path) -> None:
    """The complaint stands where the file is named, and knows the one that is meant."""
    write(tmp_path, gains=PLUGIN)
    with pytest.raises(GraphError) as caught:
        load_graph(manifest(tmp_path, "[gain.py]", "audio.resample"), registry())
    assert str(caught.value).splitlines()[0] == (
        f"{tmp_path}/main.yaml:3:11: plugin the plug-in '{tmp_path}/gain.py' cannot be read: No such file or directory; "
        "expected a file that loads; until then nobody knows which node types it has; "
        f"did you mean '{tmp_path}/gains.py'?"
    )


def test_types_of_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    """What is wrong with the file is told, and not for each node besides that nobody knows its type; slips of others are told."""
    write(tmp_path, gains="1 / 0")
    path = manifest(tmp_path, "[gains.py]", "my.gain")
    path.write_text(path.read_text() + "  more: {type: audio.decde, input: clips}\n")
    with pytest.raises(GraphError) as caught:
        load_graph(path, registry())
    assert [(one.code, one.candidates[:1]) for one in caught.value.complaints] == [
        ("plugin", ()),
        ("unknown_type", ("audio.decode",)),
    ]


def test_file_that_imports_one_beside_it(tmp_path: Path) -> None:
    """A plug-in is no module of a package; the complaint says what to do instead."""
    write(tmp_path, good=PLUGIN, gains="import good\n")
    with pytest.raises(GraphError) as caught:
        load_graph(manifest(tmp_path, "[gains.py]", "my.gain"), registry())
    (found,) = caught.value.complaints
    assert found.found.endswith(f"ModuleNotFoundError: No module named 'good', at {tmp_path}/gains.py:1")
    assert "list good.py under 'plugins' too" in found.expected
    assert "an installed package" in found.expected


def test_package_of_a_third_party_runs_with_its_plug_in(tmp_path: Path) -> None:
    """A package that pip installs from a folder gives its node types to every manifest, beside those of a plug-in file."""
    for needed in ("pip", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed} in this environment, to install a package from a folder without a network")
    source, target = tmp_path / "loudness", tmp_path / "installed"
    shutil.copytree(THIRD_PARTY, source)  # building writes into the folder
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    run([*pip, "--no-index", "--no-build-isolation", "--no-deps", "--target", str(target), str(source)])
    clip = run([sys.executable, "-c", _CLIP, str(tmp_path / "clips")], PYTHONPATH=str(target))
    assert clip == ""
    command = [sys.executable, "-c", "import sys; from phonograph.cli import main; sys.exit(main())"]
    paths = ["--param", f"corpus={tmp_path / 'clips'}", "--param", f"out={tmp_path / 'out'}"]
    run([*command, str(source / "pipeline.yaml"), *paths, "--run-dir", str(tmp_path / "run")], PYTHONPATH=str(target))
    (made,) = (tmp_path / "out").rglob("*.wav")
    assert "loud" in made.name, "the silent clip was filtered by the package's gate"
    with wave.open(str(made), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 2**15
    assert np.abs(samples).max() == pytest.approx(0.25, abs=1e-3), "peak at 0.5 by the package, then halved by the plug-in"


_CLIP = """
import sys, wave
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir()
for name, level in (("loud", 20000), ("silent", 0)):
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(b"".join(int(level * (n % 50 - 25) / 25).to_bytes(2, "little", signed=True) for n in range(8000)))
"""


def run(command: list[str], **environment: str) -> str:
    """What a command prints, which has to succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment}, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
