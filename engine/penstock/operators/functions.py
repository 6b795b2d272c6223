"""The functions that users write, and the contexts these are given.

Signatures are PyFlink's. `penstock.datastream.functions` re-exports this module; the operators call what is
defined here. Nothing here runs anything: `RuntimeContext`, `TimerService` and the contexts are interfaces that the
operators implement.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Generic, TypeVar, final

from penstock.common.metrics import MetricGroup
from penstock.common.type_infos import checked_type
from penstock.common.typeinfo import TypeInformation
from penstock.state.api import (
    AggregatingState,
    BroadcastState,
    ListState,
    MapState,
    ReadOnlyBroadcastState,
    ReducingState,
    ValueState,
)
from penstock.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)

IN = TypeVar("IN")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")


@final
class OutputTag:
    """Names a side output: yield `(tag, value)` from a process function, read it with `get_side_output(tag)`."""

    __slots__ = ("tag_id", "type_info")

    def __init__(self, tag_id: str, type_info: TypeInformation | list[TypeInformation] | None = None) -> None:
        if not isinstance(tag_id, str) or not tag_id:
            raise ValueError(f"the id of an OutputTag is a text that is not empty, not {tag_id!r}")
        self.tag_id = tag_id
        if isinstance(type_info, list):
            type_info = _row_type(type_info)
        self.type_info = None if type_info is None else checked_type(type_info, f"the type of OutputTag {tag_id!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and other.tag_id == self.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r})"


def _row_type(field_types: list[TypeInformation]) -> TypeInformation:
    from penstock.common.typeinfo import Types

    return Types.ROW(field_types)


@final
class TimeDomain(Enum):
    """Whether a timer fires by the watermark or by the clock."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1


class TimerService(ABC):
    """Time as the operator sees it, and timers for the current key."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Milliseconds since 1970."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The watermark that has arrived; -2**63 before the first."""

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None:
        """Have `on_timer` called once the clock has passed `timestamp`."""

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None:
        """Have `on_timer` called once the watermark has reached `timestamp`."""

    @abstractmethod
    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Forget this timer of the current key, if there is one."""

    @abstractmethod
    def delete_event_time_timer(self, timestamp: int) -> None:
        """Forget this timer of the current key, if there is one."""


class KeyedStateStore(ABC):
    """Gives out the handles of keyed state."""

    @abstractmethod
    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]: ...

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]: ...

    @abstractmethod
    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]: ...

    @abstractmethod
    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]: ...

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]: ...


class RuntimeContext(KeyedStateStore):
    """What a function learns about where it runs, in `open`."""

    @abstractmethod
    def get_task_name(self) -> str: ...

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int: ...

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int: ...

    @abstractmethod
    def get_index_of_this_subtask(self) -> int: ...

    @abstractmethod
    def get_attempt_number(self) -> int: ...

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str: ...

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None: ...

    @abstractmethod
    def get_metrics_group(self) -> MetricGroup: ...


class Function(ABC):
    """Base of all functions: what they do at the beginning and at the end."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once, before the first record."""

    def close(self) -> None:
        """Called once, after the last record, and after a failure."""


class MapFunction(Function):
    """One record in, one record out."""

    @abstractmethod
    def map(self, value: Any) -> Any: ...


class CoMapFunction(Function):
    """Two streams in; None is no record."""

    @abstractmethod
    def map1(self, value: Any) -> Any: ...

    @abstractmethod
    def map2(self, value: Any) -> Any: ...


class FlatMapFunction(Function):
    """One record in, an iterable of records out."""

    @abstractmethod
    def flat_map(self, value: Any) -> Iterable[Any]: ...


class CoFlatMapFunction(Function):
    """Two streams in, iterables of records out."""

    @abstractmethod
    def flat_map1(self, value: Any) -> Iterable[Any] | None: ...

    @abstractmethod
    def flat_map2(self, value: Any) -> Iterable[Any] | None: ...


class ReduceFunction(Function):
    """Combines two records of one type into one."""

    @abstractmethod
    def reduce(self, value1: Any, value2: Any) -> Any: ...


class AggregateFunction(Function):
    """Gathers records in an accumulator."""

    @abstractmethod
    def create_accumulator(self) -> Any: ...

    @abstractmethod
    def add(self, value: Any, accumulator: Any) -> Any: ...

    @abstractmethod
    def get_result(self, accumulator: Any) -> Any: ...

    @abstractmethod
    def merge(self, acc_a: Any, acc_b: Any) -> Any: ...


class KeySelector(Function):
    """Says which key a record has."""

    @abstractmethod
    def get_key(self, value: Any) -> Any: ...


@final
class NullByteKeySelector(KeySelector):
    """One key for all records."""

    def get_key(self, value: Any) -> Any:
        return 0


class FilterFunction(Function):
    """Says which records stay."""

    @abstractmethod
    def filter(self, value: Any) -> bool: ...


