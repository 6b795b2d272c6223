"""New savepoints made of old ones: every entry as the script says, whole or not there, read by both backends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from penstock.base.errors import StateError, StoreRefused
from penstock.checkpoint.editing import SavepointEdit
from penstock.checkpoint.opened import OpenedState, open_state
from penstock.checkpoint.tables import keyed_pieces, list_entries, tables_of
from penstock.common.time import Time
from penstock.common.typeinfo import Types
from penstock.records.key_groups import range_for
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.edit import Bootstrap, Edits, Entry
from penstock.state.entries import entries_of
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.state.ttl_config import StateTtlConfig
from penstock.storage import ObjectStore, S3Settings, open_store
from penstock.testing.savepoints import HandMade
from penstock.testing.states import MovableClock

Found = dict[str, list[tuple[Any, Any, Any]]]


def store(root: str) -> ObjectStore:
    return open_store(root, S3Settings())


def opened(folder: Path) -> OpenedState:
    return open_state(str(folder), store)


def made(folder: Path, backend: Literal["hashmap", "rocksdb"] = "hashmap") -> OpenedState:
    def fill(keyed: Any, on: Any) -> None:
        count = keyed.state(ValueStateDescriptor("n", Types.LONG()))
        words = keyed.state(ListStateDescriptor("words", Types.STRING()))
        scores = keyed.state(MapStateDescriptor("scores", Types.STRING(), Types.DOUBLE()))
        anything = keyed.state(ValueStateDescriptor("anything"))
        used = ValueStateDescriptor("used", Types.INT())
        used.enable_time_to_live(StateTtlConfig.new_builder(Time.days(1)).build())
        expiring = keyed.state(used)
        timers = keyed.state(MapStateDescriptor("_timers.event-time", Types.LONG(), Types.BOOLEAN()))
        for at in range(20):
            if on(f"k{at}"):
                count.update(at)
                words.add_all([f"{at}-{number}" for number in range(at % 4)])
                scores.put("x", at / 2)
                anything.update({"at": at})
                expiring.update(at)
                timers.put(at, True)

    def offsets(states: Any) -> None:
        states.get_union_list_state(ListStateDescriptor("offsets", Types.LONG())).add_all([1, 2])
        states.get_broadcast_state(MapStateDescriptor("rules", Types.STRING(), Types.INT())).put("limit", 3)

    savepoint = HandMade(folder).keyed("count", fill, key_type=Types.STRING(), parallelism=2, backend=backend)
    return opened(savepoint.listed("source", offsets, parallelism=2).write())


def edited(
    source: OpenedState | None, folder: Path, edits: Edits, rows: dict[str, list[dict[str, Any]]] | None = None
) -> OpenedState:
    work = folder.parent / f"{folder.name}-work"
    work.mkdir()
    files = rows or {}
    job = SavepointEdit(
        source=source,
        edits=edits,
        target=str(folder),
        open_root=store,
        directory=work,
        rows_of=lambda name: iter(files[name]),
        call=lambda function, argument: function(argument),
        now_ms=1_700_000_000_000,
    )
    job.run()
    return opened(folder)


def found(state: OpenedState, folder: Path, uid: str = "count") -> Found:
    """Entries by state, sorted by key; elements of a list stay in their order."""
    (operator,) = [o for o in state.metadata.operators if o.uid == uid]
    tables: Found = {table.name: [] for table in tables_of(operator)}
    for name, rows in keyed_pieces(operator, state, folder / "reading"):
        tables[name] += [(entry.key, entry.map_key, entry.value) for entry in entries_of(rows)]
    for table in tables_of(operator):
        if table.sort == "operator":
            tables[table.name] = [(e.key, e.map_key, e.value) for e in list_entries(table, state)]
    return {name: sorted(rows, key=lambda row: row[0]) for name, rows in tables.items()}


def bootstrap(uid: str, state: str, load: Callable[[dict[str, Any]], Any], **more: Any) -> Bootstrap:
    given: dict[str, Any] = {
        "kind": "value",
        "key_type": None,
        "value_type": None,
        "map_key_type": None,
        "max_parallelism": 128,
        "file": "rows",
    }
    return Bootstrap(**(given | more), uid=uid, state=state, load=load)


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_what_no_script_touches_comes_out_as_it_was(tmp_path: Path, backend: Literal["hashmap", "rocksdb"]) -> None:
    source = made(tmp_path / "old", backend)
    before, offsets = found(source, tmp_path), found(source, tmp_path, "source")
    new = edited(source, tmp_path / "new", Edits(dropped_states={("count", "anything")}))
    before.pop("anything")
    assert found(new, tmp_path) == before
    assert found(new, tmp_path, "source") == offsets
    handles = [h for o in new.metadata.operators for s in o.subtasks for h in s.keyed]
    assert {handle.backend for handle in handles} == {"canonical"}
    assert new.faults() == list(new.read_faults()) == []
    assert all(file.file.root == str(tmp_path / "new") for file in new.metadata.files()), "it stands alone"


def test_entries_are_changed_dropped_multiplied_and_moved(tmp_path: Path) -> None:
    source = made(tmp_path / "old")

    def count(entry: Entry) -> Entry | None:
        entry.value += 100
        return None if entry.key == "k0" else entry

    def words(entry: Entry) -> list[Entry]:
        return [entry, Entry("all", entry.value)]

    def scores(entry: Entry) -> Entry:
        return Entry("one", entry.value, map_key=entry.key)

    edits = Edits(edits={("count", "n"): [count, count], ("count", "words"): [words], ("count", "scores"): [scores]})
    new = found(edited(source, tmp_path / "new", edits), tmp_path)
    assert new["n"] == sorted((f"k{at}", None, at + 200) for at in range(1, 20))
    before = found(source, tmp_path)["words"]
    assert sorted(v for k, _, v in new["words"] if k == "all") == sorted(value for _, _, value in before)
    assert [row for row in new["words"] if row[0] != "all"] == before, "and each list is in its order"
    assert sorted(new["scores"], key=str) == sorted([("one", f"k{at}", at / 2) for at in range(20)], key=str)
    assert new["_timers.event-time"] == found(source, tmp_path)["_timers.event-time"]


def test_states_and_operators_are_renamed_and_dropped(tmp_path: Path) -> None:
    edits = Edits(
        renamed_operators={"count": "words"},
        renamed_states={("count", "n"): "total", ("source", "rules"): "laws"},
        dropped_operators=set(),
        dropped_states={("count", "words"), ("source", "offsets")},
    )
    new = edited(made(tmp_path / "old"), tmp_path / "new", edits)
    assert [operator.uid for operator in new.metadata.operators] == ["source", "words"]
    assert set(found(new, tmp_path, "words")) == {"total", "scores", "anything", "used", "_timers.event-time"}
    assert found(new, tmp_path, "source") == {"laws": [(0, "limit", 3), (1, "limit", 3)]}
    less = edited(made(tmp_path / "old2"), tmp_path / "new2", Edits(dropped_operators={"count"}))
    assert [operator.uid for operator in less.metadata.operators] == ["source"]


def test_elements_of_operator_state_are_edited_where_they_are(tmp_path: Path) -> None:
    def double(entry: Entry) -> Entry:
        entry.value *= 2
        return entry

    new = edited(made(tmp_path / "old"), tmp_path / "new", Edits(edits={("source", "offsets"): [double]}))
    assert found(new, tmp_path, "source")["offsets"] == [(0, None, 2), (0, None, 4), (1, None, 2), (1, None, 4)]


def test_files_fill_states_that_are_there_and_new_ones(tmp_path: Path) -> None:
    rows = [{"word": "k3", "n": 1_000}, {"word": "new", "n": 7}]
    edits = Edits(
        bootstraps=[
            bootstrap("count", "n", lambda row: Entry(row["word"], row["n"])),
            bootstrap("count", "log", lambda row: [Entry(row["word"], "a"), Entry(row["word"], "b")], kind="list"),
            bootstrap(
                "prices",
                "price",
                lambda row: Entry(row["n"], row["word"]),
                value_type=Types.STRING(),
                max_parallelism=64,
            ),
        ]
    )
    new = edited(made(tmp_path / "old"), tmp_path / "new", edits, {"rows": rows})
    count = {key: value for key, _, value in found(new, tmp_path)["n"]}
    assert (count["k3"], count["new"], count["k4"], len(count)) == (1_000, 7, 4, 21)
    assert found(new, tmp_path)["log"] == [("k3", None, "a"), ("k3", None, "b"), ("new", None, "a"), ("new", None, "b")]
    assert found(new, tmp_path, "prices") == {"price": [(7, None, "new"), (1_000, None, "k3")]}
    (prices,) = [operator for operator in new.metadata.operators if operator.uid == "prices"]
    assert (prices.max_parallelism, prices.key_type) == (64, {"key": ["builtins:int", []]})


def test_a_savepoint_is_made_out_of_nothing(tmp_path: Path) -> None:
    edits = Edits(bootstraps=[bootstrap("count", "n", lambda row: Entry(row["k"], row["v"]), value_type=Types.LONG())])
    new = edited(None, tmp_path / "new", edits, {"rows": [{"k": ("a", at), "v": at} for at in range(50)]})
    assert new.metadata.kind == "savepoint"
    assert found(new, tmp_path)["n"] == [(("a", at), None, at) for at in range(50)]


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_both_backends_restore_the_result_at_any_parallelism(
    tmp_path: Path, backend: Literal["hashmap", "rocksdb"], parallelism: int
) -> None:
    def shift(entry: Entry) -> Entry:
        return Entry(f"{entry.key}!", entry.value, entry.map_key, entry.namespace, entry.used_ms)

    names = ("n", "words", "scores", "anything", "used", "_timers.event-time")
    edits = Edits(edits={("count", name): [shift] for name in names})
    new = edited(made(tmp_path / "old"), tmp_path / "new", edits)
    (operator,) = [o for o in new.metadata.operators if o.uid == "count"]
    values: dict[Any, int] = {}
    for index in range(parallelism):
        key_groups = range_for(128, parallelism, index)
        restored = open_backend(
            backend,
            operator_name="count",
            uid="count",
            key_groups=key_groups,
            max_parallelism=128,
            key_type=Types.STRING(),
            restore=[
                handle
                for subtask in operator.subtasks
                for handle in subtask.keyed
                if handle.key_groups[0] <= key_groups.last and key_groups.first <= handle.key_groups[1]
            ],
            reader=new.reading,
            directory=tmp_path / f"{index}",
            clock=MovableClock(),
            memory=RocksMemory(8 << 20) if backend == "rocksdb" else None,
            settings=StateSettings(),
        )
        restored.state(ValueStateDescriptor("n", Types.LONG()))
        values |= {key: value for key, _, _, value in restored.entries("n")}
        restored.close()
    assert values == {f"k{at}!": at for at in range(20)}


def test_times_of_last_use_are_kept(tmp_path: Path) -> None:
    def double(entry: Entry) -> Entry:
        entry.value *= 2
        return entry

    new = edited(made(tmp_path / "old"), tmp_path / "new", Edits(edits={("count", "used"): [double]}))
    (operator,) = [o for o in new.metadata.operators if o.uid == "count"]
    pieces = keyed_pieces(operator, new, tmp_path / "reading", names=["used"])
    assert {entry.used_ms for _, rows in pieces for entry in entries_of(rows)} == {MovableClock().now_ms()}


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        (Edits(dropped_operators={"nobody"}), "the savepoint has no operator with uid nobody; it has count, source"),
        (Edits(dropped_states={("source", "n")}), "operator source has no state n; it has offsets, rules"),
        (
            Edits(renamed_states={("source", "rules"): "offsets"}),
            "would have two states of operator source named offsets",
        ),
        (Edits(renamed_operators={"source": "count"}), "would have two operators with uid count"),
        (
            Edits(edits={("count", "n"): [lambda entry: 5]}),
            "expected an Entry, None, or an iterable of entries; found 5",
        ),
        (Edits(edits={("count", "n"): [lambda e: Entry(e.key, "text")]}), "value cannot be stored"),
        (
            Edits(edits={("count", "n"): [lambda e: Entry(1, 1)]}),
            "keys of operator Count are str; the script gave int 1",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_no_savepoint(tmp_path: Path, edits: Edits, sentence: str) -> None:
    source = made(tmp_path / "old")
    with pytest.raises(StateError, match=sentence):
        edited(source, tmp_path / "new", edits)
    assert not (tmp_path / "new" / "_metadata").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    source = made(tmp_path / "old")
    before = (tmp_path / "old" / "_metadata").read_bytes()
    with pytest.raises(StoreRefused, match="is not empty"):
        edited(source, tmp_path / "old", Edits(dropped_operators={"count"}))
    assert (tmp_path / "old" / "_metadata").read_bytes() == before
