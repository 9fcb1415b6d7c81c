"""Port types: how they are written, what agrees with what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.porttype import DYNAMIC, AxisValue, Between, Bound, FromParameter, OneOf, PortType, Variable, agreement

LITERALS = st.integers(1, 200_000)
SETS = st.sets(LITERALS, min_size=2, max_size=4).map(lambda values: OneOf(tuple(sorted(values))))
RANGES = st.lists(LITERALS, min_size=2, max_size=2, unique=True).map(lambda ends: Between(min(ends), max(ends)))
BOUNDS: st.SearchStrategy[Bound] = st.one_of(LITERALS, SETS, RANGES, st.just(DYNAMIC))
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True).filter(lambda name: name != "dynamic")
VALUES: st.SearchStrategy[AxisValue] = st.one_of(
    BOUNDS,
    NAMES.map(Variable),
    st.builds(FromParameter, NAMES, st.one_of(st.none(), BOUNDS, NAMES.map(Variable))),
)


@pytest.mark.parametrize(
    "text",
    [
        *("audio", "any", "audio[rate=16000, channels=1]", "features[bins=N]", "audio[rate=8000|16000]", "any[type=t]"),
        *("audio[rate=8000..48000]", "audio[rate=dynamic]", "audio[rate={sample_rate}, channels={channels|c}]"),
    ],
)
def test_a_port_type_prints_as_it_is_written(text: str) -> None:
    """str() of a parsed port type is the text."""
    assert str(PortType.parse(text)) == text


@given(rate=VALUES, channels=VALUES)
def test_any_port_type_reads_as_it_prints(rate: AxisValue, channels: AxisValue) -> None:
    """Printing and parsing are inverse for values of every form."""
    port_type = PortType("audio", (("rate", rate), ("channels", channels)))
    assert PortType.parse(str(port_type)) == port_type


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("audio[channels=1,rate=16000]", "audio[rate=16000, channels=1]"),
        (" audio [ rate = 16000|8000 | 8000 ] ", "audio[rate=8000|16000]"),
        ("audio[rate=16000|16000]", "audio[rate=16000]"),
        ("audio[rate=8000 .. 8000]", "audio[rate=8000]"),
        ("audio[]", "audio"),
        ("audio[channels={ channels | 1 }]", "audio[channels={channels|1}]"),
    ],
)
def test_spellings_of_one_type_are_one_type(text: str, canonical: str) -> None:
    """Order of axes, spaces, repeated or lonely members of a set do not matter."""
    assert str(PortType.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 'family' or 'family[axis=value, ...]', as in 'audio[rate=16000]'"),
        ("audio[rate=16000", "expected 'family' or"),
        ("sound", "expected one of audio, features, text, segments, bytes, record, any"),
        ("audoi", "did you mean 'audio'?"),
        ("audio[rate]", "axis 'rate'; expected name=value"),
        ("audio[rate=]", "axis 'rate='; expected name=value"),
        ("audio[=1]", "axis '=1'; expected name=value"),
        ("audio[rat=1]", "audio has no axis 'rat'; expected one of rate, channels; did you mean 'rate'?"),
        ("text[rate=1]", "text has no axis 'rate'; expected none"),
        ("audio[rate=1, rate=2]", "axis 'rate' stands twice"),
        ("audio[rate=0]", "the value '0'; expected a whole number, a set (8000|16000), a range (8000..48000)"),
        ("audio[rate=16k]", "the value '16k'"),
        ("audio[rate=-1]", "the value '-1'"),
        ("audio[rate=8000|x]", "the value '8000|x'"),
        ("audio[rate=48000..8000]", "the range '48000..8000'; expected the lower end first"),
        ("audio[channels={a|{b}}]", "the value '{a|{b}}'"),
        ("any[type=1]", "'type' is 1; expected a variable, as in 'any[type=t]'"),
    ],
)
def test_a_malformed_port_type_is_refused(text: str, message: str) -> None:
    """The error shows the text, what is expected, and the nearest name."""
    with pytest.raises(ValueError, match="port type") as caught:
        PortType.parse(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("given_axis", "taken", "verdict"),
    [
        ("16000", "16000", "proven"),
        ("16000", "8000", "contradicted"),
        ("dynamic", "8000", "unknown"),
        ("8000|16000", "8000", "unknown"),
        ("16000", "8000|16000", "proven"),
        ("8000|16000", "8000..48000", "proven"),
        ("4000|16000", "8000..48000", "unknown"),
        ("4000|5000", "8000..48000", "contradicted"),
        ("8000..9000", "8000..48000", "proven"),
        ("4000..9000", "8000..48000", "unknown"),
        ("4000..5000", "8000..48000", "contradicted"),
        ("4000..9000", "8000|48000", "unknown"),
        ("dynamic", "8000..48000", "unknown"),
        ("16000", "dynamic", "proven"),
    ],
)
def test_what_is_given_meets_what_is_taken(given_axis: str, taken: str, verdict: str) -> None:
    """Proven when every value fits, contradicted when none does."""
    one, other = (PortType.parse(f"audio[rate={text}]").axis("rate") for text in (given_axis, taken))
    assert agreement(one, other) == verdict  # type: ignore[arg-type]  # no variables here


@given(one=BOUNDS, other=BOUNDS, value=LITERALS)
def test_a_verdict_holds_for_every_literal(one: Bound, other: Bound, value: int) -> None:
    """A literal that is given and refused rules out `proven`; one that is given and taken rules out `contradicted`."""
    is_given, is_taken = (agreement(value, bound) == "proven" for bound in (one, other))
    if is_given and not is_taken:
        assert agreement(one, other) != "proven"
    if is_given and is_taken:
        assert agreement(one, other) != "contradicted"


def test_parameters_fill_axes() -> None:
    """A parameter's value stands for its name; where it is null, what stands after the bar, or nothing known."""
    declared = PortType.parse("audio[rate={sample_rate}, channels={channels|c}]")
    assert list(declared.parameters()) == ["sample_rate", "channels"]
    assert str(declared.filled({"sample_rate": 8000, "channels": 1}.get)) == "audio[rate=8000, channels=1]"
    assert str(declared.filled({"sample_rate": None, "channels": None}.get)) == "audio[rate=dynamic, channels=c]"


@pytest.mark.parametrize("value", [0, -1, "high", 1.5, True])
def test_a_parameter_that_is_no_axis(value: object) -> None:
    """Only positive whole numbers and null can stand for an axis."""
    with pytest.raises(ValueError, match=r"parameter 'sample_rate' is .*; expected a whole number, at least 1"):
        PortType.parse("audio[rate={sample_rate}]").filled(lambda name: value)


def test_variables_take_what_comes_in() -> None:
    """A variable that nothing binds is dynamic."""
    taken = PortType.parse("audio[rate=r, channels=c]")
    values = taken.binding(PortType.parse("audio[rate=8000]"))
    assert values == {"r": 8000, "c": DYNAMIC}
    assert str(taken.bound(values)) == "audio[rate=8000, channels=dynamic]"
    assert str(taken.bound({})) == "audio[rate=dynamic, channels=dynamic]"
