"""What programs do seldom: huge records, very many operators, odd keys and times, functions that misbehave."""

import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common import Configuration, Duration, Types, WatermarkStrategy
from penstock.datastream import CheckpointingMode, StreamExecutionEnvironment
from penstock.datastream.functions import (
    CoFlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
    SinkFunction,
)
from penstock.datastream.state import ValueStateDescriptor

END = 2**63 - 1


def environment(parallelism: int = 2, **keys: str) -> StreamExecutionEnvironment:
    configuration = Configuration.from_dict({key.replace("__", "-").replace("_", "."): v for key, v in keys.items()})
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    return env.set_parallelism(parallelism)


class Counting(KeyedProcessFunction):
    """For each key the number of its records, at the end."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        self.count.update((self.count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(END)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[Any, int]]:
        yield ctx.get_current_key(), self.count.value() or 0


def test_records_of_fifty_megabytes_pass_a_shuffle() -> None:
    env = environment(2)
    large = env.from_sequence(1, 3).map(lambda n: bytes([n]) * 50_000_000)
    sizes = large.rebalance().map(lambda b: (b[0], len(b))).disable_chaining()
    again = large.key_by(lambda b: b[0]).map(lambda b: (b[-1], len(b)))
    assert Counter(sizes.union(again).execute_and_collect()) == Counter({(n, 50_000_000): 2 for n in (1, 2, 3)})


def test_a_keyed_stream_is_collected_as_it_is_printed_without_its_keys() -> None:
    pairs = environment(2).from_collection([("a", 1), ("b", 2)]).key_by(lambda pair: pair[0])
    assert sorted(pairs.execute_and_collect()) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("dealing", ["forward", "rebalance"])
def test_one_record_may_become_a_hundred_thousand(dealing: str) -> None:
    env = environment(2)
    many = env.from_sequence(1, 3).flat_map(lambda n: ((n, i) for i in range(100_000)))
    counts = getattr(many, dealing)().map(lambda r: r).key_by(lambda r: r[0]).process(Counting())
    assert sorted(counts.execute_and_collect()) == [(n, 100_000) for n in (1, 2, 3)]


@pytest.mark.parametrize("chaining", ["true", "false"])
def test_a_program_may_have_two_hundred_operators(chaining: str) -> None:
    env = environment(1, pipeline_operator__chaining_enabled=chaining)
    env.enable_checkpointing(100)
    stream = env.from_sequence(1, 1_000)
    for _ in range(200):
        stream = stream.map(lambda n: n + 1)
    assert sum(stream.execute_and_collect()) == sum(range(201, 1_201))


def test_sixty_four_subtasks_share_sixteen_slots() -> None:
    env = environment(16)
    stream = env.from_sequence(1, 2_000).rebalance().map(lambda n: n).key_by(lambda n: n % 50).process(Counting())
    assert sorted(stream.shuffle().map(lambda r: r).execute_and_collect()) == [(key, 40) for key in range(50)]


def test_empty_sources_end_well_in_every_kind_of_operator() -> None:
    env = environment(3)
    env.enable_checkpointing(50)
    none = env.from_collection([], Types.LONG())
    counted = none.key_by(lambda n: n).process(Counting())
    joined = none.connect(env.from_collection([], Types.LONG())).flat_map(Both())
    assert list(counted.union(joined, none.map(lambda n: n)).execute_and_collect()) == []


class Both(CoFlatMapFunction):
    def flat_map1(self, value: Any) -> Iterator[Any]:
        yield ("one", value)

    def flat_map2(self, value: Any) -> Iterator[Any]:
        yield ("two", value)


ODD_KEYS: list[list[Any]] = [
    [None] * 3,
    ["", "ü", "\0", "ключ", "🦆", "e\u0301", "\u00e9"] * 2,
    [-0.0, 0.0, 1.5, -math.inf],
    [True, False, True],
    [0, -1, 2**63 - 1, -(2**63), 2**80],
    [(1, None), (1, "a"), (None, None)],
]


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_odd_keys_are_equal_where_python_says_so(backend: str) -> None:
    env = environment(3, state_backend_type=backend)
    env.enable_checkpointing(50)
    streams = [
        env.from_collection(keys).key_by(lambda key: key).process(Counting()).map(lambda r, i=i: (i, *r))
        for i, keys in enumerate(ODD_KEYS)
    ]
    found = list(streams[0].union(*streams[1:]).execute_and_collect())
    for i, keys in enumerate(ODD_KEYS):
        counts = [(key, count) for at, key, count in found if at == i]
        assert Counter(dict(counts)) == Counter(keys) and len(counts) == len(set(keys))


def test_a_key_that_is_not_a_number_is_one_key() -> None:
    env = environment(2)
    nans = env.from_collection([math.nan, float("nan"), -math.nan])
    ((key, count),) = nans.key_by(lambda key: key).process(Counting()).execute_and_collect()
    assert math.isnan(key) and count == 3


class AtTime(KeyedProcessFunction):
    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[tuple[str, int]]:
        yield "record", ctx.timestamp()
        ctx.timer_service().register_event_time_timer(value)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[str, int]]:
        yield "timer", timestamp


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_timestamps_reach_from_one_extreme_to_the_other(backend: str) -> None:
    env = environment(2, state_backend_type=backend)
    times = [-(2**63) + 1, -1, 0, 1, 2**62, 2**63 - 2, 2**63 - 1]
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(10)).with_timestamp_assigner(
        lambda value, at: value
    )
    stream = env.from_collection(times, Types.LONG()).assign_timestamps_and_watermarks(strategy)
    found = stream.key_by(lambda n: n).process(AtTime()).execute_and_collect()
    assert Counter(found) == Counter([(kind, at) for at in times for kind in ("record", "timer")])


class Sleeping(MapFunction):
    def map(self, value: int) -> int:
        if value == 1:
            time.sleep(3)
        return value


def test_a_function_that_sleeps_while_a_checkpoint_is_under_way_delays_it_only() -> None:
    env = environment(2)
    env.enable_checkpointing(50)
    numbers = env.from_sequence(1, 100).rebalance().map(Sleeping())
    assert sorted(numbers.execute_and_collect()) == list(range(1, 101))


def test_heavy_printing_hurts_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    env = environment(2)

    def noisy(n: int) -> int:
        print("x" * 1_000)
        return n

    assert sum(env.from_sequence(1, 5_000).map(noisy).execute_and_collect()) == sum(range(5_001))
    assert capfd.readouterr().out.count("x" * 1_000) == 5_000


def raising_midway(n: int) -> Iterator[int]:
    yield n
    if n == 7:
        raise ValueError("seven is not liked")
    yield n


class RaisesInOpen(MapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        raise ValueError("cannot open")

    def map(self, value: Any) -> Any:
        return value


class RaisesInClose(MapFunction):
    def close(self) -> None:
        raise ValueError("cannot close")

    def map(self, value: Any) -> Any:
        return value


def test_an_iterator_that_raises_midway_fails_the_job_with_its_words() -> None:
    env = environment(2)
    with pytest.raises(Exception, match="seven is not liked"):
        list(env.from_sequence(1, 10).flat_map(raising_midway).execute_and_collect())


def test_a_function_that_cannot_be_opened_fails_the_job_with_its_words() -> None:
    env = environment(2)
    with pytest.raises(Exception, match="cannot open"):
        list(env.from_sequence(1, 10).map(RaisesInOpen()).execute_and_collect())


def test_a_generator_over_state_that_raises_midway_fails_the_job_with_its_words() -> None:
    env = environment(2)
    with pytest.raises(Exception, match="three is not liked"):
        list(env.from_sequence(1, 10).key_by(lambda n: n % 2).process(RaisesMidway()).execute_and_collect())


class RaisesMidway(KeyedProcessFunction):
    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[int]:
        yield value
        if value == 3:
            raise ValueError("three is not liked")


def test_a_function_that_cannot_be_closed_fails_the_job_with_its_words() -> None:
    env = environment(2)
    with pytest.raises(Exception, match="cannot close"):
        list(env.from_sequence(1, 10).map(RaisesInClose()).execute_and_collect())


def test_a_function_that_yields_nothing_gives_nothing() -> None:
    env = environment(2)

    def nothing(value: int) -> Iterator[int]:
        return
        yield value

    assert list(env.from_sequence(1, 100).flat_map(nothing).execute_and_collect()) == []


class Slow(SinkFunction):
    """Takes its time, and writes down how much memory its process has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def invoke(self, value: Any, context: SinkFunction.Context) -> None:
        self.count += 1
        if self.count % 100 == 0:
            time.sleep(0.01)
            resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
            (self.folder / str(os.getpid())).write_text(resident.split()[1])


