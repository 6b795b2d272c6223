"""State as bytes: what goes in comes out, and what cannot go in or come out says so."""

import json
import pickle
import socket
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.common import Instant, Row, RowKind, TypeInformation, Types
from penstock.records.serializers import explain_unpicklable, serializer_for, serializer_from

Case = tuple[TypeInformation, st.SearchStrategy[Any]]


@dataclass
class Account:
    name: str
    conn: Any = None


def _basics() -> list[Case]:
    return [
        (Types.STRING(), st.text(st.characters(codec=None), max_size=10)),
        (Types.CHAR(), st.characters()),
        (Types.BOOLEAN(), st.booleans()),
        (Types.BYTE(), st.integers(-128, 127)),
        (Types.INT(), st.integers(-(2**31), 2**31 - 1)),
        (Types.LONG(), st.integers(-(2**63), 2**63 - 1)),
        (Types.FLOAT(), st.floats(width=32, allow_nan=False)),
        (Types.DOUBLE(), st.floats(allow_nan=False)),
        (Types.BIG_INT(), st.integers()),
        (Types.BIG_DEC(), st.decimals(allow_nan=False)),
        (Types.INSTANT(), st.builds(Instant, st.integers(-(2**40), 2**40), st.integers(0, 999_999_999))),
        (Types.SQL_DATE(), st.dates()),
        (Types.SQL_TIME(), st.times()),
        (Types.SQL_TIMESTAMP(), st.datetimes()),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), st.binary(max_size=8)),
        (Types.PICKLED_BYTE_ARRAY(), st.one_of(st.none(), st.integers(), st.lists(st.text(max_size=2), max_size=2))),
    ]


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def _compound(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    fields = st.lists(inner, min_size=1, max_size=3)
    hashable = st.sampled_from([case for case in _basics() if case[0] != Types.PICKLED_BYTE_ARRAY()])
    return st.one_of(
        fields.map(lambda cases: (Types.TUPLE([c[0] for c in cases]), st.tuples(*(c[1] for c in cases)))),
        fields.map(
            lambda cases: (
                Types.ROW([c[0] for c in cases]),
                st.tuples(*(_or_none(c[1]) for c in cases)).map(lambda values: Row(*values)),
            )
        ),
        inner.map(lambda case: (Types.LIST(case[0]), st.lists(case[1], max_size=3))),
        inner.map(lambda case: (Types.OBJECT_ARRAY(case[0]), st.lists(_or_none(case[1]), max_size=3))),
        st.tuples(hashable, inner).map(
            lambda pair: (
                Types.MAP(pair[0][0], pair[1][0]),
                st.dictionaries(pair[0][1], _or_none(pair[1][1]), max_size=3),
            )
        ),
    )


cases = st.recursive(
    st.sampled_from([case for case in _basics() if case[0] != Types.PICKLED_BYTE_ARRAY()]), _compound, max_leaves=4
)


@settings(max_examples=150, deadline=None)
@given(cases.flatmap(lambda case: st.tuples(st.just(case[0]), st.lists(case[1], max_size=4))))
def test_values_come_back_as_they_were(case: tuple[TypeInformation, list[Any]]) -> None:
    declared, values = case
    serializer = serializer_for(declared)
    assert [serializer.loads(serializer.dumps(value)) for value in values] == values
    assert serializer.loads_many(serializer.dumps_many(values)) == values
    restored = serializer_from(json.loads(json.dumps(serializer.snapshot())))
    assert restored.type_info == declared
    assert restored.loads_many(serializer.dumps_many(values)) == values


@pytest.mark.parametrize("declared", [case[0] for case in _basics()] + [Types.ROW([Types.INT()]), None])
def test_none_as_a_whole_is_stored(declared: TypeInformation | None) -> None:
    serializer = serializer_for(declared)
    assert serializer.loads(serializer.dumps(None)) is None
    assert serializer.loads_many(serializer.dumps_many([None, None])) == [None, None]


def test_rows_keep_kind_and_names() -> None:
    serializer = serializer_for(Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.PICKLED_BYTE_ARRAY()]))
    row = serializer.loads(serializer.dumps(Row.of_kind(RowKind.DELETE, a=1, b={"x": None})))
    assert row == Row.of_kind(RowKind.DELETE, a=1, b={"x": None})
    assert row.a == 1


