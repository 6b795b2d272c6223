"""The functions that random programs are made of, as users write them.

Records are triples (key, number, text). Each stateful function has a fold beside it that says in plain Python what it
does; `penstock.testing.random_programs` interprets programs with the folds and runs them with the functions.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, final

from penstock.common.typeinfo import Types
from penstock.datastream.functions import (
    AggregateFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    FlatMapFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessFunction,
    ReduceFunction,
    RuntimeContext,
)
from penstock.datastream.operators import (
    FunctionSnapshotContext,
    OneInputStreamOperator,
    StateInitializationContext,
    StreamRecord,
)
from penstock.datastream.output_tag import OutputTag
from penstock.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)

Triple = tuple[int, int, str]
END: Final = 2**63 - 1
MODULUS: Final = 10_007
TRIPLE: Final = Types.TUPLE([Types.LONG(), Types.LONG(), Types.STRING()])
ROW: Final = Types.ROW(
    [Types.LONG(), Types.LONG(), Types.LIST(Types.STRING()), Types.MAP(Types.STRING(), Types.LONG())]
)
SIDE: Final = OutputTag("side", TRIPLE)
UNTYPED_SIDE: Final = OutputTag("untyped side")
RULES: Final = MapStateDescriptor("rules", Types.LONG(), Types.LONG())

KEYS: Final[dict[str, Callable[[int], Any]]] = {
    "int": lambda key: key,
    "str": lambda key: f"key-{key}-ключ",
    "tuple": lambda key: (key, f"k{key % 2}"),
    "float": lambda key: key / 2,
    "bytes": lambda key: bytes([key]),
}
"""Keys of several types, one to one with the key of a record."""


@final
class Key:
    """A key selector of one of these types."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, record: Triple) -> Any:
        return KEYS[self.kind](record[0])


# Folds: (state, number) -> (state, what a running result emits).

Fold = Callable[[Any, int], tuple[Any, int]]


def fold_value(state: Any, number: int) -> tuple[Any, int]:
    total = ((state or 0) + number + 1) % MODULUS
    return total, total


def fold_list(state: Any, number: int) -> tuple[Any, int]:
    numbers = [*(state or []), number]
    return numbers, (sum(numbers) + len(numbers)) % MODULUS


def fold_map(state: Any, number: int) -> tuple[Any, int]:
    counts = dict(state or {})
    counts[number % 5] = counts.get(number % 5, 0) + 1
    if counts[number % 5] == 7:
        del counts[number % 5]
    return counts, sum((field + 1) * count for field, count in counts.items())


def fold_reducing(state: Any, number: int) -> tuple[Any, int]:
    largest = number if state is None else max(state, number)
    return largest, largest


def fold_aggregating(state: Any, number: int) -> tuple[Any, int]:
    total, count = state or (0, 0)
    return (total + number, count + 1), (total + number) // (count + 1)


FOLDS: Final[dict[str, Fold]] = {
    "value": fold_value,
    "list": fold_list,
    "map": fold_map,
    "reducing": fold_reducing,
    "aggregating": fold_aggregating,
}


@final
class Mean(AggregateFunction):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: int, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator: tuple[int, int]) -> int:
        return accumulator[0] // accumulator[1]

    def merge(self, acc_a: tuple[int, int], acc_b: tuple[int, int]) -> tuple[int, int]:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Folded:
    """A fold by state of its kind: `add` takes a number in, `result` gives what the fold emits."""

    def __init__(self, kind: str, context: RuntimeContext, typed: bool) -> None:
        number = Types.LONG() if typed else Types.PICKLED_BYTE_ARRAY()
        self.state: Any
        match kind:
            case "value":
                self.state = context.get_state(ValueStateDescriptor("folded", number))
            case "list":
                self.state = context.get_list_state(ListStateDescriptor("folded", number))
            case "map":
                self.state = context.get_map_state(MapStateDescriptor("folded", number, number))
            case "reducing":
                self.state = context.get_reducing_state(ReducingStateDescriptor("folded", max, number))
            case _:
                self.state = context.get_aggregating_state(
                    AggregatingStateDescriptor("folded", Mean(), Types.PICKLED_BYTE_ARRAY())
                )
        self.add: Callable[[int], None] = getattr(self, f"_add_{kind}", self._add)
        self.result: Callable[[], int] = getattr(self, f"_{kind}", self._get)

    def _add(self, number: int) -> None:
        self.state.add(number)

    def _add_value(self, number: int) -> None:
        self.state.update(((self.state.value() or 0) + number + 1) % MODULUS)

    def _add_map(self, number: int) -> None:
        field = number % 5
        count = (self.state.get(field) or 0) + 1
        if count == 7:
            self.state.remove(field)
        else:
            self.state.put(field, count)

    def _get(self) -> int:
        found: int = self.state.get()
        return found

    def _value(self) -> int:
        found: int = self.state.value()
        return found

    def _list(self) -> int:
        numbers: list[int] = list(self.state.get())
        return (sum(numbers) + len(numbers)) % MODULUS

    def _map(self) -> int:
        found: int = sum((field + 1) * count for field, count in self.state.items())
        return found


