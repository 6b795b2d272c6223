"""The metrics part of REST: lists of names, values, aggregates, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rest.asking import Asked, Refused
from penstock.rest.metric_query import AGGREGATIONS, Values, aggregated, collection, indexes, skew, text

NAMES = st.sampled_from(["numRecordsIn", "busyTimeMsPerSecond", "Map.numRecordsOut"])
NUMBERS = st.floats(0, 1e12) | st.integers(0, 2**60)
COMPONENTS = st.lists(st.dictionaries(NAMES, NUMBERS), max_size=6)


def asked(**query: str) -> Asked:
    return Asked(path={}, query=query)


@given(COMPONENTS)
def test_without_get_every_name_is_listed_once(components: list[Values]) -> None:
    listed = [entry["id"] for entry in aggregated(components, asked())]
    assert sorted(listed) == sorted({name for values in components for name in values})
    assert all(entry.keys() == {"id"} for entry in aggregated(components, asked()))


@given(COMPONENTS, NAMES)
def test_aggregates_are_of_the_components_that_have_the_metric(components: list[Values], name: str) -> None:
    values = [number for values in components if not isinstance(number := values.get(name, ""), str)]
    found = aggregated(components, asked(get=name))
    if not values:
        assert found == []
        return
    (entry,) = found
    assert entry["id"] == name
    assert entry["min"] == min(values) and entry["max"] == max(values)
    assert entry["sum"] == pytest.approx(sum(values))
    assert min(values) * 0.999 <= entry["avg"] <= max(values) * 1.001
    assert 0 <= entry["skew"] <= 100


@given(st.floats(0.1, 1e9), st.integers(1, 9))
def test_what_is_even_has_no_skew(value: float, components: int) -> None:
    assert skew([value] * components) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.sampled_from(list(AGGREGATIONS)), unique=True, min_size=1))
def test_only_the_aggregates_that_are_asked_for_are_given(kinds: list[str]) -> None:
    (entry,) = aggregated([{"x": 1}, {"x": 3}], asked(get="x", agg=",".join(kinds).upper()))
    assert entry.keys() == {"id", *kinds}


def test_one_name_that_nobody_has_leaves_nothing_and_words_are_left_out() -> None:
    components: list[Values] = [{"x": 1, "path": "s3://a"}, {"x": 2, "path": "s3://b"}]
    assert aggregated(components, asked(get="x,nowhere")) == []
    assert [entry["id"] for entry in aggregated(components, asked(get="path,x"))] == ["x"]


def test_values_are_text_as_java_writes_it_and_missing_ones_are_left_out() -> None:
    values: Values = {"a": 1, "b": 0.5, "c": "n/a"}
    assert collection(values, asked()) == [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert collection(values, asked(get="c,a,nowhere")) == [{"id": "c", "value": "n/a"}, {"id": "a", "value": "1"}]
    assert [text(value) for value in (math.nan, math.inf, -math.inf, 2.0)] == ["NaN", "Infinity", "-Infinity", "2.0"]


def test_indexes_are_numbers_and_ranges() -> None:
    assert indexes(asked(subtasks="0,2-4,4"), "subtasks") == {0, 2, 3, 4}
    assert indexes(asked(), "subtasks") is None


@pytest.mark.parametrize("given", ["a", "-1", "3-1", "1-", "99999999999999999999", "1.5", "²"])
def test_a_range_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(Refused) as refused:
        indexes(asked(subtasks=given), "subtasks")
    assert refused.value.status == 400


def test_an_unknown_aggregation_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match="some of min, max, avg, sum, skew; found 'median'") as refused:
        aggregated([], asked(agg="median"))
    assert refused.value.status == 400
