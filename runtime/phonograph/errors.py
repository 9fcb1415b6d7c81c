"""One exception tree, and the catalogue of the stable codes that errors and complaints carry.

The tree says what a failure means to the runtime:

* `ManifestError`, `GraphError`: the text or the wiring is wrong; nothing ran.
* `BadInputError` (with `AudioError` below it): this record is at fault. Never retried, does not count for a breaker.
* `TransientError`: the same call may succeed later. Retried, and counted by the breaker once retries are used up.
* any other exception out of a node: not retried, counted by the breaker.
* `OutputError`: results cannot be stored, so going on would lose them. Stops the run.

More than 400 lines, because a tree in several files is no longer one that can be seen.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text file; `line` and `column` count from 1, in characters.

    Args:
        note: how what stands there came to be in the manifest, when it was not simply read: "overridden on the command line",
            "included at features.yaml:12:3".
    """

    file: str
    line: int
    column: int
    note: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in a manifest: where, what was found, what was expected, what is nearest to it.

    Args:
        code: a key of `CODES`.
        found: what stands there, as a clause ("unknown key 'inputs'").
        expected: what would be right, as a clause; may be empty when `found` says it all.
        candidates: nearest valid spellings, best first.
        severity: `error`: nothing runs; `warning`: it runs, and hardly as meant; `note`: worth knowing.
    """

    code: str
    position: Position
    found: str
    expected: str = ""
    candidates: tuple[str, ...] = ()
    severity: Severity = "error"

    def __str__(self) -> str:
        weight = "" if self.severity == "error" else f"({self.severity}) "
        return f"{self.position}: {self.code} {weight}{self.words}"

    @property
    def words(self) -> str:
        """What is wrong, without the place and the code."""
        text = self.found
        if self.position.note:
            text += f" ({self.position.note})"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.candidates:
            text += "; did you mean " + " or ".join(repr(name) for name in self.candidates) + "?"
        return text


MAX_LISTED = 12
"""Names that a complaint lists; a manifest may have a thousand nodes, and a thousand slips."""

_MAX_COMPARED = 64  # names compared letter by letter; of more than these only the most alike at first sight
_MAX_LENGTH = 100  # of a word that may be a slip of another; comparing costs its square


def listed(names: Iterable[str]) -> str:
    """The names with commas between them; of many the first few, and how many there are besides."""
    known = list(names)
    more = f" and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else ""
    return ", ".join(known[:MAX_LISTED]) + more


def nearest(
    name: str, known: Iterable[str], *, limit: int = 2, synonyms: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[str, ...]:
    """The known names that `name` is another word for, or else most likely a slip of, best first; empty when none is close.

    Args:
        synonyms: other word -> names that it may stand for; those that are not known are passed over.
    """
    if len(name) > _MAX_LENGTH:
        return ()
    names = tuple(one for one in known if len(one) <= _MAX_LENGTH)
    if meant := tuple(one for one in synonyms.get(name, ()) if one in names):
        return meant
    if len(names) > _MAX_COMPARED:
        names = _alike(name, names)
    import difflib  # here, because programs that make no slip start the sooner

    return tuple(difflib.get_close_matches(name, names, n=limit, cutoff=0.6))


def _alike(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of many names that share the most pairs of neighbouring letters with one."""
    having, pairs = _by_pair(names), _pairs(name)
    shared = Counter(number for pair in pairs for number in having.get(pair, ()))
    most = heapq.nsmallest(_MAX_COMPARED // 4, shared, key=lambda number: (-shared[number], abs(len(names[number]) - len(name))))
    return tuple(names[number] for number in most)


@functools.lru_cache(maxsize=4)
def _by_pair(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Pair of letters -> numbers of the names with it. Kept, for a manifest with one slip of many names often has more."""
    having: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for pair in _pairs(name):
            having.setdefault(pair, []).append(number)
    return having


def _pairs(name: str) -> set[str]:
    framed = f" {name} "  # so that its first and last letter are in pairs of their own
    return {framed[start : start + 2] for start in range(len(framed) - 1)}


class PhonographError(Exception):
    """Base of every error that phonograph raises on purpose. `code` is a key of `CODES`."""

    code = "error"


@dataclass(eq=False)
class _ComplaintsError(PhonographError):
    """Carries every complaint found in one go, ordered by position."""

    complaints: Sequence[Complaint] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        self.complaints = tuple(sorted(self.complaints, key=lambda c: c.position))
        super().__init__(self.complaints)

    def __str__(self) -> str:
        return "\n".join(str(complaint) for complaint in self.complaints)


class ManifestError(_ComplaintsError):
    """The manifest's text is wrong: YAML, keys, values, parameters. Raised before anything runs."""

    code = "manifest_invalid"


class GraphError(_ComplaintsError):
    """The manifest reads well but its nodes do not form a runnable graph: types, references, cycles."""

    code = "graph_invalid"


class NodeError(PhonographError):
    """A node failed and the manifest said `on_error: fail`, or its `open` failed. The cause is chained."""

    code = "node_failed"

    def __init__(self, node: str, key: str | None, message: str) -> None:
        where = f"node {node!r}" + (f", record {key!r}" if key is not None else "")
        super().__init__(f"{where}: {message}")
        self.node = node
        self.key = key


class ParameterError(ValueError):
    """One parameter of a node is wrong, in a way that its annotation cannot tell. Raised by parameter types.

    The complaint then stands where that parameter does; any other ValueError is about all parameters together.

    Args:
        parameter: its name. value: what it is. expected: what it may be, in words that are right in Python and in YAML.
    """

    def __init__(self, parameter: str, value: object, expected: str) -> None:
        super().__init__(parameter, value, expected)  # as they are, so that it can be pickled
        self.parameter = parameter
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.parameter} is {self.value!r}; expected {self.expected}"


class NodeContractError(PhonographError):
    """A node returned something that its specification does not allow; a fault of the node's code, never retried."""

    code = "node_contract"


class WorkerDiedError(PhonographError):
    """The process that a node ran in ended while it worked on a record: it crashed, was killed, or left.

    Never retried, because the same input most likely ends the next process too. It counts for the node's breaker.

    Args:
        node: its id; empty when it is not known which node of a segment it was.
        how: how the process ended, as a clause: "was killed by SIGSEGV".
        signal: the number of the signal that ended it, and status: what it exited with; one of them is None.
    """

    code = "worker_died"

    def __init__(self, node: str, how: str, *, signal: int | None = None, status: int | None = None) -> None:
        super().__init__(f"the worker process of node {node!r} {how}; expected the call to return or to raise")
        self.node = node
        self.how = how
        self.signal = signal
        self.status = status


class CallCancelledError(PhonographError):
    """A node was asked to end a call that nobody waits for. Raised by `CancellationToken.raise_if_cancelled` alone."""

    code = "call_cancelled"


class MemoryLimitError(PhonographError):
    """A node needed more memory than its `memory` allows, or what was sent more than `limits.memory` can make room for.

    Not retried: the same input needs as much the next time.
    """

    code = "memory_limit"


class CircuitOpenError(PhonographError):
    """The record was refused because the node's circuit breaker is open; the node was not called."""

    code = "breaker_open"


class TransientError(PhonographError):
    """A failure that may heal by itself: a busy service, a rate limit, memory that others hold. Retried."""

    code = "transient"


class AttemptTimeoutError(TransientError, TimeoutError):
    """One attempt of a node took longer than its `timeout` allows. Retried; what the call gave later is thrown away.

    Args:
        node: its id.
        limit_s: how long the attempt was allowed to take.
        how: how the call ended, as a clause: "ended when it was told to", "did not end, and was left behind".
    """

    code = "timeout"

    def __init__(self, node: str, limit_s: float, how: str) -> None:
        super().__init__(f"node {node!r} took longer than its time-out of {limit_s:g} s for one attempt; the call {how}")
        self.node = node
        self.limit_s = limit_s
        self.how = how

    def __reduce__(self) -> tuple[type[AttemptTimeoutError], tuple[str, float, str]]:
        return type(self), (self.node, self.limit_s, self.how)


class TotalTimeoutError(PhonographError):
    """All attempts of a node for one item, with the waiting between them, took longer than its `total_timeout`. Not retried.

    The error of the last attempt is the cause.
    """

    code = "total_timeout"


class WorkersLeftError(PhonographError):
    """So many calls have not come back after their time-outs that a run had to leave more threads behind than it may."""

    code = "workers_left"


class BadInputError(PhonographError):
    """The record itself cannot be processed; another attempt would fail in the same way."""

    code = "bad_input"


class AudioError(BadInputError):
    """Base of errors about audio. Not raised itself."""

    code = "audio"


AudioStage = Literal["open", "probe", "seek", "decode", "resample"]


class AudioDecodeError(AudioError):
    """Audio could not be read: missing, unreadable, without an audio stream, empty, or corrupt from the start.

    Args:
        file: how messages call it: its path, `<1234 bytes>`, `<standard input>`.
        stage: what failed: `open` (it is there, is a plain file, holds bytes), `probe` (it is audio that can be decoded), `seek`
            (to an offset in it), `decode` (its packets become samples), `resample` (they get the rate that was asked for).
        found: what was wrong, as a clause.
        expected: what would be right, as a clause. remedy: what to do about it. Either may be empty.
        word: what FFmpeg itself said; empty when it said nothing.
    """

    code = "audio_decode"

    def __init__(
        self, file: str = "", stage: AudioStage = "decode", found: str = "", expected: str = "", remedy: str = "", word: str = ""
    ) -> None:
        super().__init__(file, stage, found, expected, remedy, word)  # as they are, so that it can be pickled
        self.file = file
        self.stage = stage
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.word = word

    def __str__(self) -> str:
        if not self.found:
            return self.file
        expected = f"; expected {self.expected}" if self.expected else ""
        return f"{self.file}: {self.stage} failed: {self.found}{expected}" + (f"; {self.remedy}" if self.remedy else "")


class AudioTooLongError(AudioDecodeError):
    """More audio came out of the file than the limits on its duration or its bytes allow."""

    code = "audio_too_long"


class AudioTimeoutError(AudioDecodeError):
    """Reading and decoding took longer than the limit on it allows."""

    code = "audio_timeout"


class AudioTruncatedError(AudioDecodeError):
    """The file ends clearly before its header says."""

    code = "audio_truncated"


class AudioCorruptError(AudioDecodeError):
    """A packet did not decode, and the caller asked for `strict`; without it the packet is left out and counted."""

    code = "audio_corrupt"


class AudioCancelledError(AudioDecodeError):
    """Somebody stopped the decoding; nothing is wrong with the file."""

    code = "audio_cancelled"


class AudioFormatError(AudioError):
    """Audio was read but its shape, rate, channel count or sample format is not what the operation takes."""

    code = "audio_format"


class LeftOverError(BadInputError):
    """An item waited where branches meet, and what it waited for did not come, or not in time."""

    code = "left_over"


class OutputError(PhonographError):
    """Results cannot be stored: full disk, no permission, folder gone. Stops the run."""

    code = "output"


class RequestFailedError(PhonographError):
    """Something of a request failed. Raised by `Result.raise_for_failure` alone.

    Args:
        dead_letters: what failed, where and why; see `phonograph.journal.DeadLetter`.
    """

    code = "request_failed"

    def __init__(self, dead_letters: Sequence[Any]) -> None:
        first, more = dead_letters[0], len(dead_letters) - 1
        others = f" (and {more} more)" if more else ""
        super().__init__(f"node {first.node!r}, record {first.key!r}: {first.code}: {first.message}{others}")
        self.dead_letters = tuple(dead_letters)


class ExecutorClosedError(PhonographError):
    """The executor is not open, or was closed or broke before the request or session had ended. What broke it is the cause.

    Args:
        what: is refused. broken_by: what broke it; None: it is not open, or was closed.
    """

    code = "executor_closed"

    def __init__(self, what: str, broken_by: PhonographError | None = None) -> None:
        found = "is not open; expected it inside `async with executor:`" if broken_by is None else f"has broken: {broken_by}"
        super().__init__(f"{what}: the executor {found}")
        self.__cause__ = broken_by


class SessionEndedError(PhonographError):
    """A session ended before it was finished.

    Args:
        reason: `cancelled`; `idle`: nothing was sent or received for the time-out; `closed`: the executor was; `worker_died`: the
            process that had its state.
    """

    code = "session_ended"

    def __init__(
        self, session: str, reason: Literal["cancelled", "idle", "closed", "finished", "worker_died"], message: str
    ) -> None:
        super().__init__(f"session {session!r}: {message}")
        self.session = session
        self.reason = reason


class ErrorBudgetError(PhonographError):
    """More records failed than `limits.error_rate` allows, or every one did. The run ends as failed."""

    code = "error_budget"


class RunDirectoryError(PhonographError):
    """The run directory cannot be used: held by another run, or not writable."""

    code = "run_directory"


class InstructionSetError(PhonographError):
    """The environment asks for kernels that there are not, or that this processor cannot run. Raised when they are imported."""

    code = "instruction_set"

    def __init__(self, place: str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{place}: {found}; expected {expected}; {remedy}")
        self.place = place
        self.found = found
        self.expected = expected
        self.remedy = remedy


class BenchError(PhonographError):
    """Runs cannot be measured: one failed, or they do not do the same."""

    code = "bench"

    def __init__(self, place: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{place}: {found}; expected {expected}; {remedy}")
        self.place = place
        self.found = found
        self.expected = expected
        self.remedy = remedy


class BaselineError(BenchError):
    """A file that figures are to be compared with cannot be read, or holds something else. Raised before anything runs."""

    code = "baseline"


class ChaosError(BenchError):
    """A manifest cannot be tried under faults: it would change what is not to be changed, or fails without any."""

    code = "chaos"


class ConservationError(PhonographError):
    """The runtime lost count of a record: outcomes do not sum to the records read. Always a fault of phonograph."""

    code = "conservation"


@contextlib.contextmanager
def naming_node(node_id: str, what: str) -> Iterator[None]:
    """Turn whatever a node's code raises outside its records into a NodeError that names the node."""
    try:
        yield
    except BaseException as error:
        raise NodeError(node_id, None, f"{what}: {in_words(error)}") from error


def one_line(said: object) -> str:
    """What an error, or anybody else, says, without line ends."""
    return " ".join(str(said).split())


def in_words(error: BaseException) -> str:
    """An error's own words; an exception from outside phonograph's tree is introduced by its type."""
    return _words(error) if isinstance(error, PhonographError) else words_with_type(error)


def words_with_type(error: BaseException) -> str:
    """An error's words after the name of its type."""
    return f"{type(error).__name__}: {_words(error)}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an exception whose words raise must not hide what went wrong
        return "(its message cannot be shown)"


CODES: dict[str, str] = {
    # Errors of a run.
    "error": "Base code; not used by itself.",
    "node_failed": "A node raised, and the manifest says that this ends the run, or the node could not be opened.",
    "node_contract": "A node returned what its specification does not allow.",
    "worker_died": "The process that a node ran in crashed, was killed or left.",
    "memory_limit": "A node needed more memory than the manifest allows its process.",
    "breaker_open": "The node's circuit breaker is open and the record was shed.",
    "transient": "A failure that may heal; retried as the node's retry policy says.",
    "timeout": "One attempt of a node took longer than the manifest allows.",
    "total_timeout": "All attempts of a node for one item together took longer than the manifest allows.",
    "call_cancelled": "A node was asked to end a call that nobody waits for.",
    "workers_left": "More calls than a run may leave behind did not come back after their time-outs.",
    "bad_input": "The record itself cannot be processed.",
    "audio": "Base code of errors about audio.",
    "audio_decode": "The audio could not be read.",
    "audio_too_long": "The audio is longer, or takes more memory, than the limits allow.",
    "audio_timeout": "Reading and decoding the audio took longer than the limit allows.",
    "audio_truncated": "The file of the audio ends before its header says.",
    "audio_corrupt": "A packet of the audio does not decode, and `strict` was asked for.",
    "audio_cancelled": "The decoding was stopped; nothing is wrong with the audio.",
    "audio_format": "The audio's shape, rate, channels or sample format is not accepted here.",
    "output": "Results cannot be stored.",
    "request_failed": "Something of a request failed.",
    "executor_closed": "The executor is not open, or was closed or broke meanwhile.",
    "session_ended": "A session was cancelled, timed out or cut off before it was finished.",
    "error_budget": "More records failed than the manifest allows.",
    "run_directory": "The run directory cannot be used.",
    "instruction_set": "The environment asks for kernels that this processor cannot run.",
    "chaos": "A manifest cannot be tried under faults, because it would change something outside, or fails without any.",
    "bench": "Runs cannot be measured, because one failed or they do not do the same.",
    "baseline": "The file that a measurement is to be compared with is no baseline.",
    "conservation": "Outcomes do not sum to the records read.",
    "exception": "A node raised an exception outside phonograph's own tree.",
    "left_over": "An item waited where branches meet, and what it waited for did not come.",
    # Complaints about a manifest.
    "manifest_invalid": "The manifest has complaints.",
    "graph_invalid": "The graph has complaints.",
    "file_unreadable": "The manifest cannot be read from disk.",
    "encoding": "The manifest is not UTF-8.",
    "yaml_syntax": "The text is not YAML.",
    "yaml_feature": "A YAML feature that manifests do not use: tags, merge keys, several documents, too many aliases.",
    "duplicate_key": "A key stands twice in one mapping.",
    "empty": "The manifest, or a part that may not be empty, is empty.",
    "wrong_type": "A value has the wrong type.",
    "wrong_value": "A value is outside its range or set.",
    "missing_key": "A required key is absent.",
    "unknown_key": "A key that means nothing here.",
    "unsupported_version": "The manifest language version is not one that this release reads.",
    "bad_id": "A node or parameter id is not spelled as ids are.",
    "unknown_type": "No installed node has this type.",
    "unknown_reference": "A reference to a node, port or parameter that does not exist.",
    "unknown_parameter": "A parameter given from outside that the manifest does not declare.",
    "environment": "An environment variable is unset and no default is given.",
    "port_type": "The two ends of an edge carry different types.",
    "missing_input": "A node's input port is not connected.",
    "cycle": "Nodes feed each other in a circle.",
    "no_source": "The manifest has no source.",
    "no_sink": "The manifest has no sink.",
    "fan_in": "The inputs of one node come from several nodes.",
    "port_direction": "An edge starts at a sink or ends at a source.",
    "missing_parameter": "A parameter of the manifest has neither a value nor a default.",
    "too_large": "The manifest, its nesting or what its aliases unfold to is larger than manifests may be.",
    "type_unavailable": "A node type is installed but its code cannot be loaded.",
    "registry": "Installed packages declare node types wrongly, or two of them declare the same one.",
    "shared_output": "Two sinks of one type write to the same path.",
    "missing_file": "A path that a node reads does not exist, or nothing matches a glob; the latter does not stop a run.",
    "include_cycle": "Manifests include each other in a circle.",
    "plugin": "A plug-in file cannot be read, or its code cannot be loaded.",
    "override": "A value is given on the command line for a path that the manifest does not have.",
    "expression": "An expression of a route or filter cannot be read, or compares what cannot be compared.",
    "conversion_refused": "The two ends of an edge need a conversion, and the manifest says `auto_convert: false`.",
    "no_common_ancestor": "The inputs of a join come from different sources, so that no two of their items belong together.",
    # Complaints that do not stop a run.
    "unused_node": "Nothing that a node makes reaches a sink or an output.",
    "unused_output": "An output that takes items away from the others is read by nobody.",
    "unreachable": "No item can ever get there.",
    "unread_dead_letters": "No node reads the dead letters; they land in the run directory.",
    "no_effect": "A setting is given where it changes nothing, or is undone by another one.",
    "shared_file": "Two sinks of different types write to the same path.",
    "chunking": "The audio of the manifest cannot be given in chunks.",
    "streaming": "A node cannot take the chunks of a session.",
    "process": "A node cannot run in a process of its own; or one does, which is only said.",
    "inline": "A node runs in the event loop, so that no time-out can end a call of it.",
}