@final
class Running(KeyedProcessFunction):
    """A result for each record."""

    def __init__(self, kind: str, key: Key, typed: bool) -> None:
        self.kind = kind
        self.key = key
        self.typed = typed

    def open(self, runtime_context: RuntimeContext) -> None:
        self.folded = Folded(self.kind, runtime_context, self.typed)

    def process_element(self, value: Triple, ctx: KeyedProcessFunction.Context) -> Iterator[Triple]:
        if ctx.get_current_key() != self.key(value):
            raise AssertionError(f"{value} came with the key {ctx.get_current_key()!r}")
        self.folded.add(value[1])
        yield value[0], self.folded.result(), value[2]


@final
class AtEnd(KeyedProcessFunction):
    """One result for each key, when event time ends; timers by the clock come and go without effect."""

    def __init__(self, kind: str, key: Key, typed: bool) -> None:
        self.kind = kind
        self.key = key
        self.typed = typed

    def open(self, runtime_context: RuntimeContext) -> None:
        self.folded = Folded(self.kind, runtime_context, self.typed)
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))

    def process_element(self, value: Triple, ctx: KeyedProcessFunction.Context) -> None:
        if ctx.get_current_key() != self.key(value):
            raise AssertionError(f"{value} came with the key {ctx.get_current_key()!r}")
        timers = ctx.timer_service()
        timers.register_event_time_timer(END)
        if value[1] % 3 == 0:
            timers.register_processing_time_timer(timers.current_processing_time() + value[1] % 7)
        if value[1] % 5 == 0:
            timers.register_event_time_timer(END - 1)
            timers.delete_event_time_timer(END - 1)
        self.number.update(value[0])
        self.folded.add(value[1])

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Triple]:
        if timestamp == END - 1:
            raise AssertionError("a timer fired that had been deleted")
        if timestamp == END:
            yield self.number.value() or 0, self.folded.result(), "end"


@final
class Tumbling(KeyedProcessFunction):
    """The sum of each span of event time, by a timer at its end."""

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, runtime_context: RuntimeContext) -> None:
        self.sums = runtime_context.get_map_state(MapStateDescriptor("sums", Types.LONG(), Types.LONG()))
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))

    def process_element(self, value: Triple, ctx: KeyedProcessFunction.Context) -> None:
        end = (ctx.timestamp() // self.size + 1) * self.size - 1
        if ctx.timer_service().current_watermark() >= end:
            raise AssertionError(f"{value} of {ctx.timestamp()} came behind the watermark")
        self.sums.put(end, (self.sums.get(end) or 0) + value[1])
        self.number.update(value[0])
        ctx.timer_service().register_event_time_timer(end)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Triple]:
        yield self.number.value() or 0, (self.sums.get(timestamp) or 0) % MODULUS, f"until {timestamp}"
        self.sums.remove(timestamp)


@final
class Stamped(ProcessFunction):
    """The record with its timestamp as its number."""

    def process_element(self, value: Triple, ctx: ProcessFunction.Context) -> Iterator[Triple]:
        yield value[0], ctx.timestamp() % MODULUS, value[2]


@final
class Fork(ProcessFunction):
    """Every third number to the side."""

    def __init__(self, tag: OutputTag) -> None:
        self.tag = tag

    def process_element(self, value: Triple, ctx: ProcessFunction.Context) -> Iterator[Any]:
        if value[1] % 3:
            yield value
        else:
            yield self.tag, value


@final
class Shift(MapFunction):
    def __init__(self, by: int) -> None:
        self.by = by

    def open(self, runtime_context: RuntimeContext) -> None:
        self.opened = True

    def map(self, value: Triple) -> Triple:
        return value[0], (value[1] + self.by * self.opened) % MODULUS, value[2]


@final
class Mutate(MapFunction):
    """Changes the very list it was given."""

    def __init__(self, by: int) -> None:
        self.by = by

    def map(self, value: list[Any]) -> list[Any]:
        value[1] = (value[1] + self.by) % MODULUS
        return value


@final
class Repeat(FlatMapFunction):
    """Each record as often as its number says, up to three times; one object again and again."""

    def flat_map(self, value: Triple) -> Iterable[Triple]:
        return [value] * (value[1] % 4)


def twice(value: Triple) -> Iterator[Triple]:
    """A generator function."""
    yield value
    yield value[0], (value[1] * 2) % MODULUS, value[2] + "'"


def never(value: Triple) -> Iterator[Triple]:
    """A generator function that gives only numbers that divide by seven."""
    if value[1] % 7 == 0:
        yield value


