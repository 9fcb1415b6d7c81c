"""Running the cases of a manifest: through the engine, on the part that they name, and never passing by not looking."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from case_runs import read, read_text, told, verdicts
from phonograph.cases.section import OUTCOME_KEYS
from phonograph.cases.trial import run_case
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.spec import Secret
from places import TESTS

NODES = """\
defaults: {retry: {base_delay: 1ms, jitter: 0}}
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
  vad: {type: vad.energy, input: mono}
  pick: {type: flow.route, input: vad.audio, params: {cases: {speech: attributes.speech_ratio >= 0.1}, otherwise: quiet}}
  loud: {type: flow.filter, input: vad.audio, params: {keep: attributes.speech_ratio >= 0.5}}
  mel: {type: features.log_mel, input: pick.speech}
  both: {type: flow.join, input: {mel: mel, segments: vad.segments}}
  cut: {type: segment.cut, input: {audio: vad, segments: vad.segments}}
  whole: {type: flow.collect, input: cut}
  pairs: {type: flow.zip, input: {left: mel, right: loud}}
  mixed: {type: flow.merge, input: {quiet: pick.quiet, loud: loud}}
  flaky: {type: testing.flaky, input: clips, params: {failures: 2}}
  never: {type: testing.flaky, input: clips, params: {failures: 9}}
  given-up: {type: testing.flaky, input: clips, params: {failures: 9}, on_error: skip, retry: {max_retries: 0}}
  fatal: {type: testing.flaky, input: clips, params: {failures: 9, error: bad_input}, on_error: fail}
  slow: {type: testing.flaky, input: clips, retry: {base_delay: 1h, max_delay: 1h}}
  broken: {type: testing.broken, input: clips}
  numbers: {type: testing.numbers, params: {count: 2}}
  passed: {type: testing.pass, input: numbers}
  out: {type: testing.discard, input: passed}
tests:
"""
TONE = "{audio: {tone: 440Hz, level: -6dBFS}}"


@node("testing.broken", inputs={"record": "record"}, outputs={"record": "record"})
class Broken(Node[Params]):
    """Cannot be opened."""

    def open(self) -> None:
        raise RuntimeError("no model")

    def process(self, item: Item, state: None) -> Item:
        return item


def run(folder: Path, cases: str) -> list[list[str]]:
    """The differences of each case."""
    return [told(verdict) for verdict in verdicts(folder, NODES + cases, Broken)]


def differences(folder: Path, *lines: str) -> list[str]:
    """The differences of one case, whose keys are these lines."""
    (found,) = run(folder, "  - name: x\n" + "".join(f"    {line}\n" for line in lines))
    return found


# (what the case names and gives, an outcome that is right, one that is wrong for each key)
OUTCOMES = (
    ("node: vad", TONE, "[{}]", "[]"),
    ("node: vad", TONE, "[{}]", "[{}, {}]"),
    ("node: vad", TONE, "{items: [{key: item-1}]}", "{items: [{key: item-2}]}"),
    ("node: vad", TONE, "{count: 1}", "{count: 2}"),
    ("node: vad", TONE, "{count: {min: 1}}", "{count: {max: 0}}"),
    ("node: vad", TONE, "[{attributes: {speech_ratio: {min: 0.9}}}]", "[{attributes: {speech_ratio: {max: 0.9}}}]"),
    ("node: vad", TONE, "[{attributes: {other: {present: false}}}]", "[{attributes: {other: 1}}]"),
    ("node: vad", TONE, "[{segments: {count: 1}}]", "{filtered: true}"),
    ("node: pick", "{item: {silence: 1s}, attributes: {speech_ratio: 0}}", "[{port: quiet}]", "[{port: speech}]"),
    (
        "node: pick",
        "{item: {silence: 1s}, attributes: {speech_ratio: 0}}",
        "[{quiet: {rate: 16000}}]",
        "[{speech: {rate: 16000}}]",
    ),
    ("node: loud", "{item: {silence: 1s}, attributes: {speech_ratio: 0}}", "{filtered: true}", "{count: 1}"),
    ("node: never", "{record: {}}", "{error: transient}", "{error: bad_input}"),
    ("node: never", "{record: {}}", "{error: transient, message: attempt 4 on item-1}", "{error: transient, message: attempt 3}"),
    ("node: audio", "{record: {path: nothing.wav}}", "{error: audio_decode}", "[]"),
    (
        "from: audio\n    to: mono",
        "{record: {path: no.wav}}",
        "{error: audio_decode, at: audio}",
        "{error: audio_decode, at: mono}",
    ),
    ("node: audio", "{record: {path: nothing.wav}}", "{error: audio_decode, count: 0}", "{filtered: true}"),
    ("node: given-up", "{record: {}}", "{skipped: 1}", "{skipped: 2}"),
    ("node: given-up", "{record: {}}", "{skipped: 1, count: 0}", "{count: 0}"),
    ("node: fatal", "{record: {}}", "{error: bad_input}", "{error: bad_input, message: other}"),
    ("node: broken", "{record: {}}", "{error: node_failed, message: no model, at: broken}", "{error: bad_input}"),
    ("node: broken", "{record: {}}", "{error: node_failed}", "[]"),
)


@pytest.mark.parametrize(("where", "given", "right", "wrong"), OUTCOMES, ids=[f"{row[0]} {row[3]}" for row in OUTCOMES])
def test_each_kind_of_outcome_can_fail(tmp_path: Path, where: str, given: str, right: str, wrong: str) -> None:
    """The right outcome finds no difference; the wrong one, of the same run, finds some."""
    assert differences(tmp_path, where, f"input: {given}", f"expect: {right}") == []
    assert differences(tmp_path, where, f"input: {given}", f"expect: {wrong}") != []


def test_every_key_of_an_outcome_has_a_wrong_one_above() -> None:
    """No key of `expect` is without a row that shows that it can fail."""
    tried = " ".join(row[3] for row in OUTCOMES)
    assert [key for key in (*OUTCOME_KEYS, "key", "port", "attributes") if f"{key}:" not in tried] == []


def test_a_node_is_tested_with_the_conversions_in_front_of_it(tmp_path: Path) -> None:
    """`mel` takes 16 kHz; where the manifest inserts a conversion before it, a case may give 48 kHz."""
    text = """
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  mel: {type: features.log_mel, input: audio}
  out: {type: sink.npy, input: mel, params: {path: out}}
