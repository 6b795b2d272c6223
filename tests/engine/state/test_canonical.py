"""Canonical savepoints: what one backend wrote the other reads, and so does everybody else."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.base.ids import CheckpointId
from penstock.common import Row
from penstock.common.time import Duration
from penstock.common.typeinfo import Types
from penstock.records.key_groups import KeyGroupRange, key_group, ranges_for
from penstock.state.backend import SnapshotForm
from penstock.state.canonical.tables import keyed_batches, keyed_rows, states_in, write_tables
from penstock.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from penstock.state.handles import KeyedHandle
from penstock.testing.snapshots import FilesBelow
from penstock.testing.states import ALL, OneSubtask

Kind = Literal["hashmap", "rocksdb"]
KINDS: tuple[Kind, ...] = ("hashmap", "rocksdb")
EVENT_TIMERS = MapStateDescriptor("_timers.event-time", Types.LONG(), Types.BOOLEAN())


@dataclass(frozen=True)
class Window:
    start: int
    end: int


@pytest.fixture(params=list(itertools.product(KINDS, KINDS)), ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def backends(request: pytest.FixtureRequest) -> tuple[Kind, Kind]:
    pair: tuple[Kind, Kind] = request.param
    return pair


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OneSubtask]:
    made = OneSubtask(request.param, tmp_path)
    yield made
    made.backend.close()


def expiring(descriptor: StateDescriptor, ttl_ms: int = 1_000) -> StateDescriptor:
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Duration.of_millis(ttl_ms)).build())
    return descriptor


def everything() -> dict[str, tuple[StateDescriptor, bool]]:
    """Every kind of state, with and without windows, with and without a time to live."""
    found: list[tuple[StateDescriptor, bool]] = []
    for spaced, timed in itertools.product((False, True), (False, True)):
        prefix = f"{'windowed ' if spaced else ''}{'expiring ' if timed else ''}"
        for descriptor in (
            ValueStateDescriptor(f"{prefix}value", Types.LONG()),
            ValueStateDescriptor(f"{prefix}anything"),
            ListStateDescriptor(f"{prefix}list", Types.ROW_NAMED(["n", "word"], [Types.INT(), Types.STRING()])),
            MapStateDescriptor(f"{prefix}map", Types.STRING(), Types.DOUBLE()),
            MapStateDescriptor(f"{prefix}open map"),
            ReducingStateDescriptor(f"{prefix}sum", lambda a, b: a + b, Types.LONG()),
        ):
            found.append((expiring(descriptor) if timed else descriptor, spaced))
    found.append((EVENT_TIMERS, False))
    return {descriptor.name: (descriptor, spaced) for descriptor, spaced in found}


def fill(world: OneSubtask, keys: range) -> None:
    states = {name: world.backend.state(d, namespaced=spaced) for name, (d, spaced) in everything().items()}
    for number in keys:
        world.clock.at_ms += 1
        world.on(f"key {number}")
        for name, (_, spaced) in everything().items():
            state = states[name]
            for start in (0, 60) if spaced else (None,):
                if start is not None:
                    state.set_namespace(Window(start, start + 60))
                if name.endswith("value"):
                    state.update(number)
                elif name.endswith("anything"):
                    state.update({"number": number, "of": [number] * (number % 3)})
                elif name.endswith("list"):
                    state.add_all([Row(n=index, word=f"w{index}") for index in range(number % 4)])
                elif name.endswith("open map"):
                    state.put(("pair", number), [number])
                elif name.endswith("map"):
                    state.put_all({f"m{index}": index / 2 for index in range(number % 3)})
                elif name.endswith("sum"):
                    state.add(number)
                else:
                    state.put(number * 1_000, True)


def contents(world: OneSubtask, handles: list[KeyedHandle], parallelism: int = 1) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key_groups in ranges_for(128, parallelism):
        backend = world.open(handles, key_groups)
        for name in everything():
            entries = list(backend.entries(name))
            assert all(key_group(key, 128) in key_groups for key, *_ in entries)
            found.setdefault(name, []).extend(entries)
        backend.close()
    return {name: sorted(entries, key=lambda e: (e[0], repr(e[1]), repr(e[2]))) for name, entries in found.items()}


def test_sp7_what_one_backend_wrote_the_other_reads_at_another_parallelism(
    backends: tuple[Kind, Kind], tmp_path: Path
) -> None:
    world = OneSubtask(backends[0], tmp_path / "one")
    fill(world, range(60))
    native, canonical = world.snapshot(), world.snapshot(form="canonical")
    before = contents(world, [native])
    other = OneSubtask(backends[1], tmp_path / "other")
    other.files = world.files
    assert contents(other, [canonical]) == before
    assert contents(other, [canonical], parallelism=3) == before
    for each in (world, other):
        each.backend.close()


def test_sp7_what_was_last_used_expires_after_the_move_as_it_would_have(
    backends: tuple[Kind, Kind], tmp_path: Path
) -> None:
    world = OneSubtask(backends[0], tmp_path / "one")
    descriptor = expiring(ValueStateDescriptor("seen", Types.STRING()))
    seen = world.backend.state(descriptor)
    for key in ("old", "young"):
        world.clock.at_ms += 600
        world.on(key)
        seen.update(key)
    handle = world.snapshot(form="canonical")
    other = OneSubtask(backends[1], tmp_path / "other")
    other.files, other.clock = world.files, world.clock
    other.backend.close()
    other.backend = other.open([handle])
    other.clock.at_ms += 600
    seen = other.backend.state(descriptor)
    other.on("old")
    assert seen.value() is None
    other.on("young")
    assert seen.value() == "young"
    for each in (world, other):
        each.backend.close()


def test_sp7_a_list_goes_on_growing_in_order_after_the_move(backends: tuple[Kind, Kind], tmp_path: Path) -> None:
    world = OneSubtask(backends[0], tmp_path)
    descriptor = ListStateDescriptor("list", Types.LONG())
    for number in range(3_000):
        if number % 1_000 == 0:
            world.on("a")
            elements = world.backend.state(descriptor)
        elements.add(number)
    handle = world.snapshot(form="canonical")
    world.kind = backends[1]
    world.backend.close()
    world.backend = world.open([handle])
    world.on("a")
    elements = world.backend.state(descriptor)
    elements.add(3_000)
    assert list(elements) == list(range(3_001))
    world.restart()
    world.on("a")
    assert list(world.backend.state(descriptor)) == list(range(3_001))
    world.backend.close()


def test_a_snapshot_holds_each_key_once_as_it_was_at_the_barrier_however_much_is_changed_meanwhile(
    world: OneSubtask,
) -> None:
    bag = ValueStateDescriptor("bag")
    state = world.backend.state(bag)

    def change(numbers: range, sign: int) -> None:
        world.backend.prepare(list(numbers))
        for number in numbers:
            world.backend.current.key = number
            if sign:
                state.update([*(state.value() or []), number * sign])
            else:
                state.clear()

    change(range(6_000), 1)
    snapshot = world.backend.snapshot(CheckpointId(1), form="canonical")
    for step in range(24):
        snapshot.advance(0.0)
        change(range(step * 250, step * 250 + 250), step % 2 - 1)
        change(range(6_000 + step * 50, 6_050 + step * 50), 1)
    assert snapshot.advance(float("inf"))
    handle = snapshot.write(world.files)
    rows = [
        (key, value) for _, rows in read(world, [handle]) for key, value in zip(rows.keys, rows.values, strict=True)
    ]
    assert sorted(rows) == [(number, [number]) for number in range(6_000)]


def read(world: OneSubtask, handles: list[KeyedHandle], **only: Any) -> Iterator[Any]:
    return keyed_rows(
        handles, operator_name="sessions", max_parallelism=128, reader=world.files, directory=world.directory, **only
    )


def test_a_savepoint_that_is_given_up_leaves_no_files(world: OneSubtask) -> None:
    state = world.backend.state(ValueStateDescriptor("count", Types.LONG()))
    for number in range(3_000):
        world.on(number)
        state.update(number)
    before = set(world.directory.glob("**/*savepoint*"))
    snapshot = world.backend.snapshot(CheckpointId(1), form="canonical")
    snapshot.advance(0.0)
    world.backend.notify_aborted(CheckpointId(1))
    assert snapshot.advance(0.0)
    assert world.files.files == {}
    assert set(world.directory.glob("**/*savepoint*")) == before
    assert world.snapshot().files


def test_a_value_that_cannot_be_stored_fails_the_savepoint_and_names_state(world: OneSubtask) -> None:
    world.on("a")
    world.backend.state(ValueStateDescriptor("odd")).update(lambda: None)
    with pytest.raises(StateError, match="odd"):
        world.snapshot(form="canonical")


@pytest.mark.parametrize("form", ["incremental", "full", "canonical"])
def test_tools_read_any_snapshot_without_the_program(world: OneSubtask, form: SnapshotForm) -> None:
    fill(world, range(20))
    world.snapshot()
    fill(world, range(15, 30))
    handle = world.snapshot(form=form)
    expected = contents(world, [handle])
    found: dict[str, list[Any]] = {name: [] for name in expected}
    for spec, rows in read(world, [handle]):
        assert list(rows.groups) == [key_group(key, 128) for key in rows.keys]
        namespaces = rows.namespaces or [None] * len(rows)
        map_keys = rows.map_keys or [None] * len(rows)
        values = rows.values or [True] * len(rows)
        found[spec.name] += zip(rows.keys, namespaces, map_keys, values, strict=True)
    ordered = {n: sorted(e, key=lambda e: (e[0], repr(e[1]), repr(e[2]))) for n, e in found.items()}
    assert ordered == expected
    only = {spec.name for spec, _ in read(world, [handle], names=["value"], key_groups=KeyGroupRange(0, 63))}
    assert only == {"value"}
    batches = keyed_batches(
        [handle],
        uid="sessions",
        operator_name="sessions",
        max_parallelism=128,
        reader=world.files,
        directory=world.directory,
    )
    counts: dict[str, int] = dict.fromkeys(expected, 0)
    for spec, batch in batches:
        counts[spec.name] += len(batch)
    assert counts == {name: len(entries) for name, entries in expected.items()}
    assert set(states_in(handle, "sessions")) == set(expected)


def test_tables_written_by_tools_restore(world: OneSubtask) -> None:
    fill(world, range(20))
    handle = world.snapshot()
    expected = contents(world, [handle])
    specs = states_in(handle, "sessions")
    states = [(spec, [rows for _, rows in read(world, [handle], names=[spec.name])]) for spec in specs.values()]
    written = write_tables(
        states,
        [spec.info() for spec in specs.values()],
        uid="sessions",
        operator_name="sessions",
        key_type=None,
        key_groups=ALL,
        max_parallelism=128,
        directory=world.directory / "edited",
        writer=world.files,
    )
    assert contents(world, [written]) == expected


def test_a_damaged_table_is_refused(world: OneSubtask) -> None:
    world.on("a")
    world.backend.state(ValueStateDescriptor("count", Types.LONG())).update(1)
    handle = world.snapshot(form="canonical")
    for path, data in world.files.files.items():
        world.files.files[path] = data[:-1] + bytes((data[-1] ^ 1,))
    with pytest.raises(DamagedData):
        world.open([handle])


def test_tables_of_a_later_format_are_refused(world: OneSubtask) -> None:
    handle = world.snapshot(form="canonical")
    later = KeyedHandle("canonical", handle.key_groups, (), {**handle.meta, "format": 99})
    with pytest.raises(IncompatibleState, match=r"format 99.*up to format 1"):
        world.open([later])


def with_visits(world: OneSubtask, form: SnapshotForm, second: Kind) -> None:
    """State of a typed row, moved by a snapshot."""
    visit = Types.ROW_NAMED(["n", "gone", "word"], [Types.INT(), Types.DOUBLE(), Types.STRING()])
    row = Row(n=1, gone=0.5, word="a")
    world.on("k")
    world.backend.state(ValueStateDescriptor("visit", visit)).update(row)
    world.backend.state(ListStateDescriptor("visits", visit)).add_all([row, row])
    world.backend.state(MapStateDescriptor("by page", Types.STRING(), visit)).put("/", row)
    handle = world.snapshot(form=form)
    world.backend.close()
    world.kind = second
    world.backend = world.open([handle])
    world.on("k")


MOVES: list[tuple[Kind, Kind, SnapshotForm]] = [
    ("hashmap", "hashmap", "full"),
    ("rocksdb", "rocksdb", "full"),
    ("hashmap", "rocksdb", "canonical"),
    ("rocksdb", "hashmap", "canonical"),
]


@pytest.mark.parametrize(("first", "second", "form"), MOVES)
def test_sp13_a_typed_row_that_gained_and_lost_fields_is_migrated(
    first: Kind, second: Kind, form: SnapshotForm, tmp_path: Path
) -> None:
    world = OneSubtask(first, tmp_path)
    with_visits(world, form, second)
    visit = Types.ROW_NAMED(["word", "n", "more"], [Types.STRING(), Types.LONG(), Types.STRING()])
    row = Row(word="a", n=1, more=None)
    assert world.backend.state(ValueStateDescriptor("visit", visit)).value() == row
    assert list(world.backend.state(ListStateDescriptor("visits", visit))) == [row, row]
    assert dict(world.backend.state(MapStateDescriptor("by page", Types.STRING(), visit)).items()) == {"/": row}
    world.restart(form="canonical")
    world.on("k")
    assert world.backend.state(ValueStateDescriptor("visit", visit)).value() == row
    world.backend.close()


@pytest.mark.parametrize(("first", "second", "form"), MOVES)
def test_sp13_a_field_of_another_type_is_refused_with_state_operator_and_both_types(
    first: Kind, second: Kind, form: SnapshotForm, tmp_path: Path
) -> None:
    world = OneSubtask(first, tmp_path)
    with_visits(world, form, second)
    visit = Types.ROW_NAMED(["n"], [Types.STRING()])
    said = r"state visit of operator sessions has type ROW\(n: INT.*ROW\(n: STRING.* now: field n: .*INT.*STRING"
    with pytest.raises(IncompatibleState, match=said):
        world.backend.state(ValueStateDescriptor("visit", visit))
    world.backend.close()


def test_sp14_duckdb_reads_a_savepoint_without_us(world: OneSubtask, tmp_path: Path) -> None:
    files = FilesBelow(tmp_path / "savepoint")
    visits = ValueStateDescriptor(
        "visits", Types.ROW_NAMED(["page", "n", "since"], [Types.STRING(), Types.LONG(), Types.SQL_DATE()])
    )
    baskets = MapStateDescriptor("baskets", Types.STRING(), Types.TUPLE([Types.INT(), Types.DOUBLE()]))
    tags = expiring(ListStateDescriptor("tags", Types.STRING()))
    for key_groups in ranges_for(128, 2):
        backend = world.open([], key_groups)
        timers = backend.state(EVENT_TIMERS)
        for number in range(100):
            key = f"user {number}"
            if key_group(key, 128) not in key_groups:
                continue
            backend.prepare([key])
            backend.current.key = key
            backend.state(visits).update(Row(page=f"/{number % 3}", n=number, since=date(2024, 1, 1 + number % 28)))
            backend.state(baskets).put("apple", (number, 0.5))
            backend.state(tags).add_all(["a", "b"])
            timers.put(number * 1_000, True)
        snapshot = backend.snapshot(CheckpointId(1), form="canonical")
        assert snapshot.advance(float("inf"))
        snapshot.write(files)
        backend.close()
    at = tmp_path / "savepoint" / "sessions"
    with duckdb.connect() as db:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return db.sql(query.replace("@", f"{at}/")).fetchall()

        assert ask(
            "SELECT count(*), count(DISTINCT key), min(key_group) >= 0, sum(value.n) FROM '@visits/*.parquet'"
        ) == [(100, 100, True, 4_950)]
        assert ask("SELECT value.page, count(*) FROM '@visits/*.parquet' GROUP BY 1 ORDER BY 1") == [
            ("/0", 34),
            ("/1", 33),
            ("/2", 33),
        ]
        assert ask("SELECT value.since FROM '@visits/*.parquet' WHERE key = 'user 3'") == [(date(2024, 1, 4),)]
        assert ask("SELECT map_key, sum(value.f0), avg(value.f1) FROM '@baskets/*.parquet' GROUP BY 1") == [
            ("apple", 4_950, 0.5)
        ]
        assert ask(
            "SELECT index, value, epoch_ms(last_used) FROM '@tags/*.parquet' WHERE key = 'user 7' ORDER BY 1"
        ) == [
            (0, "a", 1_000_000),
            (1, "b", 1_000_000),
        ]
        assert ask("SELECT max(timestamp) FROM '@_timers.event-time/*.parquet'") == [(99_000,)]
        assert ask("SELECT count(*) FROM '@*/*.parquet' WHERE exact IS NOT NULL") == [(0,)]
