"""DataStream: records on their way between operators. Each call adds an operator to the program; nothing runs yet."""

from collections.abc import Callable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Self, overload

from penstock.base.errors import JobDefinitionError
from penstock.common.arguments import check_argument
from penstock.common.execution_config import ExecutionConfig
from penstock.common.typeinfo import TupleTypeInfo, TypeInformation, Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import bindings, io_bindings
from penstock.datastream.streams.iterator import CloseableIterator
from penstock.datastream.streams.operator_settings import OperatorSettings, check_max_parallelism
from penstock.datastream.streams.sink import DataStreamSink
from penstock.datastream.streams.user_functions import callable_or, key_selector_of, partition_of
from penstock.graph.job_graph import Exchange
from penstock.graph.stream_graph import ChainingStrategy, CustomPartitioner, StreamNode, Tap
from penstock.operators.functions import (
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    OutputTag,
    Partitioner,
    ProcessFunction,
    SinkFunction,
)
from penstock.operators.sink_api import Sink
from penstock.state.descriptors import MapStateDescriptor

if TYPE_CHECKING:
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
    from penstock.datastream.streams.broadcast import BroadcastConnectedStream, BroadcastStream
    from penstock.datastream.streams.connected import ConnectedStreams
    from penstock.datastream.streams.keyed import KeyedStream


