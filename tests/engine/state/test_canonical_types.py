"""Canonical savepoints give back keys, namespaces and values of every type, on the other backend too."""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from penstock.common import Instant, Row, RowKind
from penstock.common.typeinfo import TypeInformation, Types
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.testing.states import OneSubtask

Kind = Literal["hashmap", "rocksdb"]
ACROSS = pytest.mark.parametrize("backends", [("hashmap", "rocksdb"), ("rocksdb", "hashmap")])


class Colour(Enum):
    RED = 1
    BLUE = 2


class Place(NamedTuple):
    x: int
    name: str


@dataclass(frozen=True)
class Window:
    start: int
    end: int


KEYS: list[list[Any]] = [
    ["a", "", "\ud800", "ä" * 100],
    [1, -1, 2**63 - 1, 2**80],
    [1.5, float("inf")],
    [True, False],
    [b"\0\xff", b""],
    [date(2024, 2, 29)],
    [time(12, 30, 1, 5)],
    [datetime(2024, 2, 29, 12), datetime(2024, 2, 29, 13, tzinfo=UTC)],
    [timedelta(days=1, microseconds=1), timedelta.max],
    [Decimal("2.5"), Decimal("1E+400")],
    [uuid.UUID(int=5)],
    [Colour.RED, Colour.BLUE],
    [Instant(5, 7)],
    [("a", 1), (None, 2)],
    [()],
    [(("a", 1.5), b"x")],
    [Place(1, "here")],
    [Window(0, 60)],
    [Row(a="x", b=1)],
    [None, "a"],
    [None],
]


@ACROSS
@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: type(keys[0]).__name__)
def test_keys_and_namespaces_of_every_kind_come_back(
    backends: tuple[Kind, Kind], keys: list[Any], tmp_path: Path
) -> None:
    world = OneSubtask(backends[0], tmp_path)
    count, spaced = ValueStateDescriptor("count", Types.LONG()), ValueStateDescriptor("spaced", Types.LONG())
    entries = MapStateDescriptor("entries")
    for number, key in enumerate(keys):
        world.on(key)
        world.backend.state(count).update(number)
        world.backend.state(entries).put(key, number)
        state = world.backend.state(spaced, namespaced=True)
        state.set_namespace(key)
        state.update(number)
    handle = world.snapshot(form="canonical")
    world.kind = backends[1]
    backend = world.open([handle])
    numbered = list(enumerate(keys))
    assert {number: key for key, _, _, number in backend.entries("count")} == dict(numbered)
    assert {number: (key, space) for key, space, _, number in backend.entries("spaced")} == {
        number: (key, key) for number, key in numbered
    }
    assert {number: map_key for _, _, map_key, number in backend.entries("entries")} == dict(numbered)
    backend.close()
    world.backend.close()


VALUES: list[tuple[TypeInformation | None, list[Any]]] = [
    (Types.STRING(), ["a", "", "\ud800"]),
    (Types.BOOLEAN(), [True, False]),
    (Types.BYTE(), [-128, 127]),
    (Types.INT(), [-(2**31)]),
    (Types.FLOAT(), [1.5, float("inf")]),
    (Types.DOUBLE(), [0.1]),
    (Types.BIG_INT(), [0, 2**100, -(2**200)]),
    (Types.BIG_DEC(), [Decimal("2.50"), Decimal("1E+400")]),
    (Types.INSTANT(), [Instant(-5, 7)]),
    (Types.SQL_DATE(), [date(1, 1, 1)]),
    (Types.SQL_TIME(), [time(23, 59, 59, 999_999)]),
    (Types.SQL_TIMESTAMP(), [datetime(9999, 12, 31, 23, 59, 59, 999_999)]),
    (Types.PRIMITIVE_ARRAY(Types.BYTE()), [b"\0", b""]),
    (Types.LIST(Types.LONG()), [[1, 2], []]),
    (Types.OBJECT_ARRAY(Types.STRING()), [["a", None], []]),
    (Types.MAP(Types.STRING(), Types.LIST(Types.INT())), [{"a": [1], "b": None}, {}]),
    (Types.TUPLE([Types.STRING(), Types.TUPLE([Types.LONG()])]), [("a", (1,))]),
    (Types.ROW([Types.STRING(), Types.LONG()]), [Row("a", None), Row.of_kind(RowKind.DELETE, "b", 1)]),
    (
        Types.ROW_NAMED(["who", "pickled"], [Types.STRING(), Types.PICKLED_BYTE_ARRAY()]),
        [Row(who="a", pickled={1: {2}})],
    ),
    (Types.TUPLE([]), [()]),
    (None, [{"a": {1, 2}}, 5, "x", Colour.RED]),
]


@ACROSS
@pytest.mark.parametrize(
    ("kind", "values"),
    VALUES,
    ids=lambda found: str(found) if found is None or isinstance(found, TypeInformation) else "",
)
def test_values_of_every_type_come_back(
    backends: tuple[Kind, Kind], kind: TypeInformation | None, values: list[Any], tmp_path: Path
) -> None:
    world = OneSubtask(backends[0], tmp_path)
    single, several = ValueStateDescriptor("single", kind), ListStateDescriptor("several", kind)
    for number, value in enumerate(values):
        world.on(number)
        world.backend.state(single).update(value)
        world.backend.state(several).add_all([value, values[0]])
    handle = world.snapshot(form="canonical")
    world.kind = backends[1]
    backend = world.open([handle])
    assert {key: value for key, _, _, value in backend.entries("single")} == dict(enumerate(values))
    found: dict[int, list[Any]] = {}
    for key, _, _, value in backend.entries("several"):
        found.setdefault(key, []).append(value)
    assert found == {number: [value, values[0]] for number, value in enumerate(values)}
    backend.close()
    world.backend.close()
