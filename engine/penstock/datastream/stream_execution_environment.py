"""StreamExecutionEnvironment: where a program begins, what it configures, and what executes it.

Setters write into the Configuration and nowhere else, so that a program, a file and the command line say the same
things in the same words. Nothing runs before `execute`.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, final

from penstock.base.errors import ConfigurationError, JobDefinitionError, PenstockError
from penstock.common.arguments import check_argument
from penstock.common.configuration import Configuration
from penstock.common.execution_config import ExecutionConfig
from penstock.common.job_client import JobClient
from penstock.common.job_execution_result import JobExecutionResult
from penstock.common.options import checkpointing, jobs
from penstock.common.restart_strategy import RestartStrategyConfiguration
from penstock.common.time import Duration
from penstock.common.typeinfo import TypeInformation
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import io_bindings, packaging
from penstock.datastream.absent import refuse_absent_attribute
from penstock.datastream.checkpoint_config import CheckpointConfig
from penstock.datastream.checkpointing_mode import CheckpointingMode
from penstock.datastream.deprecation import deprecated
from penstock.datastream.execution import JobControl, executor, given_configuration
from penstock.datastream.execution_mode import RuntimeExecutionMode
from penstock.datastream.program import UNSET, Program
from penstock.datastream.slot_sharing_group import SlotSharingGroup
from penstock.datastream.state_backend import ChosenBackend, StateBackend
from penstock.datastream.streams.operator_settings import check_max_parallelism, check_parallelism
from penstock.datastream.streams.stream import DataStream
from penstock.datastream.submission import build
from penstock.datastream.time_characteristic import TimeCharacteristic
from penstock.graph.plan import execution_plan
from penstock.graph.stream_graph import Tap
from penstock.operators.functions import SourceFunction


@final
class StreamExecutionEnvironment:
    """The context of one program. Made by `get_execution_environment()`."""

    _default_local_parallelism: ClassVar[int | None] = None

    def __init__(self, configuration: Configuration) -> None:
        self.program = Program(configuration)
        self._checkpoint_config = CheckpointConfig(configuration)
        self._state_backend = ChosenBackend()
        self._time_characteristic = TimeCharacteristic.EventTime
        self._slot_sharing_groups: dict[str, SlotSharingGroup] = {}

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> "StreamExecutionEnvironment":
        """An environment with this configuration, over that of the command line (`penstock run -D ...`)."""
        check_argument(configuration, (Configuration, NoneType), "get_execution_environment()")
        merged = given_configuration()
        if configuration is not None:
            merged.add_all(configuration)
        if not merged.contains(jobs.PARALLELISM):
            merged.set(jobs.PARALLELISM, StreamExecutionEnvironment._local_parallelism())
        return StreamExecutionEnvironment(merged)

    # ---- configuration

    def get_config(self) -> ExecutionConfig:
        return ExecutionConfig(self._configuration)

    def configure(self, configuration: Configuration) -> None:
        """Take over these keys."""
        check_argument(configuration, Configuration, "configure()")
        self._configuration.add_all(configuration)

    def set_parallelism(self, parallelism: int) -> "StreamExecutionEnvironment":
        """Subtasks of the operators that follow and say nothing themselves; -1: the default."""
        check_parallelism(parallelism)
        self._configuration.set(jobs.PARALLELISM, parallelism)
        return self

    def get_parallelism(self) -> int:
        return self.program.parallelism()

    def set_max_parallelism(self, max_parallelism: int) -> "StreamExecutionEnvironment":
        """The bound of later rescaling: the number of key groups."""
        check_max_parallelism(max_parallelism)
        self._configuration.set(jobs.MAX_PARALLELISM, max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """-1: derived from the parallelism."""
        return self._configuration.get(jobs.MAX_PARALLELISM)

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> "StreamExecutionEnvironment":
        """Say which resources a group has that operators name."""
        self._slot_sharing_groups[slot_sharing_group.get_name()] = slot_sharing_group
        return self

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> "StreamExecutionEnvironment":
        check_argument(execution_mode, RuntimeExecutionMode, "set_runtime_mode()")
        self._configuration.set(jobs.RUNTIME_MODE, execution_mode.name)
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> "StreamExecutionEnvironment":
        """How long a record may wait for its batch to fill; 0: each goes at once, -1: only full batches."""
        check_argument(timeout_millis, int, "set_buffer_timeout()")
        if timeout_millis < UNSET:
            raise ConfigurationError(f"Timeout of buffer must be non-negative or -1; found {timeout_millis}")
        self._configuration.set(jobs.BUFFER_TIMEOUT_ENABLED, timeout_millis != UNSET)
        if timeout_millis != UNSET:
            self._configuration.set(jobs.BUFFER_TIMEOUT_INTERVAL, Duration.of_millis(timeout_millis))
        return self

    def get_buffer_timeout(self) -> int:
        return self.program.buffer_timeout_ms()

    def disable_operator_chaining(self) -> "StreamExecutionEnvironment":
        """Give every operator a task of its own."""
        self._configuration.set(jobs.CHAINING, False)
        return self

    def is_chaining_enabled(self) -> bool:
        return self._configuration.get(jobs.CHAINING)

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        return self._configuration.get(jobs.CHAIN_DIFFERENT_MAX_PARALLELISM)

    def get_checkpoint_config(self) -> CheckpointConfig:
        return self._checkpoint_config

    def enable_checkpointing(
        self, interval: int, mode: CheckpointingMode | None = None
    ) -> "StreamExecutionEnvironment":
        """Take a checkpoint each `interval` milliseconds."""
        check_argument(interval, int, "enable_checkpointing()")
        self._checkpoint_config.set_checkpoint_interval(interval)
        self._checkpoint_config.set_checkpointing_mode(mode or CheckpointingMode.EXACTLY_ONCE)
        return self

    def get_checkpoint_interval(self) -> int:
        """Milliseconds; -1: off."""
        return self._checkpoint_config.get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        return self._checkpoint_config.get_checkpointing_mode()

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        return self._checkpoint_config.get_checkpointing_mode()

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self._checkpoint_config.is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        return self._checkpoint_config.is_force_unaligned_checkpoints()

    def enable_changelog_state_backend(self, enabled: bool) -> "StreamExecutionEnvironment":
        """Flink's changelog backend makes checkpoints small; both backends here are incremental as they are."""
        self._configuration.set_boolean("state.changelog.enabled", enabled)
        return self

    def is_changelog_state_backend_enabled(self) -> bool:
        return self._configuration.get_boolean("state.changelog.enabled", False)

    def set_default_savepoint_directory(self, directory: str) -> "StreamExecutionEnvironment":
        self._configuration.set(checkpointing.SAVEPOINT_DIRECTORY, directory)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        return self._configuration.get(checkpointing.SAVEPOINT_DIRECTORY)

    def get_default_local_parallelism(self) -> int:
        return self._local_parallelism()

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """For environments made later in this process, where nothing else says."""
        check_parallelism(parallelism)
        StreamExecutionEnvironment._default_local_parallelism = parallelism

    # ---- what travels with the program

    def add_python_file(self, file_path: str) -> None:
        """A module, a package folder or a zip file for the import path of the workers."""
        self._append(jobs.PYTHON_FILES, file_path)

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """An archive that functions find unpacked in their working directory, as `target_dir` or under its own name."""
        self._append(jobs.PYTHON_ARCHIVES, f"{archive_path}#{target_dir}" if target_dir else archive_path)

    def set_python_requirements(self, requirements_file_path: str, requirements_cache_dir: str | None = None) -> None:
        """Recorded only: workers import what is installed where they run."""
        if not Path(requirements_file_path).is_file():
            raise ConfigurationError(f"there is no requirements file {requirements_file_path}")
        warnings.warn(
            f"{requirements_file_path} is not installed: put its packages where the workers run "
            "(the image, the environment)",
            stacklevel=2,
        )
        self._configuration.set(jobs.PYTHON_REQUIREMENTS, requirements_file_path)

    def set_python_executable(self, python_exec: str) -> None:
        """Recorded only: workers are forked from the interpreter of their TaskManager."""
        warnings.warn(
            f"{python_exec} is not used: workers run on the Python that `penstock taskmanager` was started with",
            stacklevel=2,
        )
        self._configuration.set(jobs.PYTHON_EXECUTABLE, python_exec)

    def add_jars(self, *jars_path: str) -> None:
        """Does nothing but say so."""
        self._warn_of_jars(jars_path)

    def add_classpaths(self, *classpaths: str) -> None:
        """Does nothing but say so."""
        self._warn_of_jars(classpaths)

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Flink's distributed cache, which Python functions cannot read."""
        raise JobDefinitionError(
            f"Flink's distributed cache is for Java functions: ship {file_path} by add_python_archive(path, {name!r}) "
            "and open it from the workers' folder"
        )

    # ---- sources

    def from_source(
        self,
        source: Any,
        watermark_strategy: WatermarkStrategy,
        source_name: str,
        type_info: TypeInformation | None = None,
    ) -> DataStream:
        """The records of a Source."""
        return self._source(source_name, io_bindings.source(source, source_name, watermark_strategy, type_info))

    def add_source(
        self,
        source_func: SourceFunction,
        source_name: str = "Custom Source",
        type_info: TypeInformation | None = None,
    ) -> DataStream:
        """The records of a SourceFunction."""
        if not isinstance(source_func, SourceFunction):
            raise TypeError(
                f"add_source() takes a SourceFunction, not {source_func!r}; for a Source there is from_source()"
            )
        bound = io_bindings.source_function(source_func, type_info)
        return self._source(source_name, bound).force_non_parallel()

    def from_collection(self, collection: Iterable[Any], type_info: TypeInformation | None = None) -> DataStream:
        """The records of a collection, one after the other."""
        name = "Collection Source"
        return self._source(name, io_bindings.collection(collection, name, type_info)).force_non_parallel()

    def from_sequence(self, start: int, end: int) -> DataStream:
        """The numbers from `start` to `end`, both included."""
        check_argument(start, int, "from_sequence()")
        check_argument(end, int, "from_sequence()")
        name = "Sequence Source"
        return self._source(name, io_bindings.number_sequence(start, end, name))

    @deprecated("use from_source() with a FileSource from penstock.datastream.connectors.file_system")
    def read_text_file(self, file_path: str, charset_name: str = "UTF-8") -> DataStream:
        """The lines of a file, or of the files below a folder."""
        name = f"Text file: {file_path}"
        return self._source(name, io_bindings.text_file(file_path, charset_name, name))

    def create_input(self, input_format: Any, type_info: TypeInformation | None = None) -> DataStream:
        """Flink's input formats are Java classes."""
        raise JobDefinitionError(
            "an InputFormat is a Java class, and there is no JVM here: read files with a FileSource and from_source()"
        )

    # ---- execution

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Run what has been described since the last execution, and wait for its end."""
        try:
            return self._submit(job_name).wait()
        except PenstockError as error:
            # The sentence is all there is to say: how we came to say it would only push it off the screen.
            raise error.with_traceback(None) from None

    def execute_async(self, job_name: str | None = None) -> JobClient:
        """Start it, and go on."""
        return JobClient(self._submit(job_name))

    def get_execution_plan(self) -> str:
        """The program's operators and edges as JSON, for Flink's plan visualizer."""
        return execution_plan(self.program.unexecuted(), self.program.settings())

    def close(self) -> None:
        """Forget what has been described and not executed."""
        self.program.mark_executed()

    def submit_for_results(self, job_name: str | None) -> JobControl:
        """Start it, and give what the collect sink's results are read from."""
        return self._submit(job_name)

    # ---- PyFlink 1.x

    @deprecated("set state.backend.type in the Configuration")
    def set_state_backend(self, state_backend: StateBackend) -> "StreamExecutionEnvironment":
        check_argument(state_backend, StateBackend, "set_state_backend()")
        self._state_backend.choose(state_backend, self._configuration)
        return self

    @deprecated("read state.backend.type from the Configuration")
    def get_state_backend(self) -> StateBackend | None:
        return self._state_backend.backend

    @deprecated("set restart-strategy.type and its companions in the Configuration")
    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> None:
        check_argument(restart_strategy_configuration, RestartStrategyConfiguration, "set_restart_strategy()")
        restart_strategy_configuration.configure(self._configuration)

    @deprecated("read restart-strategy.type from the Configuration")
    def get_restart_strategy(self) -> RestartStrategyConfiguration | None:
        return RestartStrategyConfiguration.of(self._configuration)

    @deprecated("event time needs a WatermarkStrategy, processing time nothing")
    def set_stream_time_characteristic(self, characteristic: TimeCharacteristic) -> None:
        check_argument(characteristic, TimeCharacteristic, "set_stream_time_characteristic()")
        self._time_characteristic = characteristic
        interval_ms = 0 if characteristic is TimeCharacteristic.ProcessingTime else 200
        self._configuration.set(jobs.AUTO_WATERMARK_INTERVAL, Duration.of_millis(interval_ms))

    @deprecated("every operator says itself which time it uses")
    def get_stream_time_characteristic(self) -> TimeCharacteristic:
        return self._time_characteristic

    @deprecated("values are serialised by their declared type or pickled; nothing has to be registered")
    def add_default_kryo_serializer(self, type_class_name: str, serializer_class_name: str) -> None:
        """Does nothing."""

    @deprecated("values are serialised by their declared type or pickled; nothing has to be registered")
    def register_type_with_kryo_serializer(self, type_class_name: str, serializer_class_name: str) -> None:
        """Does nothing."""

    @deprecated("values are serialised by their declared type or pickled; nothing has to be registered")
    def register_type(self, type_class_name: str) -> None:
        """Does nothing."""

    # ---- within

    @property
    def _configuration(self) -> Configuration:
        return self.program.configuration

    @staticmethod
    def _local_parallelism() -> int:
        return StreamExecutionEnvironment._default_local_parallelism or len(os.sched_getaffinity(0))

    def _source(self, name: str, bound: io_bindings.Bound) -> DataStream:
        node = self.program.add(
            name,
            factory=bound.factory,
            coordinator=bound.coordinator,
            bounded=bound.bounded,
            output_type=bound.output_type,
        )
        return DataStream(self, [Tap(node=node.id)], bound.output_type)

    def _submit(self, job_name: str | None) -> JobControl:
        check_argument(job_name, (str, NoneType), "the name of a job")
        graph = build(self.program, job_name)
        self.program.mark_executed()
        return executor().submit(graph, Configuration(self._configuration))

    def _append(self, option: Any, path: str) -> None:
        packaging.existing(path.partition("#")[0])
        self._configuration.set(option, (*self._configuration.get(option), path))

    def _warn_of_jars(self, paths: Sequence[str]) -> None:
        warnings.warn(
            f"{', '.join(paths)}: ignored, for there is no JVM here; use the connectors of "
            "penstock.datastream.connectors, or write the source, sink or function in Python",
            stacklevel=3,
        )

    def __getattr__(self, name: str) -> Any:
        refuse_absent_attribute(self, name)

    def __reduce__(self) -> Any:
        raise JobDefinitionError(
            "a StreamExecutionEnvironment belongs to the program that describes the job, and cannot be used inside a "
            "function"
        )
