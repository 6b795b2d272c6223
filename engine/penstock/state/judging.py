"""What the descriptions of states in a checkpoint mean: in words, and whether one can become another. Pure.

`penstock check` and `penstock state` use it; restoring backends judge the same way, by the same functions.
"""

import enum
from collections.abc import Sequence
from typing import Any, final

import msgspec

from penstock.base.errors import IncompatibleState
from penstock.records.serializers import serializer_from
from penstock.state.handles import StateInfo
from penstock.state.spec import StateSpec, change_between, spec_from

_OPERATOR_KINDS = ("union", "broadcast")


@final
class Judged(enum.Enum):
    """How a state reaches a program that asks for it."""

    SAME = "same"
    READ = "read"
    """Another type whose values lie in the same bytes."""
    MIGRATED = "migrated"


def judge(stored: StateInfo, asked: StateInfo, operator: str) -> Judged:
    """How `stored` becomes what is `asked` for; IncompatibleState, which names both types, if there is no way."""
    if stored.kind != asked.kind and {stored.kind, asked.kind} & {*_OPERATOR_KINDS}:
        where = f"state {asked.name} of operator {operator}"
        raise IncompatibleState(f"{where} is {stored.kind} state in the checkpoint, {asked.kind} state now")
    change = change_between(as_keyed(stored), as_keyed(asked), operator)
    if not change.is_nothing:
        return Judged.MIGRATED
    return Judged.SAME if type_words(stored) == type_words(asked) else Judged.READ


def as_keyed(info: StateInfo) -> StateSpec:
    """Operator state in the terms of keyed state: a list, or for broadcast state a map."""
    kind = {"union": "list", "broadcast": "map"}.get(info.kind, info.kind)
    return spec_from(msgspec.structs.replace(info, kind=kind))


def type_words(info: StateInfo) -> str:
    """As `map of STRING to LONG`."""
    kind = info.kind
    value = _type_name(info.types.get("value"))
    if "map key" in info.types:
        text = f"{kind} of {_type_name(info.types['map key'])} to {value}"
    else:
        text = f"{kind} of {value}"
    return f"{text}, with time to live" if info.options.get("timed") else text


def key_words(key_type: Sequence[Any]) -> str:
    """The type of keys, as `_metadata` has it: `tuple[str, int]`. The classes need not be at hand."""
    name, parts = key_type
    word = "None" if name is None else str(name).rpartition(":")[2]
    return f"{word}[{', '.join(map(key_words, parts))}]" if parts else word


def _type_name(snapshot: dict[str, Any] | None) -> str:
    if snapshot is None:
        return "unknown"
    try:
        return serializer_from(snapshot).name
    except (IncompatibleState, KeyError):
        return str(snapshot.get("type", {}).get("kind", "unknown"))
