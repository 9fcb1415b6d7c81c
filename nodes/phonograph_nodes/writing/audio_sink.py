"""What the sinks of audio share: a folder, tags, one whole file for each item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Params
from phonograph.sink import FilePart, Part, Sink, output_path
from phonograph_nodes.writing.folders import OutputFolder, require_writable
from phonograph_nodes.writing.tags import TagName, check_tags, tags_of

LosslessFormat = Literal["pcm16", "pcm24"]
"""What FLAC and ALAC store a sample as."""

Write = Callable[[IO[bytes]], None]
"""Writes a whole audio file, of which everything that can be wrong has been found before."""


class AudioFileParams(Params, frozen=True):
    path: OutputFolder
    tags: Annotated[dict[TagName, str], msgspec.Meta(description="tags of every file")] = msgspec.field(default_factory=dict)
    tags_from: Annotated[
        dict[TagName, str],
        msgspec.Meta(description="tag -> the attribute that it is taken from, in items that have it; goes before `tags`"),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_tags("tags", self.tags)


ParamsT = TypeVar("ParamsT", bound=AudioFileParams)


class AudioSink(Sink[ParamsT]):
    """A sink that writes each item's audio as a file of its own. Subclasses implement `prepare`."""

    suffix: ClassVar[str]

    def open(self) -> None:
        require_writable(self.params.path)

    def stage(self, item: Item) -> Part:
        path = output_path(self.params.path, item.key, self.suffix_of(item))
        tags = tags_of(self.params.tags, self.params.tags_from, item.attributes)
        return FilePart(path, self.prepare(item, path, tags))

    def suffix_of(self, item: Item) -> str:
        """What the file's name ends with."""
        return self.suffix

    def prepare(self, item: Item, path: str, tags: Mapping[TagName, str]) -> Write:
        """What writes the file.

        Raises:
            AudioFormatError: the format cannot hold this audio.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prepare")


def check_channels(chunk: AudioChunk, name: str, what: str, most: int, remedy: str) -> None:
    """Refuse more channels than a format holds, or none.

    Raises:
        AudioFormatError.
    """
    if not 1 <= chunk.num_channels <= most:
        raise AudioFormatError(f"{name}: {chunk.num_channels} channels; {what} holds 1 to {most}; {remedy}")


def fitting_bits(attributes: Mapping[str, Any]) -> LosslessFormat:
    """The PCM format of 16 or 24 bits that holds what the item's `sample_format` says; pcm16 when it says nothing."""
    return "pcm24" if attributes.get("sample_format") in ("i24", "i32", "f32", "f64") else "pcm16"


def whole(content: bytes) -> Write:
    """What writes a file that is made already."""

    def write(file: IO[bytes]) -> None:
        file.write(content)

    return write
