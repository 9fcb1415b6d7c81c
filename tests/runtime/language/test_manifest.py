"""Manifests that read well: merging, parameters, references; wrong ones are in test_graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from phonograph.errors import ManifestError
from phonograph.language.manifest import Manifest, load_manifest
from phonograph.language.queues import QueueBounds
from phonograph.language.yaml12 import Located
from phonograph.traced import Traced

HEAD = "version: 1\nname: demo\n"
NODE = "nodes: {a: {type: x.y, params: {v: %s}}}\n"


def read(folder: Path, text: str, **params: object) -> Manifest:
    path = folder / "demo.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_manifest(path, params=params)


def complaints(folder: Path, text: str, **params: object) -> str:
    with pytest.raises(ManifestError) as caught:
        read(folder, text, **params)
    return str(caught.value).replace(str(folder / "demo.yaml"), "FILE")


def param(manifest: Manifest, name: str = "v") -> object:
    params = manifest.nodes["a"].params.value
    assert isinstance(params, Mapping)
    located = params[name]
    assert isinstance(located, Located)
    return located.value


def test_node_setting_overrides_the_default_field_by_field(tmp_path: Path) -> None:
    """A node's retry and breaker keep the default fields that the node does not name."""
    manifest = read(
        tmp_path,
        """
defaults: {retry: {max_retries: 5, base_delay: 1s, jitter: 0}, breaker: {failure_threshold: 9}, on_error: skip, workers: 3}
nodes:
  a: {type: x.y, retry: {base_delay: 10ms}, on_error: fail, workers: auto}
  b: {type: x.y, breaker: {when_open: shed, max_open: 1h}}
""",
    )
    a, b = manifest.nodes["a"], manifest.nodes["b"]
    assert a.retry == {"max_retries": 5, "base_delay_s": 0.01, "jitter_s": 0}
    assert (a.on_error, a.workers) == ("fail", None)
    assert b.retry == {"max_retries": 5, "base_delay_s": 1, "jitter_s": 0}
    assert b.breaker == {"failure_threshold": 9, "when_open": "shed", "max_open_s": 3600}
    assert (b.on_error, b.workers) == ("skip", 3)


def test_manifest_without_settings(tmp_path: Path) -> None:
    """Dead letters for failing records, workers as the engine sees fit, no budget of errors."""
    manifest = read(tmp_path, NODE % 1)
    node = manifest.nodes["a"]
    assert (node.on_error, node.workers, dict(node.retry), dict(node.breaker)) == ("dead_letter", None, {}, {})
    assert manifest.limits.error_rate == 1.0


def test_inputs_are_references_or_maps(tmp_path: Path) -> None:
    """A reference feeds the default port; a map names ports, and may bound their queue."""
    manifest = read(
        tmp_path,
        """
nodes:
  a: {type: x.y}
  b: {type: x.y, input: a.left}
  c: {type: x.y, input: {l: b, r: {from: b.right, queue: {items: 2}}}}
""",
    )
    assert [(one.port, one.source, one.source_port, one.queue) for one in manifest.nodes["b"].inputs] == [
        (None, "a", "left", None)
    ]
    assert [(one.port, one.source, one.source_port, one.queue) for one in manifest.nodes["c"].inputs] == [
        ("l", "b", None, None),
        ("r", "b", "right", QueueBounds(items=2)),
    ]


