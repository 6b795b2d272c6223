"""Where working state lives, as objects. Equivalent to `state.backend.type` and its companions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import NoReturn, final

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, state
from penstock.datastream.checkpoint_storage import FileSystemCheckpointStorage, JobManagerCheckpointStorage
from penstock.datastream.deprecation import deprecated

__all__ = [
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "HashMapStateBackend",
    "PredefinedOptions",
    "StateBackend",
]


class StateBackend(ABC):
    """Base of the backends."""

    @abstractmethod
    def configure(self, configuration: Configuration) -> None:
        """Write the keys that choose this backend."""


@final
class PredefinedOptions(Enum):
    """Sets of RocksDB options for kinds of disks."""

    DEFAULT = 0
    SPINNING_DISK_OPTIMIZED = 1
    SPINNING_DISK_OPTIMIZED_HIGH_MEM = 2
    FLASH_SSD_OPTIMIZED = 3


@final
class HashMapStateBackend(StateBackend):
    """Python objects on the heap."""

    def configure(self, configuration: Configuration) -> None:
        configuration.set(state.BACKEND, "hashmap")

    def __str__(self) -> str:
        return "HashMapStateBackend"


class _RocksDB(StateBackend):
    def __init__(self, enable_incremental_checkpointing: bool | None) -> None:
        self._incremental = enable_incremental_checkpointing
        self._paths: tuple[str, ...] = ()
        self._predefined: PredefinedOptions | None = None
        self._transfer_threads: int | None = None

    def is_incremental_checkpoints_enabled(self) -> bool:
        return bool(self._incremental)

    def set_db_storage_paths(self, *paths: str) -> None:
        """Local folders for RocksDB's files."""
        if not paths:
            raise ConfigurationError("set_db_storage_paths() needs at least one folder")
        self._paths = paths

    def get_db_storage_paths(self) -> Sequence[str] | None:
        return list(self._paths) or None

    def set_predefined_options(self, options: PredefinedOptions) -> None:
        self._predefined = options

    def get_predefined_options(self) -> PredefinedOptions:
        return self._predefined or PredefinedOptions.DEFAULT

    def set_options(self, options_factory_class_name: str) -> NoReturn:
        """PyFlink takes the name of a Java class here."""
        raise ConfigurationError(
            f"the options factory {options_factory_class_name} is a Java class, and there is no JVM here: set the keys "
            "state.backend.rocksdb.* in the Configuration"
        )

    def get_options(self) -> None:
        return None

    def set_number_of_transfer_threads(self, number_of_transfering_threads: int) -> None:
        """Threads that upload and download files at checkpoints and restores."""
        self._transfer_threads = number_of_transfering_threads

    def get_number_of_transfer_threads(self) -> int:
        return state.TRANSFER_THREADS.default if self._transfer_threads is None else self._transfer_threads

    def configure(self, configuration: Configuration) -> None:
        configuration.set(state.BACKEND, "rocksdb")
        if self._incremental is not None:
            configuration.set(checkpointing.INCREMENTAL, self._incremental)
        if self._paths:
            configuration.set(state.LOCAL_DIRECTORY, ",".join(self._paths))
        if self._predefined is not None:
            configuration.set(state.PREDEFINED, self._predefined.name)
        if self._transfer_threads is not None:
            configuration.set(state.TRANSFER_THREADS, self._transfer_threads)

    def __str__(self) -> str:
        return type(self).__name__


@final
class EmbeddedRocksDBStateBackend(_RocksDB):
    """RocksDB on the worker's disk: more state than memory, at the price of serialisation."""

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        super().__init__(enable_incremental_checkpointing)


@final
class CustomStateBackend(StateBackend):
    """PyFlink's wrapper around a Java class."""

    def __init__(self, j_custom_state_backend: object = None) -> NoReturn:
        raise ConfigurationError(
            "a custom state backend is a Java class, and there is no JVM here: use HashMapStateBackend "
            "or EmbeddedRocksDBStateBackend"
        )

    def configure(self, configuration: Configuration) -> None:
        raise AssertionError("cannot be made")


