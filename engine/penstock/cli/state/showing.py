"""`penstock state show`."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from penstock.checkpoint.metadata import OperatorState
from penstock.checkpoint.opened import OpenedState
from penstock.checkpoint.tables import StateTable
from penstock.cli.state.looking import chosen, entries
from penstock.cli.state.rendering import json_of, row_of, text_of
from penstock.records.key_groups import KeyGroupRange, KeyGroups
from penstock.state.entries import Entry


def shown(
    opened: OpenedState, operator: str | None, state: str | None, key: str | None, limit: int, *, as_json: bool
) -> Iterator[str]:
    """Lines for people or for programs; a table that is full is read no further."""
    tables = chosen(opened, operator, state)
    if key is not None:
        tables = [table for table in tables if table.sort == "keyed"]
    matches = key_filter(key) if key is not None else (lambda entry: True)
    for table in tables:
        left = limit
        if not as_json:
            yield _title(table)
        for entry in _entries(table, opened, key):
            if not matches(entry):
                continue
            if not left:
                if not as_json:
                    yield f"  ... and more: --limit {limit}"
                break
            left -= 1
            yield json.dumps(_named(table) | _row(table, entry), ensure_ascii=False) if as_json else _line(table, entry)


def key_filter(key: str) -> Callable[[Entry], bool]:
    """Whether an entry has the key that was typed: its text, or the JSON that `show` prints for it."""
    try:
        parsed: Any = json.loads(key)
    except ValueError:
        parsed = key
    return lambda entry: json_of(entry.key) == parsed or entry.key == key


def groups_of_key(operator: OperatorState, key: str) -> KeyGroupRange | None:
    """Where a key of text or a whole number can only lie; None: anywhere."""
    kind = None if operator.key_type is None else operator.key_type["key"]
    found: Any = None
    if kind == ["builtins:str", []]:
        parsed = _parsed(key)
        found = parsed if isinstance(parsed, str) else key
    elif kind == ["builtins:int", []] and isinstance(_parsed(key), int):
        found = _parsed(key)
    if found is None:
        return None
    group = KeyGroups(operator.max_parallelism).groups([found])[0]
    return KeyGroupRange(group, group)


def _parsed(key: str) -> Any:
    try:
        return json.loads(key)
    except ValueError:
        return None


def _entries(table: StateTable, opened: OpenedState, key: str | None) -> Iterator[Entry]:
    groups = None if key is None else groups_of_key(table.operator, key)
    for _, piece in entries([table], opened, groups):
        yield from piece


def _named(table: StateTable) -> dict[str, Any]:
    return {"operator": table.operator.name, "uid": table.uid, "state": table.name, "kind": table.kind}


def _row(table: StateTable, entry: Entry) -> dict[str, Any]:
    row = row_of(entry)
    if table.sort == "operator":
        del row["key_group"]
        row["subtask"] = row.pop("key")
    elif table.kind == "timers":
        row["timestamp"] = row.pop("map_key")
        del row["value"]
    return row


def _title(table: StateTable) -> str:
    return f"{table.operator.name or table.uid} (uid {table.uid}), {table.kind} {table.name}:"


def _line(table: StateTable, entry: Entry) -> str:
    row = _row(table, entry)
    parts = [f"{name} {text_of(row[name])}" for name in ("subtask", "namespace", "map_key", "timestamp") if name in row]
    left = [text_of(entry.key)] if table.sort == "keyed" else []
    value = [text_of(row["value"])] if "value" in row else []
    return "  " + "  ".join([*left, *parts]) + "".join(f"  ->  {text}" for text in value)
