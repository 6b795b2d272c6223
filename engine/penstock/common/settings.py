"""A configuration as frozen settings, grouped by who needs them: built once, at the edge, and passed down in parts.

Each `of(configuration)` reads every key of its group, so that a wrong value shows at start and not in the middle of a
job. What takes more than a look at one key is decided here: which storage an old backend name implies, what memory a
slot's RocksDB gets, which strategy holds if none is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, final

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, cluster, jobs, penstock, state
from penstock.common.time import Duration

_DEFAULT_TASK_MANAGER_BYTES = 1 << 30
"""What a TaskManager is taken to have where nothing is said; Flink's images are configured near it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """How a program becomes tasks."""

    name: str | None
    parallelism: int | None
    """None: not said."""
    max_parallelism: int | None
    """None: derived from the parallelism."""
    chaining: bool
    object_reuse: bool
    auto_generate_uids: bool
    generic_types: bool
    watermark_interval_s: float
    """0: generators are never asked in intervals."""
    runtime_mode: Literal["STREAMING", "BATCH", "AUTOMATIC"]
    job_parameters: Mapping[str, str]

    @staticmethod
    def of(configuration: Configuration) -> "PipelineSettings":
        get = configuration.get
        parallelism, maximum = get(jobs.PARALLELISM), get(jobs.MAX_PARALLELISM)
        if 0 < maximum < parallelism:
            raise ConfigurationError(
                f"{jobs.PARALLELISM.key}: {parallelism} is more than {jobs.MAX_PARALLELISM.key}: {maximum}"
            )
        return PipelineSettings(
            name=get(jobs.NAME),
            parallelism=parallelism if configuration.contains(jobs.PARALLELISM) and parallelism > 0 else None,
            max_parallelism=maximum if maximum > 0 else None,
            chaining=get(jobs.CHAINING),
            object_reuse=get(jobs.OBJECT_REUSE),
            auto_generate_uids=get(jobs.AUTO_GENERATE_UIDS),
            generic_types=get(jobs.GENERIC_TYPES),
            watermark_interval_s=get(jobs.AUTO_WATERMARK_INTERVAL).to_seconds(),
            runtime_mode=cast(Literal["STREAMING", "BATCH", "AUTOMATIC"], get(jobs.RUNTIME_MODE)),
            job_parameters=dict(get(jobs.GLOBAL_JOB_PARAMETERS) or ()),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Where checkpoints go and what becomes of them."""

    enabled: bool
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

    @staticmethod
    def of(configuration: Configuration) -> "CheckpointSettings":
        get = configuration.get
        directory = get(checkpointing.DIRECTORY)
        enabled = get(checkpointing.INTERVAL) is not None
        return CheckpointSettings(
            enabled=enabled,
            exactly_once=enabled and get(checkpointing.MODE) == "EXACTLY_ONCE",
            storage=_storage(configuration, directory),
            directory=directory,
            savepoint_directory=get(checkpointing.SAVEPOINT_DIRECTORY),
            create_subdirectory=get(checkpointing.CREATE_SUBDIRECTORY),
            incremental=get(checkpointing.INCREMENTAL),
            inline_bytes_max=min(get(checkpointing.INLINE_THRESHOLD), 1 << 20),
            compression=get(checkpointing.COMPRESSION),
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
@dataclass(frozen=True, slots=True, kw_only=True)
class RestartSettings:
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
@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
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
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """How records leave a task."""

    buffer_timeout_s: float | None
    """A batch goes out after this time; 0: at once; None: only when it is full."""
    batch_records_max: int
    segment_bytes: int
    """Bytes after which a batch goes out."""
    credit_bytes: int
    connect_timeout_s: float
    step_s: float

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
            step_s=get(penstock.BATCH_STEP).to_seconds(),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskManagerSettings:
    """One TaskManager."""

    jobmanager_host: str | None
    jobmanager_port: int
    host: str | None
    """Under which others reach it."""
    bind_host: str | None
    data_port: int
    slots: int
    resource_id: str | None
    registration_timeout_s: float
    heartbeat_interval_s: float
    heartbeat_timeout_s: float
    cancellation_timeout_s: float | None
    """None: wait for ever."""
    process_bytes: int | None
    managed_bytes: int

    @staticmethod
    def of(configuration: Configuration) -> "TaskManagerSettings":
        get = configuration.get
        cancellation = get(jobs.CANCELLATION_TIMEOUT).to_seconds()
        return TaskManagerSettings(
            jobmanager_host=get(cluster.JM_ADDRESS),
            jobmanager_port=get(cluster.JM_PORT),
            host=get(cluster.TM_HOST),
            bind_host=get(cluster.TM_BIND_HOST),
            data_port=get(cluster.TM_DATA_PORT),
            slots=get(cluster.TM_SLOTS),
            resource_id=get(cluster.TM_RESOURCE_ID),
            registration_timeout_s=get(cluster.TM_REGISTRATION_TIMEOUT).to_seconds(),
            heartbeat_interval_s=get(cluster.HEARTBEAT_INTERVAL).to_seconds(),
            heartbeat_timeout_s=get(cluster.HEARTBEAT_TIMEOUT).to_seconds(),
            cancellation_timeout_s=cancellation or None,
            process_bytes=get(cluster.TM_PROCESS_MEMORY),
            managed_bytes=managed_bytes(configuration),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobManagerSettings:
    """The JobManager's process."""

    host: str | None
    """Under which others reach it."""
    bind_host: str | None
    port: int
    bind_port: int
    rest_host: str | None
    rest_bind_host: str | None
    rest_ports: tuple[int, ...]
    """To be tried in this order; 0: any free one."""
    metrics_ports: tuple[int, ...]
    heartbeat_interval_s: float
    heartbeat_timeout_s: float
    slot_request_timeout_s: float
    shutdown_timeout_s: float
    standby: bool

    @staticmethod
    def of(configuration: Configuration) -> "JobManagerSettings":
        get = configuration.get
        interval, timeout = get(cluster.HEARTBEAT_INTERVAL), get(cluster.HEARTBEAT_TIMEOUT)
        if timeout <= interval:
            raise ConfigurationError(
                f"{cluster.HEARTBEAT_TIMEOUT.key} ({timeout}) must be longer than "
                f"{cluster.HEARTBEAT_INTERVAL.key} ({interval})"
            )
        bind_port = get(cluster.JM_BIND_PORT)
        return JobManagerSettings(
            host=get(cluster.JM_ADDRESS),
            bind_host=get(cluster.JM_BIND_HOST),
            port=get(cluster.JM_PORT),
            bind_port=get(cluster.JM_PORT) if bind_port is None else bind_port,
            rest_host=get(cluster.REST_ADDRESS),
            rest_bind_host=get(cluster.REST_BIND_ADDRESS),
            rest_ports=get(cluster.REST_BIND_PORT),
            metrics_ports=get(cluster.METRICS_PROMETHEUS_PORT),
            heartbeat_interval_s=interval.to_seconds(),
            heartbeat_timeout_s=timeout.to_seconds(),
            slot_request_timeout_s=get(cluster.SLOT_REQUEST_TIMEOUT).to_seconds(),
            shutdown_timeout_s=get(cluster.SHUTDOWN_TIMEOUT).to_seconds(),
            standby=get(penstock.STANDBY),
        )
