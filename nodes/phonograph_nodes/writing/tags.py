"""Tags of audio files: title, artist and others, fixed or out of an item's attributes."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from phonograph.errors import BadInputError, ParameterError

TagName = Literal["title", "artist", "album", "genre", "date", "track", "comment", "copyright"]
"""What every format here has a place for; a tag that one of them would lose in silence is not offered."""

NO_TAGS: Mapping[TagName, str] = MappingProxyType({})

# The INFO list of RIFF; `IPRT` is the one of several in use for a track that FFmpeg reads.
_INFO: Mapping[TagName, bytes] = MappingProxyType(
    {
        "title": b"INAM",
        "artist": b"IART",
        "album": b"IPRD",
        "genre": b"IGNR",
        "date": b"ICRD",
        "track": b"IPRT",
        "comment": b"ICMT",
        "copyright": b"ICOP",
    }
)
_TRACK = re.compile(r"[0-9]{1,4}(/[0-9]{1,4})?")  # MP4 stores two numbers of 16 bits


def tags_of(
    fixed: Mapping[TagName, str], from_attributes: Mapping[TagName, str], attributes: Mapping[str, Any]
) -> dict[TagName, str]:
    """The tags of one item: the fixed ones, and those whose attribute it has, which go first.

    Raises:
        BadInputError: an attribute is neither text nor a number, or no track where a track is wanted.
    """
    tags = dict(fixed)
    for tag, name in from_attributes.items():
        value = attributes.get(name)
        if value is None:
            continue
        if not isinstance(value, str | bool | int | float):
            raise BadInputError(f"attribute {name!r}, the tag {tag}, is a {type(value).__name__}; expected text or a number")
        tags[tag] = str(value)
    try:
        check_tags("tags", tags)
    except ParameterError as error:
        raise BadInputError(f"its tags cannot be stored: {error}") from error
    return tags


def check_tags(parameter: str, tags: Mapping[Any, str]) -> None:
    """Refuse tags that a format could not store.

    Raises:
        ParameterError: an unknown name, no text, a NUL in it, or a track that is not `7` or `7/12`.
    """
    for tag, text in tags.items():
        if tag not in _INFO:
            raise ParameterError(parameter, dict(tags), f"names of {', '.join(get_args(TagName))}")
        if not isinstance(text, str) or "\0" in text:
            raise ParameterError(parameter, dict(tags), f"text without NUL for {tag}")
        if tag == "track" and text and not _TRACK.fullmatch(text):
            raise ParameterError(parameter, dict(tags), "a track such as '7' or '7/12'")


def stored(text: str) -> bytes:
    """A tag in UTF-8. Only names of files can hold lone surrogates; a question mark keeps the tag readable everywhere."""
    return text.encode(errors="replace")


def info_list(tags: Mapping[TagName, str]) -> bytes:
    """The tags as a LIST chunk of RIFF; nothing when there are none."""
    entries = b""
    for tag, name in _INFO.items():
        if text := tags.get(tag):
            entries += _chunk(name, stored(text) + b"\0")
    return _chunk(b"LIST", b"INFO" + entries) if entries else b""


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