tests:
  - {name: rate, node: mel, input: {audio: {tone: 440Hz, rate: 48000, channels: 2}}, expect: [{features: {shape: [null, 80]}}]}
"""
    graph, (case,) = read_text(tmp_path, text)
    assert [conversion.node for conversion in graph.conversions] == [case.part.nodes[0].id]
    assert run_case(case, graph).passed


def test_an_inserted_node_that_hands_on_for_others_needs_no_more_than_the_case_gives(tmp_path: Path) -> None:
    """Two consumers share a conversion that carries segments for one of them; the other is tested without any."""
    text = """
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio}
  pair: {type: testing.pair, input: {audio: vad.audio, segments: vad.segments}}
  mel: {type: features.log_mel, input: vad.audio}
  out: {type: testing.discard, input: mel}
  rest: {type: testing.discard, input: pair}
tests:
  - {name: alone, node: mel, input: {audio: {tone: 440Hz, rate: 8000}}, expect: [{features: {shape: [null, 80]}}]}
  - {name: pair, node: pair, input: {audio: {tone: 440Hz, rate: 8000}, segments: []}, expect: [{audio: {rate: 16000}}]}
"""

    @node("testing.pair", inputs={"audio": "audio[rate=16000, channels=1]", "segments": "segments"}, outputs="audio")
    class Pair(Node[Params]):
        """Take two things of one node."""

        def process(self, item: Item, state: None) -> Item:
            assert item.payload["segments"] == ()
            return item.with_payload({"audio": item.payload["audio"]})

    assert [told(verdict) for verdict in verdicts(tmp_path, text, Pair)] == [[], []]


def test_an_inserted_node_hands_on_what_may_be_anything(tmp_path: Path) -> None:
    """A shared conversion that carries a port of the family `any` for another consumer is tested like any other."""
    text = """
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  both: {type: testing.both, input: audio}
  pair: {type: testing.pair, input: {audio: both.audio, other: both.other}}
  mel: {type: features.log_mel, input: both.audio}
  out: {type: testing.discard, input: mel}
  rest: {type: testing.discard, input: pair}
tests:
  - {name: alone, node: mel, input: {audio: {tone: 440Hz, rate: 8000}}, expect: [{features: {shape: [null, 80]}}]}