class DataStream(OperatorSettings):
    """A stream of records, as one operator emits them, or as several do (a union)."""

    def __init__(
        self,
        environment: "StreamExecutionEnvironment",
        taps: Sequence[Tap],
        type_info: TypeInformation | None,
    ) -> None:
        self._environment = environment
        self._taps = tuple(taps)
        self._type = type_info

    # ---- what it is

    def get_name(self) -> str:
        return self._node().name

    def get_type(self) -> TypeInformation:
        """The declared type of the records; pickled bytes where none was declared."""
        return Types.PICKLED_BYTE_ARRAY() if self._type is None else self._type

    def get_execution_environment(self) -> "StreamExecutionEnvironment":
        return self._environment

    def get_execution_config(self) -> ExecutionConfig:
        return self._environment.get_config()

    # ---- settings that sinks do not have

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """The bound of later rescaling: the number of key groups."""
        check_max_parallelism(max_parallelism)
        self._node().max_parallelism = max_parallelism
        return self

    def force_non_parallel(self) -> Self:
        """One subtask, whatever anybody sets later."""
        node = self._node()
        node.parallelism, node.max_parallelism, node.parallel = 1, 1, False
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> Self:
        """How long a record may wait for its batch to fill; 0: each goes at once, -1: only full batches."""
        check_argument(timeout_millis, int, "set_buffer_timeout()")
        if timeout_millis < -1:
            raise JobDefinitionError(f"Timeout of buffer must be non-negative or -1; found {timeout_millis}")
        self._node().buffer_timeout_ms = timeout_millis
        return self

    def start_new_chain(self) -> Self:
        """Begin a new task with this operator."""
        self._node().chaining = ChainingStrategy.HEAD
        return self

    # ---- one record at a time

    def map(self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None) -> "DataStream":
        """One record in, one record out."""
        callable_or(MapFunction, func)
        return self._transform("Map", bindings.map_(func, output_type), output_type)

    def flat_map(
        self, func: Callable[[Any], Any] | FlatMapFunction, output_type: TypeInformation | None = None
    ) -> "DataStream":
        """One record in, an iterable of records out."""
        callable_or(FlatMapFunction, func)
        return self._transform("FlatMap", bindings.flat_map(func, output_type), output_type)

    def filter(self, func: Callable[[Any], bool] | FilterFunction) -> "DataStream":
        """Only the records for which the function is true."""
        callable_or(FilterFunction, func)
        return self._transform("Filter", bindings.filter_(func), self._type)

    def process(self, func: ProcessFunction, output_type: TypeInformation | None = None) -> "DataStream":
        """One record in, any number out on the main and on side outputs."""
        if not isinstance(func, ProcessFunction):
            raise TypeError(f"process() of a stream that is not keyed takes a ProcessFunction, not {func!r}")
        return self._transform("Process", bindings.process(func, output_type), output_type)

    def project(self, *field_indexes: int) -> "DataStream":
        """Some fields of a stream of tuples, in the order given."""
        if not isinstance(self._type, TupleTypeInfo):
            raise TypeError(f"Only Tuple types can be projected; the type of this stream is {self.get_type()}.")
        fields = self._type.get_field_types()
        for index in field_indexes:
            if not 0 <= index < len(fields):
                raise ValueError(f"project(): the stream has the fields 0 to {len(fields) - 1}, there is no {index}")
        output_type = Types.TUPLE([fields[index] for index in field_indexes])
        return self._transform("Projection", bindings.project(field_indexes), output_type)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> "DataStream":
        """Give records event-time timestamps, and emit watermarks of this strategy instead of those from upstream."""
        factory = io_bindings.timestamps_and_watermarks(watermark_strategy)
        return self._transform("Timestamps/Watermarks", factory, self._type)

    def transform(self, operator_name: str, type_info: TypeInformation | None, operator: Any) -> "DataStream":
        """Add an operator of the user's own: a `StreamOperator`, or a callable that makes one."""
        return self._transform(operator_name, io_bindings.one_input(operator, type_info), type_info)

    # ---- several streams

    def key_by(
        self, key_selector: Callable[[Any], Any] | KeySelector, key_type: TypeInformation | None = None
    ) -> "KeyedStream":
        """Deal the records by key; state and timers of the operators that follow belong to a key."""
        from penstock.datastream.streams.keyed import KeyedStream

        callable_or(KeySelector, key_selector)
        return KeyedStream.of(self, key_selector, key_type)

    def union(self, *streams: "DataStream") -> "DataStream":
        """The records of all these streams, which must have one type, in no particular order."""
        taps = list(self._taps)
        for stream in streams:
            check_argument(stream, DataStream, "union()")
            self._check_same_program(stream)
            if stream.get_type() != self.get_type():
                raise JobDefinitionError(
                    f"Cannot union streams of different types: {self.get_type()} and {stream.get_type()}"
                )
            taps.extend(stream._values()._taps)
        return DataStream(self._environment, taps, self._type)

    @overload
    def connect(self, ds: "DataStream") -> "ConnectedStreams": ...

    @overload
    def connect(self, ds: "BroadcastStream") -> "BroadcastConnectedStream": ...

    def connect(self, ds: "DataStream | BroadcastStream") -> "ConnectedStreams | BroadcastConnectedStream":
        """Two streams as the two inputs of one operator."""
        from penstock.datastream.streams.broadcast import BroadcastConnectedStream, BroadcastStream
        from penstock.datastream.streams.connected import ConnectedStreams

        if isinstance(ds, BroadcastStream):
            self._check_same_program(ds.input_stream)
            return BroadcastConnectedStream(self, ds, ds.broadcast_state_descriptors)
        check_argument(ds, (DataStream, BroadcastStream), "connect()")
        self._check_same_program(ds)
        return ConnectedStreams(self, ds)

    def get_side_output(self, output_tag: OutputTag) -> "DataStream":
        """What the operator emitted with this tag."""
        check_argument(output_tag, OutputTag, "get_side_output()")
        tap = Tap(node=self._node().id, tag=output_tag.tag_id)
        return DataStream(self._environment, [tap], output_tag.type_info)

    # ---- partitionings

    def shuffle(self) -> "DataStream":
        """Deal records to random subtasks."""
        return self._partitioned(Exchange.SHUFFLE)

    def rebalance(self) -> "DataStream":
        """Deal records round robin over all subtasks."""
        return self._partitioned(Exchange.REBALANCE)

    def rescale(self) -> "DataStream":
        """Deal records round robin over a part of the subtasks."""
        return self._partitioned(Exchange.RESCALE)

    def forward(self) -> "DataStream":
        """Keep records in the subtask of the same index; both sides must have one parallelism."""
        return self._partitioned(Exchange.FORWARD)

    def global_(self) -> "DataStream":
        """Give all records to the first subtask."""
        return self._partitioned(Exchange.GLOBAL)

    @overload
    def broadcast(self) -> "DataStream": ...

    @overload
    def broadcast(
        self, broadcast_state_descriptor: MapStateDescriptor, *other_broadcast_state_descriptors: MapStateDescriptor
    ) -> "BroadcastStream": ...

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> "DataStream | BroadcastStream":
        """Give every record to every subtask; with descriptors: as the broadcast side of a connect."""
        from penstock.datastream.streams.broadcast import BroadcastStream

        everywhere = self._partitioned(Exchange.BROADCAST)
        if broadcast_state_descriptor is None:
            return everywhere
        descriptors = [broadcast_state_descriptor, *other_broadcast_state_descriptors]
        for descriptor in descriptors:
            check_argument(descriptor, MapStateDescriptor, "broadcast()")
        return BroadcastStream(everywhere, descriptors)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector,
    ) -> "DataStream":
        """Deal records by `partitioner(key, number of subtasks)`."""
        callable_or(Partitioner, partitioner)
        callable_or(KeySelector, key_selector)
        custom = CustomPartitioner(partition=partition_of(partitioner), key_selector=key_selector_of(key_selector))
        return self._partitioned(Exchange.CUSTOM, custom)

    # ---- ends

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Write every record to standard output."""
        check_argument(sink_identifier, (str, NoneType), "print()")
        values = self._values()
        return values._sink("Print to Std. Out", bindings.print_sink(values._type, sink_identifier))

    def add_sink(self, sink_func: SinkFunction | Sink[Any]) -> DataStreamSink:
        """Hand every record to a sink function."""
        if isinstance(sink_func, Sink):
            return self.sink_to(sink_func)  # PyFlink 1.x's StreamingFileSink was a sink function.
        if not isinstance(sink_func, SinkFunction):
            raise TypeError(f"add_sink() takes a SinkFunction, not {sink_func!r}; for a Sink there is sink_to()")
        return self._values()._sink("Unnamed", bindings.sink_function(sink_func))

    def sink_to(self, sink: Sink[Any]) -> DataStreamSink:
        """Hand every record to a sink with its writer and committer."""
        values = self._values()
        return values._sink("Writer", io_bindings.sink(sink, values._type))

    def execute_and_collect(self, job_execution_name: str | None = None, limit: int | None = None) -> Any:
        """Run the program and give this stream's records: an iterator, or a list of at most `limit`."""
        values = self._values()
        collected = io_bindings.collect_sink()
        name, coordinator = io_bindings.COLLECT_SINK, collected.coordinator
        values._sink(name, collected.factory, coordinator=coordinator, parallelism=1, parallel=False)
        iterator = CloseableIterator(
            self._environment.submit_for_results(job_execution_name), io_bindings.decode_collected
        )
        if limit is None:
            return iterator
        with iterator:
            return [record for _, record in zip(range(limit), iterator, strict=False)]

    def cache(self) -> Any:
        raise JobDefinitionError("cache() keeps a result in a Flink session cluster; write the stream to files instead")

    # ---- for the other streams

    def _nodes(self) -> Sequence[StreamNode]:
        return (self._node(),)

    def _node(self) -> StreamNode:
        """The operator that this stream is the main output of."""
        if len(self._taps) != 1 or self._taps[0].tag is not None or self._taps[0].exchange is not None:
            raise JobDefinitionError(
                "this stream is a union, a side output or a partitioning, not an operator: "
                "name, uid, parallelism and the like are set on the operators before or after it"
            )
        return self._environment.program.graph.nodes[self._taps[0].node]

    def _default_parallelism(self) -> int:
        return self._environment.get_parallelism()

    def _values(self) -> "DataStream":
        """The stream without its key."""
        return self

    def _is_keyed(self) -> bool:
        return False

    def _partitioned(self, exchange: Exchange, partitioner: CustomPartitioner | None = None) -> "DataStream":
        taps = [Tap(node=tap.node, tag=tap.tag, exchange=exchange, partitioner=partitioner) for tap in self._taps]
        return DataStream(self._environment, taps, self._type)

    def _transform(
        self, name: str, factory: bindings.Factory, output_type: TypeInformation | None, **attributes: Any
    ) -> "DataStream":
        node = self._environment.program.add(name, self._taps, factory=factory, output_type=output_type, **attributes)
        return DataStream(self._environment, [Tap(node=node.id)], output_type)

    def _sink(self, name: str, factory: bindings.Factory, **attributes: Any) -> DataStreamSink:
        node = self._environment.program.add(name, self._taps, factory=factory, is_sink=True, **attributes)
        return DataStreamSink(self._environment, [node])

    def _check_same_program(self, other: "DataStream") -> None:
        if other._environment.program is not self._environment.program:
            raise JobDefinitionError("streams of different StreamExecutionEnvironments cannot meet in one operator")
