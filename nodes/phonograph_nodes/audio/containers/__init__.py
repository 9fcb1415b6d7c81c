"""Headers of files that hold PCM: pure functions from their bytes to a `PcmLayout`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from phonograph_nodes.audio.containers.aiff import aiff_layout
from phonograph_nodes.audio.containers.au import au_layout
from phonograph_nodes.audio.containers.layout import Encoding, PcmLayout
from phonograph_nodes.audio.containers.raw import RawPcm, raw_layout
from phonograph_nodes.audio.containers.riff import W64_RIFF, riff_layout, w64_layout
from phonograph_nodes.audio.containers.sphere import sphere_layout
from phonograph_nodes.audio.stored import Content

__all__ = ["Encoding", "PcmLayout", "RawPcm", "pcm_layout", "raw_layout"]

_Parser = Callable[[Content, str], PcmLayout | None]
PARSERS: Mapping[bytes, _Parser] = MappingProxyType(
    {
        b"RIFF": riff_layout,
        b"RIFX": riff_layout,
        b"RF64": riff_layout,
        b"BW64": riff_layout,
        W64_RIFF[:4]: w64_layout,
        b"FORM": aiff_layout,
        b".snd": au_layout,
        b"dns.": au_layout,
        b"NIST": sphere_layout,
    }
)


def pcm_layout(content: Content, name: str) -> PcmLayout | None:
    """Where the samples of a file lie, and what they are.

    Args:
        content: the whole file. Only its headers are touched.
        name: of the file, for the errors.

    Returns:
        None for a container that is none of these, one with another codec than PCM, or a header that is cut off.

    Raises:
        AudioDecodeError: rate or channel count that no audio has; a codec that nothing here decodes.
        OSError: the system does not read the file.
    """
    parser = PARSERS.get(bytes(content[:4]))
    try:
        return parser(content, name) if parser is not None else None
    except struct.error:  # what every parser meets at the end of a header that is cut off
        return None
