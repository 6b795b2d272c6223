"""Which changes of a declared type state survives."""

from typing import Any

import pytest

from penstock.base.errors import IncompatibleState
from penstock.common import Row, RowKind, TypeInformation, Types
from penstock.records.serializers import Compatible, Incompatible, Migrate, check_compatible, serializer_for

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
WIDER = Types.TUPLE([Types.STRING(), Types.LONG()])
NAMED = Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.INT()])


def carried_over(old: TypeInformation | None, new: TypeInformation | None, value: Any) -> Any:
    """The value as the new program finds it, whichever way the check chose."""
    before, after = serializer_for(old), serializer_for(new)
    found = check_compatible(before.snapshot(), after)
    data = before.dumps(value)
    if isinstance(found, Compatible):
        return after.loads(data)
    assert isinstance(found, Migrate), found
    return after.loads(after.dumps(found.function(before.loads(data))))


@pytest.mark.parametrize(
    ("old", "new", "value", "expected"),
    [
        (PAIR, PAIR, ("a", 1), ("a", 1)),
        (Types.INT(), Types.LONG(), 5, 5),
        (Types.LONG(), Types.BIG_INT(), 5, 5),
        (Types.FLOAT(), Types.DOUBLE(), 1.5, 1.5),
        (Types.CHAR(), Types.STRING(), "x", "x"),
        (PAIR, WIDER, ("a", 1), ("a", 1)),
        (Types.LIST(Types.INT()), Types.OBJECT_ARRAY(Types.LONG()), [1], [1]),
        (Types.MAP(Types.INT(), Types.INT()), Types.MAP(Types.LONG(), Types.LONG()), {1: None}, {1: None}),
        (Types.MAP(Types.INT(), Types.INT()), Types.MAP(Types.BIG_INT(), Types.LONG()), {1: 2}, {1: 2}),
        (NAMED, Types.ROW_NAMED(["n", "word"], [Types.LONG(), Types.STRING()]), Row(word="a", n=1), Row(n=1, word="a")),
        (
            NAMED,
            Types.ROW_NAMED(["word", "at"], [Types.STRING(), Types.SQL_DATE()]),
            Row(word="a", n=1),
            Row(word="a", at=None),
        ),
        (Types.ROW([Types.INT()]), Types.ROW([Types.LONG(), Types.STRING()]), Row(1), Row(1, None)),
        (Types.ROW([Types.INT(), Types.STRING()]), Types.ROW([Types.INT()]), Row(1, "a"), Row(1)),
        (Types.LIST(NAMED), Types.LIST(Types.ROW_NAMED(["n"], [Types.INT()])), [Row(word="a", n=1)], [Row(n=1)]),
        (Types.TUPLE([NAMED]), Types.TUPLE([Types.ROW_NAMED(["n"], [Types.INT()])]), (Row("a", 1),), (Row(n=1),)),
        (None, PAIR, ("a", 1), ("a", 1)),
        (PAIR, None, ("a", 1), ("a", 1)),
        (NAMED, NAMED, None, None),
        (Types.ROW([Types.INT()]), Types.ROW([Types.INT(), Types.INT()]), None, None),
    ],
)
def test_state_is_carried_over(
    old: TypeInformation | None, new: TypeInformation | None, value: Any, expected: Any
) -> None:
    assert carried_over(old, new, value) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Types.LONG(), Types.INT()),
        (Types.INT(), Types.STRING()),
        (Types.DOUBLE(), Types.FLOAT()),
        (PAIR, Types.TUPLE([Types.STRING()])),
        (PAIR, NAMED),
        (NAMED, Types.ROW_NAMED(["other", "names"], [Types.STRING(), Types.INT()])),
        (NAMED, Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.STRING()])),
        (Types.OBJECT_ARRAY(Types.INT()), Types.LIST(Types.INT())),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.LIST(Types.BYTE())),
        (Types.MAP(Types.STRING(), Types.INT()), Types.MAP(Types.INT(), Types.INT())),
    ],
)
def test_other_changes_are_refused_with_both_types(old: TypeInformation, new: TypeInformation) -> None:
    found = check_compatible(serializer_for(old).snapshot(), serializer_for(new))
    assert isinstance(found, Incompatible)
    assert "the state has type" in found.reason
    assert "the program declares" in found.reason


def test_kinds_of_rows_survive_a_migration() -> None:
    new = Types.ROW([Types.INT(), Types.INT()])
    row = carried_over(Types.ROW([Types.INT()]), new, Row.of_kind(RowKind.DELETE, 1))
    assert row.get_row_kind() is RowKind.DELETE


def test_an_undeclared_value_that_does_not_fit_the_new_type_is_refused() -> None:
    found = check_compatible(serializer_for(None).snapshot(), serializer_for(Types.INT()))
    assert isinstance(found, Migrate)
    with pytest.raises(IncompatibleState, match="the state was undeclared, and a value does not fit"):
        found.function("text")


def test_a_format_from_the_future_is_incompatible() -> None:
    found = check_compatible({"version": 99, "type": {"kind": "INT"}}, serializer_for(Types.INT()))
    assert found == Incompatible("values were written in format 99, this version reads up to 1")
