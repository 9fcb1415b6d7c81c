"""`run-pipeline nodes`: the node types that there are, and everything about one of them."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from phonograph.cli.options import ManifestName

if TYPE_CHECKING:  # loaded when the verb is used: `run-pipeline --help` must not wait for them
    from phonograph.cli.installed import Declared
    from phonograph.graph.registry import Registry
    from phonograph.reference.catalogue import Parameter
    from phonograph.spec import NodeSpec

_WIDEST = 100
_NARROWEST = 40  # characters for help beside the column of names; with less it stands below them
_RUNS = {
    "inline": "between other work; it never waits",
    "thread": "in threads of its own, as many as it has workers",
    "process": "in processes of its own, as many as it has workers",
}


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from phonograph.graph.registry import Registry, RegistryError

    try:
        return [CompletionItem(name) for name in Registry.installed().types() if name.startswith(incomplete)]
    except RegistryError:
        return []


@click.command("nodes")
@click.argument("type_", metavar="[TYPE]", required=False, shell_complete=_complete)
@click.option("--manifest", metavar="MANIFEST", type=ManifestName(), help="Look among the plug-ins of this manifest too.")
@click.option("plugins", "--plugin", metavar="FILE", multiple=True, help="Look in this plug-in file too; repeatable.")
@click.option("--example", "is_example", is_flag=True, help="Print the example of TYPE alone, as a manifest that runs.")
@click.option("format_", "--format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(type_: str | None, manifest: str | None, plugins: tuple[str, ...], is_example: bool, format_: str) -> int:
    """List the node types, or show everything about TYPE: ports, parameters, behaviour, an example.

    A line that begins with ! names a type that cannot be used, with the reason.

    \b
        run-pipeline nodes vad.energy
        run-pipeline nodes vad.energy --example > example.yaml && run-pipeline example.yaml

    Exit status: 0; 1 the installed packages contradict each other, or the code of TYPE cannot be loaded; 2 no such TYPE, or wrong
    plug-ins.
    """
    from phonograph.cli.installed import registry_with
    from phonograph.errors import ManifestError, one_line
    from phonograph.graph.registry import RegistryError

    if is_example and type_ is None:
        raise click.UsageError("--example: expected a TYPE, whose example is to be printed")
    try:
        registry = registry_with(manifest=manifest, plugins=plugins)
        spec = None if type_ is None else registry.get(type_)
    except ManifestError as error:
        click.echo(str(error), err=True)
        return 2
    except RegistryError as error:
        click.echo(one_line(error), err=True)
        return 1
    if type_ is None:
        click.echo(json.dumps(_all_as_json(registry), indent=1) if format_ == "json" else "\n".join(_all_lines(registry)))
        return 0
    if spec is None:
        _refuse(type_, registry)
    return _show(spec, registry, is_example=is_example, format_=format_)


def _show(spec: NodeSpec, registry: Registry, *, is_example: bool, format_: str) -> int:
    from phonograph.cli.installed import declared
    from phonograph.reference.catalogue import entry

    if is_example and not spec.example:
        raise click.UsageError(f"--example: the type {spec.type!r} has none")
    if is_example:
        click.echo(example(spec), nl=False)
    elif format_ == "json":
        where = declared(spec, registry)
        declared_in = {"package": where.package, "object": where.target, "file": where.file}
        click.echo(json.dumps({"type": spec.type, **entry(spec), "declared": declared_in}, indent=1))
    else:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        click.echo("\n".join(_lines(spec, declared(spec, registry), width)))
    return 0


def _refuse(type_: str, registry: Registry) -> NoReturn:
    from phonograph.errors import nearest, one_line

    known = registry.types()
    candidates = nearest(type_, known, limit=3) or tuple(name for name in known if type_ in name)[:3]
    close = "; did you mean " + " or ".join(repr(name) for name in candidates) + "?" if candidates else ""
    broken = "".join(
        f"; the entry point {origin}, which may declare it, {one_line(reason)}" for origin, reason in registry.broken()
    )
    expected = "one that `run-pipeline nodes` lists"
    raise click.UsageError(f"no node type {type_!r}; expected {expected}{broken}{close}")


def _all_lines(registry: Registry) -> Iterator[str]:
    """A line a type, the types of one room together."""
    from phonograph.errors import one_line
    from phonograph.reference.catalogue import available

    specs, faults = available(registry)
    summaries = {spec.type: spec.summary for spec in specs}
    width = max((len(name) for name in registry.types()), default=0)
    room = ""
    for name in registry.types():
        before, room = room, name.partition(".")[0]
        if before and room != before:
            yield ""
        yield f"! {name}: {faults[name]}" if name in faults else f"{name.ljust(width)}  {summaries[name]}"
    for origin, reason in registry.broken():
        yield f"! entry point {origin}: {one_line(reason)}; repair or remove its package"


def _all_as_json(registry: Registry) -> dict[str, Any]:
    """The catalogue, as in the contract `nodes.json`, with what cannot be used beside it."""
    from phonograph.errors import one_line
    from phonograph.reference.catalogue import available, entry

    specs, faults = available(registry)
    broken = [{"entry_point": origin, "reason": one_line(reason)} for origin, reason in registry.broken()]
    broken += [{"type": name, "reason": reason} for name, reason in faults.items()]
    return {"types": {spec.type: entry(spec) for spec in specs}, "broken": broken}


def example(spec: NodeSpec) -> str:
    """The example of a type as a whole manifest, which reads the clips that come with phonograph."""
    from phonograph.shipped import shipped_root

    samples = str(shipped_root("manifests") / "samples")
    lines = [
        line.replace("samples", samples) if "type: source.files" in line else line
        for line in textwrap.dedent(spec.example).strip("\n").splitlines()
    ]
    return "\n".join(["version: 1", "name: example", *lines]).rstrip() + "\n"


def _lines(spec: NodeSpec, where: Declared, width: int) -> Iterator[str]:
    from phonograph.errors import one_line

    yield f"{spec.type}: {spec.kind}, version {spec.version}"
    for paragraph in (spec.summary, *spec.description.split("\n\n")):
        if paragraph.strip():
            yield from ("", *textwrap.wrap(one_line(paragraph), width, break_on_hyphens=False))
    yield from _ports(spec, width)
    yield from _attributes(spec)
    yield from _parameters(spec, width)
    yield from _section("behaviour", _behaviour(spec), width)
    yield from _section("declared", [("by", where.package), ("as", where.target), ("in", where.file)], width)
    if spec.example:
        yield from ("", f"example (`run-pipeline nodes {spec.type} --example > example.yaml` saves it)", "")
        yield from example(spec).rstrip("\n").splitlines()


def _ports(spec: NodeSpec, width: int) -> Iterator[str]:
    inputs = [(port.name, str(port.type)) for port in spec.inputs]
    if spec.variadic:
        inputs.append(("...", "any number, under the names that the manifest gives them"))
    outputs = [(port.name, str(port.type)) for port in spec.outputs]
    if spec.types_depend_on_parameters:
        outputs.append(("", "parameters narrow these types"))
    elif spec.ports_of is not None and not spec.variadic:
        outputs.append(("...", "the parameters say which"))
    elif spec.variadic and not outputs:
        outputs.append(("...", "one for each input, of its name"))
    if spec.chooses:
        outputs.append(("", "an item leaves by one of them"))
    yield from _section("inputs", inputs, width)
    yield from _section("outputs", outputs, width)


def _attributes(spec: NodeSpec) -> Iterator[str]:
    rows: list[tuple[str, str]] = list(spec.attributes.items())
    if spec.open_attributes:
        rows.append(("...", "others, known only once an item is there"))
    yield from _section("attributes that it sets", rows, _WIDEST)


def _parameters(spec: NodeSpec, width: int) -> Iterator[str]:
    from phonograph.reference.catalogue import parameters

    found = parameters(spec)
    if not found:
        return
    yield from ("", "parameters")
    column = max(len(one.name) for one in found) + 4
    indent = " " * (column if width >= column + _NARROWEST else 4)
    for one in found:
        yield f"  {one.name.ljust(column - 2)}{_value(one)}"
        yield from textwrap.wrap(
            one.description, max(width, len(indent) + 20), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


def _value(parameter: Parameter) -> str:
    """What a parameter takes, its unit, its default."""
    parts = [parameter.takes.replace("`", "")]
    if parameter.unit:
        parts.append(f"in {parameter.unit}")
    if parameter.is_required:
        parts.append("required")
    elif parameter.default:
        parts.append(f"default {parameter.default}")
    return "; ".join(parts)


def _behaviour(spec: NodeSpec) -> Iterator[tuple[str, str]]:
    from phonograph.graph.conversion import CONVERTERS
    from phonograph.reference.catalogue import CARDINALITY, LESS_BY_PARAMETERS, STREAMING

    if spec.kind == "transform":
        yield "items", f"{CARDINALITY[spec.cardinality]} ({spec.cardinality})"
    yield "runs", _RUNS[spec.run]
    yield "streaming", f"{STREAMING[spec.streaming]} ({spec.streaming}){LESS_BY_PARAMETERS if spec.streaming_of else ''}"
    if spec.batches:
        yield "batches", "takes several items in one call; `batch` on its input says which"
    if spec.tolerance:
        yield "tolerance", f"values may be {spec.tolerance:g} from those of audio in one piece"
    if spec.latency_samples != 0:
        yield "latency", "as parameters and rates have it" if spec.latency_samples is None else f"{spec.latency_samples} samples"
    if spec.retryable:
        yield (
            "tried again",
            ", ".join(sorted(error.__name__ for error in spec.retryable)) + ", besides errors that always may heal",
        )
    if spec.side_effects:
        yield "side effects", "that it was called twice can be seen from outside"
    if spec.type in CONVERTERS.values():
        axes = ", ".join(f"{axis} ({name})" for axis, name in spec.converts.items())
        yield "inserted", f"where an edge needs it, to convert {axes}"


def _section(heading: str, rows: Sequence[tuple[str, str]] | Iterator[tuple[str, str]], width: int) -> Iterator[str]:
    """A heading with indented rows; nothing when there are none."""
    told = [(name, text) for name, text in rows if text]
    if not told:
        return
    yield from ("", heading)
    column = max(len(name) for name, _ in told) + 4
    for name, text in told:
        yield f"  {name.ljust(column - 2)}{text}"
