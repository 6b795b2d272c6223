"""Programs that change between a savepoint and the next start, and what they must still know: for property tests.

A `Form` is a program at one time: stages with state of all kinds, in some order, chains and parallelism. Functions tell
`RECORDED` what their state holds, whenever a probe comes by; a `Model` says the same of plain Python values.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from penstock.common import Configuration, Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.data_stream import DataStream
from penstock.datastream.functions import KeyedBroadcastProcessFunction, KeyedProcessFunction, RuntimeContext
from penstock.datastream.operators import (
    FunctionSnapshotContext,
    OneInputStreamOperator,
    StateInitializationContext,
    StreamRecord,
)
from penstock.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from penstock.datastream.submission import build
from penstock.graph.job_graph import JobGraph
from penstock.testing.paced import PacedNumbers

KEYS: Final = 7
DELAY: Final = 15
RECORDED: Final[list[tuple[Any, ...]]] = []
"""What functions have told since it was cleared."""
Kind = Literal["keyed", "later", "hold", "rules", "plain"]
Number = tuple[int, int]
"""A number and its time. Negative numbers are probes: they change nothing, and pass at once."""
_RULES: Final = MapStateDescriptor("rules", Types.LONG(), Types.STRING())


def key_of(number: int) -> int:
    return number % KEYS if number >= 0 else -number - 1


def probes() -> list[int]:
    """One for each key."""
    return [-key - 1 for key in range(KEYS)]


@final
class Keyed(KeyedProcessFunction):
    """Every kind of keyed state, and one more that only some forms of the program have."""

    def __init__(self, uid: str, more: bool) -> None:
        self._uid = uid
        self._more = more

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self._numbers = runtime_context.get_list_state(ListStateDescriptor("numbers", Types.LONG()))
        self._digits = runtime_context.get_map_state(MapStateDescriptor("digits", Types.STRING(), Types.LONG()))
        total = ReducingStateDescriptor("total", lambda one, other: one + other, Types.BIG_INT())
        self._total = runtime_context.get_reducing_state(total)
        if self._more:
            self._seen = runtime_context.get_state(ValueStateDescriptor("more", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        if value < 0:
            digits = tuple(sorted(self._digits.items()))
            more = self._seen.value() if self._more else None
            numbers = tuple(sorted(self._numbers.get() or ()))
            RECORDED.append(
                (self._uid, ctx.get_current_key(), self._count.value(), numbers, digits, self._total.get(), more)
            )
        else:
            self._count.update((self._count.value() or 0) + 1)
            self._numbers.add(value)
            digit = str(value)[-1]
            self._digits.put(digit, (self._digits.get(digit) or 0) + 1)
            self._total.add(value)
            if self._more:
                self._seen.update(("numbers", (self._seen.value() or ("numbers", 0))[1] + 1))
        yield value


@final
class Later(KeyedProcessFunction):
    """A number waits for its timer."""

    def __init__(self, uid: str) -> None:
        self._uid = uid

    def open(self, runtime_context: RuntimeContext) -> None:
        self._waiting = runtime_context.get_list_state(ListStateDescriptor("waiting", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        if value < 0:
            RECORDED.append((self._uid, ctx.get_current_key(), tuple(sorted(self._waiting.get() or ()))))
            yield value
            return
        self._waiting.add((value, ctx.timestamp()))
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + DELAY)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[int]:
        waiting = list(self._waiting.get() or ())
        self._waiting.update([number for number in waiting if number[1] + DELAY != timestamp])
        for value, at in waiting:
            if at + DELAY == timestamp:
                RECORDED.append((self._uid, "lets go", value))
                yield value


@final
class Hold(OneInputStreamOperator):
    """Numbers wait for event time, in list state that is dealt anew. Union state says who took the savepoint."""

    def __init__(self, uid: str) -> None:
        self._uid = uid

    def initialize_state(self, context: StateInitializationContext) -> None:
        store = context.get_operator_state_store()
        self._held_state = store.get_list_state(ListStateDescriptor("held", Types.PICKLED_BYTE_ARRAY()))
        self._names_state = store.get_union_list_state(ListStateDescriptor("names", Types.PICKLED_BYTE_ARRAY()))
        self._held = list(self._held_state.get())
        RECORDED.append((self._uid, "names", tuple(sorted(self._names_state.get()))))

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        runtime = self.runtime_context
        self._held_state.update(self._held)
        self._names_state.update([(runtime.get_index_of_this_subtask(), runtime.get_number_of_parallel_subtasks())])
        RECORDED.extend((self._uid, "held", number) for number in self._held)

    def process_element(self, record: StreamRecord) -> None:
        if record.value < 0:
            self.output.collect(record)
        else:
            self._held.append((record.value, record.get_timestamp()))

    def process_watermark(self, timestamp: int) -> None:
        for value, at in self._held:
            if at <= timestamp:
                RECORDED.append((self._uid, "lets go", value))
                self.output.collect(StreamRecord(value, at))
        self._held = [number for number in self._held if number[1] > timestamp]
        super().process_watermark(timestamp)


@final
class Rules(KeyedBroadcastProcessFunction[int, int, int, int]):
    """Every subtask keeps every rule."""

    def __init__(self, uid: str) -> None:
        self._uid = uid

    def process_element(self, value: int, ctx: Any) -> Iterable[int]:
        if value < 0:
            rules = ctx.get_broadcast_state(_RULES)
            RECORDED.append((self._uid, ctx.get_current_key(), tuple(sorted(rules.items()))))
        yield value

    def process_broadcast_element(self, value: int, ctx: Any) -> Iterable[int]:
        ctx.get_broadcast_state(_RULES).put(value, f"rule {value}")
        return ()


@final
@dataclass(frozen=True)
class Stage:
    """One operator of a form."""

    uid: str
    kind: Kind
    parents: tuple[int, ...]
    """Indexes of stages before it; empty: the source."""
    name: str
    parallelism: int
    chained: bool
    group: str
    more: bool


@final
@dataclass(frozen=True)
class Form:
    """A program at one time."""

    stages: tuple[Stage, ...]
    chaining: bool
    source_parallelism: int
    max_parallelism: int | None

    def graph(self) -> JobGraph:
        configuration = Configuration()
        configuration.set_string("pipeline.operator-chaining.enabled", str(self.chaining).lower())
        if self.max_parallelism is not None:
            configuration.set_string("pipeline.max-parallelism", str(self.max_parallelism))
        env = StreamExecutionEnvironment.get_execution_environment(configuration)
        env.set_parallelism(self.source_parallelism)
        numbers, rules = _source(env, "numbers"), _source(env, "rules").set_parallelism(1)
        rules.map(lambda rule: rule).name("so that the source has a reader")
        streams: list[DataStream] = []
        for stage in self.stages:
            inputs = [streams[parent] for parent in stage.parents] or [numbers]
            stream = inputs[0].union(*inputs[1:]) if inputs[1:] else inputs[0]
            streams.append(_added(stage, stream, rules))
        return build(env.program, "evolving")


def _source(env: StreamExecutionEnvironment, name: str) -> DataStream:
    return env.from_source(PacedNumbers(0, 1, ""), WatermarkStrategy.no_watermarks(), name, Types.LONG()).uid(name)


def _added(stage: Stage, stream: DataStream, rules: DataStream) -> DataStream:
    uid, keyed = stage.uid, stream.key_by(key_of, Types.LONG()) if stage.kind in ("keyed", "later", "rules") else None
    if stage.kind == "rules":
        assert keyed is not None
        added = keyed.connect(rules.broadcast(_RULES)).process(Rules(uid), Types.LONG())
    elif keyed is not None:
        added = keyed.process(Keyed(uid, stage.more) if stage.kind == "keyed" else Later(uid), Types.LONG())
    elif stage.kind == "hold":
        added = stream.transform(stage.name, Types.LONG(), lambda: Hold(uid))
    else:
        return stream.map(lambda number: number, Types.LONG()).set_parallelism(stage.parallelism)
    added = added.uid(uid).name(stage.name).set_parallelism(stage.parallelism).slot_sharing_group(stage.group)
    return added if stage.chained else added.start_new_chain()


@final
@dataclass
class StageModel:
    """What one stage has to know."""

    numbers: Counter[int] = field(default_factory=Counter)
    more: Counter[int] = field(default_factory=Counter)
    """How many numbers of each key came while the program had that state."""
    waiting: Counter[Number] = field(default_factory=Counter)
    rules: set[int] = field(default_factory=set)
    names: tuple[tuple[int, int], ...] = ()
    """Of the subtasks that took the newest savepoint."""


@final
class Model:
    """What a program has to know, and to say when it is asked."""

    def __init__(self) -> None:
        self.known: dict[str, StageModel] = {}
        self.form: Form | None = None
        self.let_go: Counter[tuple[Any, ...]] = Counter()
        """What was said by stages at which numbers wait; whoever reads it clears it."""

    def start(self, form: Form) -> Counter[tuple[Any, ...]]:
        """The program goes on in this form; what it says while it is restored."""
        self.form = form
        stateful = {stage.uid: stage for stage in form.stages if stage.kind != "plain"}
        self.known = {uid: self.known.get(uid) or StageModel() for uid in stateful}
        said: Counter[tuple[Any, ...]] = Counter()
        for stage in form.stages:
            if stage.kind == "hold":
                said[(stage.uid, "names", self.known[stage.uid].names)] += stage.parallelism
        return said

    def feed(self, numbers: Iterable[Number]) -> None:
        self._flow(Counter(numbers), None)

    def watermark(self, timestamp_ms: int) -> None:
        self._flow(Counter(), timestamp_ms)

    def rule(self, rule: int) -> None:
        for stage in self._form.stages:
            if stage.kind == "rules":
                self.known[stage.uid].rules.add(rule)

    def savepoint(self) -> Counter[tuple[Any, ...]]:
        """What it says when one is taken."""
        said: Counter[tuple[Any, ...]] = Counter()
        for stage in self._form.stages:
            if stage.kind == "hold":
                known = self.known[stage.uid]
                known.names = tuple((index, stage.parallelism) for index in range(stage.parallelism))
                for number, times in known.waiting.items():
                    said[(stage.uid, "held", number)] += times
        return said

    def probed(self) -> Counter[tuple[Any, ...]]:
        """What it says to one probe of each key. Where a stage has several parents, it comes as often."""
        said: Counter[tuple[Any, ...]] = Counter()
        paths: list[int] = []
        for stage in self._form.stages:
            paths.append(sum(paths[parent] for parent in stage.parents) if stage.parents else 1)
            if stage.kind in ("keyed", "later", "rules"):
                for key in range(KEYS):
                    said[(stage.uid, key, *self._said(stage, key))] += paths[-1]
        return said

    @property
    def _form(self) -> Form:
        assert self.form is not None, "it has been started"
        return self.form

    def _said(self, stage: Stage, key: int) -> tuple[Any, ...]:
        known = self.known[stage.uid]
        if stage.kind == "rules":
            return (tuple(sorted((rule, f"rule {rule}") for rule in known.rules)),)
        if stage.kind == "later":
            return (tuple(sorted(number for number in known.waiting.elements() if key_of(number[0]) == key)),)
        numbers = sorted(number for number in known.numbers.elements() if key_of(number) == key)
        digits = Counter(str(number)[-1] for number in numbers)
        more = ("numbers", known.more[key]) if known.more[key] and stage.more else None
        total = sum(numbers) if numbers else None
        return len(numbers) or None, tuple(numbers), tuple(sorted(digits.items())), total, more

    def _flow(self, fed: Counter[Number], watermark_ms: int | None) -> None:
        out: list[Counter[Number]] = []
        for stage in self._form.stages:
            come = sum((out[parent] for parent in stage.parents), Counter()) if stage.parents else fed
            out.append(self._passed(stage, come, watermark_ms))

    def _passed(self, stage: Stage, come: Counter[Number], watermark_ms: int | None) -> Counter[Number]:
        if stage.kind in ("plain", "rules"):
            return come
        known = self.known[stage.uid]
        if stage.kind == "keyed":
            for (number, _), times in come.items():
                known.numbers[number] += times
                known.more[key_of(number)] += times if stage.more else 0
            return come
        known.waiting += come
        if watermark_ms is None:
            return Counter()
        delay = DELAY if stage.kind == "later" else 0
        due = Counter({number: times for number, times in known.waiting.items() if number[1] + delay <= watermark_ms})
        known.waiting -= due
        for (number, _), times in due.items():  # One number may come by two ways, at two times.
            self.let_go[stage.uid, "lets go", number] += times
        return Counter({(number, at + delay): times for (number, at), times in due.items()})
