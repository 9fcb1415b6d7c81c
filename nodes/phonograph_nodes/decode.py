"""The node `audio.decode`: any audio that is read here becomes planar float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from phonograph import cancellation
from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError, ParameterError
from phonograph.item import Item
from phonograph.node import Duration, Node, Params, Size, node
from phonograph_nodes.audio.containers import Encoding, RawPcm
from phonograph_nodes.audio.decoder import AudioDecoder, NonFinite
from phonograph_nodes.audio.given import STANDARD_INPUT
from phonograph_nodes.audio.mixing import Downmix
from phonograph_nodes.audio.reader import MAX_CHANNELS, RATES, Limits, Samples
from phonograph_nodes.paths import shown

_LIMITS = Limits()


class RawFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What samples without a header are."""

    encoding: Annotated[Encoding, msgspec.Meta(description="of a sample")]
    sample_rate: Annotated[int, msgspec.Meta(ge=RATES.start, le=RATES.stop - 1, description="rate", extra={"unit": "Hz"})]
    channels: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHANNELS, description="interleaved")] = 1
    byte_order: Annotated[Literal["little", "big"], msgspec.Meta(description="which byte of a sample comes first")] = "little"
    header_bytes: Annotated[int, msgspec.Meta(ge=0, description="passed over at the beginning")] = 0


class DecodeParams(Params, frozen=True):
    offset: Annotated[Duration, msgspec.Meta(description="where in the file to begin, with a unit")] = 0.0
    duration: Annotated[Duration | None, msgspec.Meta(description="how much to take, with a unit; null: to the end")] = None
    chunk: Annotated[
        Duration | None, msgspec.Meta(description="give the audio in items of this length, with a unit; null: in one")
    ] = None
    stream: Annotated[
        int | str, msgspec.Meta(description="which audio stream of the file: its number from 0, or its language, such as eng")
    ] = 0
    channels: Annotated[
        Literal[1, 2] | None, msgspec.Meta(description="mix down to so many, where there are more; unchanged when absent")
    ] = None
    downmix: Annotated[
        Downmix,
        msgspec.Meta(description="how: mean of all channels, or weights of ITU-R BS.775, which 2 channels need"),
    ] = "mean"
    format: Annotated[RawFormat | None, msgspec.Meta(description="what the samples are, in files without a header (raw PCM)")] = (
        None
    )
    strict: Annotated[
        bool, msgspec.Meta(description="refuse a file with a packet that is damaged or missing, instead of counting it")
    ] = False
    keep_truncated: Annotated[
        bool, msgspec.Meta(description="take what is there of a file that ends before its header says, instead of refusing it")
    ] = False
    non_finite: Annotated[
        NonFinite, msgspec.Meta(description="samples that are NaN or infinite become 0 and are counted, or refuse the file")
    ] = "zero"
    max_duration_s: Annotated[
        float, msgspec.Meta(gt=0, description="refuse audio that is longer; bounds memory", extra={"unit": "s"})
    ] = _LIMITS.max_duration_s
    max_bytes: Annotated[Size, msgspec.Meta(description="refuse audio that takes more memory as float32, with a unit")] = (
        _LIMITS.max_bytes
    )
    max_seconds: Annotated[
        float | None, msgspec.Meta(description="refuse a file that takes longer to decode; null: wait", extra={"unit": "s"})
    ] = None

    def __post_init__(self) -> None:
        for name, least in (("offset", 0), ("duration", 0), ("max_bytes", 1)):
            given = getattr(self, name)
            if given is not None and not least <= given:
                raise ParameterError(name, given, f"{least} or more")
        for name in ("chunk", "max_seconds"):
            given = getattr(self, name)
            if given is not None and not given > 0:
                raise ParameterError(name, given, "more than 0")
        if isinstance(self.stream, int) and self.stream < 0:
            raise ParameterError("stream", self.stream, "a number from 0, or a language")
        if self.channels == 2 and self.downmix == "mean":
            raise ParameterError("downmix", self.downmix, "bs775 with channels 2, for a mean is one channel")
        if self.channels is None and self.downmix != "mean":
            raise ParameterError("downmix", self.downmix, "channels to be 1 or 2 with it")


