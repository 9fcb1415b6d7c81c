"""Types on every edge, and the conversions that are inserted between two that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonograph.breaker import BreakerPolicy
from phonograph.errors import GraphError
from phonograph.graph.model import Graph, Link, QueueBounds
from phonograph.porttype import Bound, PortType, agreement
from pipeline_nodes import CLIPS, ResampleParams, graph_of

OUT = "out: {type: sunk.audio, input: %s, params: {path: out}}\n"


def edges(graph: Graph) -> list[str]:
    return [
        f"{edge.source}.{edge.source_port} {edge.given} -> {edge.taken} {edge.target}.{edge.target_port}" for edge in graph.edges
    ]


def test_types_flow_through_a_graph(tmp_path: Path) -> None:
    """Variables take what comes in and hand it on; parameters set axes; every edge has both of its types."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
        vad: {type: vad.energy, input: mono}
        cut: {type: segment.cut, input: {audio: vad, segments: vad.segments}}
        mel: {type: features.mel, input: mono, params: {n_mels: 80}}
        text: {type: asr.model, input: mel}
        out: {type: sink.any, input: text}
        """,
    )
    assert edges(graph) == [
        "clips.record record -> record audio.record",
        "audio.audio audio -> audio mono.audio",
        "mono.audio audio[rate=16000, channels=1] -> audio[rate=16000, channels=1] vad.audio",
        "vad.audio audio[rate=16000, channels=1] -> audio cut.audio",
        "vad.segments segments -> segments cut.segments",
        "mono.audio audio[rate=16000, channels=1] -> audio[rate=16000, channels=1] mel.audio",
        "mel.features features[bins=80] -> features[bins=80] text.features",
        "text.text text -> any out.item",
    ]
    assert graph.conversions == ()


def test_audio_of_any_rate_into_a_node_that_wants_one(tmp_path: Path) -> None:
    """The converter stands between them, and what it may lose is announced."""
    graph = graph_of(tmp_path, CLIPS + "narrow: {type: audio.narrow, input: audio}\n" + OUT % "narrow")
    assert list(graph.nodes) == ["clips", "audio", "audio~resample", "narrow", "out"]
    assert edges(graph)[1:3] == [
        "audio.audio audio -> audio audio~resample.audio",
        "audio~resample.audio audio[rate=8000, channels=dynamic] -> audio[rate=8000] narrow.audio",
    ]
    assert graph.nodes["audio~resample"].params == ResampleParams(sample_rate=8000, channels=None)
    (conversion,) = graph.conversions
    assert (conversion.node, conversion.before) == ("audio~resample", ("narrow",))
    assert (conversion.changes, conversion.loses) == ("rate to 8000", "down-sampling of items above 8000 Hz")


@pytest.mark.parametrize(
    ("given_type", "changes", "loses"),
    [
        ("audio[rate=8000, channels=1]", "rate to 16000", ""),
        ("audio[rate=44100, channels=1]", "rate to 16000", "down-sampling from 44100 Hz"),
        ("audio[rate=16000, channels=2]", "channels to 1", "mixing of 2 channels"),
        ("audio[rate=8000|16000, channels=1]", "rate to 16000", ""),
        ("audio[rate=8000..22050, channels=1]", "rate to 16000", "down-sampling of items above 16000 Hz"),
        ("audio[rate=48000]", "rate to 16000, channels to 1", "down-sampling from 48000 Hz, mixing of items with more channels"),
    ],
)
def test_a_conversion_tells_what_it_loses(tmp_path: Path, given_type: str, changes: str, loses: str) -> None:
    """For certain where the rate is known, perhaps where it is not, nothing where only more is made of it."""
    graph = graph_of(
        tmp_path,
        "mel: {type: features.mel, input: inputs.a}\nout: {type: sink.any, input: mel}",
        f"inputs: {{a: {{type: '{given_type}'}}}}",
    )
    assert [(one.changes, one.loses) for one in graph.conversions] == [(changes, loses)]


def test_consumers_with_one_need_share_a_conversion(tmp_path: Path) -> None:
    """Another need has one of its own, under the next free name."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        one: {type: audio.narrow, input: audio}
        two: {type: audio.narrow, input: audio}
        mel: {type: features.mel, input: audio}
        raw: {type: sink.any, input: audio}
        outs: {type: flow.merge, input: {a: one, b: two}}
        out: {type: sink.any, input: outs}
        kept: {type: sink.any, input: mel}
        """,
    )
    assert [(one.node, one.before) for one in graph.conversions] == [
        ("audio~resample", ("one", "two")),
        ("audio~resample-2", ("mel",)),
    ]
    assert [link.target for link in graph.nodes["audio"].outputs] == ["raw", "audio~resample", "audio~resample-2"]
    assert [link.target for link in graph.nodes["audio~resample"].outputs] == ["one", "two"]


@pytest.mark.parametrize("policy", ["on_error: fail", "retry: {max_retries: 0}", "breaker: {failure_threshold: 1}", "workers: 2"])
def test_consumers_with_other_policies_have_a_conversion_each(tmp_path: Path, policy: str) -> None:
    """What one node does about failures, and how many work on it, does not hold for the conversion of another."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + f"""
        one: {{type: audio.narrow, input: audio, {policy}}}
        two: {{type: audio.narrow, input: audio}}
        three: {{type: audio.narrow, input: audio, retry: {{max_retries: 3}}}}
        outs: {{type: flow.merge, input: {{a: one, b: two, c: three}}}}
        """
        + OUT % "outs",
    )
    assert [(one.node, one.before) for one in graph.conversions] == [
        ("audio~resample", ("one",)),
        ("audio~resample-2", ("two", "three")),
    ]
    for one in graph.conversions:
        inserted, reader = graph.nodes[one.node], graph.nodes[one.before[0]]
        assert (inserted.on_error, inserted.retry.max_retries, inserted.breaker, inserted.workers) == (
            *(reader.on_error, reader.retry.max_retries, reader.breaker, reader.workers),
        )


def test_an_inserted_node_has_the_policies_of_its_reader(tmp_path: Path) -> None:
    """The queue of the input goes in front of it; it is never passed over, for its reader cannot take what comes in."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        narrow: {type: audio.narrow, input: {audio: {from: audio, queue: {items: 3}}}, workers: 2, on_error: skip, \
retry: {max_retries: 7}, breaker: {when_open: skip, failure_threshold: 3}}
        """
        + OUT % "narrow",
    )
    inserted = graph.nodes["audio~resample"]
    assert inserted.inputs == (Link(source="audio", target=inserted.id, ports=(("audio", "audio"),), queue=QueueBounds(items=3)),)
    assert inserted.outputs == (Link(source=inserted.id, target="narrow", ports=(("audio", "audio"),), queue=None),)
    assert (inserted.workers, inserted.on_error, inserted.retry.max_retries) == (2, "skip", 7)
    assert inserted.breaker == BreakerPolicy(when_open="wait", failure_threshold=3)
    assert inserted.position == graph.edges[1].position


def test_dead_letters_of_an_inserted_node(tmp_path: Path) -> None:
    """They go where those of its reader go."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + "narrow: {type: audio.narrow, input: audio}\n"
        + OUT % "narrow"
        + "bad: {type: sink.any, input: narrow.dead_letter}\n"
        + "all: {type: sink.any, input: '*.dead_letter'}\n",
    )
    assert [link.target for link in graph.nodes["audio~resample"].dead_letters] == ["bad", "all"]
    assert list(graph.nodes).index("audio~resample") < list(graph.nodes).index("narrow")