"""

    @node("testing.both", inputs="audio", outputs={"audio": "audio", "other": "any"})
    class Both(Node[Params]):
        """Give something besides."""

    @node("testing.pair", inputs={"audio": "audio[rate=16000, channels=1]", "other": "any"}, outputs="audio")
    class Pair(Node[Params]):
        """Take two things of one node."""

    assert [told(verdict) for verdict in verdicts(tmp_path, text, Both, Pair)] == [[]]


def test_all_nodes_on_the_ways_run(tmp_path: Path) -> None:
    """From decoding on, the branches part and meet in the join; quiet audio is filtered where nobody reads that case."""
    lines = ("from: mono", "to: both", "input: [{audio: {silence: 1s, rate: 8000}}, {audio: {tone: 440Hz, rate: 8000}}]")
    assert differences(tmp_path, *lines, "expect: [{key: item-2, mel: {finite: true}, segments: {count: 1}}]") == []
    _, (case,) = read_text(tmp_path, NODES + "  - {name: x, from: mono, to: both, input: " + TONE + ", expect: []}\n", Broken)
    assert [one.id for one in case.part.nodes] == ["mono", "vad", "pick", "mel", "both"]


def test_a_join_is_told_what_a_branch_let_through(tmp_path: Path) -> None:
    """An item with both payloads is joined; one that lacks a branch's is filtered, as in a run."""
    given = "input: [{key: a, mel: [[1]], segments: []}, {key: b, segments: []}, {key: c, mel: [[3]], segments: []}]"
    assert differences(tmp_path, "node: both", given, "expect: [{key: a, mel: [[1]]}, {key: c, mel: [[3]]}]") == []


def test_parts_of_a_record_are_collected(tmp_path: Path) -> None:
    """Keys with a number sign make parts of one record."""
    given = "input: [{key: a#0000, item: {silence: 1s}}, {key: b, item: {silence: 1s}}, {key: a#0001, item: {silence: 2s}}]"
    expected = "expect: [{key: a, items: {keys: [a#0000, a#0001], items: [{duration: 1}, {duration: 2}]}}, {items: {keys: [b]}}]"
    assert differences(tmp_path, "node: whole", given, expected) == []


def test_zip_and_merge_take_what_came_by_each_input(tmp_path: Path) -> None:
    """Inputs of nodes that gather are fed one by one."""
    given = "input: [{left: [[1]]}, {right: {silence: 1s}, key: x}]"
    assert differences(tmp_path, "node: pairs", given, "expect: [{left: [[1]], right: {rate: 16000}}]") == []
    given = "input: [{quiet: {silence: 1s}}, {loud: {tone: 440Hz}}]"
    assert differences(tmp_path, "node: mixed", given, "expect: [{out: {max: 0}}, {out: {max: {min: 0.1}}}]") == []


def test_what_is_left_over_is_a_failure(tmp_path: Path) -> None:
    """A partner that never comes makes a dead letter, which a case can expect."""
    given = ("node: pairs", "input: [{left: [[1]]}, {left: [[2]]}, {right: {silence: 1s}}]")
    assert differences(tmp_path, *given, "expect: {error: left_over, at: pairs, count: 1}") == []
    (found,) = differences(tmp_path, *given, "expect: {count: 1}")
    assert found.startswith("expect: no failure / a failure of 'item-2' at node 'pairs', left_over: ")


def test_items_keep_the_order_of_the_input(tmp_path: Path) -> None:
    """One that needed retries stands where it was given."""
    records = ", ".join(f"{{record: {{n: {number}}}}}" for number in range(5))
    expected = ", ".join(f"{{key: item-{number + 1}, record: {{n: {number}}}}}" for number in range(5))
    assert differences(tmp_path, "node: flaky", f"input: [{records}]", f"expect: [{expected}]") == []


def test_a_case_may_begin_with_a_source(tmp_path: Path) -> None:
    """Then the source itself reads, and the case gives nothing."""
    lines = ("from: numbers", "to: passed", "expect: [{record: {number: 0}}, {key: numbers/1, record: {number: 1}}]")
    assert differences(tmp_path, *lines) == []


def test_a_sub_graph_is_tested_from_its_inputs(tmp_path: Path) -> None:
    """What the manifest declares as `inputs` is what a case gives; inputs that are not on the way are not asked for."""
    text = """
inputs: {audio: {type: audio}, words: {type: text}}
outputs: {speech: vad.segments, words: same}
nodes:
  mono: {type: audio.resample, input: inputs.audio, params: {sample_rate: 16000, channels: 1}}
  vad: {type: vad.energy, input: mono}
  same: {type: flow.filter, input: inputs.words, params: {keep: "key == 'item-1'"}}
tests:
  - {name: audio, from: inputs, to: vad, input: {audio: {tone: 440Hz, rate: 44100}}, expect: [{segments: {count: 1}}]}
  - {name: words, from: inputs, to: same, input: [{words: a}, {words: b}], expect: [{out: a}]}
"""
    assert [told(verdict) for verdict in verdicts(tmp_path, text)] == [[], []]


def test_a_case_that_does_not_end_fails(tmp_path: Path) -> None:
    """A retry in an hour is not waited for."""
    found = differences(tmp_path, "node: slow", "input: {record: {}}", "expect: [{}]", "timeout: 50ms")
    assert found == ["expect: an end within 0.05 s / none"]


