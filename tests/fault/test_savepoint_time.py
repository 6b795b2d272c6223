"""SP3: draining ends event time, suspending does not."""

import time
from pathlib import Path

import pytest

from penstock.common import Types
from penstock.common.configuration import Configuration
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.functions import KeyedProcessFunction, RuntimeContext
from penstock.datastream.state import ValueStateDescriptor

FAR = 10**15
KEYS = 3


class AtTheEnd(KeyedProcessFunction):
    """Leaves a file for each key whose timer fires, which is due when event time ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> None:
        self._count.update((self._count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(FAR)
        (self._folder / f"seen-{ctx.get_current_key()}").touch()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> None:
        (self._folder / f"fired-{ctx.get_current_key()}-{timestamp}").touch()


@pytest.mark.parametrize("drain", [False, True])
def test_sp3_draining_emits_max_watermark_before_the_savepoint_and_suspending_does_not(
    tmp_path: Path, drain: bool
) -> None:
    configuration = Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "checkpoints")})
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(1)
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    numbers = env.from_sequence(0, 1 << 60).assign_timestamps_and_watermarks(strategy)
    numbers.key_by(lambda number: number % KEYS, Types.LONG()).process(AtTheEnd(tmp_path)).print()
    client = env.execute_async()
    while len(list(tmp_path.glob("seen-*"))) < KEYS:
        time.sleep(0.01)
    savepoint = client.stop_with_savepoint(drain, str(tmp_path / "savepoints"), "NATIVE").result()
    client.get_job_execution_result().result()
    assert (Path(savepoint) / "_metadata").exists()
    fired = sorted(path.name for path in tmp_path.glob("fired-*"))
    assert fired == ([f"fired-{key}-{FAR}" for key in range(KEYS)] if drain else [])
