"""Claims about a real editor's language server that reads our schema."""

from __future__ import annotations

import sys
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.language_server import LanguageServer, install, language_server
from acceptance.processes import run, temporary_folder
from phonograph.graph.registry import Registry

HEAD = """\
# yaml-language-server: $schema={schema}
version: 1
name: typed-in-an-editor
nodes:
  clips: {{type: source.files, params: {{paths: samples}}}}
  audio: {{type: audio.decode, input: clips}}
"""
INSIDE_TYPE = HEAD + "  mel:\n    type: \n"
INSIDE_PARAMS = HEAD + "  vad:\n    type: vad.energy\n    input: audio\n    params:\n      \n"
WRONG = (
    HEAD
    + "  vad: {{type: vad.energy, input: audio, params: {{treshold: 0.1}}}}\n  mel: {{type: features.log_mell, input: vad}}\n"
)
RIGHT = HEAD + "  vad: {{type: vad.energy, input: audio, params: {{threshold: 0.1}}}}\n"


def _opened(server: LanguageServer, folder: Path, name: str, text: str, schema: str) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(text.format(schema=schema), encoding="utf-8")
    server.open(path.as_uri(), path.read_text("utf-8"))
    return path.as_uri()


@claim(issue="manifest", bar="every node type, every parameter, 2 of 2 faults, none where there is none", fast=False)
def an_editor_knows_the_language() -> Figure:
    """yaml-language-server completes node types and parameters, flags a wrong parameter, with what `schema --path` prints."""
    types = set(Registry.installed().types())
    with temporary_folder() as folder:
        printed = run([Path(sys.executable).parent / "run-pipeline", "schema", "--path"], deadline_s=60, cwd=folder).stdout
        schema = printed.strip()
        version = install(folder)
        with language_server(folder) as server:
            uri = _opened(server, folder, "types", INSIDE_TYPE, schema)
            offered = {label.strip('"') for label in server.completions(uri, 7, 10)}
            uri = _opened(server, folder, "params", INSIDE_PARAMS, schema)
            parameters = set(server.completions(uri, 10, 6))
            wrong = server.diagnostics(_opened(server, folder, "wrong", WRONG, schema))
            right = server.diagnostics(_opened(server, folder, "right", RIGHT, schema))
    lines = sorted({report["range"]["start"]["line"] for report in wrong})
    known = {"threshold", "frame_ms", "min_silence_ms", "min_speech_ms"}
    figure = (
        f"version {version}: {len(types & offered)} of {len(types)} types, {len(known & parameters)} of {len(known)} parameters, "
        f"faults on lines {lines} ({'; '.join(report['message'] for report in wrong)[:200]}), "
        f"{len(right)} faults in a right manifest"
    )
    met = types <= offered and known <= parameters and lines == [6, 7] and not right
    cause = f"not offered: {sorted(types - offered)}; parameters offered: {sorted(parameters)}; right: {right}" if not met else ""
    return Figure(figure, met, cause)
