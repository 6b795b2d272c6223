"""A configuration as frozen settings, grouped by who needs them: built once, at the edge, and passed down in parts.

Each `of(configuration)` reads every key of its group, so that a wrong value shows at start and not in the middle of a
job. What takes more than a look at one key is decided here: which storage an old backend name implies, what memory a
slot's RocksDB gets, which strategy holds if none is named.
"""

from typing import Literal, cast, final

import msgspec

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, cluster, jobs, penstock, state
from penstock.common.time import Duration

_DEFAULT_TASK_MANAGER_BYTES = 1 << 30
"""What a TaskManager is taken to have where nothing is said; Flink's images are configured near it."""


@final
class CheckpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where checkpoints go and what becomes of them."""

    enabled: bool
    at_end: bool
    """Whether tasks wait for a last one when their input has ended."""
    exactly_once: bool
    storage: Literal["jobmanager", "filesystem"]
    directory: str | None
    """None only where the storage is the JobManager's memory."""
    savepoint_directory: str | None
    create_subdirectory: bool
    incremental: bool
    inline_bytes_max: int
    """State no larger than this travels in the metadata."""
    compression: bool
    jobmanager_bytes_max: int
    """State larger than this is refused where the storage is the JobManager's memory."""

    @staticmethod
    def of(configuration: Configuration) -> "CheckpointSettings":
        get = configuration.get
        directory = get(checkpointing.DIRECTORY)
        enabled = get(checkpointing.INTERVAL) is not None
        return CheckpointSettings(
            enabled=enabled,
            at_end=enabled and get(checkpointing.AFTER_TASKS_FINISH),
            exactly_once=enabled and get(checkpointing.MODE) == "EXACTLY_ONCE",
            storage=_storage(configuration, directory),
            directory=directory,
            savepoint_directory=get(checkpointing.SAVEPOINT_DIRECTORY),
            create_subdirectory=get(checkpointing.CREATE_SUBDIRECTORY),
            incremental=get(checkpointing.INCREMENTAL),
            inline_bytes_max=min(get(checkpointing.INLINE_THRESHOLD), 1 << 20),
            compression=get(checkpointing.COMPRESSION),
            jobmanager_bytes_max=min(get(penstock.JOBMANAGER_STATE), 5 << 20),
        )


def _storage(configuration: Configuration, directory: str | None) -> Literal["jobmanager", "filesystem"]:
    """The storage that is named; else what an old backend name says; else the folder, if there is one."""
    named = configuration.get(checkpointing.STORAGE)
    backend = (configuration.written_as(state.BACKEND) or "").strip().lower()
    if named is None and backend in state.JOBMANAGER_BACKENDS:
        return "jobmanager"
    if named == "filesystem" or (named is None and backend in state.FILESYSTEM_BACKENDS):
        if directory is None:
            raise ConfigurationError(
                f"checkpoints are to go to a file system, but {checkpointing.DIRECTORY.key} does not say where"
            )
        return "filesystem"
    return "jobmanager" if named == "jobmanager" or directory is None else "filesystem"


