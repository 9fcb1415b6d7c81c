"""NIST SPHERE, the files of many speech corpora: lines of text, filled up to a multiple of 1024 bytes, then samples.

The second line is the length of the header; each further one a name, a type (`-i` integer, `-r` real, `-sN` text of N bytes) and
a value, until `end_head`. Facts are from the documentation of the SPHERE package (NIST, 1990s).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio.containers.layout import SIGNED, Coding, Encoding, Extent, PcmLayout, within
from phonograph_nodes.audio.stored import Content

_MAGIC = b"NIST_1A\n"
_MAX_HEADER = 2**20
# Which byte comes first, 0 being the lowest; those of two bytes also stand in files of more.
_LOWEST_FIRST = frozenset({"01", "012", "0123"})
_HIGHEST_FIRST = frozenset({"10", "210", "3210"})
_LAWS: Mapping[str, Encoding] = MappingProxyType({"ulaw": "mulaw", "mu-law": "mulaw", "alaw": "alaw", "a-law": "alaw"})


def sphere_layout(content: Content, name: str) -> PcmLayout | None:
    """Of a SPHERE file.

    Raises:
        AudioDecodeError: its samples are compressed, or it does not say what they are.
    """
    if bytes(content[:8]) != _MAGIC:
        return None
    size = _integer(bytes(content[8:16]).decode("ascii", "replace"))
    if not 16 <= size <= _MAX_HEADER:
        raise AudioDecodeError(name, "probe", "its second line is not the length of a SPHERE header", remedy="get it again")
    fields = _fields(bytes(content[16:size]).decode("latin-1"))
    coding = _coding(fields, name)
    count = _integer(fields.get("sample_count", ""))
    num_bytes = count * _integer(fields.get("sample_n_bytes", "1")) * coding.num_channels if count > 0 else None
    return within(content, name, "nistsphere", coding, Extent(size, num_bytes))


def _coding(fields: Mapping[str, str], name: str) -> Coding:
    words = fields.get("sample_coding", "pcm").lower().split(",")
    if len(words) > 1:
        compression = ",".join(words[1:])
        remedy = "make it plain first: sph2pipe -p -f wav, or w_decode of the SPHERE package"
        raise AudioDecodeError(
            name, "probe", f"its samples are compressed ({compression})", "sample_coding pcm, ulaw or alaw", remedy
        )
    num_bytes = _integer(fields.get("sample_n_bytes", "1" if words[0] in _LAWS else ""))
    encoding = _LAWS.get(words[0]) if num_bytes == 1 else None
    encoding = SIGNED.get(num_bytes) if words[0] == "pcm" else encoding
    byte_order = fields.get("sample_byte_format", "")
    if encoding is None or (num_bytes > 1 and byte_order not in _LOWEST_FIRST | _HIGHEST_FIRST):
        found = f"its samples have coding {words[0][:20]!r}, {num_bytes} bytes in the order {byte_order[:20]!r}"
        raise AudioDecodeError(name, "probe", found, "pcm of 1 to 4 bytes in order, ulaw or alaw", "read it as raw PCM")
    num_channels = _integer(fields.get("channel_count", "1"))
    big_endian = num_bytes > 1 and byte_order in _HIGHEST_FIRST
    return Coding(encoding, big_endian, num_channels, _integer(fields.get("sample_rate", "")))


def _fields(header: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in header.split("\n"):
        if line.strip() == "end_head":
            break
        name, _, rest = line.strip().partition(" ")
        fields.setdefault(name, rest.partition(" ")[2].strip())
    return fields


def _integer(words: str) -> int:
    """A whole number, of which reals may stand too; 0 for anything else."""
    digits = words.strip().partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
