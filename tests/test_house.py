"""The rules of the house: which way imports go, what packages export, what every file opens with."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Modules and packages of phonograph. Each row may import itself and the rows above it. What is not here has no place yet.
ORDER = (
    ("errors", "points", "redaction", "timeout", "traced"),
    ("audio", "cancellation", "isa", "_isa", "_memory", "_meter"),
    ("item", "pickling"),
    ("porttype", "spec", "signature", "declaration"),
    ("node",),
    ("sink",),
    ("appended", "streaming", "shipped", "retry", "breaker", "metrics", "log"),
    ("language",),
    ("expressions",),
    ("graph",),
    ("flow", "journal"),
    ("engine",),
    ("blocking", "executor"),
    ("explaining", "drawing", "cases", "benching", "chaos"),
    ("chunking", "testing"),
    ("reference",),
    ("cli",),
)
RANK = {name: rank for rank, row in enumerate(ORDER) for name in row}
NODE_FACING = {"appended", "errors", "audio", "cancellation", "isa", "item", "node", "sink", "streaming", "testing"}

LONGEST = 400  # lines; a longer file says why in its opening, with the words "400 lines"


def package_folder(name: str) -> Path:
    """Where the package is imported from: the checkout, or site-packages."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is not installed; expected `pip install -e .` or an installed wheel"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


PACKAGES = {name: package_folder(name) for name in ("phonograph", "phonograph_nodes")}


def modules(package: str) -> list[tuple[str, Path]]:
    """(dotted name, file) of every Python and Cython module below the package; data folders shipped inside it have none."""
    folder = PACKAGES[package]
    found = []
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyx")]):
        parts = path.relative_to(folder).with_suffix("").parts
        found.append((".".join((package, *parts)).removesuffix(".__init__"), path))
    return found


ALL_MODULES = [pair for package in PACKAGES for pair in modules(package)]


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the dotted name that it needs, where it stands, whether it runs when the module is imported."""

    name: str
    line: int
    at_import: bool


_CYTHON_IMPORT = re.compile(r"\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))")


def imports(path: Path) -> Iterator[Import]:
    """Every import in the file, also those inside functions and under TYPE_CHECKING."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".pyx":  # not Python; a line is enough to see what it imports
        for number, line in enumerate(text.splitlines(), start=1):
            match = _CYTHON_IMPORT.match(line)
            if match:
                yield Import(match[1] or match[2], number, True)
        return
    yield from _imports_below(ast.parse(text), at_import=True)


def _imports_below(parent: ast.AST, *, at_import: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `from phonograph import audio` needs phonograph.audio; of a name that is no module only the first part counts
            yield from (Import(f"{base}.{alias.name}", node.lineno, at_import) for alias in node.names)
        else:
            type_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports_below(node, at_import=at_import and not inside and not type_only)


def part_of(name: str, package: str) -> str | None:
    """The first part below `package` of a dotted name: "audio" for phonograph.audio.AudioChunk."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == package and rest else None


def test_imports_of_the_runtime_go_one_way() -> None:
    """A module of phonograph imports only modules of its own row or of a row above, and none imports phonograph_nodes."""
    wrong = []
    for name, path in modules("phonograph"):
        own = name.partition(".")[2].partition(".")[0]
        for found in imports(path):
            where = f"{path}:{found.line}"
            if found.name.startswith("."):
                wrong.append(f"{where}: relative import {found.name}; expected the full name")
            if found.name.split(".")[0] == "phonograph_nodes":
                wrong.append(f"{where}: phonograph imports {found.name}; nodes are found through entry points")
            target = part_of(found.name, "phonograph")
            if own in RANK and target in RANK and RANK[target] > RANK[own]:
                wrong.append(f"{where}: {own} imports {target}, which is built on it")
    assert wrong == []


def test_every_module_of_the_runtime_has_a_place_in_the_order() -> None:
    """Each module of phonograph stands in ORDER, and ORDER names no module that is gone."""
    there = {name.partition(".")[2].partition(".")[0] for name, _ in modules("phonograph")} - {"", "__main__"}
    assert there - set(RANK) == set(), "no place in ORDER yet"
    assert set(RANK) - there - {"_isa", "_memory", "_meter"} == set(), (
        "in ORDER, but there is no such module"
    )  # a wheel has no .pyx


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Imports that run at import time form no cycle, so every module can be imported first."""
    there = {name: path for name, path in modules("phonograph") if name != "phonograph"}
    needs = {
        name: {found.name if found.name in there else found.name.rpartition(".")[0] for found in imports(path) if found.at_import}
        for name, path in there.items()
    }
    done: set[str] = set()
    while ready := {name for name in needs if name not in done and (needs[name] & needs.keys()) - {name} <= done}:
        done |= ready
    assert needs.keys() - done == set(), "these import each other in a circle"


def test_nodes_import_only_what_faces_nodes() -> None:
    """phonograph_nodes imports of phonograph only what a third party's package may: the modules that face nodes."""
    wrong = [
        f"{path}:{found.line}: imports {found.name}; expected one of phonograph.{{{', '.join(sorted(NODE_FACING))}}}"
        for _, path in modules("phonograph_nodes")
        for found in imports(path)
        if found.name.split(".")[0] == "phonograph" and part_of(found.name, "phonograph") not in NODE_FACING
    ]
    assert wrong == []


def lists_its_exports(path: Path) -> bool:
    return path.suffix == ".py" and "\n__all__ = " in path.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name, path in ALL_MODULES if lists_its_exports(path)])