def test_typed_bytes_are_compact_and_pinned() -> None:
    pinned: list[tuple[TypeInformation, Any, bytes]] = [
        (Types.TUPLE([Types.STRING(), Types.INT()]), ("ab", 300), b"\x92\xa2ab\xcd\x01,"),
        (Types.ROW([Types.STRING(), Types.INT()]), Row("a", None), b"\x93\x00\xa1a\xc0"),
        (Types.SQL_DATE(), date(2026, 2, 3), b"\xaa2026-02-03"),
        (Types.INSTANT(), Instant(1, 2), b"\x92\x01\x02"),
        (Types.MAP(Types.STRING(), Types.LONG()), {"a": 1}, b"\x81\xa1a\x01"),
        (Types.BIG_INT(), 2**70, b"\xb61180591620717411303424"),
        (Types.BIG_DEC(), Decimal("1.50"), b"\xa41.50"),
        (Types.SQL_TIMESTAMP(), datetime(2026, 2, 3, 1, 2, 3), b"\xb32026-02-03T01:02:03"),
        (Types.SQL_TIME(), time(1, 2, 3), b"\xa801:02:03"),
    ]
    for declared, value, data in pinned:
        assert serializer_for(declared).dumps(value) == data


def test_a_stored_value_is_what_its_type_makes_of_it() -> None:
    serializer = serializer_for(Types.TUPLE([Types.FLOAT(), Types.INT()]))
    assert serializer.loads(serializer.dumps([110.1, 2.9])) == (110.0999984741211, 2)


def test_a_value_that_does_not_fit_is_named() -> None:
    serializer = serializer_for(Types.TUPLE([Types.STRING(), Types.INT()]))
    for store in (lambda: serializer.dumps(("a", "b")), lambda: serializer.dumps_many([("a", 1), ("a", "b")])):
        with pytest.raises(StateError, match=r"value cannot be stored: expected INT .* in value\[1\], found 'b'"):
            store()


def test_undeclared_values_do_not_share_what_they_shared_before() -> None:
    serializer = serializer_for(None)
    shared = [1]
    left, right = serializer.loads_many(serializer.dumps_many([{"x": shared}, {"x": shared}]))
    left["x"].append(2)
    assert right == {"x": [1]}


@pytest.mark.parametrize("declared", [Types.INT(), Types.ROW([Types.INSTANT()]), Types.BIG_DEC(), None])
@given(data=st.binary(max_size=20))
def test_garbage_is_damaged_data_or_a_value_and_nothing_else(declared: TypeInformation | None, data: bytes) -> None:
    serializer = serializer_for(declared)
    for load in (serializer.loads, serializer.loads_many):
        try:
            load(data)
        except (DamagedData, IncompatibleState):
            continue


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(IncompatibleState, match="written in format 99, this version reads up to 1"):
        serializer_from({"version": 99, "type": {"kind": "INT"}})
    with pytest.raises(IncompatibleState, match="a type that this version does not know: 'MATRIX'"):
        serializer_from({"version": 1, "type": {"kind": "MATRIX"}})


def test_an_object_of_a_class_that_is_gone_says_so() -> None:
    data = pickle.dumps(Account("a"), 5).replace(b"Account", b"Accounx")
    with pytest.raises(IncompatibleState, match="whose class this program does not define: .*Accounx"):
        serializer_for(None).loads(data)


def test_what_cannot_be_pickled_is_named_by_its_path() -> None:
    with socket.socket() as conn:
        account = Account("a", conn)
        assert explain_unpicklable(account) == "value.conn: cannot pickle 'socket' object"
        assert explain_unpicklable({"k": [1, account]}) == "value['k'][1].conn: cannot pickle 'socket' object"
        with pytest.raises(StateError, match=r"value cannot be stored: value\.conn: cannot pickle 'socket' object"):
            serializer_for(None).dumps(account)
        with pytest.raises(StateError, match=r"value\[0\]\.conn: cannot pickle"):
            serializer_for(Types.TUPLE([Types.PICKLED_BYTE_ARRAY()])).dumps((account,))
        assert explain_unpicklable(Account("a")) == "value can be pickled"


def test_functions_are_explained_by_what_they_close_over() -> None:
    import cloudpickle

    with socket.socket() as conn:

        def function() -> Any:
            return conn

        sentence = explain_unpicklable(function, dumps=cloudpickle.dumps)
    assert sentence == "value (variable conn): cannot pickle 'socket' object"


def test_a_ring_that_cannot_be_pickled_is_explained_and_ends() -> None:
    ring: list[Any] = [lambda: 1]
    ring.append(ring)
    assert explain_unpicklable(ring).startswith("value[0]: ")
