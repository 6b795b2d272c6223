"""What `penstock check` finds: every difference between a program and a checkpoint, judged as the restore would."""

from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import DamagedData
from penstock.base.ids import OperatorUid
from penstock.checkpoint.assign import OperatorTarget
from penstock.checkpoint.comparison import Asked, Finding, Program, compare
from penstock.checkpoint.opened import OpenedState, open_state
from penstock.common.typeinfo import TypeInformation, Types
from penstock.records.key_types import declared_key_type
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, StateDescriptor, ValueStateDescriptor
from penstock.state.handles import StateInfo
from penstock.state.spec import spec_of
from penstock.storage import S3Settings, open_store
from penstock.testing.savepoints import HandMade

COUNT = OperatorUid("count")


def opened(address: Path | str) -> OpenedState:
    return open_state(str(address), lambda root: open_store(root, S3Settings()))


def counts(backend: Any, on: Any) -> None:
    state = backend.state(ValueStateDescriptor("n", Types.INT()))
    for key in ("a", "b", "c"):
        if on(key):
            state.update(1)


def savepoint(folder: Path, **changes: Any) -> OpenedState:
    made = HandMade(folder / "savepoint").keyed("count", counts, key_type=Types.STRING(), parallelism=2)
    return opened(made.write(**changes))


def info(descriptor: StateDescriptor) -> StateInfo:
    return spec_of(descriptor).info()


def asked(*descriptors: StateDescriptor, key: TypeInformation | None = None) -> Asked:
    key_type = None if key is None else {"key": declared_key_type(key).to_json()}
    return Asked(keyed=tuple(map(info, descriptors)), key_type=key_type)


def found(
    state: OpenedState,
    wanted: Asked | None,
    *,
    uid: str = "count",
    parallelism: int = 1,
    max_parallelism: int = 128,
    given: bool = False,
    backend: str = "hashmap",
    allow_unclaimed: bool = False,
) -> list[Finding]:
    target = OperatorTarget(OperatorUid(uid), "Count", parallelism, max_parallelism, given)
    program = Program(operators=[target], asked={} if wanted is None else {OperatorUid(uid): wanted}, backend=backend)
    return compare(state.metadata, program, allow_unclaimed=allow_unclaimed)


def test_the_same_program_has_nothing_to_report(tmp_path: Path) -> None:
    same = asked(ValueStateDescriptor("n", Types.INT()), key=Types.STRING())
    assert found(savepoint(tmp_path), same) == []


def test_state_without_an_operator_is_refused_unless_it_may_be_left_out(tmp_path: Path) -> None:
    state = savepoint(tmp_path)
    refused = found(state, asked(ValueStateDescriptor("n", Types.INT())), uid="other")
    assert [(f.severity, f.kind, f.uid) for f in refused] == [
        ("refusal", "state-without-operator", "count"),
        ("note", "operator-without-state", "other"),
    ]
    allowed = found(state, None, uid="other", allow_unclaimed=True)
    assert [(f.severity, f.kind) for f in allowed] == [("note", "state-without-operator")]


@pytest.mark.parametrize(
    ("now", "severity", "kind"),
    [
        (ValueStateDescriptor("n", Types.LONG()), "note", "migration"),
        (ValueStateDescriptor("n", None), "note", "migration"),
        (ValueStateDescriptor("n", Types.STRING()), "refusal", "incompatible-type"),
        (ListStateDescriptor("n", Types.INT()), "refusal", "incompatible-type"),
        (MapStateDescriptor("n", Types.INT(), Types.INT()), "refusal", "incompatible-type"),
    ],
)
def test_a_change_of_type_is_judged_as_the_restore_would(
    tmp_path: Path, now: StateDescriptor, severity: str, kind: str
) -> None:
    (finding,) = found(savepoint(tmp_path), asked(now))
    assert (finding.severity, finding.kind, finding.state) == (severity, kind, "n")
    assert finding.old == "value of INT()"
    assert "Count (uid count)" in finding.message


def test_keys_of_another_type_are_refused_with_both_types(tmp_path: Path) -> None:
    wanted = asked(ValueStateDescriptor("n", Types.INT()), key=Types.TUPLE([Types.STRING(), Types.LONG()]))
    (finding,) = found(savepoint(tmp_path), wanted)
    assert (finding.kind, finding.old, finding.new) == ("incompatible-key-type", "str", "tuple[str, int]")


def test_states_that_come_and_go_are_noted(tmp_path: Path) -> None:
    findings = found(savepoint(tmp_path), asked(ValueStateDescriptor("other", Types.INT())))
    assert [(f.severity, f.kind, f.state) for f in findings] == [
        ("note", "new-state", "other"),
        ("note", "state-not-asked-for", "n"),
    ]


def test_a_max_parallelism_that_was_chosen_must_be_that_of_the_state(tmp_path: Path) -> None:
    same = asked(ValueStateDescriptor("n", Types.INT()))
    (chosen,) = found(savepoint(tmp_path), same, max_parallelism=256, given=True)
    assert (chosen.severity, chosen.kind, chosen.old, chosen.new) == ("refusal", "max-parallelism", "128", "256")
    (derived,) = found(savepoint(tmp_path), same, max_parallelism=256)
    assert (derived.severity, derived.kind) == ("note", "max-parallelism")
    (beyond,) = found(savepoint(tmp_path), same, parallelism=200, max_parallelism=256)
    assert (beyond.severity, beyond.old, beyond.new) == ("refusal", "128", "200")


def test_native_state_of_another_backend_is_refused(tmp_path: Path) -> None:
    (finding,) = found(savepoint(tmp_path), asked(ValueStateDescriptor("n", Types.INT())), backend="rocksdb")
    assert (finding.severity, finding.kind, finding.old, finding.new) == ("refusal", "backend", "hashmap", "rocksdb")


def test_what_an_operator_could_not_be_asked_is_noted(tmp_path: Path) -> None:
    (finding,) = found(savepoint(tmp_path), Asked(failure="its open() failed: OSError: no route"))
    assert (finding.severity, finding.kind) == ("note", "types-unknown")
    assert "no route" in finding.message


def test_every_missing_truncated_and_changed_file_is_found(tmp_path: Path) -> None:
    state = savepoint(tmp_path)
    assert state.faults() == list(state.read_faults()) == []
    first, second = sorted((tmp_path / "savepoint").glob("*-count-*"))
    data = bytearray(second.read_bytes())
    data[-1] ^= 1
    second.write_bytes(data)
    assert [fault.path for fault in state.read_faults()] == [str(second)]
    first.unlink()
    second.write_bytes(data[:-1])
    assert [(fault.kind, fault.path) for fault in state.faults()] == [
        ("missing-file", str(first)),
        ("damaged-file", str(second)),
    ]


def test_a_folder_that_holds_checkpoints_names_them(tmp_path: Path) -> None:
    savepoint(tmp_path)
    with pytest.raises(DamagedData, match=rf"below it there are {tmp_path}/savepoint$"):
        opened(tmp_path)
    assert opened(tmp_path / "savepoint" / "_metadata").address == str(tmp_path / "savepoint")
