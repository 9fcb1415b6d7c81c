"""Figures in files, and what is said of the machine and of the work that they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.benching import document
from phonograph.benching.document import Spread, Work, records_in_words
from phonograph.benching.setting import processor, work
from phonograph.engine.plan import make_plan
from phonograph.errors import BaselineError
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.metrics import RecordCounts

MANIFEST = """version: 1
name: line
params:
  out: {type: path, default: out}
  token: {type: secret, default: "${env:TOKEN:-none}"}
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  mel: {type: features.log_mel, input: audio}
  out: {type: sink.npy, input: mel, params: {path: "${params.out}"}}
"""


def work_of(folder: Path, text: str = MANIFEST, **params: str) -> Work:
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / "clips" / "a.wav").touch()
    (folder / "line.yaml").write_text(text, encoding="utf-8")
    return work(make_plan(load_graph(folder / "line.yaml", Registry.installed(), params=params)))


def test_quartiles_lie_between_the_values() -> None:
    """Of four values the quartiles are interpolated; of one they are the value itself, as is the least."""
    assert Spread.of([4.0, 1.0, 3.0, 2.0]) == Spread(2.5, 1.75, 3.25, 1.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 7.0)


def test_records_in_words_leave_out_what_none_did() -> None:
    """Outcomes with a count sum to what was read; a run that read nothing has none."""
    counts = dict.fromkeys(RecordCounts.__struct_fields__, 0)
    assert records_in_words(RecordCounts(**{**counts, "read": 2, "completed": 1, "dead_lettered": 1})) == (
        "2 read = 1 completed, 1 dead-lettered"
    )
    assert records_in_words(RecordCounts(**counts)) == "0 read"


def test_the_same_manifest_elsewhere_is_the_same_work(tmp_path: Path) -> None:
    """Neither where the checkout lies nor where results go changes the fingerprint."""
    here, there = work_of(tmp_path / "here"), work_of(tmp_path / "there", out=str(tmp_path / "results"))
    assert here.fingerprint == there.fingerprint
    assert here.params != there.params


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("type: features.log_mel,", "type: features.log_mel, params: {frontend: kaldi},", {"mel"}),
        ("input: mel,", "input: mel, workers: 3,", {"out"}),
        ("{paths: clips}", "{paths: clips/a.wav}", {"clips"}),
    ],
)
def test_what_a_node_does_is_in_the_fingerprint(tmp_path: Path, before: str, after: str, changed: set[str]) -> None:
    """A parameter, a number of workers, a path that is read: the node that it belongs to differs, and no other."""
    first, second = work_of(tmp_path), work_of(tmp_path, MANIFEST.replace(before, after))
    assert first.fingerprint != second.fingerprint
    assert {name for name in first.nodes if first.nodes[name] != second.nodes[name]} == changed


def test_a_secret_is_not_in_the_work(tmp_path: Path) -> None:
    """The value of a secret parameter is hidden."""
    found = work_of(tmp_path, token="hunter2")
    assert found.params["token"] == "***"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("cpu family : 26\nmodel : 2\nmodel name : AMD EPYC\n\ncpu family : 6\n", "AMD EPYC, family 26, model 2"),
        ("CPU implementer : 0x41\nCPU part : 0xd0c\n", "implementer 0x41, part 0xd0c"),
    ],
)
def test_a_processor_has_a_name_of_its_kind(tmp_path: Path, cpuinfo: str, name: str) -> None:
    """Of x86 and of ARM: the first core's name with the numbers that tell kinds of one name apart."""
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert processor(tmp_path / "cpuinfo").endswith(name)


def test_a_missing_baseline_is_told(tmp_path: Path) -> None:
    """The path, what is wrong, and how one is made."""
    with pytest.raises(
        BaselineError, match=r"none\.json: cannot be read: No such file or directory; expected a baseline; .*--save"
    ):
        document.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"version": 1}', r"Invalid enum value 1 - at `\$\.version`"),
        (b'{"version": 2, "nodes": [{"id": 3}]}', r"Expected `str`, got `int` - at `\$\.nodes\[0\]\.id`"),
        (b'{"versions": 1}', "unknown field `versions`"),
        (b'{"version": "\xff"}', "is no baseline"),
    ],
)
def test_a_file_that_is_no_baseline_is_told(tmp_path: Path, content: bytes, found: str) -> None:
    """Whatever is in it, the error names the file and, where there is one, the place in it."""
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=f"odd.json: is no baseline: .*{found}|odd.json: {found}"):
        document.read(path)
