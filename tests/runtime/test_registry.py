"""Node types found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.node import Node, Params, node
from phonograph.registry import Registry, RegistryError
from pipeline_nodes import Clips, Decode, registry

ORIGIN = "plugin = plugin_catalogue:NODES"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    """Put a package with one module on the path, its NODES under the entry-point group."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[phonograph.nodes]\n{name} = {name}_catalogue:NODES\n")
    (folder / f"{name}_catalogue.py").write_text(code)
    monkeypatch.syspath_prepend(folder)


def test_installed_package_declares_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package's types are listed without importing their module, which a wrong name in it shows."""
    install(tmp_path, monkeypatch, "third", "NODES = {'third.node': 'no_such_module_of_third:Node'}\n")
    found = Registry.installed()
    assert "third.node" in found.types()
    with pytest.raises(RegistryError, match=r"'third.node', no_such_module_of_third:Node .*cannot be loaded"):
        found.get("third.node")


def test_broken_catalogue_names_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose catalogue cannot be imported is named."""
    install(tmp_path, monkeypatch, "broken", "import no_such_module_of_broken\n")
    with pytest.raises(RegistryError, match="entry point broken = broken_catalogue:NODES: cannot be loaded"):
        Registry.installed()


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
