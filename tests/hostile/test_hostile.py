"""The mutation run itself: it finds what it looks for, survives it, and can be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hostile.mutations import MUTATIONS, mutant, originals
from hostile.run import Finding, Run, keep, main

FILES = [("codec/a.wav", bytes(range(256)) * 8), ("codec/b.mp3", b"ID3" + bytes(5000)), ("codec/empty.wav", b"")]


def test_mutants_are_told_by_seed_and_number() -> None:
    """A mutant can be made again, and another seed gives others."""
    first = [mutant(FILES, 1, number) for number in range(300)]
    assert first == [mutant(FILES, 1, number) for number in range(300)]
    assert first != [mutant(FILES, 2, number) for number in range(300)]
    changed = sum(content != dict(FILES)[name] for name, content in first)
    assert changed > 200
    assert len({mutation.__name__ for mutation in MUTATIONS}) == 9


def test_originals_are_audio_alone(tmp_path: Path) -> None:
    """Lists and notes beside the audio are not mutated."""
    (tmp_path / "codec").mkdir()
    for name in ("b.wav", "a.mp3", "manifest.jsonl", "notes.txt"):
        (tmp_path / "codec" / name).write_bytes(b"x")
    assert [name for name, _ in originals([tmp_path])] == ["codec/a.mp3", "codec/b.wav"]


def test_run_goes_on_after_crashes_and_hangs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each mutant ends as exactly one thing, whatever happens to the processes that read them."""
    (tmp_path / "a.wav").write_bytes(bytes(600))
    arguments = ["--inputs", "12", "--workers", "2", "--hang-s", "2", "--target", "hostile.bad_targets:read"]
    status = main([*arguments, "--folder", str(tmp_path), "--kept", str(tmp_path / "kept")])
    figures = json.loads(capfd.readouterr().out)
    assert status == 1
    ends = {end: figures[end] for end in ("audio", "error", "silent", "exception", "crash", "hang")}
    assert ends == {"audio": 3, "error": 5, "silent": 1, "exception": 1, "crash": 1, "hang": 1}
    found = {one["kind"]: (one["what"], one["numbers"]) for one in figures["findings"]}
    assert found["crash"][0].startswith("SIGABRT at bad_targets.py:")
    assert found["exception"][0].startswith("KeyError: 'no such chunk' at bad_targets.py:")
    assert {kind: numbers for kind, (_, numbers) in found.items()} == {"crash": [3], "exception": [5], "silent": [7], "hang": [8]}
    assert {path.name for path in (tmp_path / "kept").iterdir()} >= {"crash-1-3.wav", "hang-1-8.wav", "small-crash-1-3.wav"}


def test_finding_is_cut_down(tmp_path: Path) -> None:
    """Of a mutant that crashes, only what it crashes by is left, about."""
    (tmp_path / "a.wav").write_bytes(b"." * 700 + b"!" + b"." * 300)
    run = Run((tmp_path,), seed=1, num_inputs=40, target="hostile.bad_targets:needs_bang")
    number = next(number for number in range(40) if b"!" in mutant(run.files, 1, number)[1])
    run.findings.append(Finding("crash", "SIGABRT", number, "a.wav"))
    keep(run, tmp_path / "kept")
    small = (tmp_path / "kept" / f"small-crash-1-{number}.wav").read_bytes()
    assert b"!" in small
    assert len(small) < len(mutant(run.files, 1, number)[1]) / 8
