"""Reading a source in batches, while the event loop may be in a hurry."""

from __future__ import annotations

from pathlib import Path

from phonograph.engine.plan import make_plan
from phonograph.engine.reader import SourceReader
from phonograph.graph.builder import build_graph
from phonograph.language.manifest import load_manifest
from small_runs import line, registry_with


def test_a_reader_that_is_hurried_before_its_first_record_reads_one(tmp_path: Path) -> None:
    """Only a source that has ended gives nothing: a hurry at the worst moment does not pass for its end."""
    path = tmp_path / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + line("testing.pass"))
    (source,) = make_plan(build_graph(load_manifest(path), registry_with())).sources
    reader = SourceReader(source, None)
    reader.open()

    def clock_ns() -> int:
        reader.hurry()
        return 0

    num_read = 0
    while reader.read_on(clock_ns):
        taken = reader.take()
        assert len(taken) == 1
        num_read += len(taken)
    assert num_read == 20
    reader.close()
