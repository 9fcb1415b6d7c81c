"""Live audio: what a node does so that a stream in chunks gives what the same audio gives in one piece.

Theory of operation. The chunks of a stream are one *stretch* as long as each begins where the one before ended, at the same rate
and with the same channels. What comes of a stretch, joined, is what comes of its audio in one piece. A gap ends a stretch: a
chunk that a filter or a full queue left out, a sender that lost some, a part that was cut out by itself. Then what the stretch
still had to give comes out, and the next one begins afresh; its first item says `discontinuity`, so that nodes further on do the
same.

A `StreamingNode` says what it makes of audio in one piece, which is how a batch has it, and what one stretch is to it:

    @node("audio.difference", inputs="audio", outputs="audio", streaming="causal")
    class Difference(StreamingNode[Params]):
        def whole(self, item: Item) -> Item:
            return item.with_payload({"audio": difference(item.audio, before=0.0)})

        def stretch(self, item: Item) -> Stretch:
            return _Differences()  # which keeps the last sample from `push` to `push`

`phonograph.testing` has `run_whole`, `run_chunked` and `deviation`, which show whether the two agree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.node import Emitted, Node
from phonograph.spec import Params

ParamsT = TypeVar("ParamsT", bound=Params)

MAX_GATHERED_BYTES = 256 * 2**20
"""An hour of 16 kHz mono, and some more."""


class Piece(msgspec.Struct, frozen=True):
    """What a stretch gives, of which `Stretches` makes an item.

    Args:
        payload: value by output port.
        start_sample: where it begins in the stream's audio, in samples at the rate of what is given.
        attributes: added to those of the item that came last.
        is_apart: it is a signal of its own, and does not go on from the piece before.
        key: of the item; None: that of the item that came last.
    """

    payload: Mapping[str, Any]
    start_sample: int
    attributes: Mapping[str, Any] | None = None
    is_apart: bool = False
    key: str | None = None


class Stretch(ABC):
    """What a node makes of one stretch of audio."""

    @abstractmethod
    def push(self, item: Item) -> Sequence[Piece]:
        """Take the next chunk, and give what is ready."""

    @abstractmethod
    def end(self) -> Sequence[Piece]:
        """Give what is left. A node that gives an item for audio of any length gives at least one for each stretch."""


class Stretches:
    """Follows one stream from stretch to stretch.

    Args:
        begin: makes the stretch that begins with an item.
        port: whose audio tells where the stream stands; without audio there, only `discontinuity` ends a stretch.
    """

    __slots__ = ("_begin", "_form", "_is_marked", "_last", "_next", "_port", "_stretch")

    def __init__(self, begin: Callable[[Item], Stretch], *, port: str = "audio") -> None:
        self._begin = begin
        self._port = port
        self._stretch: Stretch | None = None
        self._last: Item | None = None  # without its payload
        self._next = 0  # where the next chunk has to begin
        self._form: tuple[int, int] | None = None  # rate and channels
        self._is_marked = False  # the next piece says that samples are missing before it

    def push(self, item: Item) -> list[Item]:
        """Take the next item of the stream; what is ready now, perhaps nothing. Raises what the stretch does."""
        chunk = item.payload.get(self._port)
        form, num_samples = None, 0
        if isinstance(chunk, AudioChunk):
            form, num_samples = (chunk.sample_rate, chunk.num_channels), chunk.num_samples
        given: list[Item] = []
        if self._stretch is None or item.discontinuity or (form is not None and not self._goes_on(item, form)):
            given = self.end()
            self._is_marked = item.discontinuity or self._last is not None
            self._stretch = self._begin(item)
            self._next, self._form = item.start_sample, form
        self._last = msgspec.structs.replace(item, payload={})
        self._next += num_samples
        given += self._items(self._stretch.push(item), item)
        return given

    def end(self) -> list[Item]:
        """What was still to come."""
        stretch, self._stretch = self._stretch, None
        if stretch is None or self._last is None:
            return []
        return self._items(stretch.end(), self._last)

    def _goes_on(self, item: Item, form: tuple[int, int]) -> bool:
        return item.start_sample == self._next and form == self._form

    def _items(self, pieces: Sequence[Piece], item: Item) -> list[Item]:
        made = []
        for piece in pieces:
            attributes = item.attributes
            if piece.attributes is not None:
                attributes = MappingProxyType({**attributes, **piece.attributes})
            made.append(
                msgspec.structs.replace(
                    item,
                    key=piece.key or item.key,
                    payload=piece.payload,
                    attributes=attributes,
                    start_sample=piece.start_sample,
                    discontinuity=self._is_marked or piece.is_apart,
                )
            )
            self._is_marked = False
        return made


class StreamingNode(Node[ParamsT]):
    """A node that gives for a stream, joined, what it gives for the same audio in one piece.

    Declare it `causal` when stretches give as they get, `post-normalised` when they give at their end.
    """

    def whole(self, item: Item) -> Emitted:
        """What comes of audio in one piece; as `process` of a node that is no stream's."""
        raise NotImplementedError(f"{type(self).__name__} has no whole")

    def stretch(self, item: Item) -> Stretch:
        """The stretch that begins with an item, which is pushed next."""
        raise NotImplementedError(f"{type(self).__name__} has no stretch")

    def start(self) -> Stretches:
        return Stretches(self.stretch)

    def process(self, item: Item, state: Stretches) -> Emitted:
        return self.whole(item) if item.session is None else state.push(item)

    def flush(self, state: Stretches) -> Emitted:
        return state.end()


