"""What declared types do to emitted values, as recorded from PyFlink; right where PyFlink is wrong."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ValueMismatch
from penstock.common import Instant, Row, RowKind, TypeInformation, Types
from penstock.common.conversion import as_it_is, coercer
from penstock.common.typeinfo import ExternalTypeInfo, LocalTimeTypeInfo

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
NAMED = Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.INT()])


@dataclass
class Count:
    n: int
    word: str


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (Types.FLOAT(), 110.1, 110.0999984741211),
        (Types.FLOAT(), 1e300, float("inf")),
        (Types.INT(), 3.9, 3),
        (Types.INT(), -3.9, -3),
        (Types.INT(), True, 1),
        (Types.LONG(), 2**63 - 1, 2**63 - 1),
        (Types.DOUBLE(), 1, 1.0),
        (Types.BOOLEAN(), 1, True),
        (Types.BIG_INT(), 2**100, 2**100),
        (Types.BIG_DEC(), 1.1, Decimal("1.1")),
        (Types.CHAR(), "x", "x"),
        (Types.SQL_DATE(), datetime(2026, 2, 3, 4), date(2026, 2, 3)),
        (Types.SQL_TIME(), time(1, 2), time(1, 2)),
        (Types.SQL_TIMESTAMP(), datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 1, 1)),
        (Types.INSTANT(), Instant(1, 2), Instant(1, 2)),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), bytearray(b"ab"), b"ab"),
        (Types.PRIMITIVE_ARRAY(Types.INT()), (1, 2.5), [1, 2]),
        (Types.BASIC_ARRAY(Types.STRING()), ["a", None], ["a", None]),
        (Types.OBJECT_ARRAY(PAIR), [("a", 1.0), None], [("a", 1), None]),
        (Types.LIST(Types.INT()), (1, 2.0), [1, 2]),
        (Types.MAP(Types.STRING(), Types.INT()), {"a": 1.0, "b": None}, {"a": 1, "b": None}),
        (PAIR, ["a", 1.0], ("a", 1)),
        (PAIR, Row("a", 1), ("a", 1)),
        (NAMED, ("a", 1), Row(word="a", n=1)),
        (NAMED, ["a", None], Row(word="a", n=None)),
        (NAMED, {"n": 1, "word": "a"}, Row(word="a", n=1)),
        (NAMED, {"word": "a"}, Row(word="a", n=None)),
        (NAMED, Count(1, "a"), Row(word="a", n=1)),
        (NAMED, Row(n=1, word="a"), Row(word="a", n=1)),
        (NAMED, Row("a", 1.5), Row(word="a", n=1)),
        (NAMED, Row(n=1, id=7, word="a"), Row(word="a", n=1)),
        (Types.ROW([Types.STRING(), PAIR]), ("x", ["a", 1]), Row("x", ("a", 1))),
        (ExternalTypeInfo(PAIR), ["a", 1], ("a", 1)),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_DATE), datetime(2026, 1, 1), date(2026, 1, 1)),
        (Types.PICKLED_BYTE_ARRAY(), Count, Count),
    ],
)
def test_a_value_becomes_what_its_type_says(declared: TypeInformation, value: object, expected: object) -> None:
    converted = coercer(declared)(value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("declared", "value", "sentence"),
    [
        (Types.STRING(), 1, "expected STRING, found 1 (int)"),
        (Types.INT(), 2**31, "expected INT (a whole number from -2147483648 to 2147483647), found 2147483648 (int)"),
        (Types.INT(), "1", "found '1' (str)"),
        (Types.INT(), float("nan"), "found nan (float)"),
        (Types.DOUBLE(), "1", "expected DOUBLE"),
        (Types.CHAR(), "ab", "expected CHAR"),
        (PAIR, ("a", None), "expected a value (a TUPLE's fields are never None) in value[1], found None"),
        (PAIR, ("a",), "expected TUPLE of 2 fields, found ('a',) (tuple)"),
        (PAIR, "ab", "expected TUPLE of 2 fields"),
        (NAMED, ("a",), "expected ROW of 2 fields (word, n)"),
        (NAMED, {"word": "a", "count": 1}, "without 'count'"),
        (NAMED, Row(word="a", count=1), "expected ROW of 2 fields (word, n), and 'n' among them, found Row(word='a', "),
        (NAMED, 5, "expected ROW of 2 fields"),
        (Types.LIST(NAMED), [("a", 1), ("b", "x")], "in value[1].n, found 'x' (str)"),
        (Types.LIST(Types.INT()), [None], "elements are never None"),
        (Types.MAP(Types.STRING(), Types.INT()), {"k": "v"}, "in value['k'], found 'v'"),
        (Types.MAP(Types.STRING(), Types.INT()), [1], "expected MAP (a dict)"),
        (Types.SQL_TIMESTAMP(), date(2026, 1, 1), "expected SQL_TIMESTAMP"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), [300], "expected PRIMITIVE_ARRAY of BYTE"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(declared: TypeInformation, value: object, sentence: str) -> None:
    with pytest.raises(ValueMismatch) as caught:
        coercer(declared)(value)
    assert sentence in str(caught.value)
    assert f"the declared type is {declared}" in str(caught.value)


@pytest.mark.parametrize("declared", [Types.STRING(), Types.INT(), PAIR, NAMED, Types.LIST(Types.INT())])
def test_none_as_a_whole_passes(declared: TypeInformation) -> None:
    assert coercer(declared)(None) is None


def test_a_value_that_fits_is_answered_itself() -> None:
    pair, row = ("a", 1), Row.of_kind(RowKind.DELETE, word="a", n=1)
    assert coercer(PAIR)(pair) is pair
    assert coercer(NAMED)(row) is row
    assert coercer(None) is as_it_is


def test_what_had_to_be_made_to_fit_shares_nothing_that_can_change() -> None:
    inner: list[Any] = [1]
    row = coercer(Types.ROW([Types.PICKLED_BYTE_ARRAY(), Types.LIST(Types.INT())]))((inner, inner))
    inner.append(2)
    assert row == Row([1], [1])


def test_a_row_of_a_type_without_names_can_be_read_by_name_however_it_was_made() -> None:
    for value in (Row("a", 1), ("a", 1), Row(x="a", y=1)):
        row = coercer(Types.ROW([Types.STRING(), Types.INT()]))(value)
        assert (row.as_dict(), row.f1, repr(row)) == ({"f0": "a", "f1": 1}, 1, "Row(f0='a', f1=1)")


def test_the_kind_of_a_row_survives() -> None:
    assert coercer(NAMED)(Row.of_kind(RowKind.DELETE, "a", 1.0)).get_row_kind() is RowKind.DELETE


@given(st.integers(-(2**31), 2**31 - 1), st.text(), st.floats(allow_nan=False))
def test_converting_twice_changes_nothing(number: int, text: str, real: float) -> None:
    declared = Types.ROW([Types.INT(), Types.STRING(), Types.FLOAT(), Types.TUPLE([Types.LONG(), Types.DOUBLE()])])
    once = coercer(declared)((number, text, real, (real if abs(real) < 2**62 else 0, number)))
    assert coercer(declared)(once) == once


def test_an_aware_timestamp_is_the_same_on_every_machine() -> None:
    assert coercer(Types.SQL_TIMESTAMP())(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1)
