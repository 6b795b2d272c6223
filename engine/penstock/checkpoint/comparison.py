"""Whether a program can start from a checkpoint or savepoint: every finding, not just the first. Pure.

`penstock check` shows it. The judgements are the restore's own: `assign` for the shape, the state layer's rules for
types.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from penstock.base.errors import IncompatibleState, StateError
from penstock.base.ids import OperatorUid
from penstock.checkpoint.assign import OperatorTarget, assign
from penstock.checkpoint.metadata import Metadata, OperatorState
from penstock.records.key_types import joined_json
from penstock.state.handles import StateInfo
from penstock.state.judging import Judged, judge, key_words, type_words

Severity = Literal["refusal", "note"]
Kind = Literal[
    "state-without-operator",
    "operator-without-state",
    "state-not-asked-for",
    "new-state",
    "migration",
    "incompatible-type",
    "incompatible-key-type",
    "max-parallelism",
    "backend",
    "types-unknown",
    "missing-file",
    "damaged-file",
    "store",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a person should know before the start; a refusal makes the start impossible."""

    severity: Severity
    kind: Kind
    message: str
    uid: str | None = None
    operator: str | None = None
    """Its name."""
    state: str | None = None
    old: str | None = None
    """What the checkpoint holds: a type, a max parallelism, a backend."""
    new: str | None = None
    """What the program asks for."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an operator of the program asks for once it is opened."""

    keyed: tuple[StateInfo, ...] = ()
    operator: tuple[StateInfo, ...] = ()
    key_type: dict[str, Any] | None = None
    """None: the first key decides."""
    failure: str | None = None
    """Why it could not be found out."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The job that is to start."""

    operators: Sequence[OperatorTarget]
    asked: Mapping[OperatorUid, Asked]
    """Operators that are absent keep state of the engine's own, which is not judged here."""
    backend: str


def compare(metadata: Metadata, program: Program, *, allow_unclaimed: bool) -> list[Finding]:
    """Everything there is to say, refusals first."""
    states = {state.uid: state for state in metadata.operators}
    wanted = {target.uid for target in program.operators}
    found = [
        _unclaimed(s, allow_unclaimed) for uid, s in sorted(states.items()) if uid not in wanted and not s.is_empty
    ]
    for target in program.operators:
        state, asked = states.get(target.uid), program.asked.get(target.uid)
        if state is None or state.is_empty:
            found += _without_state(target, asked)
        else:
            found += _shape(state, target)
            found += _backend(state, target, program.backend)
            found += _types(state, target, asked)
    return sorted(found, key=lambda finding: finding.severity != "refusal")


def _unclaimed(state: OperatorState, allowed: bool) -> Finding:
    names = ", ".join(sorted(info.name for info in state.states)) or "its own"
    text = f"state of {state.name or 'an operator'} (uid {state.uid}: {names}) has no operator in the program"
    advice = "it is left out" if allowed else "give an operator this uid, or leave the state out with -n"
    return Finding(
        severity="note" if allowed else "refusal",
        kind="state-without-operator",
        message=f"{text}; {advice}",
        uid=state.uid,
        operator=state.name or None,
    )


def _without_state(target: OperatorTarget, asked: Asked | None) -> Iterator[Finding]:
    """Only of those that keep state: whoever asks for none misses none."""
    if asked is not None and (asked.keyed or asked.operator or asked.failure):
        yield Finding(
            severity="note",
            kind="operator-without-state",
            message=f"{_named(target)} finds no state and begins empty",
            uid=target.uid,
            operator=target.name,
        )


def _shape(state: OperatorState, target: OperatorTarget) -> Iterator[Finding]:
    old, new = str(state.max_parallelism), str(target.max_parallelism)
    try:
        placed = assign(None, [state], [target], allow_unclaimed=False).operators[target.uid]
    except IncompatibleState as error:
        yield Finding(
            severity="refusal",
            kind="max-parallelism",
            message=str(error),
            uid=target.uid,
            operator=target.name,
            old=old,
            new=new if target.max_parallelism_given else str(target.parallelism),
        )
    else:
        if placed.max_parallelism != target.max_parallelism:
            yield Finding(
                severity="note",
                kind="max-parallelism",
                message=f"{_named(target)} takes over max parallelism {old} of its state in place of {new}",
                uid=target.uid,
                operator=target.name,
                old=old,
                new=new,
            )


