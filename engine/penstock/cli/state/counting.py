"""`penstock state stats`, and the counts of `list`."""

from collections.abc import Sequence
from typing import Any

from penstock.base.ids import OperatorUid
from penstock.checkpoint.opened import OpenedState, fields_of
from penstock.checkpoint.tables import StateTable
from penstock.cli.state.looking import chosen, entries, headline_of, sizes
from penstock.cli.state.rendering import json_of, text_of
from penstock.cli.texts import size, table
from penstock.state.statistics import TableStatistics


def statistics_of(
    tables: Sequence[StateTable], opened: OpenedState, top: int
) -> dict[tuple[OperatorUid, str], TableStatistics]:
    """Read and count all of them, one pass over each operator."""
    found = {(table.uid, table.name): TableStatistics(top) for table in tables}
    size_of = {(table.uid, table.name): sizes(table) for table in tables}
    for part, piece in entries(tables, opened):
        name = part.uid, part.name
        add, measure = found[name].add, size_of[name]
        for entry in piece:
            add(entry.key, entry.key_group, measure(entry))
    for statistics in found.values():
        statistics.end()
    return found


def counted(opened: OpenedState, operator: str | None, state: str | None, top: int) -> dict[str, Any]:
    """Keyed states only, as JSON has them."""
    tables = [table for table in chosen(opened, operator, state) if table.sort == "keyed"]
    statistics = statistics_of(tables, opened, top)
    return {
        "state": fields_of(opened),
        "tables": [_table(part, statistics[part.uid, part.name]) for part in tables],
    }


def lines(found: dict[str, Any], *, groups: bool) -> list[str]:
    """The same for people."""
    shown = [headline_of(found["state"])]
    for part in found["tables"]:
        shown.append("")
        spread = f"{part['keys']} keys in {len(part['groups'])} key groups, skew {part['skew']:.1f}"
        shown.append(f"{part['operator'] or part['uid']} (uid {part['uid']}), {part['kind']} {part['state']}: {spread}")
        shown.append(f"  {part['entries']} entries, {size(part['bytes'])}")
        if part["largest"]:
            rows: list[tuple[str, ...]] = [("largest keys", "key group", "entries", "bytes")]
            rows += [
                (text_of(k["key"]), *(str(k[n]) for n in ("key-group", "entries", "bytes"))) for k in part["largest"]
            ]
            shown += [f"  {line}" for line in table(rows)]
        if groups and part["groups"]:
            rows = [("key group", "keys", "entries", "bytes")]
            rows += [tuple(str(g[n]) for n in ("key-group", "keys", "entries", "bytes")) for g in part["groups"]]
            shown += [f"  {line}" for line in table(rows)]
    return shown


def _table(part: StateTable, statistics: TableStatistics) -> dict[str, Any]:
    return {
        "uid": part.uid,
        "operator": part.operator.name,
        "state": part.name,
        "kind": part.kind,
        "keys": statistics.keys,
        "entries": statistics.entries,
        "bytes": statistics.bytes,
        "skew": round(statistics.skew, 3),
        "groups": [
            {"key-group": number, "keys": group.keys, "entries": group.entries, "bytes": group.bytes}
            for number, group in sorted(statistics.groups.items())
        ],
        "largest": [
            {"key": json_of(large.key), "key-group": large.key_group, "entries": large.entries, "bytes": large.bytes}
            for large in statistics.largest
        ],
    }