def test_steps_are_a_line(tmp_path: Path) -> None:
    """Each step is fed by the one before it; ids come from the type, numbered where one is taken."""
    manifest = read(tmp_path, "steps: [{type: x.y}, {type: z.y}, {id: y-2, type: x.y}, {type: a.b}]\n")
    assert {node.id: [one.source for one in node.inputs] for node in manifest.nodes.values()} == {
        "y": [],
        "y-3": ["y"],
        "y-2": ["y-3"],
        "b": ["y-2"],
    }


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("str", "10", "10"),
        ("int", "0x10", 16),
        ("int", " 010 ", 10),
        ("int", 3, 3),
        ("float", "1e-5", 1e-5),
        ("float", 2, 2.0),
        ("bool", "false", False),
        ("bool", True, True),
        ("path", Path("a/b"), "a/b"),
        ("path", "a/b", "a/b"),
        ("duration", "100ms", 0.1),
        ("duration", 2.5, 2.5),
        ("size", "1KiB", 1024),
        ("size", 77, 77),
    ],
)
def test_value_from_outside_is_read_as_the_declared_type(tmp_path: Path, kind: str, given: object, value: object) -> None:
    """Text from a command line and Python values both become the declared type; one whole reference keeps it."""
    manifest = read(tmp_path, f"params: {{p: {{type: {kind}}}}}\n" + NODE % '"${params.p}"', p=given)
    found = param(manifest)
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        ("int", "1.5", "wrong_type the value given for parameter 'p' is '1.5'; expected a whole number"),
        ("int", True, "is true; expected a whole number"),
        ("int", "9" * 5000, "expected a whole number"),
        ("float", 10**400, "expected a number"),
        ("bool", "yes", "is 'yes'; expected true or false"),
        ("path", "", "is ''; expected a path"),
        ("path", b"x", "is of type bytes; expected a path, as text"),
        ("duration", "30", "expected a duration with its unit, such as 100ms, 30s, 10m or 1h; write 30ms or 30s"),
        ("duration", float("nan"), "expected a number, at least 0"),
        ("size", -1, "expected a whole number, at least 0"),
        ("str", None, "is empty; expected text"),
    ],
)
def test_value_from_outside_that_does_not_fit(tmp_path: Path, kind: str, given: object, reason: str) -> None:
    """A complaint at the parameter's declaration tells what was given."""
    found = complaints(tmp_path, f"params: {{p: {{type: {kind}}}}}\n" + NODE % '"${params.p}"', p=given)
    assert found.startswith("FILE:3:10: ")
    assert found.endswith(reason)


def test_value_outside_of_bounds_or_choices(tmp_path: Path) -> None:
    """Bounds and choices hold for values from outside; NaN is within no bounds."""
    text = "params: {f: {type: float, maximum: 2}, c: {type: str, choices: [fast, slow]}}\n" + NODE % 1
    assert complaints(tmp_path, text, f="2.5", c="slwo").splitlines() == [
        "FILE:3:10: wrong_value the value given for parameter 'f' is '2.5'; expected at most 2",
        "FILE:3:40: wrong_value the value given for parameter 'c' is 'slwo'; expected one of fast, slow; did you mean 'slow'?",
    ]
    assert "expected at most 2" in complaints(tmp_path, text, f=".nan", c="fast")


def test_parameter_that_is_not_declared(tmp_path: Path) -> None:
    """A slip in a parameter's name is told with the nearest one, at the manifest's parameters."""
    text = "params: {corpus: {type: path, default: x}}\n" + NODE % 1
    assert complaints(tmp_path, text, corpsu="y") == (
        "FILE:3:9: unknown_parameter a value is given for the parameter 'corpsu', which the manifest does not declare; "
        "expected one of corpus; did you mean 'corpus'?"
    )
    assert complaints(tmp_path, NODE % 1, x="y").startswith("FILE:1:1: unknown_parameter")


def test_reference_inside_text(tmp_path: Path) -> None:
    """Inside longer text a value is written out; `$${` stands for `${`."""
    text = (
        "params: {n: {type: int, default: 3}, b: {type: bool, default: true}}\n"
        + NODE % '"a${params.n}-${params.b} $${params.n} $x"'
    )
    assert param(read(tmp_path, text)) == "a3-true ${params.n} $x"


def test_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set variable is text from outside; an unset or empty one gives way to the default."""
    monkeypatch.setenv("PHONOGRAPH_TEST_A", "x")
    monkeypatch.setenv("PHONOGRAPH_TEST_B", "")
    found = param(read(tmp_path, NODE % '"${env:PHONOGRAPH_TEST_A:-y}"'))
    assert found == "x"
    assert isinstance(found, Traced)
    found = param(read(tmp_path, NODE % '"${env:PHONOGRAPH_TEST_B:-y:z}"'))
    assert found == "y:z"
    assert not isinstance(found, Traced)


def test_default_from_the_environment_is_read_as_the_declared_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`default: ${env:...}` gives a number where the parameter is one, and is not looked up when a value is given."""
    text = 'params: {n: {type: int, default: "${env:PHONOGRAPH_TEST_N}"}}\n' + NODE % '"${params.n}"'
    assert param(read(tmp_path, text, n=5)) == 5
    assert "environment the reference ${env:PHONOGRAPH_TEST_N}" in complaints(tmp_path, text)
    monkeypatch.setenv("PHONOGRAPH_TEST_N", "7")
    assert param(read(tmp_path, text)) == 7