def test_a_port_converted_and_as_it_is(tmp_path: Path) -> None:
    """One link may carry a port raw and converted in two ways: one conversion after the other, each result under its own name."""
    graph = graph_of(tmp_path, CLIPS + "both: {type: takes.both, input: {raw: audio, low: audio, high: audio}}\n" + OUT % "both")
    first, second = graph.conversions
    assert [(one.node, one.changes) for one in (first, second)] == [
        ("audio~resample", "rate to 8000"),
        ("audio~resample-2", "rate to 48000"),
    ]
    (link,) = graph.nodes["both"].inputs
    assert link.source == second.node
    given = {edge.target_port: str(edge.given) for edge in graph.edges if edge.target == "both"}
    assert given == {
        "raw": "audio",
        "low": "audio[rate=8000, channels=dynamic]",
        "high": "audio[rate=48000, channels=dynamic]",
    }
    for one in (first, second):
        taken = {port.name for port in graph.nodes[one.node].ports[0]}
        assert {port for port, _ in graph.nodes[one.node].inputs[0].ports} == taken


def test_the_first_literal_of_a_variable_counts(tmp_path: Path) -> None:
    """Two inputs that share a variable get one rate, that of the first."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + "two: {type: signal.split, input: audio}\nmix: {type: signal.mix, input: {left: two.high, right: two.low}}\n"
        + OUT % "mix",
    )
    assert [(one.node, one.changes, one.loses) for one in graph.conversions] == [("two~resample", "rate to 16000", "")]
    assert "mix.audio audio[rate=16000, channels=2] -> audio out.audio" in edges(graph)
    assert graph.nodes["two~resample"].ports[0][0].name == "low"


def test_what_is_known_per_item_only_is_checked_per_item(tmp_path: Path) -> None:
    """No node makes two channels or picks from a range, so items are looked at."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + "stereo: {type: takes.stereo, input: audio}\nlow: {type: takes.low_rates, input: audio}\n"
        + "merged: {type: flow.merge, input: {a: stereo, b: low}}\n"
        + OUT % "merged",
    )
    assert graph.conversions == ()
    assert [(port.name, str(port.type)) for port in graph.nodes["stereo"].unproven] == [("audio", "audio[channels=2]")]
    assert [str(port.type) for port in graph.nodes["low"].unproven] == ["audio[rate=8000..16000, channels=1|2]"]
    assert graph.nodes["out"].unproven == ()


