"""The spec as a value: what is written is what was read."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from tests.operator.model.specs import SMALLEST, changed, spec, specs

from penstock_operator.model.spec import FlinkJobSpec, FlinkStateSnapshotSpec, from_json, to_json


@settings(max_examples=25)
@given(specs())
def test_a_spec_that_was_written_is_read_as_it_was(job: FlinkJobSpec) -> None:
    written = to_json(job)
    assert from_json(json.loads(json.dumps(written)), FlinkJobSpec) == job
    assert to_json(from_json(written, FlinkJobSpec)) == written


def test_nothing_that_is_unknown_passes() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `paralelism`"):
        spec(job__paralelism=2)


def test_null_is_the_same_as_not_there() -> None:
    manifest = {**SMALLEST, "job": {**SMALLEST["job"], "module": None}, "upgrade": None}
    assert from_json(manifest, FlinkJobSpec) == spec()


def test_defaults_lose_no_state() -> None:
    job = spec()
    assert job.job.upgrade_mode == "savepoint"
    assert (job.job.allow_empty_state, job.job.allow_non_restored_state, job.job.claim_mode) == (
        False,
        False,
        "NO_CLAIM",
    )
    assert (job.deletion_policy, job.upgrade.rollback, job.upgrade.require_preflight) == ("Savepoint", True, True)
    assert job.checkpoints.retention.count >= 2, "else there is none before a damaged one"


def test_a_snapshots_data_go_with_it_unless_they_were_there_before() -> None:
    manifest = {"jobReference": {"name": "job"}, "savepoint": {}}
    there = changed(manifest, "savepoint.alreadyExists", True)
    assert from_json(manifest, FlinkStateSnapshotSpec).disposes
    assert not from_json(there, FlinkStateSnapshotSpec).disposes
    assert from_json(changed(there, "savepoint.disposeOnDelete", True), FlinkStateSnapshotSpec).disposes
    assert not from_json(changed(manifest, "savepoint.disposeOnDelete", False), FlinkStateSnapshotSpec).disposes
    assert from_json({"jobReference": {"name": "job"}, "checkpoint": {}}, FlinkStateSnapshotSpec).disposes
