"""Copies at emission: what is emitted does not follow later changes, and what cannot change costs nothing."""

import copy
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Row, RowKind, TypeInformation, Types
from penstock.records.copiers import batch_copier_for, copier_for, copy_value, copy_values


@dataclass
class Account:
    n: int
    items: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    n: int
    items: list[Any]


@dataclass(frozen=True, slots=True)
class Frozen:
    items: list[Any]


class Pair(NamedTuple):
    name: str
    items: list[Any]


class Plain:
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and self.items == other.items


class Selfish(dict[str, Any]):
    def __deepcopy__(self, memo: object) -> "Selfish":
        return self


@dataclass
class Custom:
    n: int
    cache: list[int]

    def __getstate__(self) -> Any:
        return {"n": self.n, "cache": []}


def _grow(value: Any) -> None:
    """Change everything in a value that can be changed."""
    match value:
        case list():
            for item in value:
                _grow(item)
            value.append("grown")
        case dict():
            for item in value.values():
                _grow(item)
            value["grown"] = 1
        case set():
            value.add("grown")
        case tuple() | deque() | Row():
            for item in value:
                _grow(item)
            if isinstance(value, Row) and len(value):
                value[0] = "grown"
        case Account() | Slotted() | Frozen() | Plain():
            value.items.append("grown")


values = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3), st.floats(allow_nan=False), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
        st.lists(inner, max_size=3).map(lambda fields: Row(*fields)),
        st.lists(inner, max_size=2).map(deque),
        st.builds(Account, st.integers(), st.lists(inner, max_size=2)),
        st.builds(Slotted, st.integers(), st.lists(inner, max_size=2)),
        st.builds(Frozen, st.lists(inner, max_size=2)),
        st.builds(Pair, st.text(max_size=2), st.lists(inner, max_size=2)),
        st.builds(Plain, st.lists(inner, max_size=2)),
    ),
    max_leaves=8,
)


@given(values)
def test_a_copy_is_equal_and_does_not_follow_changes(value: Any) -> None:
    before = copy.deepcopy(value)
    copied = copy_value(value)
    assert copied == before
    assert type(copied) is type(value)
    _grow(value)
    assert copied == before


@given(st.lists(values, max_size=5))
def test_a_batch_is_copied_as_its_values_are(batch: list[Any]) -> None:
    before = copy.deepcopy(batch)
    copied = copy_values(batch)
    for value in batch:
        _grow(value)
    assert copied == before


def test_an_accumulator_emitted_three_times_is_three_records() -> None:
    account, emitted = {"n": 0}, []
    for _ in range(3):
        account["n"] += 1
        emitted.append(copy_value(account))
    assert [record["n"] for record in emitted] == [1, 2, 3]


@pytest.mark.parametrize("batch", [[1, "a", None], [("a", 1), ("b", 2)], [], [("a",), ("b", (1,))][:1]])
def test_what_cannot_change_is_handed_on_as_it_is(batch: list[Any]) -> None:
    assert copy_values(batch) is batch


def test_special_containers_keep_what_makes_them_special() -> None:
    counts = defaultdict(list, {"a": [1]})
    copied = copy_value(counts)
    assert copied["new"] == []
    assert copied["a"] is not counts["a"]
    assert copy_value(deque([1], maxlen=3)).maxlen == 3
    assert isinstance(copy_value(Counter("aab")), Counter)
    assert list(copy_value(OrderedDict(b=1, a=2))) == ["b", "a"]
    assert copy_value(Row.of_kind(RowKind.DELETE, a=1)) == Row.of_kind(RowKind.DELETE, a=1)
    selfish = Selfish()
    assert copy_value(selfish) is selfish
    assert copy_value(Custom(1, [2])).cache == []


def test_a_value_that_contains_itself_is_copied() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    copied = copy_value(ring)
    assert copied is not ring
    assert copied[1] is copied


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (Types.TUPLE([Types.STRING(), Types.LIST(Types.INT())]), ("a", [1])),
        (Types.ROW([Types.STRING(), Types.MAP(Types.STRING(), Types.LIST(Types.INT()))]), Row("a", {"k": [1]})),
        (Types.ROW([Types.STRING()]), Row(None)),
        (Types.LIST(Types.TUPLE([Types.INT()])), [(1,)]),
        (Types.PICKLED_BYTE_ARRAY(), {"a": [1]}),
        (Types.LIST(Types.PICKLED_BYTE_ARRAY()), [[1]]),
    ],
)
def test_copiers_by_type_do_the_same(declared: TypeInformation, value: Any) -> None:
    before = copy.deepcopy(value)
    copied, (in_batch,) = copier_for(declared)(value), batch_copier_for(declared)([value])
    _grow(value)
    assert copied == in_batch == before


@pytest.mark.parametrize("declared", [Types.STRING(), Types.TUPLE([Types.INT(), Types.SQL_DATE()])])
def test_a_type_that_cannot_change_is_not_copied(declared: TypeInformation) -> None:
    batch = [object()]
    assert batch_copier_for(declared)(batch) is batch
    assert copier_for(declared)(batch) is batch


def test_none_of_a_declared_type_is_copied_to_none() -> None:
    assert copier_for(Types.ROW([Types.INT()]))(None) is None
    assert copier_for(Types.LIST(Types.INT()))(None) is None