@pytest.mark.parametrize("dealing", ["forward", "rebalance"])
def test_a_source_that_is_much_faster_than_its_sink_fills_no_memory(dealing: str, tmp_path: Path) -> None:
    env = environment(2)
    env.enable_checkpointing(200)
    large = env.from_sequence(1, 20_000).map(lambda n: b"x" * 20_000)
    getattr(large, dealing)().add_sink(Slow(tmp_path))
    env.execute()
    # 400 MB went through.
    sizes = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert len(sizes) == 2 and max(sizes) < 250_000


class SlowAtTimes(MapFunction):
    def map(self, value: Any) -> Any:
        if value % 500 == 0:
            time.sleep(0.02)
        return value


def test_three_shuffles_under_backpressure_neither_lock_nor_lose() -> None:
    env = environment(2)
    env.enable_checkpointing(100)
    stream = env.from_sequence(1, 60_000)
    for _ in range(3):
        stream = stream.shuffle().map(lambda n: n).key_by(lambda n: n % 17).map(lambda n: n)
    assert sum(stream.rebalance().map(SlowAtTimes()).execute_and_collect()) == sum(range(60_001))


class Merge(CoFlatMapFunction):
    """Slow on one side, so that barriers of the other wait."""

    def flat_map1(self, value: int) -> Iterator[int]:
        if value % 1_000 == 0:
            time.sleep(0.02)
        yield value

    def flat_map2(self, value: int) -> Iterator[int]:
        yield -value


@pytest.mark.parametrize("mode", ["EXACTLY_ONCE", "AT_LEAST_ONCE"])
def test_two_ways_from_one_source_to_one_operator_never_lock(mode: str) -> None:
    env = environment(3, execution_checkpointing_mode=mode)
    env.enable_checkpointing(50, CheckpointingMode[mode])
    source = env.from_sequence(1, 40_000)
    slow = source.rebalance().map(SlowAtTimes()).key_by(lambda n: n)
    fast = source.flat_map(lambda n: [n, n]).key_by(lambda n: n)
    total = sum(slow.connect(fast).flat_map(Merge()).execute_and_collect())
    assert total == -sum(range(40_001))
