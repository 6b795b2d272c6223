"""KeyedStream: a stream whose records are dealt by key, so that state and timers may belong to the key."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn, Self, final

from penstock.base.errors import JobDefinitionError, StateError
from penstock.common.typeinfo import TypeInformation
from penstock.datastream import bindings, io_bindings
from penstock.datastream.streams.stream import DataStream
from penstock.datastream.streams.user_functions import callable_or
from penstock.graph.job_graph import Exchange
from penstock.graph.stream_graph import StreamNode, Tap
from penstock.operators.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    ProcessFunction,
    ReduceFunction,
)
from penstock.records.key_types import declared_key_type


@final
class KeyedStream(DataStream):
    """What `key_by` returns. Operators on it see one key at a time."""

    class AccumulateType(Enum):
        """The built-in aggregations over one field."""

        MIN = 1
        MAX = 2
        MIN_BY = 3
        MAX_BY = 4
        SUM = 5

    _origin: DataStream
    _key_type: TypeInformation | None

    @classmethod
    def of(
        cls,
        origin: DataStream,
        key_selector: Callable[[Any], Any] | KeySelector,
        key_type: TypeInformation | None,
    ) -> "KeyedStream":
        """Key a stream: the selector runs beside each operator that emits into it."""
        program = origin.get_execution_environment().program
        nodes = [
            program.add(
                "KeyBy",
                (Tap(node=tap.node, tag=tap.tag),),
                factory=bindings.key_by(key_selector, key_type),
                glued_to=tap.node,
                output_type=origin._type,
                key_type=key_type,
            )
            for tap in origin._taps
        ]
        _check_key_type(key_type)
        taps = [Tap(node=node.id, exchange=Exchange.HASH) for node in nodes]
        keyed = cls(origin.get_execution_environment(), taps, origin._type)
        keyed._origin = origin
        keyed._key_type = key_type
        return keyed

    # ---- one record at a time

    def map(self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """As `DataStream.map`; the function may use keyed state."""
        callable_or(MapFunction, func)
        return self._transform("Map", bindings.map_(func, output_type), output_type)

    def flat_map(
        self, func: Callable[[Any], Any] | FlatMapFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """As `DataStream.flat_map`; the function may use keyed state."""
        callable_or(FlatMapFunction, func)
        return self._transform("FlatMap", bindings.flat_map(func, output_type), output_type)

    def filter(self, func: Callable[[Any], bool] | FilterFunction) -> DataStream:
        """As `DataStream.filter`; the function may use keyed state."""
        callable_or(FilterFunction, func)
        return self._transform("Filter", bindings.filter_(func), self._type)

    def process(
        self, func: KeyedProcessFunction | ProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """One record in, any number out, with state and timers of the record's key."""
        if not isinstance(func, (KeyedProcessFunction, ProcessFunction)):
            raise TypeError(f"process() of a keyed stream takes a KeyedProcessFunction, not {func!r}")
        return self._with_timers("KeyedProcess", bindings.process(func, output_type), output_type)

    def transform(self, operator_name: str, type_info: TypeInformation | None, operator: Any) -> DataStream:
        """As `DataStream.transform`; the operator may use keyed state and timers."""
        return self._with_timers(operator_name, io_bindings.one_input(operator, type_info), type_info)

    # ---- aggregations

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        """Combine each record with the result so far of its key, and emit the new result."""
        callable_or(ReduceFunction, func)
        return self._reduce("Reduce", func)

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The sum over a field; the other fields are those of the key's first record."""
        return self._accumulate(self.AccumulateType.SUM, position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The smallest value of a field; the other fields are those of the key's first record."""
        return self._accumulate(self.AccumulateType.MIN, position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The largest value of a field; the other fields are those of the key's first record."""
        return self._accumulate(self.AccumulateType.MAX, position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The record with the smallest value of a field; the first of several."""
        return self._accumulate(self.AccumulateType.MIN_BY, position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The record with the largest value of a field; the first of several."""
        return self._accumulate(self.AccumulateType.MAX_BY, position_to_max_by)

    # ---- what follows the key

    def key_by(
        self, key_selector: Callable[[Any], Any] | KeySelector, key_type: TypeInformation | None = None
    ) -> "KeyedStream":
        """Key the records anew."""
        return self._origin.key_by(key_selector, key_type)

    def union(self, *streams: DataStream) -> DataStream:
        """The records of all these streams, without their keys."""
        return self._values().union(*streams)

    def project(self, *field_indexes: int) -> DataStream:
        """Some fields of each record, without its key."""
        return self._values().project(*field_indexes)

    def assign_timestamps_and_watermarks(self, watermark_strategy: Any) -> DataStream:
        """As on a stream that is not keyed."""
        return self._values().assign_timestamps_and_watermarks(watermark_strategy)

    # ---- what a keyed stream refuses, as PyFlink does

    def shuffle(self) -> NoReturn:
        self._refuse_partitioning()

    def rebalance(self) -> NoReturn:
        self._refuse_partitioning()

    def rescale(self) -> NoReturn:
        self._refuse_partitioning()

    def forward(self) -> NoReturn:
        self._refuse_partitioning()

    def global_(self) -> NoReturn:
        self._refuse_partitioning()

    def broadcast(self, *args: Any) -> NoReturn:
        self._refuse_partitioning()

    def partition_custom(self, partitioner: Any, key_selector: Any) -> NoReturn:
        self._refuse_partitioning()

    def get_name(self) -> NoReturn:
        self._refuse("Get name of")

    def name(self, name: str) -> Self:
        self._refuse("Set name for")

    def uid(self, uid: str) -> Self:
        self._refuse("Set uid for")

    def set_uid_hash(self, uid_hash: str) -> Self:
        self._refuse("Set uid hash for")

    def set_parallelism(self, parallelism: int) -> Self:
        self._refuse("Set parallelism for")

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        self._refuse("Set max parallelism for")

    def force_non_parallel(self) -> Self:
        self._refuse("Set force non-parallel for")

    def set_buffer_timeout(self, timeout_millis: int) -> Self:
        self._refuse("Set buffer timeout for")

    def start_new_chain(self) -> Self:
        self._refuse("Start new chain for")

    def disable_chaining(self) -> Self:
        self._refuse("Disable chaining for")

    def slot_sharing_group(self, slot_sharing_group: Any) -> Self:
        self._refuse("Setting slot sharing group for")

    def cache(self) -> NoReturn:
        self._refuse("Cache for")

    def _accumulate(self, kind: AccumulateType, position: int | str) -> DataStream:
        name = kind.name.title().replace("_", " ")
        return self._reduce(name, bindings.field_aggregation(kind.name.lower(), position))

    def _reduce(self, name: str, function: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        return self._transform(
            name,
            bindings.reduce(function, self._type, final_only=False),
            self._type,
            batch_factory=bindings.reduce(function, self._type, final_only=True),
        )

    def _with_timers(self, name: str, factory: bindings.Factory, output_type: TypeInformation | None) -> DataStream:
        # In a batch they fire key by key, so what sorts has to tell the operator where a key ends.
        return self._transform(
            name, factory, output_type, batch_input=None, batch_factory=bindings.sorted_inputs(factory)
        )

    def _transform(
        self, name: str, factory: bindings.Factory, output_type: TypeInformation | None, **attributes: Any
    ) -> DataStream:
        sorting = {"batch_input": bindings.sorted_input()} | attributes
        return super()._transform(name, factory, output_type, keyed=True, key_type=self._key_type, **sorting)

    def _node(self) -> StreamNode:
        raise JobDefinitionError("a keyed stream is no operator: set this on the operators before or after key_by()")

    def _values(self) -> DataStream:
        return DataStream(self._environment, self._taps, self._type)

    def _is_keyed(self) -> bool:
        return True

    def _refuse(self, what: str) -> NoReturn:
        raise JobDefinitionError(f"{what} KeyedStream is not supported.")

    def _refuse_partitioning(self) -> NoReturn:
        raise JobDefinitionError("Cannot override partitioning for KeyedStream.")


def _check_key_type(key_type: TypeInformation | None) -> None:
    try:
        declared_key_type(key_type)
    except StateError as error:
        raise JobDefinitionError(f"key_by(): {error}") from None