def test_all_lists_what_there_is(name: str) -> None:
    """`__all__` is sorted, without repeats, and every name in it resolves."""
    module = importlib.import_module(name)
    exported: list[str] = list(module.__all__)
    assert exported == sorted(set(exported))
    assert [missing for missing in exported if not hasattr(module, missing)] == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_exports_what_it_imports_for_others(package: str) -> None:
    """The names that a package's `__init__` imports from its own modules are exactly `__all__`, and `dir` shows them."""
    tree = ast.parse((PACKAGES[package] / "__init__.py").read_text("utf-8"))
    imported = {
        alias.asname or alias.name
        for statement in ast.walk(tree)
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] == package
        for alias in statement.names
    }
    module = importlib.import_module(package)
    assert imported == set(module.__all__)
    assert imported <= set(dir(module))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("path", [path for _, path in ALL_MODULES], ids=[name for name, _ in ALL_MODULES])
def test_a_file_opens_with_one_sentence_about_itself(path: Path) -> None:
    """The first line of each file's docstring is a whole sentence."""
    first = first_line_of_docstring(path)
    assert first, f"{path}: no docstring"
    assert first.endswith((".", ":")), f"{path}: {first!r} is no whole sentence"


def first_line_of_docstring(path: Path) -> str:
    """Empty when there is none; in Cython, which `ast` cannot read, comments may stand before it."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    opening = re.match(r'(?:\s*#.*\n|\s*\n)*"""(.*)', text)
    return opening[1].removesuffix('"""').strip() if opening else ""


def source_files(root: Path, *suffixes: str, folders: tuple[str, ...] = ("runtime", "nodes")) -> list[Path]:
    """Files of these kinds in folders of the checkout."""
    return sorted(path for folder in folders for suffix in suffixes for path in (root / folder).rglob(f"*{suffix}"))


def test_a_long_file_says_why(checkout: Path) -> None:
    """No file has more than 400 lines without a reason in its opening."""
    wrong = []
    folders = ("runtime", "nodes", "tests", "benchmarks")
    for path in source_files(checkout, ".py", ".pyx", ".pyi", ".h", ".c", folders=folders):
        lines = path.read_text("utf-8").splitlines()
        if len(lines) > LONGEST and not any(f"{LONGEST} lines" in line for line in lines[:40]):
            wrong.append(f"{path}: {len(lines)} lines")
    assert wrong == []


def test_no_generated_c_lies_in_the_tree(checkout: Path) -> None:
    """Cython writes its C into build/, never beside the sources."""
    written = source_files(checkout, ".c", ".cpp", ".html")
    assert [path for path in written if "Cython" in path.read_text("utf-8", "replace")[:500]] == []


def test_every_extension_has_typed_stubs(checkout: Path) -> None:
    """Beside each .pyx stands a .pyi, so that callers are type-checked."""
    assert [path for path in source_files(checkout, ".pyx") if not path.with_suffix(".pyi").exists()] == []
