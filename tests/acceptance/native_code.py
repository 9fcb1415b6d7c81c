"""Looks for Rust extensions in an environment: `python -m acceptance.native_code VENV` lists them; exit status 1 if any."""

from __future__ import annotations

import importlib.machinery
import mmap
import sys
from pathlib import Path

# Strings that the Rust compiler and PyO3 leave in every binary, stripped ones included: panic messages carry source paths.
TRACES = (b"pyo3", b"PyO3", b"/rustc/", b"rust_panic")
RUST_BUILDERS = ("maturin", "setuptools-rust", "setuptools_rust")
EXTENSION = importlib.machinery.EXTENSION_SUFFIXES  # what Python loads; libraries that those bring along are not judged


def rust_extensions(environment: Path) -> tuple[int, list[str]]:
    """(number of Python extensions looked at, what is Rust among them and among the packages' builders); pip is left out."""
    packages = next((environment / "lib").glob("python*/site-packages"))
    extensions = sorted(path for path in packages.rglob("*.so") if path.name.endswith(tuple(EXTENSION)))
    found = [f"{path.relative_to(packages)} is compiled from Rust" for path in extensions if _has_trace(path)]
    for wheel in sorted(packages.glob("*.dist-info/WHEEL")):
        generator = [line for line in wheel.read_text("utf-8").splitlines() if line.startswith("Generator:")]
        if any(builder in line for line in generator for builder in RUST_BUILDERS):
            found.append(f"{wheel.parent.name}: built by {generator[0].partition(':')[2].strip()}")
    return len(extensions), found


def _has_trace(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(trace) >= 0 for trace in TRACES)


if __name__ == "__main__":
    number, rust = rust_extensions(Path(sys.argv[1]))
    print(f"    {number} extensions, {len(rust)} of them Rust")
    for line in rust:
        print(f"    {line}")
    sys.exit(1 if rust or not number else 0)
