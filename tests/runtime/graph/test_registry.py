"""Node types found by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from phonograph.cli.nodes import command as nodes_command
from phonograph.graph.registry import Registry, RegistryError
from phonograph.node import Node, Params, node
from pipeline_nodes import Clips, Decode, install, registry

ORIGIN = "plugin = plugin_catalogue:NODES"


def test_installed_package_declares_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package's types are listed without importing their module, which a wrong name in it shows."""
    install(tmp_path, monkeypatch, "third", "NODES = {'third.node': 'no_such_module_of_third:Node'}\n")
    found = Registry.installed()
    assert "third.node" in found.types()
    with pytest.raises(RegistryError, match=r"'third.node', no_such_module_of_third:Node .*cannot be loaded"):
        found.get("third.node")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import no_such_module_of_broken\n",
            "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module_of_broken'",
        ),
        ("NODES = (\n", "cannot be loaded: SyntaxError: "),
        ("raise OSError('libfoo.so is gone')\n", "cannot be loaded: OSError: libfoo.so is gone"),
        ("", "cannot be loaded: AttributeError: "),
        ("NODES = ['a.b']\n", "is a list; expected a mapping from node type to 'module:object'"),
        ("NODES = {3: 'a:B'}\n", "3: 'a:B'; expected a node type, with 'module:object'"),
    ],
    ids=["import fails", "no Python", "import raises", "no attribute", "no mapping", "type that is no text"],
)
def test_a_broken_catalogue_breaks_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    """Whatever is wrong with one package's catalogue, the others are there, and it is named with the reason."""
    install(tmp_path, monkeypatch, "broken", code)
    install(tmp_path, monkeypatch, "sound", "NODES = {'sound.decode': 'pipeline_nodes:Decode'}\n")
    found = Registry.installed()
    assert "sound.decode" in found.types()
    ((origin, words),) = found.broken()
    assert origin == "broken = broken_catalogue:NODES"
    assert words.startswith(reason)


def test_a_malformed_target_of_a_package_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the type with the wrong target is unavailable; the same catalogue's others load."""
    install(tmp_path, monkeypatch, "half", "NODES = {'half.bad': 'no_colon', 'half.good': 'pipeline_nodes:Decode'}\n")
    found = Registry.installed()
    assert {"half.bad", "half.good"} <= {*found.types()}
    with pytest.raises(RegistryError, match=r"'half.bad' \(half = half_catalogue:NODES\): its target 'no_colon' is no"):
        found.get("half.bad")
    assert found.broken() == ()


def test_two_packages_claim_one_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one is meant cannot be told, so nothing is loaded."""
    install(tmp_path, monkeypatch, "first", "NODES = {'x.y': 'one:Node'}\n")
    install(tmp_path, monkeypatch, "second", "NODES = {'x.y': 'two:Node'}\n")
    with pytest.raises(RegistryError, match=r"'x.y' is declared twice: by one:Node .* and by two:Node"):
        Registry.installed()


def test_listing_nodes_while_packages_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run-pipeline nodes` lists what works, marks what does not, and succeeds."""
    install(tmp_path, monkeypatch, "broken", "raise OSError('libfoo.so is gone')\n")
    install(tmp_path, monkeypatch, "half", "NODES = {'half.bad': 'no_colon', 'half.gone': 'pipeline_nodes:Gone'}\n")
    listed = CliRunner().invoke(nodes_command, standalone_mode=False)
    lines = listed.output.splitlines()
    assert listed.return_value == 0
    assert any(line.startswith("audio.decode ") for line in lines)
    assert [line.partition(":")[0] for line in lines if line.startswith("!")] == [
        "! half.bad",
        "! half.gone",
        "! entry point broken = broken_catalogue",
    ]
    assert "cannot be loaded: OSError: libfoo.so is gone; repair or remove its package" in lines[-1]


def test_listing_nodes_while_two_packages_claim_one_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run-pipeline nodes` says so in one line on the error stream and fails."""
    install(tmp_path, monkeypatch, "first", "NODES = {'x.y': 'one:Node'}\n")
    install(tmp_path, monkeypatch, "second", "NODES = {'x.y': 'two:Node'}\n")
    listed = CliRunner().invoke(nodes_command, standalone_mode=False)
    assert (listed.return_value, listed.stdout) == (1, "")
    assert listed.stderr.splitlines() == [listed.stderr.strip()]
    assert "is declared twice" in listed.stderr


def test_type_is_loaded_when_asked_for() -> None:
    """A declared target gives the spec of its object."""
    found = Registry()
    found.add({"audio.decode": "pipeline_nodes:Decode"}, origin=ORIGIN)
    assert found.get("audio.decode") is Decode.spec


def test_unknown_type_is_none() -> None:
    """A type that nobody declares has no spec."""
    assert registry().get("no.such") is None


def test_types_are_sorted() -> None:
    """Types come by name, whatever the order of registration."""
    found = Registry()
    found.register(Clips)
    found.register(Decode)
    assert found.types() == ("audio.decode", "source.clips")


def test_clash_names_both_origins() -> None:
    """Two objects of one type are refused, and the message names both."""

    @node("audio.decode", inputs="audio", outputs="audio")
    class Other(Node[Params]):
        """Another node of that type."""

    found = Registry()
    found.add({"audio.decode": "one:Node"}, origin="first = one:NODES")
    with pytest.raises(RegistryError, match=r"by one:Node \(first = one:NODES\) and by two:Node \(second = two:NODES\)"):
        found.add({"audio.decode": "two:Node"}, origin="second = two:NODES")
    found = registry()
    with pytest.raises(RegistryError, match=r"by pipeline_nodes:Decode and by .*Other"):
        found.register(Other)


def test_the_same_object_twice_is_no_clash() -> None:
    """A package that is found on two paths declares its types once."""
    found = registry()
    found.register(Decode)
    assert found.get("audio.decode") is Decode.spec


@pytest.mark.parametrize("target", ["pipeline_nodes", "pipeline_nodes:", ":Decode", 3])
def test_malformed_target_is_refused(target: object) -> None:
    """A target without module or object is refused where it is declared."""
    with pytest.raises(RegistryError, match="expected a node type, with 'module:object'"):
        Registry().add({"a.b": target}, origin=ORIGIN)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("type_name", "target", "reason"),
    [
        ("a.b", "pipeline_nodes:registry", "is no node"),
        ("a.b", "pipeline_nodes:Decode", "declares the type 'audio.decode'; expected 'a.b'"),
        ("a.b", "pipeline_nodes:Missing", "cannot be loaded"),
    ],
)
def test_target_that_is_something_else(type_name: str, target: str, reason: str) -> None:
    """What a target turns out not to be is said when it is loaded."""
    found = Registry()
    found.add({type_name: target}, origin=ORIGIN)
    with pytest.raises(RegistryError, match=reason):
        found.get(type_name)


def test_undeclared_class_cannot_be_registered() -> None:
    """Only what `@node` declared has a type."""
    with pytest.raises(RegistryError, match="expected a class or function under @node"):
        Registry().register(object())