class Partitioner(Function):
    """Says which subtask gets a record."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int: ...


class ProcessFunction(Function):
    """One record in, any number of records out, with a context."""

    class Context(ABC):
        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def timestamp(self) -> int: ...

    @abstractmethod
    def process_element(self, value: Any, ctx: "ProcessFunction.Context") -> Iterable[Any] | None: ...


class KeyedProcessFunction(Function):
    """As ProcessFunction on a keyed stream: keyed state, and timers."""

    class Context(ABC):
        @abstractmethod
        def get_current_key(self) -> Any: ...

        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def timestamp(self) -> int: ...

    class OnTimerContext(Context):
        @abstractmethod
        def time_domain(self) -> TimeDomain: ...

    @abstractmethod
    def process_element(self, value: Any, ctx: "KeyedProcessFunction.Context") -> Iterable[Any] | None: ...

    def on_timer(self, timestamp: int, ctx: "KeyedProcessFunction.OnTimerContext") -> Iterable[Any] | None:
        """A timer of the key in `ctx` has fired."""
        return None


class CoProcessFunction(Function):
    """Two streams in."""

    class Context(ABC):
        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def timestamp(self) -> int: ...

    @abstractmethod
    def process_element1(self, value: Any, ctx: "CoProcessFunction.Context") -> Iterable[Any] | None: ...

    @abstractmethod
    def process_element2(self, value: Any, ctx: "CoProcessFunction.Context") -> Iterable[Any] | None: ...


class KeyedCoProcessFunction(Function):
    """Two streams in, keyed alike: state and timers are shared by both."""

    class Context(ABC):
        @abstractmethod
        def get_current_key(self) -> Any: ...

        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def timestamp(self) -> int: ...

    class OnTimerContext(Context):
        @abstractmethod
        def time_domain(self) -> TimeDomain: ...

    @abstractmethod
    def process_element1(self, value: Any, ctx: "KeyedCoProcessFunction.Context") -> Iterable[Any] | None: ...

    @abstractmethod
    def process_element2(self, value: Any, ctx: "KeyedCoProcessFunction.Context") -> Iterable[Any] | None: ...

    def on_timer(self, timestamp: int, ctx: "KeyedCoProcessFunction.OnTimerContext") -> Iterable[Any] | None:
        """A timer of the key in `ctx` has fired."""
        return None


class BaseBroadcastProcessFunction(Function):
    """What the two broadcast process functions share."""

    class BaseContext(ABC):
        @abstractmethod
        def timestamp(self) -> int: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

    class Context(BaseContext):
        @abstractmethod
        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]: ...

    class ReadOnlyContext(BaseContext):
        @abstractmethod
        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]: ...


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """A stream, and a broadcast one whose records every subtask sees."""

    class Context(BaseBroadcastProcessFunction.Context, ABC):
        pass

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, ABC):
        pass

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None: ...

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: Context) -> Iterable[OUT] | None: ...


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """A keyed stream with state and timers, and a broadcast one whose records every subtask sees."""

    class Context(BaseBroadcastProcessFunction.Context, ABC):
        pass

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, ABC):
        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def get_current_key(self) -> Any: ...

    class OnTimerContext(ReadOnlyContext, ABC):
        @abstractmethod
        def time_domain(self) -> TimeDomain: ...

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None: ...

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: Context) -> Iterable[OUT] | None: ...

    def on_timer(self, timestamp: int, ctx: OnTimerContext) -> Iterable[OUT] | None:
        """A timer of the key in `ctx` has fired."""
        return None


class FunctionWrapper(Function):
    """Base of what makes a plain callable a function."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func


@final
class ReduceFunctionWrapper(FunctionWrapper):
    """A plain callable as a ReduceFunction."""

    def reduce(self, value1: Any, value2: Any) -> Any:
        return self._func(value1, value2)


class SourceFunction(Function):
    """A source of the old kind: a loop in a thread of its own."""

    class SourceContext(ABC):
        @abstractmethod
        def collect(self, value: Any) -> None: ...

        @abstractmethod
        def collect_with_timestamp(self, value: Any, timestamp: int) -> None: ...

        @abstractmethod
        def emit_watermark(self, timestamp: int) -> None: ...

        @abstractmethod
        def mark_as_temporarily_idle(self) -> None: ...

        @abstractmethod
        def get_checkpoint_lock(self) -> Any:
            """`with ctx.get_checkpoint_lock():` makes emission and change of state one step to a checkpoint."""

    @abstractmethod
    def run(self, ctx: "SourceFunction.SourceContext") -> None:
        """Emit until done, or until `cancel` is called from another thread."""

    @abstractmethod
    def cancel(self) -> None:
        """Make `run` return soon."""


class SinkFunction(Function):
    """A sink of the old kind: called with each record."""

    class Context(ABC):
        @abstractmethod
        def timestamp(self) -> int | None: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

    @abstractmethod
    def invoke(self, value: Any, context: "SinkFunction.Context") -> None: ...
