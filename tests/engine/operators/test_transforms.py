"""map, flat_map, filter, project and key_by."""

import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.base.errors import StateError, UserFunctionError
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row
from penstock.operators.emission import FLUSH_RECORDS
from penstock.operators.functions import FilterFunction, FlatMapFunction, MapFunction, RuntimeContext
from penstock.operators.operator import Operator
from penstock.operators.transforms import Coerce, Filter, FlatMap, KeyBy, Map, Project
from penstock.records.keys import encode_key
from penstock.state.api import ValueState
from penstock.state.descriptors import MapStateDescriptor, ValueStateDescriptor
from penstock.testing.operators import OperatorHarness


def outcome(operator: Operator, values: list[Any], **how: Any) -> list[Any]:
    with OperatorHarness(operator, **how) as harness:
        harness.process(values)
        return harness.values


def failure(operator: Operator, values: list[Any], **how: Any) -> UserFunctionError:
    with pytest.raises(UserFunctionError) as raised, OperatorHarness(operator, **how) as harness:
        harness.process(values)
    return raised.value


class Running:
    """A mutable accumulator that is emitted again and again."""

    def __init__(self) -> None:
        self.acc = {"n": 0}

    def map(self, value: Any) -> Any:
        self.acc["n"] += 1
        return self.acc

    def flat_map(self, value: Any) -> Iterator[Any]:
        self.acc["n"] += 1
        yield self.acc


def test_none_from_map_is_a_record() -> None:
    assert outcome(Map(lambda value: None), [1, 2]) == [None, None]


def test_none_as_an_item_from_flat_map_is_a_record() -> None:
    assert outcome(FlatMap(lambda value: [None, value]), [1]) == [None, 1]


def test_flat_map_that_returns_none_is_a_type_error() -> None:
    failed = failure(FlatMap(lambda value: None), [1])
    assert isinstance(failed.__cause__, TypeError)
    assert "record 1: TypeError: flat_map returns an iterable of results, or yields them: 'NoneType'" in str(failed)


@pytest.mark.parametrize("make", [Map, FlatMap])
def test_what_a_function_emits_does_not_change_when_it_goes_on(make: Callable[[Any], Operator]) -> None:
    assert outcome(make(Running()), ["a", "b", "c"]) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_tuple_with_something_mutable_in_it_is_copied() -> None:
    acc: list[int] = []

    def add(value: int) -> tuple[str, list[int]]:
        acc.append(value)
        return "all", acc

    assert outcome(Map(add), [1, 2]) == [("all", [1]), ("all", [1, 2])]


def test_a_declared_mutable_type_is_copied() -> None:
    acc: list[int] = []

    def add(value: int) -> list[int]:
        acc.append(value)
        return acc

    assert outcome(Map(add, Types.LIST(Types.INT())), [1, 2]) == [[1], [1, 2]]


def test_object_reuse_hands_on_the_very_object() -> None:
    reuse = {"pipeline.object-reuse": "true"}
    assert outcome(Map(Running()), ["a", "b"], configuration=reuse) == [{"n": 2}, {"n": 2}]


def test_records_keep_their_timestamps() -> None:
    with OperatorHarness(FlatMap(lambda value: [value] * value)) as harness:
        harness.process([1, 2], [10, 20])
        assert harness.output.timestamps == [10, 20, 20]
    with OperatorHarness(Filter(lambda value: value > 1)) as harness:
        harness.process([1, 2, 3], [10, 20, 30])
        assert list(zip(harness.values, harness.output.timestamps, strict=True)) == [(2, 20), (3, 30)]


def test_output_is_coerced_to_the_declared_type() -> None:
    assert outcome(Map(lambda value: value * 1.9, Types.INT()), [1, 2]) == [1, 3]
    assert outcome(Coerce(Types.FLOAT()), [110.1]) == [110.0999984741211]


def test_a_value_that_does_not_fit_the_declared_type_names_the_record() -> None:
    raised = failure(Map(lambda value: value, Types.STRING()), ["a", 7])
    assert "record 7" in str(raised)


def test_endless_output_of_one_record_is_handed_on_in_pieces() -> None:
    with OperatorHarness(FlatMap(range)) as harness:
        harness.process([3 * FLUSH_RECORDS + 1])
        assert [len(batch) for batch in harness.output.batches] == [FLUSH_RECORDS] * 3 + [1]


def divide(value: int) -> float:
    return 10 / value


def test_an_error_names_operator_subtask_and_record_and_ends_in_the_users_line() -> None:
    raised = failure(Map(divide), [5, 2, 0, 1], name="Halves", parallelism=4, subtask=1)
    assert str(raised) == ("operator 'Halves' (subtask 2 of 4) failed in record 0: ZeroDivisionError: division by zero")
    assert raised.__cause__ is not None
    (frame,) = traceback.extract_tb(raised.__cause__.__traceback__)
    assert frame.line == "return 10 / value"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("nothing to say")