def test_a_comparison_that_does_not_end_fails(tmp_path: Path) -> None:
    """The time-out holds for a regular expression that would search for ages; afterwards signals are as before."""
    text = """
inputs: {words: {type: text}}
outputs: {words: same}
nodes:
  same: {type: flow.filter, input: inputs.words, params: {keep: "has attributes.x"}}
tests:
  - name: ages
    node: same
    timeout: 500ms
    input: {words: AGES, attributes: {x: 1}}
    expect: [{out: {matches: "^(a+)+$"}}]
"""
    handler = signal.getsignal(signal.SIGALRM)
    (verdict,) = verdicts(tmp_path, text.replace("words: AGES", f"item: {'a' * 40}!"))
    assert told(verdict) == ["expect: an end within 0.5 s / none, while what came was compared"]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_differences_name_place_and_values(tmp_path: Path) -> None:
    """A reader sees which item, which port and which value."""
    lines = ("node: vad", "input: {audio: {tone: 440Hz, duration: 990ms}}")
    found = differences(
        tmp_path, *lines, "expect: [{key: a, audio: {rate: 8000}, segments: [{start_ms: 5}], attributes: {speech: 1}}]"
    )
    assert found == [
        "[0].key: 'a' / 'item-1'",
        "[0].attributes.speech: 1 / nothing; there is duration, sample_rate, channels, speech_ratio, num_segments",
        "[0].audio.rate: 8000 / 16000",
        "[0].segments[0].start_ms: 5 / 0",
    ]
    assert differences(tmp_path, *lines, "expect: []") == ["expect: items: 0 / 1: item-1"]


def test_a_difference_shows_no_secret(tmp_path: Path) -> None:
    """What a node makes of a secret is hidden where it is shown as what came."""
    text = """
params: {word: {type: secret, default: swordfish}}
nodes:
  numbers: {type: testing.numbers}
  says: {type: testing.says, input: numbers, params: {word: "${params.word}"}}
  out: {type: testing.discard, input: says}
tests:
  - {name: word, node: says, input: {record: {}}, expect: [{text: other}]}
"""

    class SaysParams(Params, frozen=True):
        word: Secret

    @node("testing.says", inputs={"record": "record"}, outputs="text")
    class Says(Node[SaysParams]):
        """Say the word."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"text": f"the word is {self.params.word}"})

    (verdict,) = verdicts(tmp_path, text, Says)
    assert told(verdict) == ["[0].text: 'other' / 'the word is ***'"]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run directory of a case is gone after it, and nothing was written beside the manifest."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert differences(tmp_path, "node: vad", f"input: {TONE}", "expect: [{}]") == []
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.yaml", "temporary"]


def test_a_node_that_gives_less_than_it_declares_is_at_fault(tmp_path: Path) -> None:
    """A port that a case looks at and the node left out is a breach of the node's contract."""

    @node("testing.forgets", inputs={"record": "record"}, outputs={"record": "record", "text": "text"})
    class Forgets(Node[Params]):
        """Leave a port out."""

        def process(self, item: Item, state: None) -> Iterator[Item] | Item:
            return item

    text = """
nodes:
  numbers: {type: testing.numbers}
  forgets: {type: testing.forgets, input: numbers}
  out: {type: testing.discard, input: forgets}
tests:
  - {name: port, node: forgets, input: {record: {}}, expect: [{text: x}]}
  - {name: no port, node: forgets, input: {record: {}}, expect: [{}]}
"""
    wrong, right = verdicts(tmp_path, text, Forgets)
    assert "node_contract" in told(wrong)[0]
    assert right.passed


def test_a_right_case_beside_wrong_ones_can_be_run() -> None:
    """Of a section with complaints, the cases without any are read."""
    path = TESTS / "manifests" / "wrong_cases" / "keys.yaml"
    graph, cases, _ = read(path)
    assert [told(run_case(case, graph)) for case in cases] == [["expect: items: 0 / 1: item-1"]]


def test_audio_tells_how_long_it_is(tmp_path: Path) -> None:
    """Audio that a case gives has the attributes that it has when it was decoded, so that routes by duration can be tested."""
    text = """\
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  pick: {type: flow.route, input: audio, params: {cases: {short: duration < 2s}, otherwise: long}}
  out: {type: sink.wav, input: pick.short, params: {path: out}}
tests:
  - name: by the audio
    node: pick
    input: [{item: {silence: 1s, rate: 8000, channels: 2}}, {item: {silence: 3s}}]
    expect: [{port: short, attributes: {duration: 1.0, sample_rate: 8000, channels: 2}}, {port: long}]
  - name: by what the case says
    node: pick
    input: {item: {silence: 1s}, attributes: {duration: 5.5}}
    expect: [{port: long, attributes: {duration: 5.5, sample_rate: 16000}}]
"""
    assert [told(verdict) for verdict in verdicts(tmp_path, text)] == [[], []]
