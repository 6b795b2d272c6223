"""What a cluster of real processes promises, whatever users' code does."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.base.errors import JobFailed, PenstockError
from penstock.common import Configuration, Types, WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.testing.steps import wait_until


def options(*pairs: tuple[str, str]) -> StreamExecutionEnvironment:
    configuration = Configuration()
    for key, value in pairs:
        configuration.set_string(key, value)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


@pytest.fixture
def no_process_left() -> Iterator[None]:
    """Every worker and zygote of this process is gone when the test is over."""
    yield
    wait_until(lambda: not _children(), 10, lambda: f"processes left: {_children()}")


def _children() -> list[str]:
    """Command lines of zygotes and workers that this process started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"penstock.taskmanager.zygote" in command and str(os.getpid()).encode() in command:
            found.append(f"{folder.name}: {b' '.join(command).decode()}")
    return found


@pytest.mark.usefixtures("no_process_left")
def test_user_code_that_blocks_loses_no_heartbeat() -> None:
    def block(value: int) -> int:
        time.sleep(2.5 if value == 0 else 0)
        return value

    env = options(("heartbeat.interval", "100 ms"), ("heartbeat.timeout", "500 ms"))
    env.set_parallelism(1)
    with env.from_collection([0, 1, 2], Types.INT()).map(block, Types.INT()).execute_and_collect() as results:
        assert sorted(results) == [0, 1, 2]


@pytest.mark.usefixtures("no_process_left")
def test_too_few_slots_name_how_many_are_missing() -> None:
    env = options(("taskmanager.numberOfTaskSlots", "1"), ("slot.request.timeout", "3 s"))
    env.set_parallelism(3)
    env.from_collection([1, 2, 3], Types.INT()).rebalance().map(lambda x: x, Types.INT()).print()
    with pytest.raises(JobFailed, match="the job needs 3, 2 of them are missing"):
        env.execute("too wide")


@pytest.mark.usefixtures("no_process_left")
def test_a_cancelled_job_leaves_no_process_though_user_code_blocks() -> None:
    def block(value: int) -> int:
        time.sleep(60)
        return value

    env = options(("task.cancellation.timeout", "1 s"))
    env.set_parallelism(1)
    env.from_collection([1], Types.INT()).map(block, Types.INT()).print()
    client = env.execute_async("blocked")
    wait_until(lambda: client.get_job_status().result().name == "RUNNING", 20, lambda: "the job does not run")
    begun = time.monotonic()
    client.cancel().result()
    with pytest.raises(JobFailed):
        client.get_job_execution_result().result()
    assert time.monotonic() - begun < 15, "a worker that does not stop is killed"
    assert client.cancel().result() is None, "an ended job is cancelled without a word"
    with pytest.raises(PenstockError, match="the job has ended CANCELED"):
        client.trigger_savepoint("/savepoints").result()


def _run_failing(tmp_path: Path, fails: Callable[[int], int], *pairs: tuple[str, str]) -> str:
    env = options(("execution.checkpointing.dir", str(tmp_path)), *pairs)
    env.set_parallelism(1)
    source = NumberSequenceSource(1, 10)
    env.from_source(source, WatermarkStrategy.no_watermarks(), "n", Types.LONG()).map(fails, Types.LONG()).print()
    with pytest.raises(JobFailed) as failure:
        env.execute("fails")
    return str(failure.value)


@pytest.mark.usefixtures("no_process_left")
def test_a_failing_function_is_named_with_operator_subtask_and_record(tmp_path: Path) -> None:
    def boom(value: int) -> int:
        if value == 7:
            raise ValueError("seven is too much")
        return value

    text = _run_failing(tmp_path, boom)
    assert "seven is too much" in text
    assert "7" in text
    assert text.rstrip().endswith("ValueError: seven is too much"), text
    assert 'raise ValueError("seven is too much")' in text


@pytest.mark.usefixtures("no_process_left")
def test_without_checkpoints_and_strategy_the_first_failure_is_final(tmp_path: Path) -> None:
    marker = tmp_path / "calls"

    def boom(value: int) -> int:
        with marker.open("a") as file:
            file.write("x")
        raise ValueError("always")

    _run_failing(tmp_path, boom)
    assert marker.read_text() == "x"


@pytest.mark.usefixtures("no_process_left")
def test_fixed_delay_tries_as_often_as_it_says(tmp_path: Path) -> None:
    marker = tmp_path / "calls"

    def boom(value: int) -> int:
        with marker.open("a") as file:
            file.write("x")
        raise ValueError("always")

    _run_failing(
        tmp_path,
        boom,
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "3"),
        ("restart-strategy.fixed-delay.delay", "10 ms"),
    )
    assert marker.read_text() == "xxxx"
