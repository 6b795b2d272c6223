"""Savepoints, stops, checkpoints and disposals over REST: asked for, followed, asked for again."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common.configuration import Configuration
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.client import RestRefused
from penstock.testing.rest_jobs import SeenJob, running_with_rest


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[SeenJob]:
    """A job that runs, without checkpoints of its own, and without a folder for savepoints."""
    configuration = Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "checkpoints")})
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(1)
    # Slow where it begins: no barrier has to wait behind what was read already.
    numbers = env.from_sequence(0, 10_000_000).filter(lambda n: time.sleep(0.0005) is None)
    numbers.key_by(lambda n: n % 7).reduce(lambda a, b: a + b).filter(lambda n: False).print()
    with running_with_rest(env) as seen:
        while seen.rest.get(f"/jobs/{seen.job.job_id}/status")["status"] != "RUNNING":
            time.sleep(0.01)
        yield seen


def outcome(status: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (found := status())["status"]["id"] != "COMPLETED":
        assert found == {"status": {"id": "IN_PROGRESS"}, "operation": None}
        assert time.monotonic() < deadline, "it is never over"
        time.sleep(0.02)
    return dict(found["operation"])


def test_what_is_asked_for_is_done_once_and_its_outcome_can_be_asked_for(seen: SeenJob, tmp_path: Path) -> None:
    rest, job, trigger = seen.rest, seen.job.job_id, secrets.token_hex(16)

    def savepoint(trigger: str) -> dict[str, Any]:
        asked = rest.savepoint(job, trigger=trigger, directory=str(tmp_path / "sp"), format_type="NATIVE")
        assert asked == trigger
        return outcome(lambda: rest.savepoint_status(job, trigger))

    taken = savepoint(trigger)
    assert savepoint(trigger) == taken
    folder = Path(taken["location"])
    assert folder.parent == tmp_path / "sp" and folder.name.startswith(f"savepoint-{job[:6]}-")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    latest = rest.checkpoints(job)["latest"]["savepoint"]
    assert (latest["is_savepoint"], latest["savepointFormat"], latest["external_path"]) == (True, "NATIVE", str(folder))

    checkpoint = rest.checkpoint(job, trigger=secrets.token_hex(16), checkpoint_type="CONFIGURED")
    assert outcome(lambda: rest.checkpoint_status(job, checkpoint))["checkpointId"] == latest["id"] + 1

    # The job needs that checkpoint; a savepoint's folder is gone when it is disposed of, and is none the next time.
    retained = f"{tmp_path}/checkpoints/{job}/chk-{latest['id'] + 1}"
    refused = outcome(lambda: rest.disposal_status(rest.dispose(retained)))
    assert "the job would be restored from it" in refused["failure-cause"]["stack-trace"]
    disposal = rest.dispose(f"{folder}/_metadata")
    assert outcome(lambda: rest.disposal_status(disposal)) == {}
    assert not folder.exists()
    again = rest.dispose(str(folder))
    told = outcome(lambda: rest.disposal_status(again))["failure-cause"]["stack-trace"]
    assert "is no savepoint: it holds no _metadata" in told

    stop = rest.stop(job, trigger=secrets.token_hex(16), directory=str(tmp_path / "sp"), format_type=None, drain=False)
    stopped = outcome(lambda: rest.savepoint_status(job, stop))
    assert (Path(stopped["location"]) / "_metadata").exists()
    seen.job.wait()


def test_what_cannot_be_asked_for_is_refused_in_a_sentence(seen: SeenJob) -> None:
    rest, job = seen.rest, seen.job.job_id
    with pytest.raises(RestRefused, match="no folder for savepoints: name one, or set") as refused:
        rest.savepoint(job, trigger=secrets.token_hex(16), directory=None, format_type="NATIVE")
    assert refused.value.status == 400
    with pytest.raises(RestRefused, match="expected an absolute path") as refused:
        rest.savepoint(job, trigger=secrets.token_hex(16), directory="here", format_type="NATIVE")
    assert refused.value.status == 400
    with pytest.raises(RestRefused, match="is not a trigger id"):
        rest.stop(job, trigger="mine", directory="/tmp", format_type="NATIVE", drain=False)
    with pytest.raises(RestRefused, match="not found") as refused:
        rest.savepoint_status(job, "f" * 32)
    assert refused.value.status == 404