@final
class MemoryStateBackend(StateBackend):
    """PyFlink 1.x: state on the heap, checkpoints in the JobManager's memory."""

    @deprecated("use HashMapStateBackend, and execution.checkpointing.storage: jobmanager")
    def __init__(
        self,
        checkpoint_path: str | None = None,
        savepoint_path: str | None = None,
        max_state_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
    ) -> None:
        self._storage = JobManagerCheckpointStorage(checkpoint_path, max_state_size)
        self._savepoint_path = savepoint_path

    def configure(self, configuration: Configuration) -> None:
        HashMapStateBackend().configure(configuration)
        self._storage.configure(configuration)
        _set_savepoint_path(configuration, self._savepoint_path)


@final
class FsStateBackend(StateBackend):
    """PyFlink 1.x: state on the heap, checkpoints in a folder."""

    @deprecated("use HashMapStateBackend, and execution.checkpointing.dir")
    def __init__(
        self,
        checkpoint_directory_uri: str | None = None,
        default_savepoint_directory_uri: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
    ) -> None:
        if checkpoint_directory_uri is None:
            raise ConfigurationError("an FsStateBackend needs checkpoint_directory_uri")
        self._storage = FileSystemCheckpointStorage(
            checkpoint_directory_uri, file_state_size_threshold, write_buffer_size
        )
        self._savepoint_path = default_savepoint_directory_uri

    def get_checkpoint_path(self) -> str:
        return self._storage.get_checkpoint_path()

    def configure(self, configuration: Configuration) -> None:
        HashMapStateBackend().configure(configuration)
        self._storage.configure(configuration)
        _set_savepoint_path(configuration, self._savepoint_path)


@final
class RocksDBStateBackend(_RocksDB):
    """PyFlink 1.x: state in RocksDB, checkpoints in a folder."""

    @deprecated("use EmbeddedRocksDBStateBackend, and execution.checkpointing.dir")
    def __init__(
        self,
        checkpoint_data_uri: str | None = None,
        enable_incremental_checkpointing: bool | None = None,
        checkpoint_stream_backend: StateBackend | None = None,
    ) -> None:
        super().__init__(enable_incremental_checkpointing)
        if (checkpoint_data_uri is None) is (checkpoint_stream_backend is None):
            raise ConfigurationError(
                "a RocksDBStateBackend needs either checkpoint_data_uri or checkpoint_stream_backend"
            )
        self._checkpoint_data_uri = checkpoint_data_uri
        self._checkpoint_stream_backend = checkpoint_stream_backend

    def configure(self, configuration: Configuration) -> None:
        if self._checkpoint_stream_backend is not None:
            self._checkpoint_stream_backend.configure(configuration)
        else:
            FileSystemCheckpointStorage(self._checkpoint_data_uri).configure(configuration)
        super().configure(configuration)


@final
class ChosenBackend:
    """The backend of one environment. Choosing another undoes what the one before had set, but not what others did."""

    def __init__(self) -> None:
        self.backend: StateBackend | None = None
        self._wrote: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def choose(self, backend: StateBackend, configuration: Configuration) -> None:
        self._undo(configuration)
        own = Configuration()
        backend.configure(own)
        self._wrote, self._before = own.to_dict(), configuration.to_dict()
        configuration.add_all(own)
        self.backend = backend

    def _undo(self, configuration: Configuration) -> None:
        for key, value in self._wrote.items():
            if configuration.to_dict().get(key) == value:
                configuration.remove_config(key)
                if key in self._before:
                    configuration.set_string(key, self._before[key])


def _set_savepoint_path(configuration: Configuration, path: str | None) -> None:
    if path is not None:
        configuration.set(checkpointing.SAVEPOINT_DIRECTORY, path)