@final
class Largest(ReduceFunction):
    """A reduce function whose result does not depend on order, but for the text, which is that of the first."""

    def reduce(self, value1: Triple, value2: Triple) -> Triple:
        return value1[0], max(value1[1], value2[1]), value1[2]


@final
class BothMapped(CoMapFunction):
    """Gives the second stream's even numbers only."""

    def map1(self, value: Triple) -> Triple:
        return value[0], (value[1] + 1) % MODULUS, value[2]

    def map2(self, value: Triple) -> Triple | None:
        return None if value[1] % 2 else value


@final
class BothFlatMapped(CoFlatMapFunction):
    def flat_map1(self, value: Triple) -> Iterable[Triple]:
        return [value, value]

    def flat_map2(self, value: Triple) -> Iterator[Triple]:
        if value[1] % 2:
            yield value


@final
class BothProcessed(CoProcessFunction):
    def process_element1(self, value: Triple, ctx: CoProcessFunction.Context) -> Iterator[Triple]:
        yield value[0], ctx.timestamp() % MODULUS, value[2]

    def process_element2(self, value: Triple, ctx: CoProcessFunction.Context) -> Iterable[Triple]:
        return [value] if value[1] % 3 else []


@final
class Joined(KeyedCoProcessFunction):
    """At the end, for each key, sums of both streams: one in a value, one in a list."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))
        self.numbers = runtime_context.get_list_state(ListStateDescriptor("numbers", Types.LONG()))

    def process_element1(self, value: Triple, ctx: KeyedCoProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(END)
        self.number.update(value[0])
        self.total.update((self.total.value() or 0) + value[1])

    def process_element2(self, value: Triple, ctx: KeyedCoProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(END)
        self.number.update(value[0])
        self.numbers.add(value[1])

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterator[Triple]:
        numbers = list(self.numbers.get())
        yield self.number.value() or 0, joined(self.total.value() or 0, numbers), "joined"


def joined(total: int, numbers: list[int]) -> int:
    """What `Joined` gives for a key."""
    return (total * 31 + sum(numbers) + len(numbers)) % MODULUS


@final
class Ruled(BroadcastProcessFunction[Triple, Triple, Triple]):
    """Passes records on; gives each broadcast record once in each subtask."""

    def process_element(self, value: Triple, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterator[Triple]:
        yield value

    def process_broadcast_element(self, value: Triple, ctx: BroadcastProcessFunction.Context) -> Iterator[Triple]:
        ctx.get_broadcast_state(RULES).put(value[1], value[0])
        yield value[0], value[1], "rule"


@final
class KeyedRuled(KeyedBroadcastProcessFunction[Any, Triple, Triple, Triple]):
    """At the end, for each key, the sum of its numbers and of all rules."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, value: Triple, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        ctx.timer_service().register_event_time_timer(END)
        self.number.update(value[0])
        self.total.update((self.total.value() or 0) + value[1])

    def process_broadcast_element(self, value: Triple, ctx: KeyedBroadcastProcessFunction.Context) -> None:
        ctx.get_broadcast_state(RULES).put(value[1], value[1])

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Triple]:
        rules = [rule for rule, _ in ctx.get_broadcast_state(RULES).items()]
        yield self.number.value() or 0, ruled(self.total.value() or 0, rules), "ruled"


def ruled(total: int, rules: Iterable[int]) -> int:
    """What `KeyedRuled` gives for a key."""
    return (total + 17 * sum(rules)) % MODULUS


@final
class Buffer(OneInputStreamOperator):
    """Holds records back in operator state, in a list that is dealt out or one that all subtasks get."""

    def __init__(self, union: bool) -> None:
        self.union = union
        self.waiting: list[StreamRecord] = []

    def initialize_state(self, context: StateInitializationContext) -> None:
        store = context.get_operator_state_store()
        get = store.get_union_list_state if self.union else store.get_list_state
        self.state = get(ListStateDescriptor("waiting", Types.PICKLED_BYTE_ARRAY()))
        subtask = self.runtime_context.get_index_of_this_subtask()
        count = self.runtime_context.get_number_of_parallel_subtasks()
        for value, timestamp, number in self.state.get():
            if not self.union or number % count == subtask:
                self.waiting.append(StreamRecord(value, timestamp))

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.state.update([(r.value, r.timestamp, number) for number, r in enumerate(self.waiting)])

    def process_element(self, record: StreamRecord) -> None:
        self.waiting.append(StreamRecord(record.value, record.timestamp))
        if len(self.waiting) > 9:
            self._emit(5)

    def process_watermark(self, timestamp: int) -> None:
        self._emit(len(self.waiting))
        super().process_watermark(timestamp)

    def finish(self) -> None:
        self._emit(len(self.waiting))

    def _emit(self, count: int) -> None:
        for record in self.waiting[:count]:
            self.output.collect(record)
        del self.waiting[:count]
