"""`penstock state diff`."""

from collections.abc import Callable, Iterator
from typing import Any

from penstock.base.errors import IncompatibleState
from penstock.base.ids import OperatorUid
from penstock.checkpoint.opened import OpenedState, fields_of
from penstock.checkpoint.tables import StateTable
from penstock.cli.state.differing import Example, Packed, TableDifference, differ
from penstock.cli.state.looking import chosen, entries, headline_of
from penstock.cli.state.packing import Packer
from penstock.cli.state.rendering import json_of, text_of
from penstock.state.entries import Entry
from penstock.state.judging import as_keyed, type_words

_Name = tuple[OperatorUid, str]


def compared(
    before: OpenedState, after: OpenedState, operator: str | None, state: str | None, limit: int
) -> dict[str, Any]:
    """How they differ, as JSON has it."""
    sides = [_tables(opened, operator, state) for opened in (before, after)]
    if not sides[0] and not sides[1] and (operator or state):
        chosen(before, operator, state)  # Says what there is.
    names = sorted({**sides[0], **sides[1]})
    tables = [_table(sides[0].get(name), sides[1].get(name), before, after, limit) for name in names]
    coordinators = _coordinators(before, after) if operator is None and state is None else []
    return {
        "before": fields_of(before),
        "after": fields_of(after),
        "equal": not coordinators and not any(_differs(table) for table in tables),
        "tables": tables,
        "coordinators": coordinators,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """For people: what differs."""
    shown = [f"before: {headline_of(found['before'])}", f"after:  {headline_of(found['after'])}"]
    for table in found["tables"]:
        if not _differs(table):
            continue
        what = f"{table['operator'] or table['uid']} (uid {table['uid']}), {table['state']}"
        if table["only-in"] is not None:
            shown += ["", f"{what}: only {table['only-in']}"]
        else:
            counts = f"{table['added']} added, {table['removed']} removed, {table['changed']} changed, "
            shown += ["", f"{what}: {counts}{table['same']} the same"]
        if table["type-before"] and table["type-after"] and table["type-before"] != table["type-after"]:
            shown.append(f"  type: {table['type-before']} before, {table['type-after']} after")
        shown += [f"  {_example_line(example)}" for example in table["examples"]]
    shown += [f"\nthe coordinator of operator {uid} has another state" for uid in found["coordinators"]]
    if found["equal"]:
        shown += ["", "nothing differs"]
    return shown


def _differs(table: dict[str, Any]) -> bool:
    return bool(
        table["only-in"]
        or table["added"]
        or table["removed"]
        or table["changed"]
        or table["type-before"] != table["type-after"]
    )


def _tables(opened: OpenedState, operator: str | None, state: str | None) -> dict[_Name, StateTable]:
    """Those that are chosen; none where one side has not what the other has."""
    found = {(table.uid, table.name): table for table in chosen(opened, None, None)}
    return {
        name: table
        for name, table in found.items()
        if operator in (None, table.uid, table.operator.name) and state in (None, table.name)
    }


def _table(
    before: StateTable | None, after: StateTable | None, old: OpenedState, new: OpenedState, limit: int
) -> dict[str, Any]:
    either = after or before
    assert either is not None
    packers = [None if table is None else _packer(table) for table in (before, after)]
    expected = max(opened.metadata.state_bytes() for opened in (old, new)) * 3
    difference = TableDifference()
    if before is None or after is None or before.sort == after.sort:
        difference = differ(
            _packed(before, old, packers[0]),
            _packed(after, new, packers[1]),
            bytes_expected=expected,
            limit=limit,
            equal=_equality(packers[0], packers[1]),
        )
    return {
        "uid": either.uid,
        "operator": either.operator.name,
        "state": either.name,
        "only-in": "before" if after is None else "after" if before is None else None,
        "type-before": None if before is None else type_words(before.info),
        "type-after": None if after is None else type_words(after.info),
        "added": difference.added,
        "removed": difference.removed,
        "changed": difference.changed,
        "same": difference.same,
        "examples": [_example(example, either, packers[0], packers[1]) for example in difference.examples],
    }


def _packer(table: StateTable) -> Packer:
    spec = as_keyed(table.info)
    kind = "elements" if table.sort == "operator" and table.kind != "broadcast" else table.kind
    return Packer(kind, spec.value.dumps, spec.value.loads)


def _packed(table: StateTable | None, opened: OpenedState, packer: Packer | None) -> Iterator[Packed]:
    if table is None or packer is None:
        return iter(())
    return packer.packed(_all(table, opened))


def _all(table: StateTable, opened: OpenedState) -> Iterator[Entry]:
    for _, piece in entries([table], opened):
        yield from piece


def _equality(one: Packer | None, other: Packer | None) -> Callable[[bytes, bytes], bool]:
    """Bytes may differ by type or by pickle where values are equal."""

    def equal(before: bytes, after: bytes) -> bool:
        assert one is not None and other is not None
        try:
            return bool(one.value_of(before) == other.value_of(after))
        except IncompatibleState:
            return False

    return equal


def _example(example: Example, table: StateTable, old: Packer | None, new: Packer | None) -> dict[str, Any]:
    packer = new or old
    assert packer is not None
    found: dict[str, Any] = {"change": example.change}
    found |= {name: json_of(value) for name, value in packer.entry_of(example.identity).items()}
    for name, side, data in (("before", old, example.before), ("after", new, example.after)):
        if data is not None and side is not None and table.kind != "timers":
            found[name] = json_of(side.value_of(data))
    return found


def _example_line(example: dict[str, Any]) -> str:
    where = "  ".join(
        text_of(example[name]) if name == "key" else f"{name} {text_of(example[name])}"
        for name in ("key", "namespace", "map_key")
        if name in example
    )
    sides = "  ->  ".join(text_of(example[name]) for name in ("before", "after") if name in example)
    sign = {"added": "+", "removed": "-", "changed": "~"}[example["change"]]
    return "  ".join(part for part in (sign, where, sides) if part)


def _coordinators(before: OpenedState, after: OpenedState) -> list[str]:
    sides = [{o.uid: o.coordinator for o in opened.metadata.operators} for opened in (before, after)]
    return [uid for uid in sorted({**sides[0], **sides[1]}) if sides[0].get(uid) != sides[1].get(uid)]
