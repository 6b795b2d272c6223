"""`penstock state list`, `show`, `export`, `diff`, `stats` on savepoints of both backends, with no job at hand."""

import csv
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest

from penstock.base.errors import ConfigurationError, StateError
from penstock.checkpoint.editing import SavepointEdit
from penstock.checkpoint.opened import OpenedState, open_state
from penstock.cli.state.comparing import compared
from penstock.cli.state.counting import counted
from penstock.cli.state.differing import Packed, differ
from penstock.cli.state.exporting import exported
from penstock.cli.state.listing import listed
from penstock.cli.state.looking import Place
from penstock.cli.state.rendering import json_of
from penstock.cli.state.showing import shown
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.edit import Edits
from penstock.state.statistics import TableStatistics, feed
from penstock.storage import Opening, S3Settings, open_store
from penstock.testing.commands import Commands
from penstock.testing.savepoints import HandMade
from penstock.testing.services import Minio

Backend = Literal["hashmap", "rocksdb"]
KEYS = "abcdefghij"


def opened(folder: Path) -> OpenedState:
    return open_state(str(folder), lambda root: open_store(root, S3Settings()))


def made(folder: Path, backend: Backend = "hashmap", *, parallelism: int = 2, changed: bool = False) -> Path:
    def fill(keyed: Any, on: Any) -> None:
        count = keyed.state(ValueStateDescriptor("n", Types.LONG()))
        words = keyed.state(ListStateDescriptor("words", Types.STRING()))
        by_day = keyed.state(MapStateDescriptor("by day", Types.SQL_DATE(), Types.DOUBLE()))
        anything = keyed.state(ValueStateDescriptor("anything"))
        timers = keyed.state(MapStateDescriptor("_timers.event-time", Types.LONG(), Types.BOOLEAN()))
        for at, key in enumerate(KEYS):
            if on(key):
                count.update(100 if changed and key == "c" else at)
                words.add_all([f"{key}{number}" for number in range(at)])
                by_day.put(date(2024, 1, 1), at / 2)
                anything.update({"n": at, "set": set("xyz")})
                timers.put(1_000 + at, True)
        if changed and on("new"):
            count.update(1)

    def offsets(store: Any) -> None:
        store.get_list_state(ListStateDescriptor("offsets", Types.LONG())).add_all([5, 5, 7 + changed])
        store.get_broadcast_state(MapStateDescriptor("rules", Types.STRING(), Types.INT())).put("limit", 3)

    savepoint = HandMade(folder).keyed("count", fill, key_type=Types.STRING(), parallelism=parallelism, backend=backend)
    return savepoint.listed("source", offsets).write()


