"""`penstock state list`."""

from typing import Any

from penstock.checkpoint.metadata import OperatorState
from penstock.checkpoint.opened import OpenedState, fields_of
from penstock.cli.state.counting import statistics_of
from penstock.cli.state.looking import chosen, headline_of
from penstock.cli.texts import size, table
from penstock.state.judging import key_words, type_words


def listed(opened: OpenedState, operator: str | None, state: str | None, *, quick: bool) -> dict[str, Any]:
    """What there is, as JSON has it."""
    tables = chosen(opened, operator, state)
    statistics = {} if quick else statistics_of(tables, opened, 0)
    by_uid: dict[str, list[dict[str, Any]]] = {}
    for found in tables:
        row: dict[str, Any] = {
            "name": found.name,
            "kind": found.kind,
            "sort": found.sort,
            "type": type_words(found.info),
        }
        counts = statistics.get((found.uid, found.name))
        row |= {what: None if counts is None else getattr(counts, what) for what in ("keys", "entries", "bytes")}
        if found.sort == "operator":
            row["keys"] = None
        by_uid.setdefault(found.uid, []).append(row)
    uids = set(by_uid) if state is not None or operator is not None else {o.uid for o in opened.metadata.operators}
    operators = [_operator(o, by_uid.get(o.uid, [])) for o in opened.metadata.operators if o.uid in uids]
    return {"state": fields_of(opened), "operators": operators}


def lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    shown = [headline_of(found["state"])]
    for operator in found["operators"]:
        keys = f", keys {operator['key-type']}" if operator["key-type"] else ""
        backends = f", {', '.join(operator['backends'])}" if operator["backends"] else ""
        shown.append("")
        spread = f"parallelism {operator['parallelism']} of at most {operator['max-parallelism']}"
        named = f"{operator['name'] or 'operator'} (uid {operator['uid']})"
        shown.append(f"{named}: {spread}{keys}{backends}, {size(operator['bytes'])}")
        if operator["coordinator-bytes"]:
            shown.append(f"  coordinator: {size(operator['coordinator-bytes'])}")
        rows: list[tuple[str, ...]] = [("state", "kind", "type", "keys", "entries", "bytes")]
        rows += [_row(state) for state in operator["states"]]
        shown += [f"  {line}" for line in table(rows)] if len(rows) > 1 else ["  no states"]
    return shown


def _row(state: dict[str, Any]) -> tuple[str, ...]:
    counts = [state["keys"], state["entries"], state["bytes"]]
    kind = state["kind"] if state["sort"] == "keyed" else f"operator {state['kind']}"
    return (state["name"], kind, state["type"].partition(" of ")[2], *("" if c is None else str(c) for c in counts))


def _operator(operator: OperatorState, states: list[dict[str, Any]]) -> dict[str, Any]:
    backends = sorted({handle.backend for subtask in operator.subtasks for handle in subtask.keyed})
    return {
        "uid": operator.uid,
        "name": operator.name,
        "parallelism": operator.parallelism,
        "max-parallelism": operator.max_parallelism,
        "finished": operator.finished,
        "key-type": None if operator.key_type is None else key_words(operator.key_type["key"]),
        "backends": backends,
        "bytes": sum(file.file.size for file in operator.files()),
        "coordinator-bytes": len(operator.coordinator or b""),
        "states": states,
    }
