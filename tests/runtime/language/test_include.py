"""Manifests made of several files: fragments merged in, relative paths, circles, caps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import ManifestError
from phonograph.graph.builder import load_graph
from phonograph.language.include import MAX_INCLUDES
from phonograph.language.manifest import Manifest, load_manifest, read_manifest
from phonograph.language.yaml12 import MAX_BYTES
from phonograph.shipped import NamedManifest
from pipeline_nodes import ClipsParams, NpyParams, registry

HEAD = "version: 1\nname: demo\n"
CLIPS = "clips: {type: source.clips, params: {paths: clips}}"
AUDIO = "audio: {type: audio.decode, input: clips}"
OUT = "out: {type: sunk.audio, input: audio, params: {path: out}}"


def write(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a slash; returns the path of `main`."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def read(folder: Path, **files: str) -> Manifest:
    return load_manifest(write(folder, **files))


def complaints(folder: Path, **files: str) -> list[str]:
    return [str(one).replace(f"{folder}/", "") for one in read_manifest(write(folder, **files)).complaints]


def test_what_the_manifest_says_holds_key_by_key(tmp_path: Path) -> None:
    """A fragment's parameters, defaults and limits hold where the manifest does not say otherwise."""
    manifest = read(
        tmp_path,
        main=HEAD
        + "include: common.yaml\nparams: {rate: {default: 8000}}\ndefaults: {retry: {max_retries: 1}}\n"
        + f"nodes: {{{CLIPS}}}\n",
        common="params: {rate: {type: int, default: 16000, help: Hz}, out: {type: path, default: o}}\n"
        "defaults: {retry: {max_retries: 5, jitter: 0}, on_error: skip}\nlimits: {error_rate: 0.25}\n",
    )
    assert (manifest.params["rate"].value, manifest.params["rate"].help) == (8000, "Hz")
    assert manifest.nodes["clips"].retry == {"max_retries": 1, "jitter_s": 0}
    assert (manifest.nodes["clips"].on_error, manifest.limits.error_rate) == ("skip", 0.25)


def test_of_two_fragments_the_later_one_holds(tmp_path: Path) -> None:
    """Fragments are merged in the order in which they are named, those that they include before themselves."""
    manifest = read(
        tmp_path,
        main=HEAD + f"include: [one.yaml, two.yaml]\nnodes: {{{CLIPS}}}\n",
        one="include: [zero.yaml]\nparams: {a: {type: int, default: 1}, b: {type: int, default: 1}}\n",
        two="params: {b: {type: int, default: 2}}\n",
        zero="params: {a: {type: int, default: 0}, c: {type: int, default: 0}}\n",
    )
    assert {name: parameter.value for name, parameter in manifest.params.items()} == {"a": 1, "b": 2, "c": 0}
    assert [path.name for path in manifest.files] == ["main.yaml", "one.yaml", "zero.yaml", "two.yaml"]


def test_nodes_of_fragments_stand_before_those_of_the_manifest(tmp_path: Path) -> None:
    """Nodes of all files make one graph, and may read each other."""
    manifest = read(
        tmp_path,
        main=HEAD + f"include: parts/in.yaml\nnodes:\n  {OUT}\n",
        parts__in=f"nodes:\n  {CLIPS}\n  {AUDIO}\n",
    )
    assert list(manifest.nodes) == ["clips", "audio", "out"]
    position = manifest.nodes["audio"].position
    assert str(position) == f"{tmp_path}/parts/in.yaml:3:3"
    assert position.note == f"included at {tmp_path}/main.yaml:3:10"
    assert manifest.nodes["out"].position.note == ""


def test_fragment_that_two_others_include(tmp_path: Path) -> None:
    """It is merged once, so that its nodes are there once."""
    manifest = read(
        tmp_path,
        main=HEAD + f"include: [left.yaml, right.yaml]\nnodes: {{{AUDIO}}}\n",
        left="include: [common.yaml]\ndefaults: {workers: 1}\n",
        right="include: [common.yaml]\ndefaults: {workers: 2}\n",
        common=f"nodes: {{{CLIPS}}}\n",
    )
    assert list(manifest.nodes) == ["clips", "audio"]
    assert manifest.nodes["clips"].workers == 2


