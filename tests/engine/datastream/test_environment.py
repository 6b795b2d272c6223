"""What the environment configures, when it executes, and what it says of PyFlink 1.x."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.base.errors import ConfigurationError, JobDefinitionError
from penstock.base.ids import JobId
from penstock.common import Configuration, Types
from penstock.common.restart_strategy import RestartStrategies
from penstock.datastream import (
    CheckpointingMode,
    DataStream,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointRetention,
    FsStateBackend,
    HashMapStateBackend,
    MemoryStateBackend,
    RocksDBStateBackend,
    RuntimeExecutionMode,
    StateBackend,
    StreamExecutionEnvironment,
    TimeCharacteristic,
)
from penstock.datastream.checkpoint_config import ExternalizedCheckpointCleanup
from penstock.datastream.checkpoint_storage import (
    CheckpointStorage,
    FileSystemCheckpointStorage,
    JobManagerCheckpointStorage,
)
from penstock.datastream.execution import using
from penstock.graph.job_graph import JobGraph


class Control:
    """A job that has ended, with results."""

    job_id = JobId("0" * 32)

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads
        self.cancelled = False

    def wait(self) -> str:
        return "ended"

    def cancel(self) -> None:
        self.cancelled = True

    def results(self) -> Iterator[bytes]:
        yield from self.payloads


class Recorder:
    """An executor that keeps what it is given."""

    def __init__(self, payloads: list[bytes] | None = None) -> None:
        self.graphs: list[JobGraph] = []
        self.control = Control(payloads or [])

    def submit(self, graph: JobGraph, configuration: Configuration) -> Any:
        self.graphs.append(graph)
        return self.control


def new(**configuration: Any) -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(configuration))


def settings(env: StreamExecutionEnvironment) -> dict[str, str]:
    return env.program.configuration.to_dict()


def test_setters_write_the_configuration() -> None:
    env = new()
    env.set_parallelism(3).set_max_parallelism(64).set_buffer_timeout(0).disable_operator_chaining()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH).set_default_savepoint_directory("/savepoints")
    found = settings(env)
    assert found["parallelism.default"] == "3"
    assert found["pipeline.max-parallelism"] == "64"
    assert found["execution.buffer-timeout.interval"] == "0 ms"
    assert found["pipeline.operator-chaining.enabled"] == "false"
    assert found["execution.runtime-mode"] == "BATCH"
    assert found["execution.checkpointing.savepoint-dir"] == "/savepoints"
    assert (env.get_parallelism(), env.get_max_parallelism(), env.get_buffer_timeout()) == (3, 64, 0)


def test_defaults_are_pyflinks() -> None:
    env = new()
    assert env.get_max_parallelism() == -1
    assert env.get_checkpoint_interval() == -1
    assert env.get_checkpointing_mode() is CheckpointingMode.AT_LEAST_ONCE
    assert env.enable_checkpointing(10).get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert env.get_buffer_timeout() == 100
    assert env.set_parallelism(-1).get_parallelism() == 1
    assert env.is_chaining_enabled()


def test_no_buffer_timeout_means_full_batches_only() -> None:
    env = new().set_buffer_timeout(-1)
    assert env.get_buffer_timeout() == -1
    assert settings(env)["execution.buffer-timeout.enabled"] == "false"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda env: env.enable_checkpointing(5), "interval must be larger than or equal to 10 ms; found 5"),
        (lambda env: env.get_checkpoint_config().set_min_pause_between_checkpoints(-1), "zero or positive"),
        (lambda env: env.get_checkpoint_config().set_max_concurrent_checkpoints(0), "max-concurrent-checkpoints"),
        (lambda env: env.get_checkpoint_config().set_tolerable_checkpoint_failure_number(-1), "non-negative"),
        (lambda env: env.set_buffer_timeout(-2), "non-negative or -1; found -2"),
        (lambda env: env.add_python_file("/nowhere.py"), "no file or folder /nowhere.py"),
    ],
)
def test_wrong_values_are_refused_in_the_programs_line(call: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        call(new())


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.set_parallelism(0),
        lambda env: env.set_parallelism("2"),
        lambda env: env.set_parallelism(1.5),
        lambda env: env.set_max_parallelism(0),
    ],
)
def test_no_subtasks_at_all_are_refused(call: Any) -> None:
    with pytest.raises(JobDefinitionError):
        call(new())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda env: env.enable_checkpointing("1000"), r"enable_checkpointing\(\) takes an int, not '1000'"),
        (lambda env: env.enable_checkpointing(1000, "EXACTLY_ONCE"), "takes a CheckpointingMode, not 'EXACTLY_ONCE'"),
        (lambda env: env.set_runtime_mode("BATCH"), "takes a RuntimeExecutionMode, not 'BATCH'"),
        (lambda env: env.set_state_backend("rocksdb"), "takes a StateBackend, not 'rocksdb'"),
        (lambda env: env.set_restart_strategy("none"), "takes a RestartStrategyConfiguration, not 'none'"),
        (lambda env: env.set_stream_time_characteristic("EventTime"), "takes a TimeCharacteristic, not 'EventTime'"),
        (lambda env: env.set_buffer_timeout("0"), r"set_buffer_timeout\(\) takes an int, not '0'"),
        (lambda env: env.set_max_parallelism("4"), r"set_max_parallelism\(\) takes an int, not '4'"),
        (lambda env: env.configure({"a": "b"}), r"configure\(\) takes a Configuration, not {'a': 'b'}"),
        (lambda env: type(env).get_execution_environment({"a": "b"}), "takes a Configuration or None, not"),
        (lambda env: env.get_checkpoint_config().set_checkpoint_storage("/x"), "takes a CheckpointStorage, not '/x'"),
        (lambda env: env.get_checkpoint_config().set_checkpoint_timeout("1 s"), "takes an int, not '1 s'"),
        (lambda env: env.get_checkpoint_config().enable_externalized_checkpoints("RETAIN"), "CheckpointRetention, not"),
        (lambda env: env.get_checkpoint_config().set_aligned_checkpoint_timeout(5), "takes a Duration, not 5"),
        (lambda env: env.from_collection(5), r"from_collection\(\) takes an Iterable, not 5"),
        (lambda env: env.from_sequence("1", "2"), r"from_sequence\(\) takes an int, not '1'"),
        (lambda env: env.from_sequence(1, 2).print() and env.execute(5), "the name of a job takes a str .*, not 5"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_settings_of_the_wrong_type_are_refused_where_they_are_written(call: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call(new())


def test_checkpoint_settings() -> None:
    env = new()
    config = env.enable_checkpointing(1000, CheckpointingMode.AT_LEAST_ONCE).get_checkpoint_config()
    config.set_checkpoint_timeout(60_000).set_min_pause_between_checkpoints(500).set_max_concurrent_checkpoints(2)
    config.set_tolerable_checkpoint_failure_number(3).enable_unaligned_checkpoints()
    config.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION)
    prefix = "execution.checkpointing."
    assert {key.removeprefix(prefix): text for key, text in settings(env).items() if key.startswith(prefix)} == {
        "interval": "1 s",
        "mode": "AT_LEAST_ONCE",
        "timeout": "1 min",
        "min-pause": "500 ms",
        "max-concurrent-checkpoints": "2",
        "tolerable-failed-checkpoints": "3",
        "unaligned.enabled": "true",
        "externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    }
    assert config.is_externalized_checkpoints_enabled()
    assert config.get_checkpoint_timeout() == 60_000


def test_what_the_command_line_gives_is_below_what_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PENSTOCK_CONFIGURATION", json.dumps({"parallelism.default": 5, "pipeline.name": "from outside"})
    )
    assert new().get_parallelism() == 5
    with using(None, Configuration.from_dict({"parallelism.default": "6"})):
        assert new().get_parallelism() == 6
    assert new(**{"parallelism.default": "7"}).get_parallelism() == 7
    assert new().set_parallelism(8).get_parallelism() == 8


def test_a_configuration_from_outside_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CONFIGURATION", "parallelism=5")
    with pytest.raises(ConfigurationError, match="PENSTOCK_CONFIGURATION is not JSON"):
        new()


def test_an_empty_program_is_refused() -> None:
    env = new()
    env.from_collection([1])
    with pytest.raises(JobDefinitionError, match="No operators defined in streaming topology. Cannot execute."):
        env.execute()


def test_operators_without_a_sink_run_and_a_second_execution_needs_something_new() -> None:
    env, recorder = new(), Recorder()
    stream = env.from_collection([1])
    stream.map(lambda value: value)
    with using(recorder):
        assert env.execute("first") == "ended"
        with pytest.raises(JobDefinitionError, match="No operators defined"):
            env.execute("second")
        stream.print()
        env.execute_async("third")
    assert [graph.name for graph in recorder.graphs] == ["first", "third"]
    assert [len(graph.vertices[-1].chain) for graph in recorder.graphs][-1] == 1
    assert "Map" not in recorder.graphs[1].vertices[-1].name


def test_a_sink_defined_before_execute_and_collect_runs_too() -> None:
    import pickle

    env, recorder = new(), Recorder([pickle.dumps([1, 2]), pickle.dumps([3])])
    stream = env.from_collection([1, 2, 3])
    stream.print()
    with using(recorder), stream.execute_and_collect() as results:
        assert list(results) == [1, 2, 3]
    assert not recorder.control.cancelled
    assert {name for vertex in recorder.graphs[0].vertices for name in vertex.name.split(" -> ")} >= {
        "Sink: Print to Std. Out",
        "Sink: Data stream collect sink",
    }


def test_collecting_with_a_limit_gives_a_list_and_stops_the_job() -> None:
    import pickle

    recorder = Recorder([pickle.dumps([1, 2]), pickle.dumps([3])])
    with using(recorder):
        assert new().from_collection([1, 2, 3]).execute_and_collect(limit=2) == [1, 2]
    assert recorder.control.cancelled


def test_the_plan_is_json_as_flinks() -> None:
    env = new().set_parallelism(2)
    env.from_collection([1]).map(lambda value: value).name("enrich").print()
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert [(node["id"], node["pact"], node["type"], node["parallelism"]) for node in nodes] == [
        (1, "Data Source", "Source: Collection Source", 1),
        (2, "Operator", "enrich", 2),
        (3, "Data Sink", "Sink: Print to Std. Out", 2),
    ]
    assert nodes[1]["predecessors"] == [{"id": 1, "ship_strategy": "REBALANCE", "side": "first"}]


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (HashMapStateBackend, {"state.backend.type": "hashmap"}),
        (
            lambda: EmbeddedRocksDBStateBackend(True),
            {"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"},
        ),
    ],
)
def test_backends_write_their_keys(backend: Any, expected: dict[str, str]) -> None:
    configuration = Configuration()
    backend().configure(configuration)
    assert configuration.to_dict() == expected


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (
            lambda: MemoryStateBackend(),
            {"state.backend.type": "hashmap", "execution.checkpointing.storage": "jobmanager"},
        ),
        (
            lambda: FsStateBackend("file:///checkpoints"),
            {
                "state.backend.type": "hashmap",
                "execution.checkpointing.storage": "filesystem",
                "execution.checkpointing.dir": "file:///checkpoints",
            },
        ),
        (
            lambda: RocksDBStateBackend("s3://bucket/checkpoints", True),
            {
                "state.backend.type": "rocksdb",
                "execution.checkpointing.storage": "filesystem",
                "execution.checkpointing.dir": "s3://bucket/checkpoints",
                "execution.checkpointing.incremental": "true",
            },
        ),
    ],
)
def test_the_backends_of_1x_warn_and_write_the_keys_of_today(old: Any, expected: dict[str, str]) -> None:
    with pytest.warns(DeprecationWarning, match="is deprecated: use .*StateBackend"):
        backend: StateBackend = old()
    configuration = Configuration()
    backend.configure(configuration)
    assert configuration.to_dict() == expected


@pytest.mark.parametrize(
    ("call", "key", "text"),
    [
        (lambda env: env.set_state_backend(HashMapStateBackend()), "state.backend.type", "hashmap"),
        (
            lambda env: env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 500)),
            "restart-strategy.fixed-delay.attempts",
            "3",
        ),
        (lambda env: env.set_restart_strategy(RestartStrategies.no_restart()), "restart-strategy.type", "none"),
        (
            lambda env: env.get_checkpoint_config().enable_externalized_checkpoints(
                ExternalizedCheckpointCleanup.RETAIN_ON_CANCELLATION
            ),
            "execution.checkpointing.externalized-checkpoint-retention",
            "RETAIN_ON_CANCELLATION",
        ),
        (
            lambda env: env.get_checkpoint_config().set_checkpoint_storage_dir("/checkpoints"),
            "execution.checkpointing.dir",
            "/checkpoints",
        ),
        (
            lambda env: env.set_stream_time_characteristic(TimeCharacteristic.EventTime),
            "pipeline.auto-watermark-interval",
            "200 ms",
        ),
    ],
)
def test_the_calls_of_1x_work_and_say_what_replaces_them(call: Any, key: str, text: str) -> None:
    env = new()
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        call(env)
    assert settings(env)[key] == text


def test_read_text_file_still_reads_text_files(tmp_path: Any) -> None:
    env = new()
    with pytest.warns(DeprecationWarning, match="FileSource"):
        stream = env.read_text_file(str(tmp_path))
    assert stream.get_type() == Types.STRING()


@pytest.mark.parametrize(
    ("configured", "kind"),
    [
        ({}, type(None)),
        ({"execution.checkpointing.dir": "/c"}, FileSystemCheckpointStorage),
        ({"execution.checkpointing.storage": "jobmanager"}, JobManagerCheckpointStorage),
    ],
)
def test_the_storage_is_read_from_the_configuration(configured: dict[str, str], kind: type[CheckpointStorage]) -> None:
    with pytest.warns(DeprecationWarning):
        assert type(new(**configured).get_checkpoint_config().get_checkpoint_storage()) is kind


def test_an_unbounded_source_is_no_batch() -> None:
    from penstock.datastream import SourceFunction

    class Endless(SourceFunction):
        def run(self, ctx: SourceFunction.SourceContext) -> None:
            return None

        def cancel(self) -> None:
            return None

    env = new(**{"execution.runtime-mode": "BATCH"})
    env.add_source(Endless()).print()
    with pytest.raises(JobDefinitionError, match="Detected an UNBOUNDED source.*'BATCH'"):
        env.execute()


def test_the_environment_used_inside_a_function_is_refused_with_the_reason() -> None:
    env = new()
    env.from_collection([1]).map(lambda value: env.get_parallelism())
    with pytest.raises(JobDefinitionError, match="'Map' cannot be sent.*belongs to the program"):
        env.execute()


def test_choosing_a_backend_undoes_what_the_one_before_had_set() -> None:
    env = new(**{"execution.checkpointing.dir": "/mine"})
    with pytest.warns(DeprecationWarning):
        env.set_state_backend(MemoryStateBackend(max_state_size=5))
        env.set_state_backend(FsStateBackend("file:///theirs"))
        env.set_state_backend(EmbeddedRocksDBStateBackend())
    assert {key: text for key, text in settings(env).items() if key != "parallelism.default"} == {
        "execution.checkpointing.dir": "/mine",
        "state.backend.type": "rocksdb",
    }


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("window", lambda env: env.from_sequence(1, 2).key_by(lambda n: n)),
        ("count_window", lambda env: env.from_sequence(1, 2).key_by(lambda n: n)),
        ("window_all", lambda env: env.from_sequence(1, 2)),
    ],
)
def test_windows_say_that_they_are_not_there_yet(
    name: str, stream: Callable[[StreamExecutionEnvironment], DataStream]
) -> None:
    with pytest.raises(AttributeError, match=rf"{name}\(\): windows do not exist here yet: use a KeyedProcessFunction"):
        getattr(stream(StreamExecutionEnvironment.get_execution_environment()), name)