@pytest.fixture(params=["hashmap", "rocksdb"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> OpenedState:
    return opened(made(tmp_path / "savepoint", request.param))


def test_list_tells_kinds_types_keys_entries_and_bytes(state: OpenedState) -> None:
    count, source = listed(state, None, None, quick=False)["operators"]
    assert (count["uid"], count["parallelism"], count["key-type"]) == ("count", 2, "str")
    assert {s["name"]: (s["kind"], s["keys"], s["entries"]) for s in count["states"]} == {
        "n": ("value", 10, 10),
        "words": ("list", 9, 45),
        "by day": ("map", 10, 10),
        "anything": ("value", 10, 10),
        "_timers.event-time": ("timers", 10, 10),
    }
    assert [s["type"] for s in count["states"] if s["name"] == "by day"] == ["map of SQL_DATE() to DOUBLE()"]
    assert {s["name"]: (s["sort"], s["entries"]) for s in source["states"]} == {
        "offsets": ("operator", 3),
        "rules": ("operator", 1),
    }
    quick = listed(state, "count", "n", quick=True)["operators"]
    assert [(s["name"], s["keys"]) for operator in quick for s in operator["states"]] == [("n", None)]


def test_show_finds_a_key_by_its_text_or_its_json(state: OpenedState) -> None:
    rows = [json.loads(line) for line in shown(state, None, None, "d", 20, as_json=True)]
    assert [row["value"] for row in rows if row["state"] == "words"] == ["d0", "d1", "d2"]
    assert [(row["map_key"], row["value"]) for row in rows if row["state"] == "by day"] == [("2024-01-01", 1.5)]
    assert [row["value"] for row in rows if row["state"] == "anything"] == [{"n": 3, "set": ["x", "y", "z"]}]
    assert [row["timestamp"] for row in rows if row["kind"] == "timers"] == [1_003]
    assert list(shown(state, "count", "n", '"d"', 20, as_json=False)) == [
        "Count (uid count), value n:",
        '  "d"  ->  3',
    ]


def test_show_stops_at_its_limit_and_says_so(state: OpenedState) -> None:
    lines = list(shown(state, "count", "n", None, 2, as_json=False))
    assert len(lines) == 4
    assert lines[-1] == "  ... and more: --limit 2"


def test_what_is_not_there_is_refused_with_what_is(state: OpenedState) -> None:
    with pytest.raises(StateError, match=r"has no operator nobody; it has Count \(uid count\), Source \(uid source\)"):
        listed(state, "nobody", None, quick=True)
    with pytest.raises(StateError, match="there is no state m; there are offsets, rules"):
        listed(state, "source", "m", quick=True)


def test_exported_tables_hold_every_entry_in_all_formats(state: OpenedState, tmp_path: Path) -> None:
    written = exported(state, None, None, str(tmp_path / "parquet"), None)
    assert {(table["state"], table["rows"]) for table in written} >= {("words", 45), ("offsets", 3), ("rules", 1)}
    table = pq.read_table(tmp_path / "parquet" / "count" / "words.parquet")
    assert table.column_names == ["key_group", "key", "index", "value"]
    found = [(row["key"], row["index"], row["value"]) for row in table.to_pylist()]
    assert sorted(found) == [(key, i, f"{key}{i}") for at, key in enumerate(KEYS) for i in range(at)]
    by_day = next(path for path in (tmp_path / "parquet" / "count").glob("by*.parquet"))
    assert pq.read_table(by_day).to_pylist()[0]["map_key"] == date(2024, 1, 1)
    exported(state, "count", "n", str(tmp_path / "n.csv"), None)
    with (tmp_path / "n.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["key"], int(row["value"])) for row in rows) == [(key, at) for at, key in enumerate(KEYS)]
    exported(state, "source", "rules", str(tmp_path / "rules.jsonl"), None)
    assert json.loads((tmp_path / "rules.jsonl").read_text()) == {"subtask": 0, "map_key": "limit", "value": 3}
    with pytest.raises(ConfigurationError, match="choose one with --operator and --state"):
        exported(state, "count", None, "-", None)


def test_equal_states_differ_in_nothing_whatever_backend_and_parallelism(tmp_path: Path) -> None:
    heap, rocks = opened(made(tmp_path / "a")), opened(made(tmp_path / "b", "rocksdb", parallelism=3))
    found = compared(heap, rocks, None, None, 5)
    assert found["equal"]
    assert {table["state"]: table["same"] for table in found["tables"]}["words"] == 9, "a list is one value"


def test_diff_counts_what_was_added_removed_and_changed_with_examples(tmp_path: Path) -> None:
    before, after = opened(made(tmp_path / "a")), opened(made(tmp_path / "b", "rocksdb", changed=True))
    forth = {table["state"]: table for table in compared(before, after, None, None, 5)["tables"]}
    n = forth["n"]
    assert (n["added"], n["removed"], n["changed"], n["same"]) == (1, 0, 1, 9)
    assert n["examples"] == [
        {"change": "added", "key": "new", "after": 1},
        {"change": "changed", "key": "c", "before": 2, "after": 100},
    ] or n["examples"] == [
        {"change": "changed", "key": "c", "before": 2, "after": 100},
        {"change": "added", "key": "new", "after": 1},
    ]
    assert (forth["offsets"]["added"], forth["offsets"]["removed"], forth["offsets"]["same"]) == (1, 1, 2)
    back = {table["state"]: table for table in compared(after, before, "count", None, 0)["tables"]}
    assert (back["n"]["removed"], back["n"]["examples"], "offsets" in back) == (1, [], False)


def test_a_diff_by_partitions_on_disk_is_that_in_memory(tmp_path: Path) -> None:
    def side(skipped: int, added: int) -> Iterator[Packed]:
        return ((str(n).encode(), str(n // 7 * added).encode()) for n in range(1_000) if n % skipped)

    sides = [lambda: side(3, 1), lambda: side(5, 2)]
    whole, dealt = (
        differ(sides[0](), sides[1](), bytes_expected=size, limit=0, equal=lambda *_: False, folder=tmp_path)
        for size in (0, 9 * (32 << 20))
    )
    assert (whole.added, whole.removed, whole.changed, whole.same) == (
        dealt.added,
        dealt.removed,
        dealt.changed,
        dealt.same,
    )
    assert whole.added and whole.removed and whole.changed and whole.same
    assert list(tmp_path.iterdir()) == []


def test_stats_name_the_largest_keys_and_every_key_group(state: OpenedState) -> None:
    (words,) = counted(state, "count", "words", 2)["tables"]
    assert [(large["key"], large["entries"]) for large in words["largest"]] == [("j", 9), ("i", 8)]
    assert sum(group["bytes"] for group in words["groups"]) == words["bytes"]
    assert (words["keys"], sum(group["keys"] for group in words["groups"])) == (9, 9)


def test_statistics_count_a_key_once_however_many_entries_it_has() -> None:
    entries = [("a", 1, 10), ("a", 1, 10), ("b", 1, 5), (1, 2, 7), (True, 2, 3)]
    found = feed(TableStatistics(1), entries)
    assert (found.keys, found.entries, found.bytes) == (4, 5, 35)
    assert [large.key for large in found.largest] == ["a"]
    assert round(found.skew, 2) == round(25 / (35 / 2), 2)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (b"\xff", {"base64": "/w=="}),
        (float("nan"), "nan"),
        (Decimal("1.50"), "1.50"),
        ({1: "a"}, [[1, "a"]]),
        (Row(word="a", n=1), {"word": "a", "n": 1}),
        ((1, [None, True]), [1, [None, True]]),
        (object, repr(object)),
    ],
)
def test_every_value_has_a_form_in_json(value: Any, plain: Any) -> None:
    assert json_of(value) == plain
    json.dumps(json_of(value))


def test_values_of_the_scripts_own_classes_are_shown_without_the_script(tmp_path: Path) -> None:
    make = """\
import sys
from dataclasses import dataclass
from pathlib import Path
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.savepoints import HandMade
from penstock.testing.services import Minio

@dataclass(frozen=True)
class Visit:
    page: str

def fill(keyed, on):
    visits = keyed.state(ValueStateDescriptor("visit"))
    if on("k"):
        visits.update([Visit(sys.argv[2])])

HandMade(Path(sys.argv[1])).keyed("visits", fill).write()
"""
    with Commands(tmp_path) as commands:
        script = commands.script("make.py", make)
        assert commands.python(script, "one", "start").code == commands.python(script, "two", "end").code == 0
        show = commands.run("state", "show", "one")
        assert '"k"  ->  [{"class": "Visit", "page": "start"}]' in show.output
        diff = commands.run("state", "diff", "one", "two", "--json")
        assert (diff.code, json.loads(diff.output)["tables"][0]["changed"]) == (1, 1)
        assert commands.run("state", "diff", "one", "one").code == 0
        assert commands.run("state", "diff", "one", "three").code == 2


def test_states_in_s3_are_read_and_edited_as_files_are(tmp_path: Path, minio: Minio) -> None:
    bucket = minio.new_bucket()
    where = Place(Opening(minio.settings))
    local = made(tmp_path / "savepoint", "rocksdb")
    for path in local.iterdir():
        where.store(f"{bucket}/old").put_file(path.name, path)
    old = where.open(f"{bucket}/old")
    assert old.faults() == []
    work = tmp_path / "work"
    work.mkdir()
    SavepointEdit(
        source=old,
        edits=Edits(dropped_states={("count", "n")}),
        target=f"{bucket}/new",
        open_root=where.store,
        directory=work,
        rows_of=lambda name: iter(()),
        call=lambda function, argument: function(argument),
        now_ms=0,
    ).run()
    found = compared(opened(local), where.open(f"{bucket}/new"), None, None, 0)
    assert [table["state"] for table in found["tables"] if table["only-in"] == "before"] == ["n"]
    assert not any(table["added"] or table["changed"] for table in found["tables"])
