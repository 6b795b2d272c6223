"""What programs set and ask: execution config, restart strategies, watermark strategies, schemas, the job's client."""

import threading
from typing import Any

import pytest

import penstock.common
from penstock.base.errors import ConfigurationError, JobDefinitionError
from penstock.common import (
    AssignerWithPeriodicWatermarksWrapper,
    ByteArraySchema,
    CompletableFuture,
    Configuration,
    Duration,
    Encoder,
    ExecutionConfig,
    JobClient,
    JobExecutionResult,
    JobID,
    JobStatus,
    RestartStrategies,
    RestartStrategyConfiguration,
    Row,
    SimpleStringSchema,
    TimestampAssigner,
    Types,
    WatermarkGenerator,
    WatermarkOutput,
    WatermarkStrategy,
)
from penstock.common.io import InputFormat
from penstock.common.options import checkpointing, jobs
from penstock.common.serialization import RowFieldExtractorSchema

JOB = "0123456789abcdef0123456789abcdef"


def test_the_package_offers_all_that_pyflinks_does() -> None:
    offered = set(penstock.common.__all__)
    wanted = """Configuration ConfigOption ConfigOptions ExecutionConfig TypeInformation TypeSerializer Types
        SerializationSchema DeserializationSchema SimpleStringSchema ByteArraySchema Encoder CompletableFuture
        InputDependencyConstraint JobClient JobExecutionResult JobID JobStatus RestartStrategies
        RestartStrategyConfiguration Row RowKind WatermarkStrategy Duration Instant Time
        AssignerWithPeriodicWatermarksWrapper"""
    assert set(wanted.split()) <= offered


def test_the_execution_config_writes_keys() -> None:
    configuration = Configuration()
    config = ExecutionConfig(configuration)
    config.set_parallelism(3).set_max_parallelism(12).enable_object_reuse().set_auto_watermark_interval(50)
    config.set_global_job_parameters({"a": 1}).set_use_snapshot_compression(True).disable_generic_types()
    config.set_task_cancellation_timeout(1_000).disable_auto_generated_uids().enable_force_avro()
    assert configuration.get(jobs.PARALLELISM) == config.get_parallelism() == 3
    assert configuration.get(jobs.MAX_PARALLELISM) == config.get_max_parallelism() == 12
    assert configuration.get(jobs.OBJECT_REUSE)
    assert config.get_auto_watermark_interval() == 50
    assert config.get_global_job_parameters() == {"a": "1"}
    assert configuration.get(checkpointing.COMPRESSION)
    assert config.has_generic_types_disabled()
    assert not config.has_auto_generated_uids_enabled()
    assert config.get_task_cancellation_timeout() == 1_000
    assert config.is_force_avro_enabled()


def test_parallelism_minus_one_is_accepted_and_zero_refused() -> None:
    config = ExecutionConfig(Configuration())
    assert config.set_parallelism(-1).get_parallelism() == -1
    with pytest.raises(ConfigurationError, match=r"parallelism.default: '0' is not a whole number, at least 1, or -1"):
        config.set_parallelism(0)


@pytest.mark.parametrize(
    "strategy",
    [
        RestartStrategies.no_restart(),
        RestartStrategies.fixed_delay_restart(3, 10_000),
        RestartStrategies.failure_rate_restart(3, Duration.of_minutes(5), 1_000),
    ],
)
def test_a_restart_strategy_is_read_back_from_the_keys_it_wrote(strategy: RestartStrategyConfiguration) -> None:
    configuration = Configuration()
    strategy.configure(configuration)
    assert RestartStrategyConfiguration.of(configuration) == strategy


def test_exponential_delay_keeps_all_its_numbers() -> None:
    configuration = Configuration().set_string("restart-strategy", "exponential-delay")
    configuration.set(jobs.EXPONENTIAL_MULTIPLIER, 3.0)
    strategy, other = RestartStrategyConfiguration.of(configuration), Configuration()
    assert strategy is not None
    strategy.configure(other)
    assert other.get(jobs.EXPONENTIAL_MULTIPLIER) == 3.0
    RestartStrategies.fall_back_restart().configure(other)
    assert RestartStrategyConfiguration.of(other) is None


class FirstField(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[0])


class Punctuated(WatermarkGenerator):
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        output.mark_idle()