def test_a_node_that_hands_on_what_comes(tmp_path: Path) -> None:
    """Merged audio has in common what all of it has; each output of a join has the type of its input."""
    graph = graph_of(
        tmp_path,
        CLIPS
        + """
        one: {type: audio.resample, input: audio, params: {sample_rate: 8000, channels: 1}}
        two: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
        mel: {type: features.mel, input: two}
        merged: {type: flow.merge, input: {one: one, two: two}}
        both: {type: flow.join, input: {audio: one, mel: mel}}
        a: {type: sink.any, input: merged}
        b: {type: sink.any, input: both.audio}
        c: {type: sink.any, input: both.mel}
        """,
    )
    assert [edge.rpartition(" -> ")[0] for edge in edges(graph)[-3:]] == [
        "merged.out audio[channels=1]",
        "both.audio audio[rate=8000, channels=1]",
        "both.mel features[bins=80]",
    ]


def test_no_conversion_where_the_manifest_refuses_it(tmp_path: Path) -> None:
    """The complaint names both ends, both types, and the node to write."""
    with pytest.raises(GraphError) as caught:
        graph_of(
            tmp_path, CLIPS + "mel: {type: features.mel, input: audio, auto_convert: false}\nout: {type: sink.any, input: mel}"
        )
    assert str(caught.value).partition(" ")[2] == (
        "conversion_refused audio.audio gives audio, and 'auto_convert' is off for node 'mel'; expected audio[rate=16000, "
        "channels=1], which mel.audio takes; put audio.resample with sample_rate: 16000, channels: 1 between them"
    )


CHAIN = {
    "audio.narrow": "",
    "takes.stereo": "",
    "takes.low_rates": "",
    "vad.energy": "",
    "signal.split": "",
    "features.mel": "",
    "asr.model": "",
    "audio.decode": "",
    "flow.merge": "",
    "audio.resample": "sample_rate: 8000",
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    types=st.lists(st.sampled_from(sorted(CHAIN)), max_size=8),
    given_type=st.sampled_from(["audio", "record", "audio[rate=8000]"]),
)
def test_any_chain_is_refused_or_fits(tmp_path: Path, types: list[str], given_type: str) -> None:
    """Unification gives complaints or a graph in which every edge fits, or is checked per item."""
    ids = ["inputs.a", *(f"n{number}" for number in range(len(types)))]
    nodes = "".join(
        f"{ids[number + 1]}: {{type: {name}, input: {ids[number]}, params: {{{CHAIN[name]}}}}}\n"
        for number, name in enumerate(types)
    )
    text = nodes + f"out: {{type: sink.any, input: {ids[-1]}}}"
    try:
        graph = graph_of(tmp_path, text, f"inputs: {{a: {{type: '{given_type}'}}}}")
    except GraphError as error:
        assert {complaint.code for complaint in error.complaints} == {"port_type"}
        return
    for edge in graph.edges:
        assert edge.taken.family in ("any", edge.given.family)
        verdicts = {agreement(known(edge.given, axis), known(edge.taken, axis)) for axis, _ in edge.taken.axes}
        assert "contradicted" not in verdicts
        if "unknown" in verdicts:
            assert edge.target_port in {port.name for port in graph.nodes[edge.target].unproven}


def known(port_type: PortType, axis: str) -> Bound | None:
    value = port_type.axis(axis)
    assert value is None or isinstance(value, Bound)
    return value
