"""How records look when they are printed, as recorded from PyFlink."""

import struct
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Instant, Row, RowKind, TypeInformation, Types
from penstock.common.printing import double_text, file_formatter, float_text, formatter

ROW = Types.ROW([Types.STRING(), Types.INT(), Types.BOOLEAN()])


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        (None, ("a", 1), "('a', 1)"),
        (None, None, "None"),
        (None, Row("a", None, True), "<Row('a', None, True)>"),
        (None, Row(word="a"), "Row(word='a')"),
        (ROW, None, "None"),
        (ROW, Row("a", None, True), "+I[a,None,True]"),
        (ROW, Row.of_kind(RowKind.UPDATE_BEFORE, "a", 1, False), "-U[a,1,False]"),
        (
            Types.TUPLE([Types.STRING(), Types.INT(), Types.BOOLEAN(), Types.DOUBLE()]),
            ("a", 1, True, 2.0),
            "(a,1,true,2.0)",
        ),
        (Types.DOUBLE(), 1e10, "1.0E10"),
        (Types.DOUBLE(), None, "None"),
        (Types.FLOAT(), 110.0999984741211, "110.1"),
        (Types.MAP(Types.STRING(), Types.INT()), {"k": 1, "l": None}, "{k=1, l=null}"),
        (Types.LIST(Types.STRING()), ["a", "b"], "[a, b]"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"\x01\xff", "[1, -1]"),
        (Types.SQL_TIMESTAMP(), datetime(2026, 2, 3), "2026-02-03 00:00:00.0"),
        (Types.SQL_TIMESTAMP(), datetime(2026, 2, 3, 1, 2, 3, 450_000), "2026-02-03 01:02:03.45"),
        (Types.SQL_DATE(), date(2026, 2, 3), "2026-02-03"),
        (Types.SQL_TIME(), time(1, 2, 3), "01:02:03"),
        (Types.INSTANT(), Instant.of_epoch_milli(1_500), "1970-01-01T00:00:01.500Z"),
        (Types.BIG_DEC(), Decimal("1.50"), "1.50"),
        (Types.TUPLE([ROW, Types.LIST(Types.INT())]), (Row("a", None, True), [1]), "(+I[a, null, true],[1])"),
    ],
)
def test_records_print_as_in_pyflink(declared: TypeInformation | None, value: object, text: str) -> None:
    assert formatter(declared)(value) == text


def test_rows_in_files_are_javas() -> None:
    assert file_formatter(ROW)(Row("a", None, True)) == "+I[a, null, true]"
    assert file_formatter(Types.ROW([Types.PICKLED_BYTE_ARRAY()]))(Row(b"ab")) == "+I[[97, 98]]"
    assert file_formatter(None)(("a", 1)) == "('a', 1)"
    assert file_formatter(Types.STRING())("a") == "a"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.0"), (-0.0, "-0.0"), (1e7, "1.0E7"), (9999999.0, "9999999.0"), (0.001, "0.001"), (0.00099, "9.9E-4"),
     (1.5e-10, "1.5E-10"), (123456789.0, "1.23456789E8"), (float("nan"), "NaN"), (float("-inf"), "-Infinity")],
)  # fmt: skip
def test_doubles_print_as_in_java(number: float, text: str) -> None:
    assert double_text(number) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_reads_back_as_the_same_float(number: float) -> None:
    assert struct.pack("<f", float(float_text(number))) == struct.pack("<f", number)