def test_watermark_strategies_are_built_step_by_step() -> None:
    with pytest.warns(UserWarning, match="sources do not wait for each other"):
        strategy = (
            WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(20))
            .with_timestamp_assigner(FirstField())
            .with_idleness(Duration.of_minutes(1))
            .with_watermark_alignment("group", Duration.of_seconds(2))
        )
    assert strategy.out_of_orderness_ms == 20_000
    assert strategy.timestamp_assigner is not None
    assert strategy.timestamp_assigner.extract_timestamp((7,), 0) == 7
    assert strategy.idle_timeout_ms == 60_000
    assert strategy.alignment is not None
    assert (strategy.alignment.group, strategy.alignment.max_drift_ms) == ("group", 2_000)
    assert WatermarkStrategy.for_monotonous_timestamps().out_of_orderness_ms == 0
    assert WatermarkStrategy.no_watermarks() == WatermarkStrategy()
    assert WatermarkStrategy.for_generator(Punctuated).generator is Punctuated


def test_a_function_may_assign_timestamps() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda value, timestamp: value)
    assert strategy.timestamp_assigner is not None
    assert strategy.timestamp_assigner.extract_timestamp(9, 0) == 9


@pytest.mark.parametrize(
    "build",
    [
        lambda: WatermarkStrategy.for_bounded_out_of_orderness(5),  # type: ignore[arg-type]
        lambda: WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(-1)),
        lambda: WatermarkStrategy.no_watermarks().with_idleness(Duration.of_millis(0)),
        lambda: WatermarkStrategy.no_watermarks().with_timestamp_assigner(5),  # type: ignore[arg-type]
        lambda: WatermarkStrategy.for_generator(5),  # type: ignore[arg-type]
        lambda: WatermarkStrategy.for_generator(lambda context: Punctuated()),  # type: ignore[misc,arg-type]
        lambda: AssignerWithPeriodicWatermarksWrapper(None),
        lambda: InputFormat(None),
        lambda: SimpleStringSchema("klingon"),
        lambda: RowFieldExtractorSchema(-1),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(build: Any) -> None:
    with pytest.raises((JobDefinitionError, TypeError, ValueError)):
        build()


def test_schemas_go_there_and_back() -> None:
    text = SimpleStringSchema("UTF-16")
    assert text.deserialize(text.serialize("é")) == "é"
    assert ByteArraySchema().deserialize(ByteArraySchema().serialize(bytearray(b"x"))) == b"x"
    assert RowFieldExtractorSchema(1).serialize(Row("a", b"x")) == b"x"


def test_the_string_encoder_writes_lines_as_the_type_prints_in_files() -> None:
    encode = Encoder.simple_string_encoder().for_type(Types.ROW([Types.STRING(), Types.INT()]))
    assert encode(Row("é", None)) == "+I[é, null]\n".encode()


class Control:
    job_id = JOB

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.ended = threading.Event()

    def status(self) -> JobStatus:
        return JobStatus.RUNNING

    def wait(self) -> JobExecutionResult:
        assert self.ended.wait(10)
        return JobExecutionResult(JOB, 1_234, {"n": 5})

    def cancel(self) -> None:
        raise RuntimeError("cannot be reached")

    def trigger_savepoint(self, directory: str | None, format: str) -> str:
        return f"{directory}/savepoint-{format}"

    def stop_with_savepoint(self, directory: str | None, format: str, *, drain: bool) -> str:
        return f"{directory}/savepoint-{format}-{drain}"


def test_a_job_client_asks_its_control_and_answers_later() -> None:
    control = Control()
    client = JobClient(control)
    assert client.get_job_id() == JobID(JOB)
    assert str(client.get_job_id()) == JOB
    assert client.get_job_status().result() is JobStatus.RUNNING
    assert client.trigger_savepoint("/s").result() == "/s/savepoint-canonical"
    assert client.stop_with_savepoint(True, "/s", "NATIVE").result() == "/s/savepoint-native-True"
    with pytest.raises(ValueError, match="NATIVE or CANONICAL"):
        client.trigger_savepoint("/s", "JSON").result()
    pending = client.get_job_execution_result()
    assert not pending.done()
    control.ended.set()
    assert pending.result().get_net_runtime() == 1_234
    assert client.get_accumulators().result() == {}, "also while it runs"
    assert pending.result().get_accumulator_result("absent") is None


def test_an_error_is_raised_where_the_answer_is_asked_for() -> None:
    future: CompletableFuture[None] = JobClient(Control()).cancel()
    assert isinstance(future.exception(), RuntimeError)
    with pytest.raises(RuntimeError, match="cannot be reached"):
        future.result()


def test_only_ends_are_terminal() -> None:
    terminal = {status for status in JobStatus if status.is_globally_terminal_state()}
    assert terminal == {JobStatus.FINISHED, JobStatus.CANCELED, JobStatus.FAILED}
    assert JobStatus.SUSPENDED.is_terminal_state()
