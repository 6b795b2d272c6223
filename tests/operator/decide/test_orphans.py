"""FlinkStateSnapshots whose FlinkJob does not exist wait for nothing that cannot come."""

import msgspec
import pytest

from penstock_operator.decide.acts import SetSnapshotFinalizer, WriteSnapshotStatus
from penstock_operator.decide.facts import SnapshotObject
from penstock_operator.decide.orphans import orphaned
from penstock_operator.model.snapshot_status import SnapshotStatus


def a_snapshot(phase: str, *, deleting: bool = False, finalizer: bool = True) -> SnapshotObject:
    return SnapshotObject("s", "u", "savepoint", phase, "t", "", 1, 3, deleting, True, finalizer, "", generation=2)


@pytest.mark.parametrize("phase", ["", "Pending", "InProgress", "Completed", "Failed", "Abandoned"])
def test_one_that_is_to_be_deleted_goes(phase: str) -> None:
    assert orphaned(a_snapshot(phase, deleting=True), "orders") == (SetSnapshotFinalizer("s", False),)
    assert orphaned(a_snapshot(phase, deleting=True, finalizer=False), "orders") == ()


def test_one_under_way_is_abandoned_and_a_new_one_says_what_it_waits_for() -> None:
    abandoned = WriteSnapshotStatus("s", 2, "Abandoned", "t", "", 1, "FlinkJob orders was deleted before it was taken")
    assert orphaned(a_snapshot("InProgress"), "orders") == (abandoned,)
    pending = WriteSnapshotStatus("s", 2, "Pending", "t", "", 1, "waits for FlinkJob orders, which does not exist")
    assert orphaned(a_snapshot(""), "orders") == (pending,)


def test_what_is_written_is_all_that_the_status_of_a_snapshot_has() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(SnapshotStatus)}
    assert WriteSnapshotStatus("s", 2, "Pending", "t", "", 1, "").as_json().keys() == fields


@pytest.mark.parametrize("phase", ["Pending", "Completed", "Failed", "Abandoned"])
def test_nothing_is_written_twice(phase: str) -> None:
    assert orphaned(a_snapshot(phase), "orders") == ()
