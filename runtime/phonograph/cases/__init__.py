"""Test cases that stand in a manifest itself, in its section `tests`.

`tests` is a list of cases:

    tests:
      - name: a loud tone is speech
        node: vad
        input: {audio: [{silence: 500ms}, {tone: 440Hz, level: -6dBFS}]}
        expect:
          - attributes: {speech_ratio: {near: 0.667, within: 0.05}}
            segments: [{start_ms: {near: 500, within: 30}}]

    name        once in a manifest; `--only` names it.
    node        the node that is tested, with the conversions that were inserted in front of it.
    from, to    instead: all nodes on the ways from one to the other. `from: inputs` begins with a sub-graph's own inputs. No case
                ends with a sink.
    input       an item, or a list of items. Left out where the case begins with a source.
    expect      what leaves the last node: a list of items, exactly these and in this order; or a mapping, see below.
    timeout     a case that takes longer, comparison included, fails; 60s.

An item of `input` has a payload for each input of the first node (of the sub-graph), and may have

    key         `item-1` and so on. A key such as `clip#0003` makes it a part of the record `clip`; equal keys are one record.
    attributes  name -> value.

Where the first node gathers (flow.join, flow.merge, flow.zip), an item may leave inputs out: nothing came by those.

    audio       {tone: 440Hz}, {noise: SEED}, {silence: 1s}, {samples: [...]} or {file: clip.wav} (PCM), or a list of these, one
                after another. Beside a tone or noise: `duration` (1s) and `level` (the mean, in dBFS, where 0 is a full-scale
                square wave; -20dBFS); beside all but a file: `rate` (16000); beside tone, noise, silence: `channels` (1).
    features    a list of numbers, {zeros: SHAPE}, {noise: SEED, shape: SHAPE} or {file: x.npy}; becomes float32.
    text        text.
    bytes       text, {hex: "52 49"} or {file: PATH}.
    segments    a list of {start_ms, end_ms, energy_db, confidence}; the last two are -20 and 1 where they are left out.
    record      a mapping; its value `path` is a path.
    any         as the family that the manifest connects there; where that is open too, {FAMILY: payload}.

Relative paths start at the manifest's folder. `expect` as a mapping has one or more of

    items       the list of items.
    count       how many leave.
    error       the code that every failure has; there is at least one.
    message, at beside `error`: a part of the failure's words; the node where it happens.
    skipped     how many records a node with `on_error: skip` gives up.
    filtered    true: nothing leaves, and nothing fails.

A failure that is not expected fails the case. An expected item names what is looked at, and nothing else is:

    key, attributes     compared as scalars.
    port                the output by which it leaves a node that chooses, as flow.route does.
    scalar      a literal; numbers are equal whatever their type. Or a mapping of one or more of `near` with `within`, `min`,
                `max`, `matches` (a regular expression, found anywhere), `contains`, `equals` (any value), `present` (true or
                false).
    audio       a mapping of `rate`, `channels`, `num_samples`, `duration`, `level` and what is below.
    features    a list of numbers, or a mapping of `shape` (null is any size), `min`, `max`, `mean`, `finite`, and of the values
                themselves one of `values`, `near`, `file` (.npy, of audio also .wav), with `within`; `near` needs it.
    text        a scalar.
    bytes       text, or a mapping of `hex`, `size`, `contains`, `file`.
    segments    a list of exactly so many mappings of scalars, or {count: N}.
    record      scalars, lists of exactly so many, and mappings whose other keys are not looked at. A mapping of the keys of a
                scalar's mapping alone is a comparison; where it is meant literally, it stands under `equals`.

The modules: `section` reads the cases, with `payloads`, `sound` and `expectations`; `part` cuts what a case runs out of the
graph; `trial` runs it between the ends that `ends` puts there; `comparison` and `arrays` tell what is not as expected.
"""

from phonograph.cases.case import Case
from phonograph.cases.section import read_cases

__all__ = ["Case", "read_cases"]
