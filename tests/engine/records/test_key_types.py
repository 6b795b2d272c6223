"""An operator has keys of one type."""

import math
from dataclasses import dataclass

import pytest

from penstock.base.errors import StateError
from penstock.common import Row, Types
from penstock.records.key_types import (
    OPEN,
    KeyChecker,
    KeyType,
    declared_key_type,
    joined_json,
    key_type_of,
)


@dataclass(frozen=True)
class Account:
    bank: str
    number: int


def test_the_first_key_fixes_the_type() -> None:
    checker = KeyChecker("count")
    assert checker.check(["a", "b"]) == ["a", "b"]
    with pytest.raises(StateError) as caught:
        checker.check(["c", 5])
    assert str(caught.value) == "key of operator count is str (fixed by its first key 'a'), found int 5"


@pytest.mark.parametrize(("first", "other"), [(1, True), (1, 1.0), ((1, "a"), (True, "a")), (("a",), ("a", "b"))])
def test_keys_that_python_holds_equal_or_alike_are_told_apart(first: object, other: object) -> None:
    checker = KeyChecker("count")
    checker.check([first])
    with pytest.raises(StateError, match="key of operator count"):
        checker.check([first, other])


def test_none_goes_with_every_type_and_fixes_nothing() -> None:
    checker = KeyChecker("count")
    checker.check([None])
    checker.check([("a", None)])
    checker.check([("b", 1), None])
    checker.check([("c", None), ("d", 2)])
    assert str(checker.key_type) == "tuple[str, int]"
    with pytest.raises(StateError, match=r"is tuple\[str, int\]"):
        checker.check([("c", "d")])


def test_a_declared_type_holds_from_the_first_key() -> None:
    checker = KeyChecker("count", declared_key_type(Types.TUPLE([Types.STRING(), Types.LONG()])))
    assert checker.check([("a", 1)] * 3) == [("a", 1)] * 3
    with pytest.raises(StateError, match=r"is tuple\[str, int\] \(declared\), found tuple\[str, str\]"):
        checker.check([("a", "b")])


def test_dataclasses_rows_and_nested_tuples_are_compared_by_column() -> None:
    checker = KeyChecker("count")
    checker.check([(Account("a", 1), Row("x", 2.0))])
    checker.check([(Account("b", 2), Row("y", 3.0)), (Account("c", 3), Row("z", None))])
    with pytest.raises(StateError, match=r"found tuple\[Account\[str, str\]"):
        checker.check([(Account("b", "2"), Row("y", 3.0))])  # type: ignore[arg-type]


def test_every_nan_becomes_the_one_a_dict_finds_again() -> None:
    checker = KeyChecker("count")
    (first,) = checker.check([float("nan")])
    (second,) = checker.check([float("inf") - float("inf")])
    assert first is second
    (pair,) = KeyChecker("pairs").check([("a", float("nan"))])
    assert pair in {("a", math.nan)}


def test_a_row_used_as_key_does_not_follow_later_changes() -> None:
    row = Row("a", 1)
    (key,) = KeyChecker("count").check([row])
    row[0] = "changed"
    assert key == Row("a", 1)


def test_what_cannot_be_a_key_is_refused_when_it_comes() -> None:
    with pytest.raises(StateError, match=r"use tuple\(key\)"):
        KeyChecker("count").check([[1]])
    with pytest.raises(StateError, match="cannot be the type of a key"):
        declared_key_type(Types.LIST(Types.INT()))


def test_a_key_type_survives_its_json_form() -> None:
    kind = key_type_of((Account("a", 1), Row("x", None), b"b"))
    assert KeyType.from_json(kind.to_json()) == kind
    assert KeyType.from_json(OPEN.to_json()) == OPEN


def test_descriptions_of_key_types_join_as_the_types_do() -> None:
    keys = [None, 1, "a", (1, None), (None, "a"), (1, "a"), ("a", 1), (1, 2, 3)]
    for one in map(key_type_of, keys):
        for other in map(key_type_of, keys):
            joined = one.joined(other)
            assert joined_json(one.to_json(), other.to_json()) == (None if joined is None else joined.to_json())
