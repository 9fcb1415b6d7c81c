"""Finding manifests by name or path."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph import shipped
from phonograph.errors import ManifestError
from phonograph.shipped import NamedManifest, find_manifest, shipped_manifests, shipped_root


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with manifests of its own, and an empty working directory."""
    package = tmp_path / "site-packages" / "phonograph"
    (package / "manifests").mkdir(parents=True)
    (package / "manifests" / "features.yaml").write_text("version: 1\n")
    (package / "manifests" / "asr.yaml").write_text("version: 1\n")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return package


def test_installed_package_has_its_files_beside_its_modules(installed: Path) -> None:
    """An installed package carries its manifests inside."""
    assert shipped_root("manifests") == installed / "manifests"
    assert list(shipped_manifests()) == ["asr", "features"]


def test_checkout_has_its_files_at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From runtime/phonograph the folders are two levels up."""
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "runtime" / "phonograph")
    assert shipped_root("contracts") == tmp_path / "contracts"


def test_name_of_a_shipped_manifest(installed: Path) -> None:
    """A name gives the shipped file, and remembers that it was named."""
    found = find_manifest("features")
    assert found == installed / "manifests" / "features.yaml"
    assert isinstance(found, NamedManifest)


def test_existing_file_wins_over_a_name(installed: Path) -> None:
    """A file in the working directory is meant before a shipped manifest; a folder is not."""
    Path("features").write_text("version: 1\n")
    Path("asr").mkdir()
    assert find_manifest("features") == Path("features")
    assert not isinstance(find_manifest("features"), NamedManifest)
    assert find_manifest("asr") == installed / "manifests" / "asr.yaml"


def test_slip_is_told_with_nearest_names_and_files(installed: Path) -> None:
    """Neither a file nor a name: what comes nearest of both is offered."""
    with pytest.raises(
        ManifestError, match=r"file_unreadable no such file, and no shipped.*expected .*asr, features; did you mean 'features'"
    ):
        find_manifest("featurse")
    Path("local.yaml").write_text("version: 1\n")
    with pytest.raises(ManifestError, match=r"did you mean 'local\.yaml'\?"):
        find_manifest("locl.yaml")
    with pytest.raises(ManifestError, match=r"did you mean '\./local\.yaml'\?"):
        find_manifest("./locla.yaml")


@pytest.mark.parametrize("given", ["", "no/such/folder/x.yaml", "a\0b", "/"])
def test_what_can_be_no_manifest(installed: Path, given: str) -> None:
    """Odd names are refused in the same way."""
    with pytest.raises(ManifestError, match="file_unreadable"):
        find_manifest(given)