def test_relative_path_starts_at_the_file_in_which_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the parameters of nodes and in defaults, whatever the working directory and the place of the manifest."""
    monkeypatch.chdir(tmp_path)
    for name in ("parts/clips", "parts/deep/more"):
        (tmp_path / name).mkdir(parents=True)
    path = write(
        tmp_path,
        main=HEAD + f"include: parts/in.yaml\nnodes:\n  {AUDIO}\n  out: {{type: sunk.audio, input: audio, "
        'params: {path: "${params.out}", also: {a: "${params.out}/a"}}}\n',
        parts__in='include: deep/params.yaml\nnodes: {clips: {type: source.clips, params: {paths: [clips, "${params.more}"]}}}\n',
        parts__deep__params="params: {more: {type: path, default: more}, out: {type: path, default: ../out}}\n",
    )
    graph = load_graph(path, registry())
    clips, out = graph.nodes["clips"].params, graph.nodes["out"].params
    assert isinstance(clips, ClipsParams) and isinstance(out, NpyParams)
    assert clips.paths == [str(tmp_path / "parts/clips"), str(tmp_path / "parts/deep/more")]
    assert (out.path, out.also) == (str(tmp_path / "parts/out"), {"a": str(tmp_path / "parts/out/a")})
    assert out.index == str(tmp_path / "index.txt"), "a default of the node belongs to the manifest"


def test_named_manifest_writes_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an included file reads stands beside it; what it writes does not, when the manifest was asked for by name."""
    (tmp_path / "shipped" / "parts" / "clips").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = write(
        tmp_path / "shipped",
        main=HEAD + f"include: parts/all.yaml\nnodes: {{{AUDIO}}}\n",
        parts__all=f"nodes:\n  {CLIPS}\n  {OUT}\n",
    )
    graph = load_graph(NamedManifest(path), registry())
    clips, out = graph.nodes["clips"].params, graph.nodes["out"].params
    assert isinstance(clips, ClipsParams) and isinstance(out, NpyParams)
    assert clips.paths == str(tmp_path / "shipped/parts/clips")
    assert (out.path, out.index) == (str(tmp_path / "here/out"), str(tmp_path / "here/index.txt"))


def test_policy_of_a_fragment_says_where_it_was_set(tmp_path: Path) -> None:
    """Each policy of a node leads to where it was set, last or only."""
    manifest = read(
        tmp_path,
        main=HEAD + "include: common.yaml\ndefaults: {workers: 2}\nnodes:\n"
        "  clips: {type: source.clips, retry: {jitter: 0}, auto_convert: false}\n",
        common="defaults: {retry: {max_retries: 5, jitter: 1s}, workers: 1}\n",
    )
    places = {key: str(place).removeprefix(f"{tmp_path}/") for key, place in manifest.nodes["clips"].origins.items()}
    assert places == {
        "retry.max_retries": "common.yaml:1:33",
        "retry.jitter": "main.yaml:6:47",
        "workers": "main.yaml:4:21",
        "auto_convert": "main.yaml:6:65",
    }
    assert manifest.nodes["clips"].auto_convert is False


def test_a_chain_that_is_too_long_is_told_once(tmp_path: Path) -> None:
    """Files include each other only so deeply, and a tree of them does not get a complaint for each of its leaves."""
    files = {
        f"f{n}": f"nodes:\n  a: {{include: f{n + 1}.yaml}}\n  b: {{include: f{n + 1}.yaml}}\n" for n in range(MAX_INCLUDES + 1)
    }
    (line,) = complaints(tmp_path, main=HEAD + "nodes: {a: {include: f0.yaml}}\n", **files)
    assert line.startswith(f"f{MAX_INCLUDES - 2}.yaml:2:16: too_large files that include files too deeply (included at f")
    assert line.endswith("; expected at most 16 levels")


