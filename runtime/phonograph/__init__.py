"""phonograph runs speech and audio pipelines: a YAML manifest becomes a graph of nodes that records stream through."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as of `typing`, which is not imported here: Ctrl-C in that would show a traceback to who runs a command
if TYPE_CHECKING:
    from typing import Any

    from phonograph.audio import AudioChunk, Segment
    from phonograph.blocking import BlockingExecutor, BlockingSession
    from phonograph.engine.requests import RequestMetrics, Result
    from phonograph.engine.sessions import Session
    from phonograph.errors import (
        AudioCancelledError,
        AudioCorruptError,
        AudioDecodeError,
        AudioError,
        AudioFormatError,
        AudioTimeoutError,
        AudioTooLongError,
        AudioTruncatedError,
        BadInputError,
        CircuitOpenError,
        Complaint,
        ErrorBudgetError,
        ExecutorClosedError,
        GraphError,
        InstructionSetError,
        ManifestError,
        MemoryLimitError,
        NodeContractError,
        NodeError,
        OutputError,
        PhonographError,
        RequestFailedError,
        RunDirectoryError,
        SessionEndedError,
        TransientError,
    )
    from phonograph.executor import Executor, Progress, RunReport
    from phonograph.graph.registry import Registry
    from phonograph.item import Item, Outcome, Record
    from phonograph.journal import DeadLetter
    from phonograph.language.manifest import Manifest, load_manifest
    from phonograph.node import (
        Axes,
        Duration,
        ExpressionText,
        InputPath,
        Node,
        NodeSpec,
        OutputPath,
        Params,
        Port,
        PortType,
        Secret,
        Size,
        Source,
    )
    from phonograph.sink import FilePart, Part, Sink, Written, output_path

# Loaded on first use, so that `run-pipeline --help` does not import NumPy. The decorator `node` is not here but in
# phonograph.node, because a name cannot be both a function and the module it lives in.
_MODULES = {
    "audio": ("AudioChunk", "Segment"),
    "errors": (
        "AudioCancelledError",
        "AudioCorruptError",
        "AudioDecodeError",
        "AudioError",
        "AudioFormatError",
        "AudioTimeoutError",
        "AudioTooLongError",
        "AudioTruncatedError",
        "BadInputError",
        "CircuitOpenError",
        "Complaint",
        "ErrorBudgetError",
        "ExecutorClosedError",
        "GraphError",
        "InstructionSetError",
        "ManifestError",
        "MemoryLimitError",
        "NodeContractError",
        "NodeError",
        "OutputError",
        "PhonographError",
        "RequestFailedError",
        "RunDirectoryError",
        "SessionEndedError",
        "TransientError",
    ),
    "journal": ("DeadLetter",),
    "blocking": ("BlockingExecutor", "BlockingSession"),
    "engine.requests": ("RequestMetrics", "Result"),
    "engine.sessions": ("Session",),
    "executor": ("Executor", "Progress", "RunReport"),
    "item": ("Item", "Outcome", "Record"),
    "language.manifest": ("Manifest", "load_manifest"),
    "node": (
        "Axes",
        "Duration",
        "ExpressionText",
        "InputPath",
        "Node",
        "NodeSpec",
        "OutputPath",
        "Params",
        "Port",
        "PortType",
        "Secret",
        "Size",
        "Source",
    ),
    "graph.registry": ("Registry",),
    "sink": ("FilePart", "Part", "Sink", "Written", "output_path"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AudioCancelledError",
    "AudioChunk",
    "AudioCorruptError",
    "AudioDecodeError",
    "AudioError",
    "AudioFormatError",
    "AudioTimeoutError",
    "AudioTooLongError",
    "AudioTruncatedError",
    "Axes",
    "BadInputError",
    "BlockingExecutor",
    "BlockingSession",
    "CircuitOpenError",
    "Complaint",
    "DeadLetter",
    "Duration",
    "ErrorBudgetError",
    "Executor",
    "ExecutorClosedError",
    "ExpressionText",
    "FilePart",
    "GraphError",
    "InputPath",
    "InstructionSetError",
    "Item",
    "Manifest",
    "ManifestError",
    "MemoryLimitError",
    "Node",
    "NodeContractError",
    "NodeError",
    "NodeSpec",
    "Outcome",
    "OutputError",
    "OutputPath",
    "Params",
    "Part",
    "PhonographError",
    "Port",
    "PortType",
    "Progress",
    "Record",
    "Registry",
    "RequestFailedError",
    "RequestMetrics",
    "Result",
    "RunDirectoryError",
    "RunReport",
    "Secret",
    "Segment",
    "Session",
    "SessionEndedError",
    "Sink",
    "Size",
    "Source",
    "TransientError",
    "Written",
    "load_manifest",
    "output_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'phonograph' has no attribute {name!r}")
    return getattr(importlib.import_module(f"phonograph.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
