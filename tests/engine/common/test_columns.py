"""Columns: what is said to fit as it is, is left as it is by the coercer of its type."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common.columns import column_check
from penstock.common.conversion import coercer
from penstock.common.typeinfo import TypeInformation, Types

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.integers(-130, 130),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
)
VALUES = st.one_of(ATOMS, st.tuples(ATOMS, ATOMS), st.tuples(st.integers(0, 9), st.text(max_size=2)))
KINDS = [
    Types.BYTE(),
    Types.SHORT(),
    Types.INT(),
    Types.LONG(),
    Types.BIG_INT(),
    Types.STRING(),
    Types.BOOLEAN(),
    Types.DOUBLE(),
    Types.TUPLE([Types.LONG(), Types.STRING()]),
]


@given(st.sampled_from(KINDS), st.lists(VALUES, max_size=6))
def test_a_column_that_fits_is_left_as_it_is_by_the_coercer(kind: TypeInformation, values: list[Any]) -> None:
    check = column_check(kind)
    assert check is not None
    if check(values):
        assert all(coercer(kind)(value) is value for value in values)


@pytest.mark.parametrize(
    ("kind", "fitting"),
    [
        (Types.BYTE(), [-128, 127]),
        (Types.LONG(), [-(2**63), 2**63 - 1]),
        (Types.STRING(), ["", "é"]),
        (Types.DOUBLE(), [0.5]),
        (Types.BOOLEAN(), [True]),
        (Types.TUPLE([Types.INT(), Types.STRING()]), [(1, "a"), (2, "b")]),
        (Types.INT(), []),
    ],
)
def test_columns_of_plain_values_fit(kind: TypeInformation, fitting: list[Any]) -> None:
    check = column_check(kind)
    assert check is not None
    assert check(fitting)


def test_types_with_parts_of_their_own_are_asked_value_by_value() -> None:
    assert column_check(None) is None
    assert column_check(Types.ROW([Types.INT()])) is None
    assert column_check(Types.TUPLE([Types.ROW([Types.INT()])])) is None