def test_small_files_that_unfold_to_much_are_refused(tmp_path: Path) -> None:
    """What all files hold together is capped like what one may hold."""
    row = ", ".join(["1"] * 900)
    files = {
        "one": "nodes:\n" + "".join(f"  n{n}: {{include: two.yaml}}\n" for n in range(12)),
        "two": "nodes:\n" + "".join(f"  n{n}: {{include: three.yaml}}\n" for n in range(12)),
        "three": f"nodes: {{a: {{type: x.y, params: {{v: [{row}]}}}}}}\n",
    }
    (line,) = complaints(tmp_path, main=HEAD + "nodes: {a: {include: one.yaml}}\n", **files)
    assert "too_large too many values, with what is included" in line


def test_included_file_beyond_the_size_cap_is_not_read_whole(tmp_path: Path) -> None:
    """50 MB of included YAML are refused at once; that the file has no end would not matter."""
    (tmp_path / "huge.yaml").symlink_to("/dev/zero")
    (line,) = complaints(tmp_path, main=HEAD + f"include: huge.yaml\nnodes: {{{CLIPS}}}\n")
    assert line.startswith("huge.yaml:1:1: too_large a file of more than 1048576 bytes (included at main.yaml:3:10)")
    (tmp_path / "large.yaml").write_bytes(b"params: {}\n" + b"# padding\n" * (MAX_BYTES // 10))
    (line,) = complaints(tmp_path, main=HEAD + f"include: large.yaml\nnodes: {{{CLIPS}}}\n")
    assert line.startswith("large.yaml:1:1: too_large")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-5", 1e-5), ("1:30", "1:30"), ("010", 10), ("0o10", 8), ("on", "on"), ("off", "off"), ("yes", "yes"), ("~", None)],
)
def test_scalars_of_an_included_file_are_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    """What surprises in YAML 1.1 means in a fragment what it means in the manifest."""
    manifest = read(
        tmp_path, main=HEAD + "include: part.yaml\n", part=f"nodes: {{a: {{type: x.y, params: {{v: {text}, list: [{text}]}}}}}}\n"
    )
    params: Any = manifest.nodes["a"].params.value
    found = params["v"].value
    assert found == value
    assert isinstance(found, type(value))


def test_alias_bomb_in_an_included_file(tmp_path: Path) -> None:
    """Aliases are capped in every file."""
    rows = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    (line,) = complaints(tmp_path, main=HEAD + f"include: bomb.yaml\nnodes: {{{CLIPS}}}\n", bomb="\n".join(rows))
    assert line.startswith("bomb.yaml:15:")
    assert "too_large too many values, with aliases unfolded (included at main.yaml:3:10)" in line


def test_include_from_the_command_line_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a sub-graph that an override gives belongs to the caller."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    parts = {"part": "nodes: {b: {type: x.y}}\n", "here__part": "nodes: {c: {type: x.y}}\n"}
    path = write(tmp_path, main=HEAD + "nodes: {a: {include: part.yaml}}\n", **parts)
    assert list(load_manifest(path).nodes) == ["a/b"]
    assert list(load_manifest(path, overrides=["nodes.a.include=part.yaml"]).nodes) == ["a/c"]


def test_fragment_without_a_readable_section(tmp_path: Path) -> None:
    """What has the wrong shape gets its complaint where it stands, also when the other file's is right."""
    found = complaints(
        tmp_path,
        main=HEAD + f"include: [one.yaml, two.yaml]\nnodes: {{{CLIPS}}}\nlimits: 3\n",
        one="nodes: [a]\nparams: 7\n",
        two="defaults: [b]\nlimits: {error_rate: 0.1}\n",
    )
    assert [line.partition(";")[0] for line in found] == [
        "one.yaml:2:9: wrong_type 'params' is the number 7 (included at main.yaml:3:11)",
        "two.yaml:1:11: wrong_type 'defaults' is a list (included at main.yaml:3:21)",
        "one.yaml:1:8: wrong_type 'nodes' is a list (included at main.yaml:3:11)",
        "main.yaml:5:9: wrong_type 'limits' is the number 3",
    ]


def test_manifest_error_names_files_in_their_order(tmp_path: Path) -> None:
    """All complaints of all files come at once, sorted by place."""
    path = write(tmp_path, main=HEAD + "include: [b.yaml, a.yaml]\n", a="params: 1\n", b="param: 1\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert [Path(one.position.file).name for one in caught.value.complaints] == ["a.yaml", "b.yaml", "main.yaml"]
