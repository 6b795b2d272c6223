"""The objects of the local world behave as those of an API server."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock_operator.errors import Conflict, Missing, OperatorError
from penstock_operator.local.objects import JOB_FINALIZER, ObjectKey, Objects

JOB = ObjectKey("FlinkJob", "default", "count")
REVISION = ObjectKey("ControllerRevision", "default", "count/count-1")


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return opened(tmp_path)


def opened(folder: Path) -> Objects:
    return Objects(folder, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def version(objects: Objects, key: ObjectKey = JOB) -> str:
    stored = objects.get(key)
    assert stored is not None
    return stored.metadata.resource_version


def test_objects_outlive_the_process(objects: Objects, tmp_path: Path) -> None:
    objects.apply(JOB, {"job": {"parallelism": 2}}, {"a": "b"})
    objects.apply(REVISION, {"generation": 1}, {})
    objects.write_status(JOB, {"error": "none"}, version(objects))
    again = opened(tmp_path)
    assert again.get(JOB) == objects.get(JOB)
    assert again.get(REVISION) == objects.get(REVISION)


def test_only_another_spec_is_another_generation(objects: Objects) -> None:
    assert objects.apply(JOB, {"x": 1}, {})
    assert not objects.apply(JOB, {"x": 1}, {})
    assert objects.apply(JOB, {"x": 1}, {"penstock.dev/paused": "true"})
    assert objects.apply(JOB, {"x": 2}, {"penstock.dev/paused": "true"})
    stored = objects.get(JOB)
    assert stored is not None
    assert stored.metadata.generation == 2


def test_a_status_is_written_only_onto_the_version_that_was_read(objects: Objects) -> None:
    objects.apply(JOB, {"x": 1}, {})
    read = version(objects)
    objects.apply(JOB, {"x": 2}, {})
    with pytest.raises(Conflict, match=f"version {read} was looked at"):
        objects.write_status(JOB, {"error": "late"}, read)
    objects.write_status(JOB, {"error": "in time"}, version(objects))


def test_an_unchanged_status_is_no_write(objects: Objects) -> None:
    objects.apply(JOB, {"x": 1}, {})
    objects.write_status(JOB, {"error": "a"}, version(objects))
    before = version(objects)
    objects.write_status(JOB, {"error": "a"}, before)
    assert version(objects) == before


def test_deletion_waits_for_the_last_finalizer_and_takes_the_revisions_along(objects: Objects) -> None:
    objects.apply(JOB, {"x": 1}, {})
    objects.apply(REVISION, {"generation": 1}, {})
    objects.set_finalizer(JOB, JOB_FINALIZER, True)
    objects.delete(JOB)
    stored = objects.get(JOB)
    assert stored is not None
    assert stored.metadata.deletion_timestamp == "2026-01-02T03:04:05Z"
    objects.set_finalizer(JOB, JOB_FINALIZER, False)
    assert objects.get(JOB) is None
    assert objects.get(REVISION) is None
    with pytest.raises(Missing):
        objects.write_status(JOB, {}, None)


def test_versions_never_repeat_after_a_restart(objects: Objects, tmp_path: Path) -> None:
    objects.apply(JOB, {"x": 1}, {})
    before = int(version(objects))
    again = opened(tmp_path)
    again.apply(JOB, {"x": 2}, {})
    assert int(version(again)) > before


def test_listeners_hear_of_specs_and_deletions_but_of_no_status(objects: Objects) -> None:
    heard: list[ObjectKey] = []
    objects.listen(heard.append)
    objects.apply(JOB, {"x": 1}, {})
    objects.write_status(JOB, {"error": "a"}, version(objects))
    assert heard == [JOB]
    objects.delete(JOB)
    assert heard == [JOB, JOB]


def test_a_file_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "flinkjob" / "default").mkdir(parents=True)
    (tmp_path / "flinkjob" / "default" / "count.json").write_text('{"kind": 5}')
    with pytest.raises(OperatorError, match=r"count\.json cannot be read as an object"):
        opened(tmp_path)
