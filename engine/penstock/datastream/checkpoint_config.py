"""CheckpointConfig: the keys `execution.checkpointing.*` of a program, as setters."""

from enum import Enum
from typing import Any, final

from penstock.base.errors import ConfigurationError
from penstock.common.arguments import check_argument
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing
from penstock.common.time import Duration
from penstock.datastream.absent import refuse_absent_attribute
from penstock.datastream.checkpoint_storage import (
    CheckpointStorage,
    FileSystemCheckpointStorage,
    storage_of,
)
from penstock.datastream.checkpointing_mode import CheckpointingMode
from penstock.datastream.deprecation import deprecated
from penstock.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention

__all__ = ["CheckpointConfig", "ExternalizedCheckpointCleanup"]

_INTERVAL_MS_MIN = 10
_OFF = -1


@final
class ExternalizedCheckpointCleanup(Enum):
    """PyFlink 1.x's name for ExternalizedCheckpointRetention."""

    DELETE_ON_CANCELLATION = 0
    RETAIN_ON_CANCELLATION = 1
    NO_EXTERNALIZED_CHECKPOINTS = 2


@final
class CheckpointConfig:
    """Reads and writes the environment's configuration; holds nothing of its own but the storage object."""

    DEFAULT_MODE = CheckpointingMode.EXACTLY_ONCE
    DEFAULT_TIMEOUT = 10 * 60 * 1000
    DEFAULT_MIN_PAUSE_BETWEEN_CHECKPOINTS = 0
    DEFAULT_MAX_CONCURRENT_CHECKPOINTS = 1
    UNDEFINED_TOLERABLE_CHECKPOINT_NUMBER = -1

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._storage: CheckpointStorage | None = None

    def is_checkpointing_enabled(self) -> bool:
        return self.get_checkpoint_interval() > 0

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """AT_LEAST_ONCE while checkpointing is off, as in Flink."""
        if not self.is_checkpointing_enabled():
            return CheckpointingMode.AT_LEAST_ONCE
        return CheckpointingMode[self._configuration.get(checkpointing.MODE)]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> "CheckpointConfig":
        check_argument(checkpointing_mode, CheckpointingMode, "set_checkpointing_mode()")
        self._configuration.set(checkpointing.MODE, checkpointing_mode.name)
        return self

    def get_checkpoint_interval(self) -> int:
        """Milliseconds; -1: off."""
        interval = self._configuration.get(checkpointing.INTERVAL)
        return _OFF if interval is None else interval.to_millis()

    def set_checkpoint_interval(self, checkpoint_interval: int) -> "CheckpointConfig":
        """Milliseconds between two triggers."""
        check_argument(checkpoint_interval, int, "set_checkpoint_interval()")
        if checkpoint_interval < _INTERVAL_MS_MIN:
            raise ConfigurationError(
                f"Checkpoint interval must be larger than or equal to {_INTERVAL_MS_MIN} ms; "
                f"found {checkpoint_interval}"
            )
        self._configuration.set(checkpointing.INTERVAL, Duration.of_millis(checkpoint_interval))
        return self

    def get_checkpoint_timeout(self) -> int:
        """Milliseconds."""
        return self._configuration.get(checkpointing.TIMEOUT).to_millis()

    def set_checkpoint_timeout(self, checkpoint_timeout: int) -> "CheckpointConfig":
        """Milliseconds after which a checkpoint is given up."""
        check_argument(checkpoint_timeout, int, "set_checkpoint_timeout()")
        if checkpoint_timeout < _INTERVAL_MS_MIN:
            raise ConfigurationError(
                f"Checkpoint timeout must be larger than or equal to {_INTERVAL_MS_MIN} ms; found {checkpoint_timeout}"
            )
        self._configuration.set(checkpointing.TIMEOUT, Duration.of_millis(checkpoint_timeout))
        return self

    def get_min_pause_between_checkpoints(self) -> int:
        """Milliseconds."""
        return self._configuration.get(checkpointing.MIN_PAUSE).to_millis()

    def set_min_pause_between_checkpoints(self, min_pause_between_checkpoints: int) -> "CheckpointConfig":
        """Milliseconds between the end of a checkpoint and the next trigger."""
        check_argument(min_pause_between_checkpoints, int, "set_min_pause_between_checkpoints()")
        if min_pause_between_checkpoints < 0:
            raise ConfigurationError("Pause value must be zero or positive")
        self._configuration.set(checkpointing.MIN_PAUSE, Duration.of_millis(min_pause_between_checkpoints))
        return self

    def get_max_concurrent_checkpoints(self) -> int:
        return self._configuration.get(checkpointing.MAX_CONCURRENT)

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> "CheckpointConfig":
        """How many checkpoints may be under way at once."""
        self._configuration.set(checkpointing.MAX_CONCURRENT, max_concurrent_checkpoints)
        return self

    @deprecated("use get_tolerable_checkpoint_failure_number()")
    def is_fail_on_checkpointing_errors(self) -> bool:
        return self.get_tolerable_checkpoint_failure_number() == 0

    @deprecated("use set_tolerable_checkpoint_failure_number(...)")
    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> "CheckpointConfig":
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else 2**31 - 1)

    def get_tolerable_checkpoint_failure_number(self) -> int:
        return self._configuration.get(checkpointing.TOLERABLE_FAILURES)

    def set_tolerable_checkpoint_failure_number(self, tolerable_checkpoint_failure_number: int) -> "CheckpointConfig":
        """How many checkpoints in a row may fail before the job does."""
        if tolerable_checkpoint_failure_number < 0:
            raise ConfigurationError("The tolerable failure checkpoint number must be non-negative.")
        self._configuration.set(checkpointing.TOLERABLE_FAILURES, tolerable_checkpoint_failure_number)
        return self

    def set_externalized_checkpoint_retention(
        self, retention_mode: ExternalizedCheckpointRetention
    ) -> "CheckpointConfig":
        """What becomes of the newest checkpoint when the job is cancelled."""
        check_argument(retention_mode, ExternalizedCheckpointRetention, "set_externalized_checkpoint_retention()")
        self._configuration.set(checkpointing.RETENTION, retention_mode.name)
        return self

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention:
        return ExternalizedCheckpointRetention[self._configuration.get(checkpointing.RETENTION)]

    def is_externalized_checkpoints_enabled(self) -> bool:
        return (
            self.get_externalized_checkpoint_retention()
            is not ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
        )

    @deprecated("use set_externalized_checkpoint_retention(...)")
    def enable_externalized_checkpoints(
        self, cleanup_mode: ExternalizedCheckpointCleanup | ExternalizedCheckpointRetention
    ) -> "CheckpointConfig":
        check_argument(
            cleanup_mode,
            (ExternalizedCheckpointCleanup, ExternalizedCheckpointRetention),
            "enable_externalized_checkpoints()",
        )
        return self.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention[cleanup_mode.name])

    @deprecated("use set_externalized_checkpoint_retention(...)")
    def set_externalized_checkpoint_cleanup(
        self, cleanup_mode: ExternalizedCheckpointCleanup | ExternalizedCheckpointRetention
    ) -> "CheckpointConfig":
        return self.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention[cleanup_mode.name])

    @deprecated("use get_externalized_checkpoint_retention()")
    def get_externalized_checkpoint_cleanup(self) -> ExternalizedCheckpointCleanup:
        return ExternalizedCheckpointCleanup[self._configuration.get(checkpointing.RETENTION)]

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self._configuration.get(checkpointing.UNALIGNED)

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> "CheckpointConfig":
        """Barriers overtake records, which then belong to the checkpoint."""
        self._configuration.set(checkpointing.UNALIGNED, enabled)
        return self

    def disable_unaligned_checkpoints(self) -> "CheckpointConfig":
        return self.enable_unaligned_checkpoints(False)

    def set_aligned_checkpoint_timeout(self, alignment_timeout: Duration) -> "CheckpointConfig":
        """How long an unaligned checkpoint tries to be an aligned one first."""
        check_argument(alignment_timeout, Duration, "set_aligned_checkpoint_timeout()")
        self._configuration.set(checkpointing.ALIGNED_TIMEOUT, alignment_timeout)
        return self

    def get_aligned_checkpoint_timeout(self) -> Duration:
        return self._configuration.get(checkpointing.ALIGNED_TIMEOUT)

    @deprecated("use set_aligned_checkpoint_timeout(...)")
    def set_alignment_timeout(self, alignment_timeout: Duration) -> "CheckpointConfig":
        return self.set_aligned_checkpoint_timeout(alignment_timeout)

    @deprecated("use get_aligned_checkpoint_timeout()")
    def get_alignment_timeout(self) -> Duration:
        return self.get_aligned_checkpoint_timeout()

    def set_force_unaligned_checkpoints(self, force_unaligned_checkpoints: bool = True) -> "CheckpointConfig":
        self._configuration.set(checkpointing.UNALIGNED_FORCED, force_unaligned_checkpoints)
        return self

    def is_force_unaligned_checkpoints(self) -> bool:
        return self._configuration.get(checkpointing.UNALIGNED_FORCED)

    @deprecated("set execution.checkpointing.storage and execution.checkpointing.dir in the Configuration")
    def set_checkpoint_storage(self, storage: CheckpointStorage) -> "CheckpointConfig":
        check_argument(storage, CheckpointStorage, "set_checkpoint_storage()")
        storage.configure(self._configuration)
        self._storage = storage
        return self

    @deprecated("set execution.checkpointing.dir in the Configuration")
    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> "CheckpointConfig":
        self._storage = FileSystemCheckpointStorage(checkpoint_path)
        self._storage.configure(self._configuration)
        return self

    @deprecated("read execution.checkpointing.storage and execution.checkpointing.dir from the Configuration")
    def get_checkpoint_storage(self) -> CheckpointStorage | None:
        return self._storage or storage_of(self._configuration)

    def __getattr__(self, name: str) -> Any:
        refuse_absent_attribute(self, name)
