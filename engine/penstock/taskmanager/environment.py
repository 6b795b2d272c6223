"""Puts together what a worker lends to its tasks, from the job's configuration."""

import asyncio
import contextlib
import importlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError, StorageError
from penstock.base.ids import AttemptId, CheckpointId, Epoch, WorkerId
from penstock.checkpoint.fetched import FetchedFiles
from penstock.checkpoint.files import JobFolder, SavepointFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.handles import FileHandle
from penstock.checkpoint.layout import Provenance
from penstock.common.configuration import Configuration
from penstock.common.options import jobs, penstock
from penstock.common.settings import CheckpointSettings, NetworkSettings
from penstock.common.settings import StateSettings as Memory
from penstock.exchange.plane import DataPlane
from penstock.exchange.settings import ExchangeSettings
from penstock.graph.job_graph import JobGraph
from penstock.records.batch import SavepointOptions
from penstock.rpc.messages import LoadJob
from penstock.state.settings import StateSettings
from penstock.storage import ObjectStore, Opening, S3Settings
from penstock.taskmanager.ahead import AheadStates
from penstock.taskmanager.builder import NewWriter, Reporter, WorkerServices
from penstock.taskmanager.pace import Pacing

if TYPE_CHECKING:
    from penstock.state.rocksdb.memory import RocksMemory
RunInThread = Callable[[Callable[[], Any], Callable[[Any, BaseException | None], None]], None]


def checkpoint_store(configuration: Configuration, opening: Opening) -> ObjectStore | None:
    """Where a job's checkpoints go; None: into the JobManager's memory."""
    settings = CheckpointSettings.of(configuration)
    if settings.storage == "jobmanager" or settings.directory is None:
        return None
    return opening.store(settings.directory)


def worker_services(
    message: LoadJob,
    graph: JobGraph,
    *,
    worker: WorkerId,
    plane: DataPlane,
    exchange: ExchangeSettings,
    clock: Clock,
    directory: Path,
    run: RunInThread,
    loop: asyncio.AbstractEventLoop,
    report: Reporter,
    send_event: Callable[[AttemptId, int, bytes], None],
) -> WorkerServices:
    """Everything a task needs of this worker and this job."""
    configuration = Configuration.from_dict(message.configuration)
    opening = Opening(S3Settings.from_configuration(configuration))
    store = checkpoint_store(configuration, opening)
    checkpoints, memory = CheckpointSettings.of(configuration), Memory.of(configuration)
    inline_max = checkpoints.jobmanager_bytes_max if store is None else checkpoints.inline_bytes_max

    def writers(epoch: Epoch) -> NewWriter:
        def new_writer(
            attempt: AttemptId, task: str, checkpoint: CheckpointId, savepoint: SavepointOptions | None
        ) -> CountingWriter:
            provenance, name = Provenance(epoch, checkpoint), _writer_name(attempt, task)
            place: JobFolder | SavepointFolder = JobFolder(store, message.job, provenance)
            inline = inline_max
            if savepoint is not None:
                place = SavepointFolder(opening.store(savepoint.target), provenance)
                inline = checkpoints.inline_bytes_max
            return CountingWriter(SnapshotFiles(place, writer=name, inline_max_bytes=inline, random=_random))

        return new_writer

    def reach_store() -> None:
        importlib.import_module("penstock.state.canonical.handle")
        if store is not None:
            with contextlib.suppress(StorageError):
                store.list(f"{message.job}/none/")

    # What workers of one TaskManager share lies beside their own folders.
    fetched = FetchedFiles(directory.parent / "fetched")
    reading = SnapshotReading(store, open_root=opening.store, fetched=fetched)
    state, rocks = state_settings(memory, incremental=checkpoints.incremental), _rocks_memory(memory)
    parameters = configuration.get(jobs.GLOBAL_JOB_PARAMETERS)
    return WorkerServices(
        worker=worker,
        job=message.job,
        graph=graph,
        configuration=configuration,
        job_parameters={} if parameters is None else parameters,
        clock=clock,
        plane=plane,
        exchange=exchange,
        pacing=Pacing.of(
            step_s=configuration.get(penstock.BATCH_STEP).to_seconds(),
            snapshot_duty=configuration.get(penstock.SNAPSHOT_DUTY),
            records_max=exchange.batch_records,
            buffer_timeouts_ms=(edge.buffer_timeout_ms for edge in graph.edges),
        ),
        reading=reading,
        ahead=AheadStates(directory / "ahead", reading, rocks, state),
        new_writer=writers(message.epoch),
        writers=writers,
        reach_store=reach_store,
        backend=memory.backend,
        state=state,
        rocks_memory=rocks,
        directory=directory,
        checkpointing=checkpoints.enabled,
        last_checkpoint=checkpoints.at_end,
        exactly_once=checkpoints.exactly_once,
        call_soon=loop.call_soon,
        background=run,
        call_later=loop.call_later,
        call_threadsafe=lambda work: _call_threadsafe(loop, work),
        send_event=send_event,
        report=report,
    )


def state_settings(memory: Memory, *, incremental: bool) -> StateSettings:
    """What the backends are told."""
    return StateSettings(
        incremental=incremental,
        write_buffer_bytes=memory.write_buffer_bytes,
        block_bytes=memory.block_bytes,
        target_file_bytes=memory.target_file_bytes,
        bloom_bits_per_key=memory.bloom_bits_per_key,
        transfer_threads=memory.transfer_threads,
        properties=memory.rocksdb_properties,
        counters=memory.rocksdb_counters,
        family_as_variable=memory.family_as_variable,
    )


def _rocks_memory(memory: Memory) -> "RocksMemory | None":
    if memory.backend != "rocksdb":
        return None
    from penstock.state.rocksdb.memory import RocksMemory

    # Loaded with the job, so that it does not take its time when the first state is restored.
    importlib.import_module("penstock.state.rocksdb.backend")
    return RocksMemory(memory.rocksdb_bytes_per_slot, memory.write_buffer_ratio)


def exchange_settings(configuration: Mapping[str, str]) -> ExchangeSettings:
    """Bounds of a worker's data plane."""
    network = NetworkSettings.of(Configuration.from_dict(configuration))
    window = max(network.credit_bytes, 4096)
    return ExchangeSettings(
        window_bytes=window,
        frame_bytes=min(128 * 1024, window // 2),
        batch_records=network.batch_records_max,
    )


def _writer_name(attempt: AttemptId, task: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in task)[:40]
    return f"{name}-{attempt.subtask.index}.{attempt.attempt}"


def _random() -> str:
    return secrets.token_hex(8)


def _call_threadsafe(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(work)


@final
class CountingWriter:
    """A task's `SnapshotFiles`, with the bytes it wrote."""

    def __init__(self, files: SnapshotFiles) -> None:
        self._files = files
        self.bytes_written = 0

    def write(self, name: str, data: bytes, *, shared: bool) -> FileHandle:
        handle = self._files.write(name, data, shared=shared)
        self.bytes_written += handle.size
        return handle

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        handle = self._files.put_file(name, path, shared=shared)
        self.bytes_written += handle.size
        return handle

    def discard_quietly(self) -> None:
        """Delete what was uploaded; what the store does not let us delete is left to a sweep."""
        try:
            self._files.discard()
        except PenstockError:
            return
