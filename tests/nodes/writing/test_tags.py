"""Tests of the tags of audio files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError
from phonograph_nodes.writing.formats import AudioFormat, sink_for
from written import item, voice

FORMATS: tuple[AudioFormat, ...] = ("wav", "flac", "opus", "mp3", "aac", "alac")
TAGS = {
    "title": 'Grüße, "Welt"',
    "artist": "A; B = C",
    "album": "Stimmen",
    "genre": "Speech",
    "date": "2024-05-06",
    "track": "3/12",
    "comment": "first line\nsecond line",
    "copyright": "© nobody",
}
SPEECH = voice(1600, 16000)


def tags_written(
    audio_format: AudioFormat, folder: Path, attributes: dict[str, Any] | None = None, **params: Any
) -> dict[str, str]:
    """The tags that FFmpeg finds in the file, without what is said of the container."""
    sink = sink_for(audio_format, {"path": str(folder), **params})
    path = sink.stage(item({"audio": AudioChunk(SPEECH, 16000)}, **(attributes or {}))).commit().path
    with av.open(io.BytesIO(Path(path).read_bytes())) as container:
        found = {**container.metadata, **container.streams[0].metadata}
    told = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}  # of MP4
    return {name: text for name, text in found.items() if name not in told | ({"encoder"} if audio_format == "mp3" else set())}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_tag_comes_back_from_every_format(audio_format: AudioFormat, tmp_path: Path) -> None:
    """All eight tags are read as they were written, and no others."""
    assert tags_written(audio_format, tmp_path, tags=TAGS) == TAGS


@pytest.mark.parametrize("audio_format", FORMATS)
def test_without_tags_nothing_is_said(audio_format: AudioFormat, tmp_path: Path) -> None:
    """A file without tags has none: no tool, no time."""
    assert tags_written(audio_format, tmp_path) == {}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_attributes_become_tags(audio_format: AudioFormat, tmp_path: Path) -> None:
    """A tag is taken from an attribute where the item has it, and is the fixed one where it has not."""
    attributes = {"text": "hello", "number": 7, "speech_ratio": 0.5}
    found = tags_written(
        audio_format,
        tmp_path,
        attributes,
        tags={"title": "untitled", "artist": "unknown"},
        tags_from={"title": "text", "artist": "speaker", "track": "number", "comment": "speech_ratio", "album": "none"},
    )
    assert found == {"title": "hello", "artist": "unknown", "track": "7", "comment": "0.5"}


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_audio_is_the_same_with_tags(audio_format: AudioFormat, tmp_path: Path) -> None:
    """Tags of any length leave the samples as they are."""

    def samples(**params: Any) -> Any:
        sink = sink_for(audio_format, {"path": str(tmp_path), **params})
        path = sink.stage(item({"audio": AudioChunk(SPEECH, 16000)})).commit().path
        with av.open(path, "r") as container:
            return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)

    np.testing.assert_array_equal(samples(), samples(tags={"title": "odd", "comment": "x" * 70_000}))


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", np.zeros(2)])
def test_an_attribute_that_is_no_text_is_bad_input(value: Any, tmp_path: Path) -> None:
    """Lists, mappings, bytes and arrays have no form as a tag; no file is left."""
    with pytest.raises(BadInputError, match=r"attribute 'found', the tag title, is a .*; expected text or a number"):
        tags_written("wav", tmp_path, {"found": value}, tags_from={"title": "found"})
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(("tag", "value"), [("title", "a\0b"), ("track", "seven"), ("track", "1/2/3"), ("track", -1)])
def test_an_attribute_that_no_format_holds_is_bad_input(tag: str, value: Any, tmp_path: Path) -> None:
    """A NUL ends a tag early, and a track is a number: the item is refused rather than its tag damaged."""
    with pytest.raises(BadInputError, match=r"its tags cannot be stored: .*; expected"):
        tags_written("flac", tmp_path, {"found": value}, tags_from={tag: "found"})


@pytest.mark.parametrize(
    "tags", [{"titel": "x"}, {"title": "a\0b"}, {"track": "x"}, {"title": 7}], ids=["name", "NUL", "track", "number"]
)
def test_wrong_tags_are_wrong_parameters(tags: dict[str, Any], tmp_path: Path) -> None:
    """Fixed tags are checked with the parameters, before a run."""
    with pytest.raises(ValueError, match="tags"):
        sink_for("mp3", {"path": str(tmp_path), "tags": tags})


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_lone_surrogate_becomes_a_question_mark(audio_format: AudioFormat, tmp_path: Path) -> None:
    """The name of a file that is no UTF-8 can be a tag."""
    assert tags_written(audio_format, tmp_path, {"path": "a\udcff.wav"}, tags_from={"title": "path"}) == {"title": "a?.wav"}