def test_an_error_that_cannot_say_what_it_is_names_the_record_all_the_same() -> None:
    def fail(value: int) -> None:
        raise Mute

    assert str(failure(Map(fail), [5])).endswith("failed in record 5: Mute: <its text fails: RuntimeError>")


@pytest.mark.parametrize("make", [Map, Filter, FlatMap])
def test_stop_iteration_in_a_function_is_an_error_and_never_the_end_of_the_batch(
    make: Callable[[Any], Operator],
) -> None:
    def take_from_nothing(value: Any) -> Any:
        return next(iter(()))

    assert "StopIteration" in str(failure(make(take_from_nothing), [1, 2]))


def test_sys_exit_in_a_function_is_its_failure() -> None:
    def leave(value: Any) -> Any:
        raise SystemExit(3)

    assert "SystemExit" in str(failure(Map(leave), [1]))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, CancelledError])
def test_what_is_no_exception_is_a_functions_failure_all_the_same(kind: type[BaseException]) -> None:
    def fail(value: int) -> int:
        raise kind

    assert str(failure(Map(fail), [5])).endswith(f"failed in record 5: {kind.__name__}")


def test_a_record_is_shortened_in_an_error() -> None:
    assert len(str(failure(Map(lambda value: value.missing), ["x" * 100_000]))) < 400


def test_an_error_further_down_the_chain_is_not_blamed_on_the_one_that_emits() -> None:
    class Broken:
        def batch(self, batch: Any) -> None:
            raise StateError("of another operator")

    operator = FlatMap(lambda value: [value])
    with OperatorHarness(operator) as harness:
        operator.output._output = Broken()  # type: ignore[attr-defined]
        with pytest.raises(StateError, match="of another operator"):
            harness.process([1])


class Opened(MapFunction):
    def __init__(self) -> None:
        self.story: list[str] = []

    def open(self, runtime_context: RuntimeContext) -> None:
        self.story.append(runtime_context.get_task_name_with_subtasks())

    def map(self, value: Any) -> Any:
        return value

    def close(self) -> None:
        self.story.append("closed")


def test_a_function_class_is_opened_and_closed_once() -> None:
    function = Opened()
    with OperatorHarness(Map(function), name="Map", parallelism=3, subtask=1) as harness:
        harness.process([1])
    assert function.story == ["Map (2/3)#0", "closed"]


class Sum(MapFunction, FilterFunction, FlatMapFunction):
    """Keyed state in a map, a filter or a flat_map."""

    state: ValueState[int]

    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = runtime_context.get_state(ValueStateDescriptor("sum", Types.LONG()))

    def map(self, value: Any) -> int:
        total = (self.state.value() or 0) + value[1]
        self.state.update(total)
        return total

    def filter(self, value: Any) -> bool:
        return self.map(value) > 2

    def flat_map(self, value: Any) -> Iterator[int]:
        yield self.map(value)


PAIRS = [("a", 1), ("b", 10), ("a", 2)]


def test_a_function_class_on_a_keyed_stream_has_state_of_its_key() -> None:
    def run(operator: Operator) -> list[Any]:
        with OperatorHarness(operator, keyed=True) as harness:
            harness.process(PAIRS, keys=lambda pair: pair[0])
            return harness.values

    assert run(Map(Sum())) == [1, 10, 3]
    assert run(FlatMap(Sum())) == [1, 10, 3]
    assert run(Filter(Sum())) == [("b", 10), ("a", 2)]


def test_keyed_state_on_a_stream_that_is_not_keyed_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserFunctionError, match="can only be used on a keyed stream"):
        OperatorHarness(Map(Sum()))


@pytest.mark.parametrize("call", ["get_state", "get_list_state", "get_reducing_state", "get_aggregating_state"])
@pytest.mark.parametrize("given", [MapStateDescriptor("seen", Types.INT(), Types.INT()), "seen"])
def test_state_is_asked_for_with_its_own_descriptor(call: str, given: Any) -> None:
    class Asking(MapFunction):
        def open(self, runtime_context: RuntimeContext) -> None:
            getattr(runtime_context, call)(given)

        def map(self, value: Any) -> Any:
            return value

    said = rf"failed in open: TypeError: {call}\(\) takes a \w+StateDescriptor, not .*seen"
    with pytest.raises(UserFunctionError, match=said):
        OperatorHarness(Map(Asking()), keyed=True)


def test_key_by_sends_the_keys_along() -> None:
    with OperatorHarness(KeyBy(lambda pair: pair[0])) as harness:
        harness.process(PAIRS, [1, 2, 3])
        (batch,) = harness.output.batches
        assert (batch.values, batch.timestamps, batch.keys) == (PAIRS, [1, 2, 3], ["a", "b", "a"])


def test_keys_of_two_types_are_refused() -> None:
    with pytest.raises(UserFunctionError, match=r"is int \(fixed by its first key 1\), found str 'a'"):
        outcome(KeyBy(lambda value: value), [1, "a"])