@final
class RestartSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens after a failure."""

    strategy: Literal["none", "fixed-delay", "failure-rate", "exponential-delay"]
    attempts: int
    """fixed-delay: restarts before the job fails; exponential-delay: restarts without a reset."""
    delay_s: float
    """fixed-delay and failure-rate: pause before each restart; exponential-delay: the first pause."""
    failures_max: int
    failures_interval_s: float
    delay_max_s: float
    delay_multiplier: float
    delay_jitter: float
    delay_reset_after_s: float

    @staticmethod
    def of(configuration: Configuration) -> "RestartSettings":
        get = configuration.get
        named = get(jobs.RESTART_STRATEGY)
        if named is None:
            named = "none" if get(checkpointing.INTERVAL) is None else "exponential-delay"
        delays = {"failure-rate": jobs.FAILURE_RATE_DELAY, "exponential-delay": jobs.EXPONENTIAL_INITIAL}
        attempts = jobs.EXPONENTIAL_ATTEMPTS if named == "exponential-delay" else jobs.FIXED_DELAY_ATTEMPTS
        return RestartSettings(
            strategy=cast(Literal["none", "fixed-delay", "failure-rate", "exponential-delay"], named),
            attempts=get(attempts),
            delay_s=get(delays.get(named, jobs.FIXED_DELAY_DELAY)).to_seconds(),
            failures_max=get(jobs.FAILURE_RATE_MAX),
            failures_interval_s=get(jobs.FAILURE_RATE_INTERVAL).to_seconds(),
            delay_max_s=get(jobs.EXPONENTIAL_MAX).to_seconds(),
            delay_multiplier=get(jobs.EXPONENTIAL_MULTIPLIER),
            delay_jitter=get(jobs.EXPONENTIAL_JITTER),
            delay_reset_after_s=get(jobs.EXPONENTIAL_RESET).to_seconds(),
        )


@final
class StateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which backend, and what it may take."""

    backend: Literal["hashmap", "rocksdb"]
    rocksdb_bytes_per_slot: int
    """Bound of RocksDB's write buffers and caches in one slot."""
    write_buffer_ratio: float
    high_priority_ratio: float
    local_directory: str | None
    write_buffer_bytes: int
    block_bytes: int
    target_file_bytes: int
    bloom_bits_per_key: float
    """0: no filters."""
    compression: tuple[str, ...]
    threads: int
    transfer_threads: int
    rocksdb_properties: tuple[str, ...]
    """Which of each state are told as metrics."""
    rocksdb_counters: tuple[str, ...]
    """Which of each database are."""
    family_as_variable: bool

    @staticmethod
    def of(configuration: Configuration) -> "StateSettings":
        get = configuration.get
        return StateSettings(
            backend=cast(Literal["hashmap", "rocksdb"], get(state.BACKEND)),
            rocksdb_bytes_per_slot=_rocksdb_bytes_per_slot(configuration),
            write_buffer_ratio=get(state.WRITE_BUFFER_RATIO),
            high_priority_ratio=get(state.HIGH_PRIORITY_RATIO),
            local_directory=get(state.LOCAL_DIRECTORY),
            write_buffer_bytes=get(state.WRITE_BUFFER_SIZE),
            block_bytes=get(state.BLOCK_SIZE),
            target_file_bytes=get(state.LEVEL_FILE),
            bloom_bits_per_key=get(state.BLOOM_BITS) if get(state.USE_BLOOM_FILTER) else 0.0,
            compression=get(state.COMPRESSION),
            threads=get(state.THREADS),
            transfer_threads=get(state.TRANSFER_THREADS),
            rocksdb_properties=tuple(name for name, told in state.ROCKSDB_PROPERTIES.items() if get(told)),
            rocksdb_counters=tuple(name for name, told in state.ROCKSDB_COUNTERS.items() if get(told)),
            family_as_variable=get(state.FAMILY_AS_VARIABLE),
        )


def _rocksdb_bytes_per_slot(configuration: Configuration) -> int:
    """Fixed per slot, fixed per TaskManager, a share of managed memory, or cache and buffers as they are set."""
    get = configuration.get
    slots = get(cluster.TM_SLOTS)
    per_slot, per_task_manager = get(state.FIXED_PER_SLOT), get(state.FIXED_PER_TASK_MANAGER)
    if per_slot is not None:
        return per_slot
    if per_task_manager is not None:
        return per_task_manager // slots
    if get(state.MANAGED):
        return managed_bytes(configuration) // slots
    return get(state.BLOCK_CACHE) + get(state.WRITE_BUFFER_SIZE) * get(state.WRITE_BUFFER_COUNT)


def managed_bytes(configuration: Configuration) -> int:
    """Memory for RocksDB in a whole TaskManager."""
    get = configuration.get
    fixed = get(cluster.TM_MANAGED_MEMORY)
    if fixed is not None:
        return fixed
    whole = get(cluster.TM_FLINK_MEMORY) or get(cluster.TM_PROCESS_MEMORY) or _DEFAULT_TASK_MANAGER_BYTES
    return int(whole * get(cluster.TM_MANAGED_FRACTION))


@final
class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How records leave a task."""

    buffer_timeout_s: float | None
    """A batch goes out after this time; 0: at once; None: only when it is full."""
    batch_records_max: int
    segment_bytes: int
    """Bytes after which a batch goes out."""
    credit_bytes: int
    connect_timeout_s: float

    @staticmethod
    def of(configuration: Configuration) -> "NetworkSettings":
        get = configuration.get
        timeout = get(jobs.BUFFER_TIMEOUT_INTERVAL)
        waits = get(jobs.BUFFER_TIMEOUT_ENABLED) and timeout >= Duration(0)
        return NetworkSettings(
            buffer_timeout_s=timeout.to_seconds() if waits else None,
            batch_records_max=get(penstock.BATCH_RECORDS),
            segment_bytes=get(cluster.TM_SEGMENT),
            credit_bytes=get(penstock.EXCHANGE_CREDIT),
            connect_timeout_s=float(get(cluster.TM_CONNECT_TIMEOUT_S)),
        )


@final
class HeartbeatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How JobManager and TaskManagers notice that the other is gone."""

    interval_s: float
    timeout_s: float

    @staticmethod
    def of(configuration: Configuration) -> "HeartbeatSettings":
        interval, timeout = configuration.get(cluster.HEARTBEAT_INTERVAL), configuration.get(cluster.HEARTBEAT_TIMEOUT)
        if timeout <= interval:
            raise ConfigurationError(
                f"{cluster.HEARTBEAT_TIMEOUT.key} ({timeout}) must be longer than "
                f"{cluster.HEARTBEAT_INTERVAL.key} ({interval})"
            )
        return HeartbeatSettings(interval_s=interval.to_seconds(), timeout_s=timeout.to_seconds())