class Ways:
    """Which ways the items of a stream have left a node that sends each of them one way, or none.

    On a way that it comes back to, an item says `discontinuity`, for what went elsewhere is missing there.
    """

    __slots__ = ("_num_items", "_taken")

    def __init__(self) -> None:
        self._num_items = 0
        self._taken: dict[str, int] = {}  # way -> number of the items when the last one has left by it

    def leave(self, item: Item, way: str | None) -> Item:
        """The item as it leaves by a way; None: by none."""
        number, self._num_items = self._num_items, self._num_items + 1
        if way is None:
            return item
        is_next = self._taken.get(way, 0) == number
        self._taken[way] = self._num_items
        return item if is_next or item.discontinuity else msgspec.structs.replace(item, discontinuity=True)


class Gathered(Stretch):
    """A stretch in one piece at its end, for nodes that take it so. It has the key of its first chunk.

    Args:
        node_id: of the node that wants it. max_bytes: of what is gathered.
    """

    def __init__(self, item: Item, node_id: str, max_bytes: int = MAX_GATHERED_BYTES) -> None:
        self._start, self._key = item.start_sample, item.key
        self._node_id, self._max_bytes = node_id, max_bytes
        self._payloads: list[Mapping[str, Any]] = []
        self._num_bytes = 0
        self._is_described = "duration" in item.attributes

    def push(self, item: Item) -> Sequence[Piece]:
        """Keep the item.

        Raises:
            BadInputError: it is more than may be kept; what there is of the stretch is let go.
        """
        self._num_bytes += sum(getattr(value, "nbytes", 0) for value in item.payload.values())
        if self._num_bytes > self._max_bytes:
            self._payloads.clear()
            raise BadInputError(
                f"node {self._node_id!r} takes audio in one piece, and the stream {item.session!r} has more than "
                f"{self._max_bytes} bytes of it; expected less; end the session earlier, or use a node that takes it in chunks"
            )
        self._payloads.append(item.payload)
        return ()

    def end(self) -> Sequence[Piece]:
        """The one piece; raises BadInputError when payloads cannot be joined."""
        if not self._payloads:
            return ()
        joined = {port: joined_values([payload[port] for payload in self._payloads], port) for port in self._payloads[0]}
        chunk = next((value for value in joined.values() if isinstance(value, AudioChunk)), None)
        attributes = {"duration": chunk.duration_s} if self._is_described and chunk is not None else None
        return (Piece(joined, self._start, attributes, key=self._key),)


def joined_values(values: Sequence[Any], port: str) -> Any:
    """The pieces of a payload as one: audio and rows behind each other, segments and lists one after the other.

    Raises:
        BadInputError: payloads of another kind, or some that do not fit together.
    """
    first = values[0]
    if len(values) == 1:
        return first
    if all(isinstance(value, AudioChunk) for value in values):
        if len({(value.sample_rate, value.num_channels) for value in values}) == 1:
            return AudioChunk(np.concatenate([value.samples for value in values], axis=1), first.sample_rate)
    elif all(isinstance(value, np.ndarray) for value in values):
        if len({(value.ndim, value.shape[1:]) for value in values}) == 1 and first.ndim:
            return np.concatenate(values)
    elif all(isinstance(value, tuple | list) for value in values):
        return tuple(chain.from_iterable(values))
    found = ", ".join(dict.fromkeys(_told(value) for value in values))
    raise BadInputError(f"port {port!r}: {found} cannot be made one; expected audio, rows of features, or segments, all alike")


def emptied(value: Any) -> Any:
    """A payload of the same kind with nothing in it: audio without samples, no rows, no segments; else None."""
    if isinstance(value, AudioChunk):
        return AudioChunk(value.samples[:, :0].copy(), value.sample_rate)
    if isinstance(value, np.ndarray) and value.ndim:
        return value[:0].copy()
    return () if isinstance(value, tuple | list) else None


def chunks_of(item: Item, lengths: Iterable[int], *, session: str, port: str = "audio") -> list[Item]:
    """An item's audio in chunks, as a stream brings them; its other payloads come with the first.

    Args:
        lengths: of the chunks in samples; what they leave is one more, and what they have too much is left out.
    """
    chunk: AudioChunk = item.payload[port]
    chunks: list[Item] = []
    start = 0
    for length in chain(lengths, [chunk.num_samples]):
        end = min(start + length, chunk.num_samples)
        samples = np.ascontiguousarray(chunk.samples[:, start:end])
        others = item.payload if not chunks else {name: emptied(value) for name, value in item.payload.items()}
        chunks.append(
            msgspec.structs.replace(
                item,
                key=f"{session}#{len(chunks):04d}",
                payload={**others, port: AudioChunk(samples, chunk.sample_rate)},
                session=session,
                index=len(chunks),
                start_sample=item.start_sample + start,
                final=False,
            )
        )
        start = end
        if start == chunk.num_samples:
            break
    return chunks


def _told(value: Any) -> str:
    if isinstance(value, AudioChunk):
        return f"audio of {value.num_channels} channels at {value.sample_rate} Hz"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
