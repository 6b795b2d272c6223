"""Where checkpoints go, as objects. Equivalent to `execution.checkpointing.storage`, `.dir` and their companions."""

from abc import ABC, abstractmethod
from typing import ClassVar, NoReturn, final

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, penstock

__all__ = [
    "CheckpointStorage",
    "CustomCheckpointStorage",
    "FileSystemCheckpointStorage",
    "JobManagerCheckpointStorage",
]


class CheckpointStorage(ABC):
    """Base of the storages."""

    @abstractmethod
    def configure(self, configuration: Configuration) -> None:
        """Write the keys that choose this storage."""


@final
class JobManagerCheckpointStorage(CheckpointStorage):
    """In the JobManager's memory: small state only, gone with the JobManager."""

    DEFAULT_MAX_STATE_SIZE: ClassVar[int] = 5 * 1024 * 1024

    def __init__(self, checkpoint_path: str | None = None, max_state_size: int | None = None) -> None:
        size = self.DEFAULT_MAX_STATE_SIZE if max_state_size is None else max_state_size
        if not 0 < size <= self.DEFAULT_MAX_STATE_SIZE:
            raise ConfigurationError(
                f"the JobManager's memory takes up to {self.DEFAULT_MAX_STATE_SIZE} bytes of state, not {size}: "
                "use FileSystemCheckpointStorage for more"
            )
        self._checkpoint_path = checkpoint_path
        self._max_state_size = size

    def get_checkpoint_path(self) -> str | None:
        return self._checkpoint_path

    def get_max_state_size(self) -> int:
        return self._max_state_size

    def get_savepoint_path(self) -> str | None:
        return None

    def configure(self, configuration: Configuration) -> None:
        configuration.set(checkpointing.STORAGE, "jobmanager")
        if self._max_state_size != self.DEFAULT_MAX_STATE_SIZE:
            configuration.set(penstock.JOBMANAGER_STATE, self._max_state_size)
        if self._checkpoint_path is not None:
            configuration.set(checkpointing.DIRECTORY, self._checkpoint_path)

    def __str__(self) -> str:
        return f"JobManagerCheckpointStorage(checkpoints to: {self._checkpoint_path}, max: {self._max_state_size})"


@final
class FileSystemCheckpointStorage(CheckpointStorage):
    """In a folder or an object store: `/path`, `file:///path`, `s3://bucket/path`."""

    MAX_FILE_STATE_THRESHOLD: ClassVar[int] = 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int | None = None,
    ) -> None:
        if not checkpoint_path:
            raise ConfigurationError("a FileSystemCheckpointStorage needs the path of a folder")
        threshold = file_state_size_threshold
        if threshold is not None and not 0 <= threshold <= self.MAX_FILE_STATE_THRESHOLD:
            raise ConfigurationError(
                f"file_state_size_threshold is between 0 and {self.MAX_FILE_STATE_THRESHOLD} bytes; found {threshold}"
            )
        self._checkpoint_path = checkpoint_path
        self._threshold = threshold
        self._write_buffer_size = write_buffer_size

    def get_checkpoint_path(self) -> str:
        return self._checkpoint_path

    def get_savepoint_path(self) -> str | None:
        return None

    def get_min_file_size_threshold(self) -> int:
        return checkpointing.INLINE_THRESHOLD.default if self._threshold is None else self._threshold

    def get_write_buffer_size(self) -> int:
        return checkpointing.WRITE_BUFFER.default if self._write_buffer_size is None else self._write_buffer_size

    def configure(self, configuration: Configuration) -> None:
        configuration.set(checkpointing.STORAGE, "filesystem")
        configuration.set(checkpointing.DIRECTORY, self._checkpoint_path)
        if self._threshold is not None:
            configuration.set(checkpointing.INLINE_THRESHOLD, self._threshold)
        if self._write_buffer_size is not None:
            configuration.set(checkpointing.WRITE_BUFFER, self._write_buffer_size)

    def __str__(self) -> str:
        return f"FileSystemCheckpointStorage(checkpoints to: {self._checkpoint_path})"


@final
class CustomCheckpointStorage(CheckpointStorage):
    """PyFlink's wrapper around a Java class."""

    def __init__(self, j_custom_checkpoint_storage: object = None) -> NoReturn:
        raise ConfigurationError(
            "a custom checkpoint storage is a Java class, and there is no JVM here: use FileSystemCheckpointStorage "
            "with a folder or an s3:// path"
        )

    def configure(self, configuration: Configuration) -> None:
        raise AssertionError("cannot be made")


def storage_of(configuration: Configuration) -> CheckpointStorage | None:
    """The storage that a configuration chooses; None: the default."""
    directory = configuration.get(checkpointing.DIRECTORY)
    match configuration.get(checkpointing.STORAGE):
        case "jobmanager":
            return JobManagerCheckpointStorage(directory, configuration.get(penstock.JOBMANAGER_STATE))
        case "filesystem" if directory is not None:
            return FileSystemCheckpointStorage(directory)
        case _:
            return None if directory is None else FileSystemCheckpointStorage(directory)