def test_leading_reference_decides_the_origin(tmp_path: Path) -> None:
    """Text that begins with a value from outside is from outside, any other text is the manifest's."""
    text = "params: {p: {type: path, default: x}}\n"
    assert isinstance(param(read(tmp_path, text + NODE % '"${params.p}/y"', p="o")), Traced)
    assert not isinstance(param(read(tmp_path, text + NODE % '"y/${params.p}"', p="o")), Traced)
    assert not isinstance(param(read(tmp_path, text + NODE % '"${params.p}/y"')), Traced)


def test_unreadable_parameter_is_told_once(tmp_path: Path) -> None:
    """References to a parameter that has a complaint already add none."""
    text = "params: {n: {type: int, default: x}}\n" + NODE % '["${params.n}", "a${params.n}"]'
    assert complaints(tmp_path, text).splitlines() == [
        "FILE:3:34: wrong_type the default of parameter 'n' is 'x'; expected a whole number"
    ]


@pytest.mark.parametrize("version", ["'1'", "1.0", "true", "", "2"])
def test_other_versions_are_refused(tmp_path: Path, version: str) -> None:
    """Only the number 1 is a version."""
    path = tmp_path / "demo.yaml"
    path.write_text(f"version: {version}\nname: demo\n" + NODE % 1)
    with pytest.raises(ManifestError, match="unsupported_version"):
        load_manifest(path)


def test_manifest_that_is_a_folder_or_absent(tmp_path: Path) -> None:
    """What cannot be opened is a complaint with the system's reason."""
    with pytest.raises(ManifestError, match="file_unreadable the manifest cannot be read: Is a directory"):
        load_manifest(tmp_path)
    with pytest.raises(ManifestError, match="file_unreadable the manifest cannot be read: No such file"):
        load_manifest(tmp_path / "none.yaml")
    with pytest.raises(ManifestError, match="file_unreadable"):
        load_manifest("a\0b")


def test_shipped_manifest_loaded_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is no path here; the complaint shows the call that makes one of it. Other absent files get no such advice."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match=r"expected a YAML file; phonograph\.shipped\.find_manifest\('features'\) finds"):
        load_manifest("features")
    with pytest.raises(ManifestError, match=r"expected a YAML file$"):
        load_manifest("no-such-name")


def test_manifest_of_any_size_is_refused_at_once(tmp_path: Path) -> None:
    """No more is read than it takes to see that it is too large, which a file without an end shows."""
    (tmp_path / "demo.yaml").symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match=r"1:1: too_large a file of more than 1048576 bytes; expected a smaller one$"):
        load_manifest(tmp_path / "demo.yaml")


def test_policies_say_where_they_were_set(tmp_path: Path) -> None:
    """Each leads to the node or to the defaults, whichever holds; what nobody set is not there."""
    manifest = read(
        tmp_path,
        "defaults: {retry: {max_retries: 5, jitter: 0}, auto_convert: false}\n"
        "nodes:\n  a: {type: x.y, retry: {jitter: 1s}, breaker: {max_open: 1h}}\n  b: {type: x.y, auto_convert: true}\n",
    )
    lines = {key: place.line for key, place in manifest.nodes["a"].origins.items()}
    assert lines == {"retry.max_retries": 3, "retry.jitter": 5, "auto_convert": 3, "breaker.max_open": 5}
    assert (manifest.nodes["a"].auto_convert, manifest.nodes["b"].auto_convert) == (False, True)


def test_references_to_dead_letters_and_own_inputs(tmp_path: Path) -> None:
    """They are read like any reference; what they lead to is for the graph."""
    manifest = read(tmp_path, 'nodes: {a: {type: x.y, input: {p: inputs.audio, q: b.dead_letter, r: "*.dead_letter"}}}\n')
    assert [(one.source, one.source_port) for one in manifest.nodes["a"].inputs] == [
        ("inputs", "audio"),
        ("b", "dead_letter"),
        ("*", "dead_letter"),
    ]


def test_test_section_is_kept_as_it_stands(tmp_path: Path) -> None:
    """Its meaning is for the verb that runs it."""
    manifest = read(tmp_path, NODE % 1 + "tests: [{name: one, anything: goes}]\n")
    assert manifest.tests is not None
    assert manifest.tests.position.line == 4


def test_first_step_reads_the_manifests_own_input(tmp_path: Path) -> None:
    """A line of steps that has inputs begins with the first of them."""
    manifest = read(tmp_path, "inputs: {audio: {type: audio}, other: {type: text}}\nsteps: [{type: x.y}, {type: x.z}]\n")
    assert [(one.source, one.source_port) for node in manifest.nodes.values() for one in node.inputs] == [
        ("inputs", "audio"),
        ("y", None),
    ]
