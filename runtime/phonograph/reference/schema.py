"""JSON Schema of the manifest language, for editors: completion, help and complaints while one types.

It is draft 7, which every editor's language server reads, with keywords besides that yaml-language-server knows
(`markdownDescription`, `patternErrorMessage`, `errorMessage`); other readers pass over those. It tells less than
`run-pipeline check`: references, port types and what spans several values need the graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from phonograph.breaker import BreakerPolicy
from phonograph.graph.fallbacks import can_stand_in
from phonograph.language.batches import MAX_ITEMS, MAX_WAIT_S
from phonograph.language.keys import FRAGMENT, MANIFEST
from phonograph.language.parameters import TYPES
from phonograph.language.queues import QueueBounds
from phonograph.language.units import duration_in_words, size_in_words
from phonograph.reference import catalogue
from phonograph.reference.schema_parts import (
    DURATION,
    ID,
    PORT_TYPE,
    REFERENCE_TO_NODE,
    SCALAR,
    SIZE,
    TIMEOUT,
    TOTAL_TIMEOUT,
    described,
    one_of,
    record,
    ref,
    referable,
    reference_or,
)
from phonograph.retry import RetryPolicy
from phonograph.spec import NodeSpec

Json = dict[str, Any]

_DRAFT = "http://json-schema.org/draft-07/schema#"
_FULL = {
    "block": "whoever sends waits for room",
    "newest": "what comes is dropped",
    "oldest": "what has waited longest is dropped",
}
_NOT_IN_A_FRAGMENT = ("version", "name", "description", *(key for key in MANIFEST if key not in FRAGMENT))
"""What tells a manifest from a fragment, which others include and which needs neither version nor name."""


def manifest_schema(specs: Iterable[NodeSpec]) -> Json:
    """The schema of the manifest language, version 1, with the ports and parameters of the given node types."""
    specs = tuple(specs)
    parts = _language()
    for spec in specs:
        parts |= {name: referable(schema) for name, schema in catalogue.components(spec)[1].items()}
        parts[f"type {spec.type}"] = _of_type(spec)
    return {
        "$schema": _DRAFT,
        "description": "a phonograph manifest, version 1",
        **record(_top()),
        "allOf": [
            {"if": {"required": ["nodes"]}, "then": {"properties": {"steps": False}}},
            # Of a parameter that an included file declares, key by key may be replaced.
            {
                "if": {"not": {"required": ["include"]}},
                "then": {"properties": {"params": {"additionalProperties": {"required": ["type"]}}}},
            },
            {
                "if": {"anyOf": [{"required": [key]} for key in _NOT_IN_A_FRAGMENT]},
                "then": {
                    "required": ["version", "name"],
                    "anyOf": [{"required": [key]} for key in ("nodes", "steps", "include")],
                },
            },
        ],
        "definitions": {"node": _node(specs, step=False), "step": _node(specs, step=True), **parts},
    }


def _top() -> Json:
    include = described("files whose params, defaults, limits, nodes and plugins count as if they stood here", _some_paths())
    plugins = described("Python files with node types of their own (@node); relative to this file", _some_paths())
    return {
        "version": described("of the manifest language", {"const": 1}),
        "name": described("of the pipeline; names its run directory", ID),
        "description": described("what the pipeline does, for people", {"type": "string"}),
        "include": include,
        "plugins": plugins,
        "params": {
            "description": "values that a run may choose: `--param NAME=VALUE`; nodes use them as ${params.NAME}",
            "type": "object",
            "propertyNames": ID,
            "additionalProperties": ref("param"),
        },
        "defaults": described("policies of every node that does not set its own", record(_policies(default=True))),
        "inputs": {
            "description": "what a program, or a manifest that includes this one, sends; a node reads it as inputs.NAME",
            "type": "object",
            "propertyNames": ID,
            "additionalProperties": record({"type": PORT_TYPE}, required=("type",)),
        },
        "outputs": {
            "description": "what such a program, or manifest, gets: name -> node or node.port",
            "type": "object",
            "propertyNames": ID,
            "additionalProperties": REFERENCE_TO_NODE,
        },
        "nodes": {
            "description": "the graph: id -> node",
            "type": "object",
            "propertyNames": ID,
            "minProperties": 1,
            "additionalProperties": ref("node"),
        },
        "steps": {
            "description": "the graph as a line: each step reads what the one before it makes",
            "type": "array",
            "minItems": 1,
            "items": ref("step"),
        },
        "limits": described(
            "what a run may at most do",
            record(
                {
                    "error_rate": ref("error_rate"),
                    "memory": described("what the process should stay within; sources pause where it would not", SIZE),
                    "watchdog": described(
                        "how long nothing may move before it is told what is stuck; null: never", TOTAL_TIMEOUT, default="5m"
                    ),
                }
            ),
        ),
        "tests": {
            "description": "cases that `run-pipeline test` runs: what goes in, what should come out",
            "type": "array",
            "minItems": 1,
            "items": ref("case"),
        },
    }


def _some_paths() -> Json:
    path = {"type": "string", "minLength": 1}
    return {"anyOf": [path, {"type": "array", "items": path}]}


def _policies(*, default: bool = False) -> Json:
    return {
        "retry": ref("retry"),
        "breaker": ref("default_breaker" if default else "breaker"),
        "timeout": ref("timeout"),
        "total_timeout": ref("total_timeout"),
        "on_error": ref("on_error"),
        "error_rate": ref("node_error_rate"),
        "workers": ref("workers"),
        "run": ref("run"),
        "memory": ref("memory"),
        "auto_convert": ref("auto_convert"),
    }


def _language() -> Json:
    """The parts that do not depend on the node types."""
    retry, rest, queue = RetryPolicy(), BreakerPolicy(), QueueBounds()
    breaker = {
        "failure_threshold": described("failed records that open it, in a row", _whole(1), default=rest.failure_threshold),
        "window": described("count them among so many of the latest records, in a row or not", _whole(1)),
        "reset_timeout": described("until a record is tried again", DURATION, default=duration_in_words(rest.reset_timeout_s)),
        "half_open_probes": described("records tried then at one time", _whole(1), default=rest.half_open_probes),
        "max_open": described("how long it may hold records", DURATION, default=duration_in_words(rest.max_open_s)),
    }
    when_open = {"wait": "hold what comes, up to max_open", "shed": "fail it at once, as breaker_open"}
    fallback = "a node without input that takes what comes while it is open, and what has failed here; in place of when_open"
    skip = {"skip": "hand it on as it is; only where input and output are of one family"}
    return {
        "param": _parameter(),
        "case": _case(),
        "input": described(
            "where it reads from: NODE, NODE.PORT, NODE.dead_letter, *.dead_letter or inputs.NAME; a mapping names its own ports",
            reference_or({"minProperties": 1, "additionalProperties": _edge()}),
        ),
        "queue": described(
            "how much may wait in front of the node, and what happens then",
            record(
                {
                    "items": described("items", _whole(1), default=queue.items),
                    "bytes": described("of their payloads", SIZE, default=size_in_words(queue.num_bytes)),
                    "full": described("what happens to items that come when it is full", one_of(_FULL), default=queue.full),
                }
            ),
        ),
        "batch": described(
            "gathers items that the node takes in one call; only for types that have `process_batch`",
            record(
                {
                    "max_items": described("in one call", _whole(1), default=MAX_ITEMS),
                    "max_audio": described("seconds of audio in one call; an item with more goes alone", DURATION),
                    "max_wait": described("of an item for others", DURATION, default=duration_in_words(MAX_WAIT_S)),
                    "bucket": described("which items come together", one_of({"duration": "those of like duration"})),
                }
            ),
        ),
        "retry": described(
            "tries again after failures that may heal",
            record(
                {
                    "max_retries": described("after the first attempt", _whole(0), default=retry.max_retries),
                    "base_delay": described("before the first retry", DURATION, default=duration_in_words(retry.base_delay_s)),
                    "factor": described("by which each delay is longer", {"type": "number", "minimum": 1}, default=retry.factor),
                    "max_delay": described("no delay is longer", DURATION, default=duration_in_words(retry.max_delay_s)),
                    "jitter": described("up to so much is added to each delay, at random", DURATION, default=0),
                    "budget": described(
                        "share of the items whose failures may be tried again, beyond the first few",
                        {"type": "number", "minimum": 0, "maximum": 1},
                    ),
                    "retryable": described(
                        "errors that may heal, besides those that always may: NAME of Python or phonograph, PACKAGE.MODULE.NAME",
                        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                    ),
                }
            ),
        ),
        "breaker": described(
            "rests a node that keeps failing",
            record({**breaker, "when_open": one_of(when_open | skip), "fallback": described(fallback, {"type": "string"})}),
        ),
        "default_breaker": described("rests nodes that keep failing", record({**breaker, "when_open": one_of(when_open)})),
        "timeout": described(
            "how long one attempt may take, for audio in relation to its duration: 30s + 1x audio; null for ever",
            TIMEOUT,
            default=None,
        ),
        "total_timeout": described(
            "how long all attempts for an item may take, with the waiting between them; null for ever",
            TOTAL_TIMEOUT,
            default=None,
        ),
        "on_error": described(
            "what becomes of a record that failed here for good",
            one_of(
                {
                    "dead_letter": "set it aside with the reason; the others go on",
                    "skip": "count it as skipped; the others go on",
                    "fail": "end the run",
                }
            ),
            default="dead_letter",
        ),
        "workers": described(
            "threads, or processes, that run the node; auto: as the engine sees fit",
            {"anyOf": [_whole(1), {"const": "auto"}]},
            default="auto",
        ),
        "run": described(
            "where it runs",
            one_of({"thread": "in threads of this process", "process": "in processes of its own, which may crash or be killed"}),
        ),
        "memory": described("how much each of its processes may take for its work; with `run: process`", SIZE),
        "auto_convert": described(
            "whether audio is resampled and mixed for it where its ports need that; false refuses instead",
            {"type": "boolean"},
            default=True,
        ),
        "order": described(
            "whether it gets what comes one by one, in the order in which the sources read it", {"type": "boolean"}, default=False
        ),
        "node_error_rate": described(
            "share of records that may fail here, dead-lettered or skipped; above it the run fails",
            {"type": "number", "minimum": 0, "maximum": 1},
            default=1,
        ),
        "error_rate": described(
            "share of dead-lettered records above which the run fails", {"type": "number", "minimum": 0, "maximum": 1}, default=1
        ),
    }


def _case() -> Json:
    """A test case. What goes in and comes out depends on the ports of the nodes that it is about."""
    text, count = {"type": "string"}, {"type": ["integer", "object"]}
    outcomes = {
        "items": described("items that leave, in their order", {"type": "array"}),
        "count": described("how many items leave; a number, or {min: N, max: N}", count),
        "error": described("the code of the error that a node raises", text),
        "message": described("what its message says", text),
        "at": described("the node that raises it", text),
        "skipped": described("how many items are skipped", count),
        "filtered": described("that nothing leaves and nothing fails", {"const": True}),
    }
    expected = {**record(outcomes), "type": ["array", "object"]}
    fields = {
        "name": described("what the case shows", text),
        "node": described("the node that is tested", text),
        "from": described("the first node of the part that is tested", text),
        "to": described("the last node of that part", text),
        "input": described("one item, or a list of items: {key, attributes, PORT: payload}", {"type": ["array", "object"]}),
        "expect": described("what leaves the last node: a list of items, or a mapping", expected),
        "timeout": described("how long the case may take", DURATION),
    }
    return described("a test case", record(fields, required=("name", "expect")))


def _parameter() -> Json:
    bound = {"type": ["number", "string"]}
    types = dict(zip(TYPES, TYPES, strict=True)) | {
        "str": "text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "path": "a file, folder or glob; from outside relative to the working directory, here to this file",
        "duration": "with its unit: 100ms, 30s, 10m",
        "size": "with its unit: 512MiB, 1GB",
        "secret": "text that is shown as *** wherever it would be printed",
    }
    fields = {
        "type": one_of(types),
        "default": described("what a run uses that is given nothing; ${env:NAME:-default} asks the environment", SCALAR),
        "help": described("what it is, for people", {"type": "string"}),
        "minimum": described("the least that is taken, with its unit", bound),
        "maximum": described("the most that is taken, with its unit", bound),
        "choices": described("the only values that are taken", {"type": "array", "minItems": 1, "items": SCALAR}),
    }
    return described("a value that a run may choose", record(fields))


def _node(specs: tuple[NodeSpec, ...], *, step: bool) -> Json:
    """A node; what its type knows is added by the branch of that type."""
    types = {
        "enum": [spec.type for spec in specs],
        "enumDescriptions": [spec.summary for spec in specs],
        "errorMessage": "no such node type; `run-pipeline nodes` lists those that are installed, "
        "`run-pipeline schema MANIFEST --path` makes a schema with those of its plug-ins",
    }
    include = described("a manifest with inputs and outputs of its own, which stands here as one node", {"type": "string"})
    named = described("by which metrics and other nodes call it; else the last part of its type", ID)
    fields = {"type": types, "include": include, **({"id": named} if step else {}), "order": ref("order"), **_policies()}
    # Under a pattern, so that an editor offers what the branch of the type says about them, and not this besides.
    of_the_type = {"patternProperties": {"^params$": {"type": "object"}, **({} if step else {"^input$": {}})}}
    either = {
        "if": {"not": {"required": ["include"]}},
        "then": {"required": ["type"]},
        "else": {"properties": {"type": False, "params": {"type": "object"}, **({} if step else {"input": ref("input")})}},
    }
    branches = [
        {
            "if": {"required": ["type"], "properties": {"type": {"const": spec.type}}},
            "then": ref(f"type {spec.type}") if step else {"allOf": [ref(f"type {spec.type}"), _wired(spec)]},
        }
        for spec in specs
    ]
    return {**record(fields), **of_the_type, "allOf": [either, *branches]}


def _of_type(spec: NodeSpec) -> Json:
    """What a node of this type has: its parameters, and the help that an editor shows."""
    parameters = catalogue.parameters(spec)
    required = tuple(parameter.name for parameter in parameters if parameter.is_required)
    params = record({one.name: referable(one.schema, _expected(one)) for one in parameters}, required=required)
    fields = {"type": {"markdownDescription": catalogue.help_text(spec)}, "params": params}
    return {"properties": fields, **({"required": ["params"]} if required else {})}


def _wired(spec: NodeSpec) -> Json:
    """Which inputs a node of this type has."""
    if spec.kind == "source":
        return {"properties": {"input": False}}
    if spec.variadic or (spec.ports_of is not None and not spec.types_depend_on_parameters):
        return {"properties": {"input": ref("input")}, "required": ["input"]}
    ports = record({port.name: described(f"an output of type {port.type}", _edge()) for port in spec.inputs})
    needed = {} if can_stand_in(spec) else {"required": ["input"]}  # `check` knows which node is a fallback
    return {"properties": {"input": described("where it reads from", reference_or(ports))}, **needed}


def _edge() -> Json:
    fields = {"from": described("NODE or NODE.PORT", REFERENCE_TO_NODE), "queue": ref("queue"), "batch": ref("batch")}
    return reference_or(record(fields, required=("from",)))


def _expected(parameter: catalogue.Parameter) -> str:
    takes = parameter.takes.replace("`", "")
    return f"{takes}, in {parameter.unit}" if parameter.unit else takes


def _whole(minimum: int) -> Json:
    return {"type": "integer", "minimum": minimum}
