"""The parameters of the node features.log_mel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from phonograph.node import Params
from phonograph_nodes.features.definition import (
    DeviationFloor,
    Edges,
    Log,
    MelScale,
    Normalisation,
    Placement,
    Power,
    PreemphasisIn,
    Window,
)
from phonograph_nodes.features.named import FrontEndName
from phonograph_nodes.features.options import MAX_PAD_S, MIN_PAD_S, OVERRIDES, NonFinite, Options, resolved
from phonograph_nodes.features.rules import MAX_FFT_LENGTH, MAX_MEL_BINS, MAX_ROWS
from phonograph_nodes.features.synonyms import SYNONYMS

# What an editor can tell too; `phonograph_nodes.features.rules` has all ranges, and refuses what these let through.
_Length = Annotated[int, Meta(ge=1, le=MAX_FFT_LENGTH)]
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Cepstra = Annotated[int, Meta(ge=0, le=MAX_MEL_BINS)]
_Multiple = Annotated[int, Meta(ge=1, le=MAX_ROWS)]
_Amount = Annotated[float, Meta(ge=0)]
_Positive = Annotated[float, Meta(gt=0)]


class LogMelParams(Params, frozen=True):
    """What is null is the front end's own; its constants stand in `phonograph_nodes.features.named`."""

    SYNONYMS: ClassVar[Mapping[str, tuple[str, ...]]] = SYNONYMS

    frontend: Annotated[FrontEndName, Meta(description="whose features: the model family they are made for")] = "squeezeformer"
    n_mels: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_MEL_BINS)] | None,
        Meta(description="mel bins; Whisper and NeMo models also take 128. More tell low frequencies finer and take more time"),
    ] = None
    pad_to_s: Annotated[
        Annotated[float, Meta(ge=MIN_PAD_S, le=MAX_PAD_S)] | None,
        Meta(
            description="cut the clip, or fill it up with zeros, to this length (30 for Whisper); not where levels or signal are "
            "normalised over time",
            extra={"unit": "s"},
        ),
    ] = None
    bins_first: Annotated[bool, Meta(description="give (bins, rows), as many models take it; not together with stack")] = False
    non_finite: Annotated[
        NonFinite,
        Meta(description="of samples that are NaN or infinite: refuse the clip, or take them as zero and count them"),
    ] = "refuse"

    # Signal
    sample_rate: Annotated[
        Annotated[int, Meta(ge=1, le=2**31 - 1)] | None,
        Meta(
            description="rate of the audio. Lengths are in samples and do not follow it: at half the rate, give half the "
            "window_length, hop_length and fft_length",
            extra={"unit": "Hz"},
        ),
    ] = None
    scale: Annotated[
        Annotated[float, Meta(ge=1e-9, le=1e9)] | None,
        Meta(description="factor on the samples; 32768 for models that were trained on 16-bit values"),
    ] = None
    normalize_signal: Annotated[
        bool | None,
        Meta(description="take out mean and peak of the clip: gain and offset are not heard, but a stream waits for the end"),
    ] = None
    quantise: Annotated[bool | None, Meta(description="round to 16-bit values first, for models trained on them")] = None
    dither: Annotated[
        Annotated[float, Meta(ge=0, le=1e9)] | None,
        Meta(description="deviation of noise that is added, in units of scaled samples; keeps silence off the floor, costs time"),
    ] = None
    dither_seed: Annotated[_Seed | None, Meta(description="of that noise, which is the same for every clip")] = None
    preemphasis: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        Meta(description="how much of the sample before is subtracted; raises high frequencies. 0 is off"),
    ] = None
    preemphasis_in: Annotated[
        PreemphasisIn | None, Meta(description="whether that is done over the whole signal or inside each window, as in Kaldi")
    ] = None
    min_samples: Annotated[
        _Count | None, Meta(description="a shorter clip is filled up with zeros; 0 gives too short ones no row")
    ] = None

    # Analysis windows
    window_length: Annotated[
        _Length | None,
        Meta(
            description="longer windows tell frequencies finer and moments coarser; at most fft_length", extra={"unit": "samples"}
        ),
    ] = None
    hop_length: Annotated[
        _Length | None,
        Meta(description="from window to window; shorter hops give more rows, at the cost of each", extra={"unit": "samples"}),
    ] = None
    fft_length: Annotated[
        Annotated[int, Meta(ge=2, le=MAX_FFT_LENGTH)] | None,
        Meta(
            description="of the transform, to which a shorter window is filled up; more gives narrow mel bins more to sum. "
            "Products of 2, 3 and 5 are fast; a large prime factor costs ten times as much",
            extra={"unit": "samples"},
        ),
    ] = None
    window: Annotated[
        Window | None,
        Meta(description="its function; wide ones hear faint tones beside loud ones, rectangular tells near ones apart"),
    ] = None
    placement: Annotated[
        Placement | None,
        Meta(
            description="which windows there are: centred on every hop (librosa's center=True), the same but the last one, only "
            "those inside the clip (snip_edges=true), with their zeros (center=False), or centred on the hops' middles "
            "(snip_edges=false)"
        ),
    ] = None
    edges: Annotated[
        Edges | None,
        Meta(
            description="what a window reads beyond an edge: zeros, the signal mirrored without or with its edge sample, or that"
        ),
    ] = None
    remove_mean: Annotated[bool | None, Meta(description="subtract each window's mean, so that an offset is not heard")] = None
    power: Annotated[Power | None, Meta(description="2 sums the energies of a mel bin, 1 the amplitudes")] = None

    # Mel bins
    mel_scale: Annotated[
        MelScale | None,
        Meta(description="formula of the scale; slaney (librosa) is linear up to 1 kHz, htk and kaldi are nearly equal"),
    ] = None
    low_hz: Annotated[_Amount | None, Meta(description="where the lowest mel bin begins", extra={"unit": "Hz"})] = None
    high_hz: Annotated[
        float | None,
        Meta(description="where the highest mel bin ends; 0 and below count from half the sample rate", extra={"unit": "Hz"}),
    ] = None
    straight_in_mel: Annotated[
        bool | None, Meta(description="whether the sides of the triangles are straight in mel, as in Kaldi, and not in Hz")
    ] = None
    mel_area: Annotated[
        bool | None,
        Meta(description="give all triangles the same area (Slaney), and not the same height, so that noise is level"),
    ] = None

    # Levels
    log: Annotated[Log | None, Meta(description="logarithm of the levels: ln, log10, or db, which is 10 log10")] = None
    floor: Annotated[_Positive | None, Meta(description="least energy; hides what is fainter, and what silence would give")] = (
        None
    )
    add_floor: Annotated[bool | None, Meta(description="add the floor instead, which bends faint levels smoothly")] = None
    range_below_peak: Annotated[
        _Amount | None,
        Meta(description="lift levels that are further below the clip's highest; 0 is off. Needs the whole clip first"),
    ] = None
    shift: Annotated[float | None, Meta(description="added to each level at last")] = None
    gain: Annotated[float | None, Meta(description="factor on each level behind that; not 0")] = None
    num_cepstra: Annotated[
        _Cepstra | None,
        Meta(description="give so many cepstral coefficients (MFCC) and not the levels, at most n_mels; 0 is off"),
    ] = None
    deltas: Annotated[
        bool | None, Meta(description="append first and second differences of the coefficients; a stream lags two rows behind")
    ] = None
    normalisation: Annotated[
        Normalisation | None,
        Meta(
            description="to mean 0 and deviation 1: of each bin over the clip, which takes out the channel, of each row, or none"
        ),
    ] = None
    unbiased: Annotated[bool | None, Meta(description="divide by n - 1 for the deviation, as torch does, and not by n")] = None
    deviation_floor_in: Annotated[
        DeviationFloor | None, Meta(description="whether its floor is the least deviation, added to it, or added to the variance")
    ] = None
    deviation_floor: Annotated[_Positive | None, Meta(description="keeps a bin that hardly changes from being blown up")] = None

    # Rows
    stack: Annotated[
        _Multiple | None, Meta(description="rows joined into one: fewer and wider ones, as models take that subsample")
    ] = None
    padding_value: Annotated[float | None, Meta(description="what the last row is filled up with when it lacks some")] = None
    pad_rows_to: Annotated[_Multiple | None, Meta(description="zero rows are added up to a multiple of this number")] = None

    def __post_init__(self) -> None:
        _ = self.options  # refuses what does not go together

    @property
    def options(self) -> Options:
        """What the parameters come to.

        Raises:
            ValueError: they contradict each other.
        """
        return resolved(self.frontend, self.n_mels, self.pad_to_s, self.bins_first, self.non_finite, self.overrides)

    @property
    def overrides(self) -> dict[str, Any]:
        """The constants that are not the front end's own."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if name in OVERRIDES and value is not None}
        if given.get("range_below_peak") == 0.0:  # null is the front end's own here
            given["range_below_peak"] = None
        return given
