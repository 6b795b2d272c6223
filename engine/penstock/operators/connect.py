"""map and flat_map on two connected streams, and process on a stream with a broadcast one beside it."""

from collections.abc import Iterable
from typing import Any, final

from penstock.common.typeinfo import TypeInformation
from penstock.operators.function_operator import method_of
from penstock.operators.functions import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    TimeDomain,
    TimerService,
)
from penstock.operators.operator import StateContext
from penstock.operators.process import EmittingOperator
from penstock.records.batch import MIN_TIMESTAMP, Batch
from penstock.state.api import BroadcastState, OperatorStateStore
from penstock.state.backend import CurrentKey
from penstock.state.descriptors import MapStateDescriptor


@final
class CoMap(EmittingOperator):
    """CoMapFunction: what returns None gives no record."""

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        super().__init__(function, output_type)
        first, second = method_of(function, "map1"), method_of(function, "map2")

        def call1(value: Any, context: Any) -> Iterable[Any] | None:
            out = first(value)
            return None if out is None else (out,)

        def call2(value: Any, context: Any) -> Iterable[Any] | None:
            out = second(value)
            return None if out is None else (out,)

        self._calls = (call1, call2)

    def process(self, batch: Batch, port: int) -> None:
        self.run(self._calls[port], batch)


@final
class CoFlatMap(EmittingOperator):
    """CoFlatMapFunction: what returns None gives no record."""

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        super().__init__(function, output_type)
        first, second = method_of(function, "flat_map1"), method_of(function, "flat_map2")
        self._calls = (lambda value, context: first(value), lambda value, context: second(value))

    def process(self, batch: Batch, port: int) -> None:
        self.run(self._calls[port], batch)


@final
class BroadcastContext(
    KeyedBroadcastProcessFunction.OnTimerContext,
    KeyedBroadcastProcessFunction.Context,
    BroadcastProcessFunction.ReadOnlyContext,
    BroadcastProcessFunction.Context,
):
    """The context of both kinds of broadcast process function, on either side; one object, changed per record."""

    def __init__(self, service: TimerService, current: CurrentKey, store: OperatorStateStore) -> None:
        self.service = service
        self.current = current
        self.now = MIN_TIMESTAMP
        self.domain = TimeDomain.EVENT_TIME
        self._store = store
        self._states: dict[str, BroadcastState[Any, Any]] = {}

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        name = state_descriptor.get_name()
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = self._store.get_broadcast_state(state_descriptor)
        return state

    def get_current_key(self) -> Any:
        return self.current.key

    def timer_service(self) -> TimerService:
        return self.service

    def timestamp(self) -> int:
        return self.now

    def current_processing_time(self) -> int:
        return self.service.current_processing_time()

    def current_watermark(self) -> int:
        return self.service.current_watermark()

    def time_domain(self) -> TimeDomain:
        return self.domain


@final
class BroadcastProcess(EmittingOperator):
    """BroadcastProcessFunction or its keyed kind: records on port 0, the broadcast on port 1.

    The broadcast states are registered at the start, so that a subtask that has seen no record yet snapshots them too.
    """

    def __init__(
        self,
        function: Any,
        descriptors: tuple[MapStateDescriptor, ...] = (),
        output_type: TypeInformation | None = None,
    ) -> None:
        super().__init__(function, output_type)
        self._descriptors = descriptors
        self._calls = (method_of(function, "process_element"), method_of(function, "process_broadcast_element"))

    def initialize_state(self, state: StateContext) -> None:
        self._store = state.operator
        super().initialize_state(state)
        for descriptor in self._descriptors:
            self.function_context.get_broadcast_state(descriptor)

    def make_context(self, service: TimerService) -> BroadcastContext:
        return BroadcastContext(service, self.current, self._store)

    def process(self, batch: Batch, port: int) -> None:
        self.run(self._calls[port], batch)