def _backend(state: OperatorState, target: OperatorTarget, backend: str) -> Iterator[Finding]:
    written = {handle.backend for subtask in state.subtasks for handle in subtask.keyed} - {"canonical", backend}
    for other in sorted(written):
        yield Finding(
            severity="refusal",
            kind="backend",
            message=f"state of {_named(target)} was written by the {other} backend and the program runs on {backend}; "
            "start from a canonical savepoint to change the backend",
            uid=target.uid,
            operator=target.name,
            old=other,
            new=backend,
        )


def _types(state: OperatorState, target: OperatorTarget, asked: Asked | None) -> Iterator[Finding]:
    if asked is None:
        return
    if asked.failure is not None:
        yield Finding(
            severity="note",
            kind="types-unknown",
            message=f"the types that {_named(target)} asks for are not known: {asked.failure}",
            uid=target.uid,
            operator=target.name,
        )
        return
    yield from _key_types(state, target, asked)
    of_operator = {name for sub in state.subtasks if sub.operator is not None for name in sub.operator.states}
    stored = {(info.name, info.name in of_operator): info for info in state.states}
    wanted = {(info.name, False): info for info in asked.keyed} | {(info.name, True): info for info in asked.operator}
    for (name, is_operators), info in wanted.items():
        old = stored.pop((name, is_operators), None)
        yield from _new(target, info) if old is None else _judged(target, old, info)
    for _, info in sorted(stored.items()):
        if not _is_timers(info):
            yield Finding(
                severity="note",
                kind="state-not-asked-for",
                message=f"{_named(target)} does not ask for its state {info.name} when it is opened; it is kept",
                uid=target.uid,
                operator=target.name,
                state=info.name,
                old=type_words(info),
            )


def _new(target: OperatorTarget, info: StateInfo) -> Iterator[Finding]:
    if not _is_timers(info):
        yield Finding(
            severity="note",
            kind="new-state",
            message=f"state {info.name} of {_named(target)} is new and begins empty",
            uid=target.uid,
            operator=target.name,
            state=info.name,
            new=type_words(info),
        )


def _judged(target: OperatorTarget, stored: StateInfo, asked: StateInfo) -> Iterator[Finding]:
    old, new = type_words(stored), type_words(asked)
    try:
        judged = judge(stored, asked, _named(target))
    except StateError as error:
        yield Finding(
            severity="refusal",
            kind="incompatible-type",
            message=str(error),
            uid=target.uid,
            operator=target.name,
            state=asked.name,
            old=old,
            new=new,
        )
        return
    if judged is not Judged.SAME:
        how = "is migrated" if judged is Judged.MIGRATED else "is read as it is"
        yield Finding(
            severity="note",
            kind="migration",
            message=f"state {asked.name} of {_named(target)} {how}: from {old} to {new}",
            uid=target.uid,
            operator=target.name,
            state=asked.name,
            old=old,
            new=new,
        )


def _key_types(state: OperatorState, target: OperatorTarget, asked: Asked) -> Iterator[Finding]:
    if state.key_type is None or asked.key_type is None:
        return
    held, declared = state.key_type["key"], asked.key_type["key"]
    if joined_json(held, declared) is None:
        old, new = key_words(held), key_words(declared)
        yield Finding(
            severity="refusal",
            kind="incompatible-key-type",
            message=f"keys of {_named(target)} are {old} in the checkpoint and {new} now: no key would find its state",
            uid=target.uid,
            operator=target.name,
            old=old,
            new=new,
        )


def _is_timers(info: StateInfo) -> bool:
    """Timers are there or not; nobody asks for them by name."""
    return info.name.startswith("_") and info.name.endswith((".event-time", ".processing-time"))


def _named(target: OperatorTarget) -> str:
    return f"{target.name} (uid {target.uid})"
