"""Executor: runs a manifest to its end, from a program of one's own or from the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from phonograph.blocking import BlockingExecutor
from phonograph.engine.outside import opened, refuse_inputs
from phonograph.engine.plan import make_plan, plan_as_dict
from phonograph.engine.requests import Result
from phonograph.engine.run_report import Progress, RunReport
from phonograph.engine.scheduler import Scheduler
from phonograph.engine.serving import Serving
from phonograph.engine.sessions import Session, SessionLimits
from phonograph.engine.threads import require_loop
from phonograph.errors import ExecutorClosedError, RunDirectoryError
from phonograph.flow.gather import mixes_records
from phonograph.graph.builder import build_graph
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.isa import ISA
from phonograph.journal import NoRunDirectory, RunDirectory, default_run_directory
from phonograph.journal.earlier import Resume
from phonograph.journal.fingerprint import fingerprint
from phonograph.journal.origin import of_manifest
from phonograph.journal.redrive import Redrive
from phonograph.language.manifest import Manifest
from phonograph.log import Logger, library_logger
from phonograph.metrics import MetricsDocument, PipelineMetrics, RunStatus, process_peak_mb

__all__ = ["Executor", "Progress", "RunReport"]


class Executor:
    """Runs one manifest; each call of `run` is a run of its own.

    A manifest with `inputs` is not run but sent things, while the executor is open:

        async with Executor(manifest) as executor:
            result = await executor.submit({"audio": chunk})

    Args:
        manifest: from `load_manifest`.
        registry: where node types come from; None: the installed packages.
        run_dir: folder for plan, journal, dead letters and metrics; None: `.phonograph/<name>-<hash of outputs>` for a run, and
            none at all for a manifest with `inputs`.
        workers: threads for parts of the graph that do not say how many; None: one for each core.
        metrics: False turns measuring off.
        sample: read so many records in all, shared out over the sources; None: every record.
        resume: go on where earlier runs in the run directory stopped: `same` if they were of the same manifest; `verify` the
            same, and the content of all that they made is read; `reuse` whatever they were of; `new` if they were of the same
            manifest, and else begin anew. None: begin anew. A directory without earlier runs is no error.
        redrive: do the records again, and no others, that ended as dead letters in the runs of the run directory; a path: those
            whose letters are in that file, one a line. What heals is added to the outputs, and its letter goes. `resume` may be
            `reuse` then, to do it with what is not the manifest of those runs any more.
        sync_every: seconds (or timedelta) after which it is on the disk how a record ended; what a killed run had not written is
            done again.
        check_arrays: find nodes that write into arrays which others read, and fail the items; reads every array several times.
        log: None: the standard logger `phonograph`.

    Raises:
        GraphError: the manifest's nodes do not form a runnable graph; every complaint at once.
    """

    def __init__(
        self,
        manifest: Manifest | Graph,
        *,
        registry: Registry | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        workers: int | None = None,
        metrics: bool = True,
        sample: int | None = None,
        resume: Resume | None = None,
        redrive: bool | str | os.PathLike[str] = False,
        sync_every: float | timedelta = 1.0,
        check_arrays: bool = False,
        log: Logger | None = None,
    ) -> None:
        if not isinstance(manifest, Manifest | Graph):
            raise TypeError(f"Executor({manifest!r}): expected a Manifest; read one with load_manifest(path)")
        if workers is not None and workers < 1:
            raise ValueError(f"workers is {workers}; expected at least 1, or None for one a core")
        if sample is not None and sample < 1:
            raise ValueError(f"sample is {sample}; expected at least 1, or None for every record")
        self.graph = manifest if isinstance(manifest, Graph) else build_graph(manifest, registry or Registry.installed())
        self.plan = make_plan(self.graph, workers=workers)
        self.run_directory = Path(run_dir) if run_dir is not None else default_run_directory(self.graph)
        self.report: RunReport | None = None  # of the latest run, also when that was cancelled
        self._workers = workers
        self._keeps_run_directory = run_dir is not None
        self._serving: Serving | None = None
        self._leaving = contextlib.AsyncExitStack()
        self._measure = metrics
        self._sample = sample
        if redrive and resume not in (None, "reuse"):
            raise ValueError(f"resume is {resume!r}; expected None or 'reuse' beside redrive, which goes on with what is there")
        self._resume: Resume | None = resume or ("same" if redrive else None)
        self._redrive = redrive
        self._sync_every_s = sync_every.total_seconds() if isinstance(sync_every, timedelta) else sync_every
        self._check_arrays = check_arrays
        self._log = log or library_logger()
        self._scheduler: Scheduler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False
        self._started = 0.0

    def run(self) -> RunReport:
        """Run to the end and return the report. For code without an event loop; inside one, await `run_async`.

        Raises:
            GraphError: the manifest has `inputs`, which nothing feeds.
            RunDirectoryError: the run directory is held by another run, or cannot be used; later trouble with it is the report's.
            RuntimeError: called inside a running event loop.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run_async())
        raise RuntimeError("Executor.run() was called inside a running event loop; use `await executor.run_async()` there")

    async def run_async(self) -> RunReport:
        """Run to the end in the running event loop. Cancelling it cancels the run: nothing more is started or waited for."""
        refuse_inputs(self.graph)
        self._started = time.perf_counter()
        self._loop = asyncio.get_running_loop()
        with self._opened_directory() as directory:
            if not self._redrive:
                directory.write_manifest(of_manifest(self.graph.manifest))
            directory.write_plan(plan_as_dict(self.plan))
            scheduler = self._scheduler = Scheduler(
                self.plan,
                directory,
                self._log,
                measure=self._measure,
                sample=self._sample,
                check_arrays=self._check_arrays,
                sync_every_s=self._sync_every_s,
            )
            if self._is_stopped:
                scheduler.drain()
            ending: RunStatus = "failed"  # by a fault of phonograph, unless one of the next lines says otherwise
            try:
                await scheduler.run()
                ending = "success"
            except (asyncio.CancelledError, KeyboardInterrupt):
                ending = "interrupted"
                raise
            finally:
                # Also then: a run that was cut short accounts for its records like any other.
                self.report = report = self._report(scheduler, ending)
                self._scheduler = None
                self._is_stopped = False
                try:
                    if report.metrics is not None:
                        directory.write_metrics(report.metrics)
                    scheduler.write_end(report.status)
                except RunDirectoryError as unkept:  # which is told with the rest, and not instead of it
                    self.report = report = self._report(scheduler, ending, unkept)
        return report

    async def __aenter__(self) -> Self:
        """Open the workers of a manifest with `inputs`.

        Raises:
            GraphError: it has none, or has nodes that cannot be there besides.
            NodeError: a node could not be opened.
            RuntimeError: it is open already.
        """
        if self._serving is not None:
            raise RuntimeError("the executor is open already; expected one `async with` at a time, or an executor for each")
        plan = make_plan(opened(self.graph), workers=self._workers)
        self._started = time.perf_counter()
        keeps, secrets = self._keeps_run_directory, self.graph.secrets
        directory = RunDirectory(self.run_directory, secrets, name=self.graph.name) if keeps else NoRunDirectory(secrets)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(directory)
            directory.write_plan(plan_as_dict(plan))
            serving = Serving(plan, directory, self._log, measure=self._measure, check_arrays=self._check_arrays)
            await serving.open()
            stack.push(partial(self._close_books, serving, directory))
            stack.push_async_exit(partial(self._close, serving))
            self._leaving = stack.pop_all()
        self._loop = asyncio.get_running_loop()
        self._serving = self._scheduler = serving
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close. Sessions end at once; requests are seen through, unless an exception leaves the block."""
        await self._leaving.__aexit__(kind, error, trace)

    async def submit(
        self, inputs: Mapping[str, Any], *, key: str | None = None, attributes: Mapping[str, Any] | None = None
    ) -> Result:
        """Send one request, and wait for what becomes of it. It is one record, and whole, as in a run.

        Of many requests at once, 64 are worked on, fewer where `limits.memory` is short; the others wait for their turn.
        Cancelling it ends what waits of the request; a call of a node that runs is not interrupted.

        Args:
            inputs: a payload for each of the manifest's inputs, of its family: AudioChunk, str, bytes, array.
            key: names the record in dead letters, logs and the keys of items; None: `request-<number>`.
            attributes: facts about it that every node can read. Those of audio (`duration`, `sample_rate`,
                `channels`) need not be given.

        Returns:
            What came to the manifest's outputs, and the dead letters: a record that failed is no exception.

        Raises:
            BadInputError, AudioFormatError: `inputs` are not what the manifest declares.
            MemoryLimitError: `limits.memory` cannot be kept however long it waits.
            NodeError: the record failed at a node with `on_error: fail`.
            ExecutorClosedError: the executor is not open, or was closed or broke before the record had ended.
            RuntimeError: called outside the event loop that it is open in; see `blocking`.
        """
        return await self._open_serving().submit(inputs, key, attributes)

    def session(
        self,
        session_id: str | None = None,
        *,
        idle_timeout: float | timedelta | None = timedelta(hours=1),
        max_in_flight: int = 16,
        max_unread: int = 256,
        max_unread_bytes: int = 16 * 2**20,
    ) -> Session:
        """Open a live session: chunks in, results out, in order. Nodes keep a state for it, which they give up at its end.

            async with executor.session() as session:
                await session.send(chunk)
                await session.finish()
                async for item in session: ...

        Leaving the block ends what is not at its end yet. How nodes take chunks depends on what their types say of streaming:
        causal nodes chunk by chunk; those that want whole audio get it at the end, up to 256 MiB.

        Args:
            session_id: names it in keys, logs and dead letters; None: `session-<number>`.
            idle_timeout: seconds (or timedelta) without a chunk sent or a result received after which it ends; None: never,
                and then one that is dropped without an end stays until the executor is closed.
            max_in_flight: chunks on their way. max_unread, max_unread_bytes: results that nobody has received. Where one of
                them is reached, `send` waits; each session has as much for itself.

        Raises:
            GraphError: a node cannot take chunks; every complaint at once.
            ExecutorClosedError: the executor is not open.
            ValueError: a session of this id is open.
            RuntimeError: as of `submit`.
        """
        timeout_s = idle_timeout.total_seconds() if isinstance(idle_timeout, timedelta) else idle_timeout
        if timeout_s is not None and timeout_s <= 0:
            raise ValueError(f"idle_timeout is {timeout_s:g} s; expected more than 0, or None for ever")
        for name, value in (("max_in_flight", max_in_flight), ("max_unread", max_unread), ("max_unread_bytes", max_unread_bytes)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        limits = SessionLimits(
            in_flight=max_in_flight, unread=max_unread, unread_bytes=max_unread_bytes, idle_timeout_s=timeout_s
        )
        return self._open_serving().session(session_id, limits)

    def blocking(self) -> BlockingExecutor:
        """This executor for code that does not await: a script, a notebook, threads beside the event loop that it is open in.

        with Executor(manifest).blocking() as executor:
            result = executor.submit({"audio": chunk})
        """
        return BlockingExecutor(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it is open in; None while it is not open."""
        return self._loop if self._serving is not None else None

    def _open_serving(self) -> Serving:
        if self._serving is None:
            raise ExecutorClosedError(self.graph.name)
        require_loop(self._loop)
        return self._serving

    async def _close(
        self, serving: Serving, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await serving.close(at_once=kind is not None)

    def _close_books(
        self,
        serving: Serving,
        directory: RunDirectory,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._serving = self._scheduler = None
        self.report = self._report(serving, "success")
        if self.report.metrics is not None:
            directory.write_metrics(self.report.metrics)
        directory.write_end(self.report.status, has_read=True, has_seen_all=True, is_complete=True)

    def _opened_directory(self) -> RunDirectory:
        is_mixed = mixes_records(self.graph)
        redrive = None
        if self._redrive:
            if is_mixed:
                raise RunDirectoryError(
                    f"{self.run_directory}: {self.graph.name!r} makes items of several records, so that none can be done again "
                    "by itself; run the manifest with --resume"
                )
            letters = None if isinstance(self._redrive, bool) else Path(self._redrive)
            redrive = Redrive([source.id for source in self.plan.sources], letters)
        return RunDirectory(
            self.run_directory,
            self.graph.secrets,
            name=self.graph.name,
            fingerprint=fingerprint(self.graph),
            resume=self._resume,
            takes=not is_mixed,
            redrive=redrive,
        )

    def stop(self) -> None:
        """Stop reading and let what is in flight end; the status will be `interrupted`. May be called from any thread.

        Before a run it stops the next one, so that a program that shuts down while it starts does not have to wait for it.
        """
        self._is_stopped = True
        scheduler, loop = self._scheduler, self._loop
        if scheduler is not None and loop is not None:
            loop.call_soon_threadsafe(scheduler.drain)

    def tell_running(self) -> None:
        """Log what every thread is doing: node, record, stack. May be called from any thread."""
        if self._scheduler is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._scheduler.tell_running)

    def progress(self) -> Progress | None:
        """Where the run stands; None when none is under way. For the event loop that runs it."""
        if self._scheduler is None:
            return None
        ledger = self._scheduler.ledger
        return Progress(ledger.num_read, ledger.num_live, dict(ledger.counts), time.perf_counter() - self._started)

    def overfull(self) -> tuple[str, ...]:
        """Nodes in front of which more waits than their queues have room for: none, ever. For the event loop that runs it."""
        return () if self._scheduler is None else self._scheduler.overfull()

    def _report(self, scheduler: Scheduler, status: RunStatus, unkept: RunDirectoryError | None = None) -> RunReport:
        records = scheduler.ledger.balance()
        error = scheduler.error or unkept
        if error is not None:
            status = "failed"
        elif status == "success" and scheduler.was_interrupted:
            status = "interrupted"
        elif status == "success" and (records.completed + records.filtered < records.read or scheduler.has_losses):
            status = "completed_with_errors"
        total_time_s = time.perf_counter() - self._started
        redrive = scheduler.redrive
        metrics = None
        if self._measure:
            metrics = MetricsDocument(
                PipelineMetrics(
                    name=self.graph.name,
                    status=status,
                    total_time_ms=round(total_time_s * 1e3, 6),
                    process_peak_mb=process_peak_mb(),
                    isa=ISA,
                    records=records,
                    nodes=scheduler.node_metrics(),
                    conversions=scheduler.conversion_metrics(),
                    memory_limit=scheduler.memory_limit_metrics(),
                    resumed=scheduler.ledger.num_adopted,
                    redrive=None if redrive is None else redrive.metrics(),
                    failures=scheduler.failures.metrics(),
                    failures_untold=scheduler.failures.num_untold,
                    left_behind=scheduler.left_metrics(),
                    stalls=scheduler.stall_metrics(),
                )
            )
        return RunReport(
            status=status,
            records=records,
            metrics=metrics,
            run_directory=self.run_directory.absolute(),
            error=error,
            total_time_s=total_time_s,
            resumed=scheduler.ledger.num_adopted,
            gone=scheduler.num_gone,
            redrive=None if redrive is None else redrive.metrics(),
            failures=scheduler.failures.metrics(),
            failures_untold=scheduler.failures.num_untold,
            notes=() if redrive is None else tuple(redrive.notes),
        )
