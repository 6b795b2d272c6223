"""The job-wide settings of a program; mirrors pyflink.common.execution_config.

A view of the environment's `Configuration`: every setter writes a key, every getter reads one.
"""

from collections.abc import Mapping
from typing import Any, final

from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, jobs
from penstock.common.time import Duration

__all__ = ["ExecutionConfig"]


@final
class ExecutionConfig:
    """Job-wide settings."""

    PARALLELISM_DEFAULT = -1
    PARALLELISM_UNKNOWN = -2

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def enable_closure_cleaner(self) -> "ExecutionConfig":
        self._configuration.set(jobs.CLOSURE_CLEANER, "RECURSIVE")
        return self

    def disable_closure_cleaner(self) -> "ExecutionConfig":
        self._configuration.set(jobs.CLOSURE_CLEANER, "NONE")
        return self

    def is_closure_cleaner_enabled(self) -> bool:
        return self._configuration.get(jobs.CLOSURE_CLEANER) != "NONE"

    def set_auto_watermark_interval(self, interval: int) -> "ExecutionConfig":
        """In milliseconds; 0: no periodic watermarks."""
        return self._set_millis(jobs.AUTO_WATERMARK_INTERVAL, interval)

    def get_auto_watermark_interval(self) -> int:
        return self._configuration.get(jobs.AUTO_WATERMARK_INTERVAL).to_millis()

    def set_latency_tracking_interval(self, interval: int) -> "ExecutionConfig":
        """In milliseconds; 0: no latency markers."""
        return self._set_millis(jobs.LATENCY_INTERVAL, interval)

    def get_latency_tracking_interval(self) -> int:
        return self._configuration.get(jobs.LATENCY_INTERVAL).to_millis()

    def get_parallelism(self) -> int:
        return self._configuration.get(jobs.PARALLELISM)

    def set_parallelism(self, parallelism: int) -> "ExecutionConfig":
        """-1: the default."""
        if parallelism != self.PARALLELISM_UNKNOWN:
            self._configuration.set(jobs.PARALLELISM, parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """-1: derived from the parallelism."""
        return self._configuration.get(jobs.MAX_PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> "ExecutionConfig":
        self._configuration.set(jobs.MAX_PARALLELISM, max_parallelism)
        return self

    def get_task_cancellation_interval(self) -> int:
        return self._configuration.get(jobs.CANCELLATION_INTERVAL).to_millis()

    def set_task_cancellation_interval(self, interval: int) -> "ExecutionConfig":
        """In milliseconds."""
        return self._set_millis(jobs.CANCELLATION_INTERVAL, interval)

    def get_task_cancellation_timeout(self) -> int:
        return self._configuration.get(jobs.CANCELLATION_TIMEOUT).to_millis()

    def set_task_cancellation_timeout(self, timeout: int) -> "ExecutionConfig":
        """In milliseconds; 0: wait for ever."""
        return self._set_millis(jobs.CANCELLATION_TIMEOUT, timeout)

    def enable_force_kryo(self) -> "ExecutionConfig":
        return self._put("pipeline.force-kryo", True)

    def disable_force_kryo(self) -> "ExecutionConfig":
        return self._put("pipeline.force-kryo", False)

    def is_force_kryo_enabled(self) -> bool:
        return self._configuration.get_boolean("pipeline.force-kryo", False)

    def enable_force_avro(self) -> "ExecutionConfig":
        return self._put("pipeline.force-avro", True)

    def disable_force_avro(self) -> "ExecutionConfig":
        return self._put("pipeline.force-avro", False)

    def is_force_avro_enabled(self) -> bool:
        return self._configuration.get_boolean("pipeline.force-avro", False)

    def enable_generic_types(self) -> "ExecutionConfig":
        self._configuration.set(jobs.GENERIC_TYPES, True)
        return self

    def disable_generic_types(self) -> "ExecutionConfig":
        """Refuse streams and state whose type is not declared."""
        self._configuration.set(jobs.GENERIC_TYPES, False)
        return self

    def has_generic_types_disabled(self) -> bool:
        return not self._configuration.get(jobs.GENERIC_TYPES)

    def enable_auto_generated_uids(self) -> "ExecutionConfig":
        self._configuration.set(jobs.AUTO_GENERATE_UIDS, True)
        return self

    def disable_auto_generated_uids(self) -> "ExecutionConfig":
        """Refuse operators without a uid of their own."""
        self._configuration.set(jobs.AUTO_GENERATE_UIDS, False)
        return self

    def has_auto_generated_uids_enabled(self) -> bool:
        return self._configuration.get(jobs.AUTO_GENERATE_UIDS)

    def enable_object_reuse(self) -> "ExecutionConfig":
        """Hand emitted objects on without copying them: do not change an object after emitting it."""
        self._configuration.set(jobs.OBJECT_REUSE, True)
        return self

    def disable_object_reuse(self) -> "ExecutionConfig":
        self._configuration.set(jobs.OBJECT_REUSE, False)
        return self

    def is_object_reuse_enabled(self) -> bool:
        return self._configuration.get(jobs.OBJECT_REUSE)

    def get_global_job_parameters(self) -> dict[str, str]:
        parameters = self._configuration.get(jobs.GLOBAL_JOB_PARAMETERS)
        return {} if parameters is None else dict(parameters)

    def set_global_job_parameters(self, global_job_parameters_dict: Mapping[str, Any]) -> "ExecutionConfig":
        parameters = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        self._configuration.set(jobs.GLOBAL_JOB_PARAMETERS, parameters)
        return self

    def get_default_kryo_serializer_classes(self) -> dict[str, str]:
        return {}

    def get_registered_kryo_types(self) -> list[str]:
        return []

    def get_registered_pojo_types(self) -> list[str]:
        return []

    def is_use_snapshot_compression(self) -> bool:
        return self._configuration.get(checkpointing.COMPRESSION)

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> "ExecutionConfig":
        self._configuration.set(checkpointing.COMPRESSION, use_snapshot_compression)
        return self

    def _set_millis(self, option: Any, millis: int) -> "ExecutionConfig":
        self._configuration.set(option, Duration.of_millis(millis))
        return self

    def _put(self, key: str, value: bool) -> "ExecutionConfig":
        self._configuration.set_boolean(key, value)
        return self
