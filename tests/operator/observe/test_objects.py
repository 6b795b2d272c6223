"""What is read from objects that anybody may have edited."""

from typing import Any

from penstock_operator.model.status import LifecycleState
from penstock_operator.observe.objects import job_object, read_status, snapshot_object
from penstock_operator.render.names import FINALIZER, PAUSED

SPEC: dict[str, Any] = {
    "image": "i",
    "job": {"script": "/a.py"},
    "checkpoints": {"dir": "s3://bucket/checkpoints", "savepointDir": "s3://bucket/savepoints"},
}


def body(**more: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "j", "uid": "u", "generation": 3, "resourceVersion": "7"}
    return {"metadata": {**metadata, **more.pop("metadata", {})}, "spec": SPEC, **more}


def test_a_sound_object_is_read_whole() -> None:
    job = job_object(body(metadata={"finalizers": [FINALIZER]}, status={"lifecycleState": "Stable"}))
    assert job.errors == ()
    assert job.spec is not None
    assert (job.generation, job.resource_version, job.finalizer, job.paused) == (3, "7", True, False)
    assert job.status.lifecycle_state is LifecycleState.STABLE


def test_a_spec_with_errors_has_all_of_them_and_no_value() -> None:
    job = job_object(body(metadata={"name": "Bad"}, spec={"image": 3, "job": {"parallelism": 0}}))
    assert job.spec is None
    fields = {error.field for error in job.errors}
    assert {"metadata.name", "spec.image", "spec.job.parallelism"} <= fields


def test_a_spec_is_checked_once_for_each_generation() -> None:
    bad = body(spec={"image": 3})
    before = job_object(bad)
    assert job_object(body(status={"lifecycleState": "Stable"}), before).errors == before.errors
    assert not job_object(body(metadata={"generation": 4}), before).errors
    assert not job_object(body(metadata={"uid": "another"}), before).errors


def test_an_object_without_spec_has_errors_instead_of_failing() -> None:
    naked = body()
    del naked["spec"]
    assert job_object(naked).errors


def test_a_folder_that_pods_do_not_share_is_an_error_in_a_cluster() -> None:
    spec = {**SPEC, "checkpoints": {"dir": "file:///tmp/x", "savepointDir": "file:///tmp/y"}}
    assert [error.field for error in job_object(body(spec=spec)).errors] == [
        "spec.checkpoints.dir",
        "spec.checkpoints.savepointDir",
    ]


def test_of_a_status_that_somebody_broke_what_can_be_read_is_kept() -> None:
    broken = {"lifecycleState": "Dreaming", "stateExists": True, "activeRevision": "r1", "operation": {"kind": 7}}
    status = read_status(broken)
    assert status.state_exists
    assert status.active_revision == "r1"
    assert status.operation is None
    assert status.lifecycle_state is LifecycleState.CREATED
    assert read_status(["nonsense"]) == read_status(None)
    assert job_object(body(status=broken)).status_damaged
    assert not job_object(body()).status_damaged


def test_the_annotation_pauses_unless_it_says_false() -> None:
    def paused(value: str) -> bool:
        return job_object(body(metadata={"annotations": {PAUSED: value}})).paused

    assert paused("true")
    assert paused("since-tuesday")
    assert not paused("false")
    assert not paused("")


def test_a_snapshot_says_of_what_kind_it_is_and_whether_its_data_go_with_it() -> None:
    def snapshot(**spec: Any) -> Any:
        return snapshot_object(body(spec={"jobReference": {"name": "j"}, **spec}, status={"phase": "Pending"}))

    taken = snapshot(savepoint={})
    assert (taken.kind, taken.phase, taken.dispose_on_delete) == ("savepoint", "Pending", True)
    there = snapshot(savepoint={"path": "s3://bucket/s", "alreadyExists": True})
    assert not there.dispose_on_delete
    assert snapshot(checkpoint={}).kind == "checkpoint"
    assert snapshot_object(body(spec={"nonsense": 1})) is None
