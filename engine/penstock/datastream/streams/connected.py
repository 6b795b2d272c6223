"""ConnectedStreams: two streams as the two inputs of one operator, which may share state between them."""

from collections.abc import Callable
from typing import Any, final

from penstock.base.errors import JobDefinitionError
from penstock.common.typeinfo import TypeInformation
from penstock.datastream import bindings, io_bindings
from penstock.datastream.absent import refuse_absent_attribute
from penstock.datastream.streams.keyed import KeyedStream
from penstock.datastream.streams.stream import DataStream
from penstock.graph.stream_graph import Tap
from penstock.operators.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
    KeySelector,
)


@final
class ConnectedStreams:
    """What `connect` returns. Keyed if both streams are keyed."""

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self,
        key_selector1: Callable[[Any], Any] | KeySelector,
        key_selector2: Callable[[Any], Any] | KeySelector,
        key_type: TypeInformation | None = None,
    ) -> "ConnectedStreams":
        """Key both streams; equal keys of both meet in one subtask."""
        return ConnectedStreams(
            self.stream1.key_by(key_selector1, key_type), self.stream2.key_by(key_selector2, key_type)
        )

    def map(self, func: CoMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """One record in, one record or None out."""
        if not isinstance(func, CoMapFunction):
            raise TypeError(f"The input function must be a CoMapFunction, not {func!r}")
        return self._transform("Co-Map", bindings.co_map(func, output_type), output_type)

    def flat_map(self, func: CoFlatMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """One record in, an iterable of records out."""
        if not isinstance(func, CoFlatMapFunction):
            raise TypeError(f"The input function must be a CoFlatMapFunction, not {func!r}")
        return self._transform("Co-Flat-Map", bindings.co_flat_map(func, output_type), output_type)

    def process(
        self, func: CoProcessFunction | KeyedCoProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """One record in, any number out; keyed streams take a KeyedCoProcessFunction."""
        wanted = KeyedCoProcessFunction if self._is_keyed() else CoProcessFunction
        if not isinstance(func, wanted):
            kind = "keyed" if self._is_keyed() else "not keyed"
            raise TypeError(f"process() of connected streams that are {kind} takes a {wanted.__name__}, not {func!r}")
        factory = bindings.co_process(func, output_type)
        return self._transform("Keyed-Co-Process" if self._is_keyed() else "Co-Process", factory, output_type)

    def transform(self, operator_name: str, type_info: TypeInformation | None, operator: Any) -> DataStream:
        """Add an operator of the user's own: a `TwoInputStreamOperator`, or a callable that makes one."""
        return self._transform(operator_name, io_bindings.two_input(operator, type_info), type_info)

    def _is_keyed(self) -> bool:
        one, two = self.stream1._is_keyed(), self.stream2._is_keyed()
        if one is not two:
            raise JobDefinitionError("of two connected streams, either both are keyed or neither is")
        return one

    def _transform(self, name: str, factory: bindings.Factory, output_type: TypeInformation | None) -> DataStream:
        environment = self.stream1.get_execution_environment()
        node = environment.program.add(
            name,
            self.stream1._taps,
            self.stream2._taps,
            factory=factory,
            batch_factory=bindings.sorted_inputs(factory) if self._is_keyed() else None,
            output_type=output_type,
            keyed=self._is_keyed(),
            key_type=self.stream1._key_type if isinstance(self.stream1, KeyedStream) else None,
        )
        return DataStream(environment, [Tap(node=node.id)], output_type)

    def __getattr__(self, name: str) -> Any:
        refuse_absent_attribute(self, name)
