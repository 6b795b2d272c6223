"""reduce, and sum, min, max, min_by, max_by."""

from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.types import Row
from penstock.operators.aggregations import FieldAggregation, Reduce
from penstock.operators.sorted_input import SortedInput
from penstock.records.batch import MAX_WATERMARK
from penstock.testing.operators import OperatorHarness


def running(function: Any, values: list[Any], key: Any = lambda value: 0) -> list[Any]:
    with OperatorHarness(Reduce(function), keyed=True) as harness:
        harness.process(values, keys=key)
        return harness.values


def test_reduce_gives_each_record_its_keys_new_result() -> None:
    pairs = [("a", 1), ("b", 5), ("a", 2)]
    assert running(lambda x, y: (x[0], x[1] + y[1]), pairs, key=lambda pair: pair[0]) == [("a", 1), ("b", 5), ("a", 3)]


def test_a_result_that_is_changed_in_place_is_emitted_as_it_was() -> None:
    def extend(x: list[int], y: list[int]) -> list[int]:
        x.extend(y)
        return x

    assert running(extend, [[1], [2], [3]]) == [[1], [1, 2], [1, 2, 3]]


def test_a_result_survives_a_checkpoint() -> None:
    with OperatorHarness(Reduce(lambda x, y: x + y), keyed=True) as harness:
        harness.process([1, 2], keys=["a", "a"])
        snapshot = harness.snapshot(1)
    with OperatorHarness(Reduce(lambda x, y: x + y), keyed=True, restore=snapshot) as restored:
        restored.process([4], keys=["a"])
        assert restored.values == [7]


RECORDS = [("first", 3, 3), ("second", 1, 1), ("third", 4, 1)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", [("first", 3, 3), ("first", 4, 3), ("first", 8, 3)]),
        ("min", [("first", 3, 3), ("first", 1, 3), ("first", 1, 3)]),
        ("max", [("first", 3, 3), ("first", 3, 3), ("first", 4, 3)]),
        ("min_by", [("first", 3, 3), ("second", 1, 1), ("second", 1, 1)]),
        ("max_by", [("first", 3, 3), ("first", 3, 3), ("third", 4, 1)]),
    ],
)
def test_sum_min_max_keep_the_first_records_other_fields_and_the_by_kinds_a_whole_record(
    kind: str, expected: list[Any]
) -> None:
    assert running(FieldAggregation(kind, 1), RECORDS) == expected


def test_on_ties_the_by_kinds_keep_the_first_record() -> None:
    assert running(FieldAggregation("min_by", 2), RECORDS)[-1] == ("second", 1, 1)
    assert running(FieldAggregation("max_by", 1), [("a", 1), ("b", 1)])[-1] == ("a", 1)


def test_a_field_may_be_named_and_plain_values_are_their_own_field() -> None:
    rows = [Row(word="a", n=1), Row(word="b", n=2)]
    assert running(FieldAggregation("sum", "n"), rows)[-1] == Row(word="a", n=3)
    assert rows[0] == Row(word="a", n=1)
    assert running(FieldAggregation("max"), [1, 5, 2]) == [1, 5, 5]


def test_a_field_of_what_has_none_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserFunctionError, match="cannot sum field 1 of a int"):
        running(FieldAggregation("sum", 1), [1, 2])


def test_in_batch_mode_a_key_gives_its_last_result_with_its_last_timestamp() -> None:
    with OperatorHarness(Reduce(lambda x, y: x + y, final_only=True), keyed=True) as harness:
        harness.process([1, 2, 4], [10, 20, 30], keys=["a", "b", "a"])
        assert harness.values == []
        harness.watermark(MAX_WATERMARK)
        assert list(zip(harness.values, harness.output.timestamps, strict=True)) == [(5, 30), (2, 20)]
        assert harness.output.events[-1] == ("watermark", MAX_WATERMARK)


def test_sorted_input_comes_key_by_key_and_by_time_within_a_key() -> None:
    with OperatorHarness(SortedInput()) as harness:
        harness.process(["a3", "b2", "a1"], [3, 2, 1], keys=lambda value: value[0])
        harness.watermark(50)
        harness.process(["b1", "a3 again"], [1, 3], keys=lambda value: value[0])
        assert harness.output.events == []
        harness.watermark(MAX_WATERMARK)
        assert harness.values == ["a1", "a3", "a3 again", "b1", "b2"]
        assert harness.output.batches[0].keys == ["a", "a", "a", "b", "b"]
        assert harness.output.events[-1] == ("watermark", MAX_WATERMARK)


def test_sorted_input_that_does_not_fit_in_memory_goes_through_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.operators.sorted_input.RECORDS_IN_MEMORY_MAX", 100)
    values = [(number * 7919 % 1_000, number % 13) for number in range(1_000)]
    with OperatorHarness(SortedInput()) as harness:
        for start in range(0, 1_000, 60):
            piece = values[start : start + 60]
            harness.process(piece, [time for time, _ in piece], keys=[key for _, key in piece])
        harness.watermark(MAX_WATERMARK)
        by_key: dict[int, list[int]] = {}
        for time, key in harness.values:
            by_key.setdefault(key, []).append(time)
        assert sorted(harness.values) == sorted(values)
        assert all(times == sorted(times) for times in by_key.values())
        keys = [key for _, key in harness.values]
        assert [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key] == list(by_key)
