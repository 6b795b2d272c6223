"""Selectors that are not called give the keys, and the errors, that calling them would give."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.operators.selectors import keys_at_once
from penstock.operators.transforms import KeyBy
from penstock.testing.operators import OperatorHarness

OFFSET = 1


def named(value: Any) -> Any:
    return value


def with_default(value: Any, other: int = 0) -> Any:
    return value


class Pair(tuple[int, int]):
    """Ends an iteration where an item is asked for."""

    def __getitem__(self, item: Any) -> Any:
        raise StopIteration


def test_the_value_itself_is_had_without_a_call_and_without_a_copy() -> None:
    values = ["a", "b"]
    for selector in (lambda value: value, named):
        found = keys_at_once(selector)
        assert found is not None and found(values) is values


@pytest.mark.parametrize(
    ("selector", "values"),
    [(lambda pair: pair[0], [(1, 2), (3, 4)]), (lambda row: row["user"], [{"user": "a"}]), (lambda t: t[1], ["ab"])],
)
def test_an_item_is_had_without_a_call(selector: Callable[[Any], Any], values: list[Any]) -> None:
    found = keys_at_once(selector)
    assert found is not None and found(values) == [selector(value) for value in values]


@pytest.mark.parametrize(
    "selector",
    [
        lambda *value: value,
        lambda value: value + 1,
        lambda value: value[OFFSET],
        lambda value: value[0][1],
        lambda value: (value,),
        lambda value: None,
        with_default,
        str,
        "name".__getitem__,
    ],
)
def test_whatever_else_a_selector_does_it_is_called(selector: Callable[..., Any]) -> None:
    assert keys_at_once(selector) is None


@pytest.mark.parametrize("value", [(), 7, Pair((1, 2))])
def test_an_item_that_is_not_there_is_the_error_of_the_users_own_line(value: Any) -> None:
    selector = lambda pair: pair[0]  # noqa: E731
    with pytest.raises(UserFunctionError) as raised, OperatorHarness(KeyBy(selector)) as harness:
        harness.process([("a", 1), value])
    cause = raised.value.__cause__
    assert cause is not None
    assert any(frame.name == "<lambda>" for frame in traceback.extract_tb(cause.__traceback__))