NAMED = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])


@pytest.mark.parametrize(
    ("declared", "given", "keys"),
    [
        (NAMED, [(1, "x"), Row(b="x", a=1), Row(1, "x"), {"a": 1, "b": "x"}], [Row(a=1, b="x")] * 4),
        (Types.TUPLE([Types.INT(), Types.STRING()]), [[1, "x"], (1.0, "x")], [(1, "x")] * 2),
        (Types.DOUBLE(), [1, 1.0, None], [1.0, 1.0, None]),
        (Types.PICKLED_BYTE_ARRAY(), [(1, "x")], [(1, "x")]),
    ],
)
def test_keys_are_made_what_their_declared_type_says(declared: TypeInformation, given: list[Any], keys: Any) -> None:
    with OperatorHarness(KeyBy(lambda value: value, declared)) as harness:
        harness.process(given)
        found = [key for batch in harness.output.batches for key in batch.keys or ()]
        assert list(map(encode_key, found)) == list(map(encode_key, keys))
        assert harness.values == given


@pytest.mark.parametrize(("declared", "given"), [(Types.INT(), 2**31), (Types.STRING(), 1), (NAMED, Row(a=1, c=2))])
def test_a_key_that_its_declared_type_cannot_hold_is_refused(declared: TypeInformation, given: Any) -> None:
    said = r"failed in the keys that its selector gave: ValueMismatch: expected .*; the declared type is"
    with pytest.raises(UserFunctionError, match=said):
        outcome(KeyBy(lambda value: value, declared), [given])


def test_project_keeps_the_chosen_fields() -> None:
    assert outcome(Project(2, 0), [(1, 2, 3)]) == [(3, 1)]
    assert outcome(Project(1), [Row("a", "b")]) == [Row("b")]


@pytest.mark.parametrize(
    ("kind", "largest"),
    [(Types.LONG(), 2**63 - 1), (Types.INT(), 2**31 - 1), (Types.SHORT(), 32767), (Types.BYTE(), 127)],
)
def test_whole_numbers_are_held_to_the_declared_range_and_the_record_is_named(
    kind: TypeInformation, largest: int
) -> None:
    fitting = [largest, -largest - 1, None, 0]
    assert outcome(Map(lambda value: value, kind), fitting) == fitting
    for beyond in (largest + 1, -largest - 2):
        error = failure(Map(lambda value: None if value == "none" else value, kind), [1, "none", beyond, 3, beyond])
        assert f"record {beyond}" in str(error)
        assert f"found {beyond}" in str(error)


def test_what_is_no_whole_number_becomes_one_or_is_refused_before_the_batch_ends() -> None:
    assert [type(value) for value in outcome(Map(lambda value: value, Types.LONG()), [True, 2])] == [int, int]
    assert "record 'x'" in str(failure(Map(lambda value: value, Types.LONG()), [1, "x", 2**63]))


class Word(str):
    """A text of a class of its own."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        (Types.STRING(), ["a", None, Word("b")], ["a", None, "b"]),
        (Types.LONG(), [1, None, 2.5, True], [1, None, 2, 1]),
        (Types.BOOLEAN(), [True, 1, None], [True, True, None]),
        (Types.DOUBLE(), [0.5, 1, None], [0.5, 1.0, None]),
    ],
)
def test_what_does_not_fit_among_what_does_is_made_to(
    declared: TypeInformation, given: list[Any], expected: list[Any]
) -> None:
    values = outcome(Map(lambda place: given[place], declared), list(range(len(given))))
    assert [(type(value), value) for value in values] == [(type(value), value) for value in expected]


@pytest.mark.parametrize(
    ("emitted", "declared", "keys"),
    [
        (Types.STRING(), Types.STRING(), ["a", "b"]),
        (Types.STRING(), None, ["a", "b"]),
        (Types.STRING(), Types.CHAR(), ["a", "b"]),
        (Types.BOOLEAN(), None, [True, False]),
        (Types.BOOLEAN(), Types.INT(), [1, 0]),
        (Types.DOUBLE(), None, [1.5, 2.5]),
    ],
)
def test_keys_are_what_they_should_be_also_where_the_operator_before_vouches_for_their_class(
    emitted: TypeInformation, declared: TypeInformation | None, keys: list[Any]
) -> None:
    given = ["a", "b"] if emitted == Types.STRING() else [True, False] if emitted == Types.BOOLEAN() else [1.5, 2.5]
    key_by = KeyBy(lambda value: value, declared)
    with OperatorHarness(Map(lambda value: value, emitted)) as harness, OperatorHarness(key_by) as keyed:
        for _ in range(2):
            harness.process(given)
            for batch in harness.output.batches:
                key_by.process(batch, 0)
            harness.output.batches.clear()
        found = [key for batch in keyed.output.batches for key in batch.keys or ()]
    assert [(type(key), key) for key in found] == [(type(key), key) for key in keys * 2]
