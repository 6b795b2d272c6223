"""The head that many programs on the web still have, with the calls of PyFlink 1.x, and custom partitioning."""

import tempfile

from pyflink.common import RestartStrategies, Time, Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import (
    CheckpointingMode,
    ExternalizedCheckpointCleanup,
    FsStateBackend,
    HashMapStateBackend,
    MemoryStateBackend,
    Partitioner,
    RocksDBStateBackend,
    StreamExecutionEnvironment,
    TimeCharacteristic,
)
from pyflink.datastream.functions import FilterFunction, FlatMapFunction, KeySelector, MapFunction

env = StreamExecutionEnvironment.get_execution_environment()
env.set_stream_time_characteristic(TimeCharacteristic.EventTime)
env.set_parallelism(2)
env.set_max_parallelism(64)
env.set_buffer_timeout(10)
env.enable_checkpointing(500, CheckpointingMode.EXACTLY_ONCE)
env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, Time.seconds(1).to_milliseconds()))
config = env.get_checkpoint_config()
config.set_checkpointing_mode(CheckpointingMode.EXACTLY_ONCE)
config.set_min_pause_between_checkpoints(100)
config.set_checkpoint_timeout(60000)
config.set_max_concurrent_checkpoints(1)
config.enable_externalized_checkpoints(ExternalizedCheckpointCleanup.RETAIN_ON_CANCELLATION)
for backend in (
    MemoryStateBackend(),
    FsStateBackend("file://" + tempfile.mkdtemp()),
    RocksDBStateBackend("file://" + tempfile.mkdtemp(), True),
    HashMapStateBackend(),
):
    env.set_state_backend(backend)
env.get_config().set_auto_watermark_interval(100)
env.get_config().enable_object_reuse()


class Lengths(MapFunction):
    def map(self, value):
        return value, len(value)


class Words(FlatMapFunction):
    def flat_map(self, value):
        for word in value.split(" "):
            yield word


class Long(FilterFunction):
    def filter(self, value):
        return len(value) > 2


class First(KeySelector):
    def get_key(self, value):
        return value[0]


class ByLength(Partitioner):
    def partition(self, key, num_partitions):
        return key % num_partitions


pair: TypeInformation = Types.TUPLE([Types.STRING(), Types.INT()])
words = env.from_collection(["to be or not to be", "that is the question"], type_info=Types.STRING()).flat_map(
    Words(), output_type=Types.STRING()
)
pairs = words.filter(Long()).map(Lengths(), output_type=pair)
custom = pairs.partition_custom(ByLength(), lambda value: value[1])
counts = (
    custom.map(lambda value: (value[0], 1), output_type=pair)
    .key_by(First(), key_type=Types.STRING())
    .reduce(lambda a, b: (a[0], a[1] + b[1]))
    .name("counts")
    .uid("counts")
)
with counts.execute_and_collect("counting") as results:
    print(sorted(results))
print(sorted(words.shuffle().rebalance().execute_and_collect(limit=10)))
