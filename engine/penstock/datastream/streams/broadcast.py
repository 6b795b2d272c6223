"""A stream whose records every subtask sees, kept in broadcast state, beside one that is dealt out."""

from collections.abc import Sequence
from typing import Any, final

from penstock.common.typeinfo import TypeInformation
from penstock.datastream import bindings
from penstock.datastream.absent import refuse_absent_attribute
from penstock.datastream.streams.keyed import KeyedStream
from penstock.datastream.streams.stream import DataStream
from penstock.graph.stream_graph import Tap
from penstock.operators.functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from penstock.state.descriptors import MapStateDescriptor


@final
class BroadcastStream:
    """What `broadcast(descriptor, ...)` returns: to be connected with a stream that is not broadcast."""

    def __init__(self, input_stream: DataStream, broadcast_state_descriptors: Sequence[MapStateDescriptor]) -> None:
        self.input_stream = input_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)


@final
class BroadcastConnectedStream:
    """A stream, keyed or not, connected with a broadcast one."""

    def __init__(
        self,
        non_broadcast_stream: DataStream,
        broadcast_stream: BroadcastStream,
        broadcast_state_descriptors: Sequence[MapStateDescriptor],
    ) -> None:
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)

    def process(
        self,
        func: BroadcastProcessFunction[Any, Any, Any] | KeyedBroadcastProcessFunction[Any, Any, Any, Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """One record in, any number out; a keyed stream takes a KeyedBroadcastProcessFunction."""
        stream = self.non_broadcast_stream
        keyed = stream._is_keyed()
        wanted = KeyedBroadcastProcessFunction if keyed else BroadcastProcessFunction
        if not isinstance(func, wanted):
            kind = "keyed" if keyed else "not keyed"
            raise TypeError(f"process() of a stream that is {kind} takes a {wanted.__name__}, not {func!r}")
        environment = stream.get_execution_environment()
        factory = bindings.broadcast_process(func, self.broadcast_state_descriptors, output_type)
        node = environment.program.add(
            "Keyed-Co-Process-Broadcast" if keyed else "Co-Process-Broadcast",
            stream._taps,
            self.broadcast_stream.input_stream._taps,
            factory=factory,
            batch_factory=bindings.sorted_inputs(factory) if keyed else None,
            output_type=output_type,
            keyed=keyed,
            key_type=stream._key_type if isinstance(stream, KeyedStream) else None,
        )
        return DataStream(environment, [Tap(node=node.id)], output_type)

    def __getattr__(self, name: str) -> Any:
        refuse_absent_attribute(self, name)