@node(
    "audio.decode",
    inputs="record",
    outputs={"audio": "audio[rate=dynamic, channels=dynamic]"},
    cardinality="1:N",
    version=2,
    attributes={
        "duration": "float",
        "sample_rate": "int",
        "channels": "int",
        "codec": "str",
        "sample_format": "str",
        "path": "str",
        "offset": "float",
        "corrupt_packets": "int",
        "non_finite": "int",
        "declared_duration": "float",
    },
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode, params: {max_duration_s: 60}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Decode(Node[DecodeParams]):
    """Decode an audio file: any container or codec that FFmpeg's libraries read, and raw PCM.

    Gives all channels at the file's own rate. The container is told by its first bytes; the extension does not matter. Only what
    `offset` and `duration` ask for is decoded, and it is the same, to the sample, as that part of the whole. With `chunk`, each
    record gives items of that length, the last shorter, with keys such as `a.mp3#0003`; without it, one.

    Sets the attributes `duration` (s), `sample_rate` (Hz) and `channels` of what came out, `codec` (FFmpeg's name), `path`
    (of the file). Only where there is something to tell: `sample_format` (what PCM and lossless codecs store a sample as,
    such as i16, which sinks follow), `offset` (s; where in the file it begins, with `offset` or `chunk`), `corrupt_packets`
    (damaged or missing so far), `non_finite` (samples that were NaN or infinite, and became 0) and `declared_duration` (s; of
    a truncated file that was kept).
    """

    def process(self, item: Item, state: None) -> Item | Iterator[Item]:
        record = item.payload["record"]
        source = record["path"] if "path" in record else record.get("bytes")
        if source is None:  # a row that its source could not read
            raise BadInputError(record.get("error", f"the record holds {sorted(record)}; expected 'path' or 'bytes'"))
        about = {"path": shown(source)} if isinstance(source, str) else {}
        if source == STANDARD_INPUT:  # here it can only be a file of that name
            source = f"./{source}"
        if self.params.chunk is not None:
            return self._chunks(item, source, about, self.params.chunk)
        with self._decoder(source) as decoder:
            samples = np.atleast_2d(decoder.decode(self.params.offset, self.params.duration))
            payload, attributes = _described(decoder, samples, about, self.params.offset)
        return item.with_payload(payload, attributes)

    def _chunks(self, item: Item, source: str | bytes, about: Mapping[str, Any], chunk_s: float) -> Iterator[Item]:
        params = self.params
        with self._decoder(source) as decoder:
            rate = decoder.sample_rate
            length, first = max(round(chunk_s * rate), 1), int(params.offset * rate)
            blocks = decoder.blocks(length, params.offset, params.duration)
            block = next(blocks, None)
            number = 0
            while block is not None:
                following = next(blocks, None)  # so that the last one knows all that was wrong with the file
                start = first + number * length
                payload, attributes = _described(decoder, np.atleast_2d(block), about, start / rate)
                yield item.child(number, payload, {"offset": start / rate, **attributes}, start_sample=start)
                block, number = following, number + 1

    def _decoder(self, source: str | bytes) -> AudioDecoder:
        params, token = self.params, cancellation.current()
        raw = None
        if params.format is not None:
            given = params.format
            raw = RawPcm(
                encoding=given.encoding,
                sample_rate=given.sample_rate,
                num_channels=given.channels,
                byte_order=given.byte_order,
                header_bytes=given.header_bytes,
            )
        return AudioDecoder(
            source,
            mono=params.channels == 1,
            downmix=params.downmix,
            stream=params.stream,
            strict=params.strict,
            keep_truncated=params.keep_truncated,
            non_finite=params.non_finite,
            raw=raw,
            limits=Limits(
                max_duration_s=params.max_duration_s,
                max_bytes=params.max_bytes,
                max_seconds=params.max_seconds,
                is_cancelled=None if token is cancellation.NEVER else lambda: token.is_cancelled,
            ),
        )


def _described(
    decoder: AudioDecoder, samples: Samples, about: Mapping[str, Any], offset_s: float
) -> tuple[dict[str, AudioChunk], dict[str, Any]]:
    """Payload and attributes of a stretch of audio."""
    chunk, faults = AudioChunk(samples, decoder.sample_rate), decoder.faults
    attributes: dict[str, Any] = {
        "duration": chunk.duration_s,
        "sample_rate": chunk.sample_rate,
        "channels": chunk.num_channels,
        "codec": decoder.info.codec,
        **about,
    }
    if decoder.info.sample_format is not None:
        attributes["sample_format"] = decoder.info.sample_format
    if offset_s:
        attributes["offset"] = offset_s
    if faults.corrupt_packets:
        attributes["corrupt_packets"] = faults.corrupt_packets
    if faults.non_finite:
        attributes["non_finite"] = faults.non_finite
    if faults.declared_s is not None:
        attributes["declared_duration"] = faults.declared_s
    return {"audio": chunk}, attributes
