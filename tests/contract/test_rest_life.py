"""What REST says of a job before it has slots, and after its end until somebody ends the JobManager."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.base.errors import PenstockError
from penstock.rest.client import RestClient, RestRefused
from penstock.rest.routes import ROUTES
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.rest_contract import RestContract
from penstock.testing.steps import wait_until

ANSWERS = RestContract(json.loads((Path(__file__).parent / "flink_rest_v1.json").read_text()))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterByHand]:
    with ClusterByHand(tmp_path, {"env.log.dir": str(tmp_path / "logs")}) as cluster:
        yield cluster


def complaints(rest: RestClient, job: str) -> list[str]:
    """What is wrong with the answers to everything that can be asked of a job by GET."""
    vertex = rest.job(job)["vertices"][0]["id"]
    names = {"jobid": job, "applicationid": job, "vertexid": vertex, "subtaskindex": 0, "attempt": 0, "checkpointid": 1}
    found: list[str] = []
    for route in ROUTES:
        if (
            route.method != "GET"
            or not set(route.names) <= names.keys()
            or not route.path.startswith(("/jobs", "/app"))
        ):
            continue
        try:
            answer = rest.get(route.path.format(**names))
        except RestRefused as refused:
            found += [f"{route.path}: {refused}"] if refused.status not in (404, 410) else []
        else:
            found += ANSWERS.complaints("GET", route.path, 200, answer)
    return found


def test_a_job_is_shown_before_it_has_slots_and_after_its_end(cluster: ClusterByHand) -> None:
    jobmanager = cluster.jobmanager("--linger", "60")
    wait_until(lambda: bool(cluster.job()), 30, lambda: jobmanager.errors)
    assert complaints(cluster.rest, cluster.id) == []
    result = f"/jobs/{cluster.id}/execution-result"
    assert cluster.rest.get(result) == {"status": {"id": "IN_PROGRESS"}}
    taskmanagers = [cluster.taskmanager(), cluster.taskmanager()]
    cluster.wait_completed()
    (cluster.gate / "finish").touch()

    def ended() -> bool:
        return bool(cluster.rest.get(result)["status"]["id"] == "COMPLETED")

    wait_until(ended, 30, lambda: jobmanager.errors)
    assert complaints(cluster.rest, cluster.id) == []
    assert cluster.rest.get(result)["job-execution-result"]["application-status"] == "SUCCEEDED"
    assert cluster.rest.get("/applications/overview")["applications"][0]["status"] == "FINISHED"
    attempt = cluster.rest.get(f"/jobs/{cluster.id}/vertices/{vertex_of(cluster)}/subtasks/0/attempts/0")
    assert attempt["status"] == "FINISHED" and attempt["status-duration"]["RUNNING"] > 0
    assert attempt["metrics"]["write-records"] > 0
    with pytest.raises(PenstockError, match="has no attempt 7 that is remembered"):
        cluster.rest.get(f"/jobs/{cluster.id}/vertices/{vertex_of(cluster)}/subtasks/0/attempts/7")
    cluster.rest.shut_down()
    assert [each.wait().code for each in (jobmanager, *taskmanagers)] == [0, 0, 0]


def vertex_of(cluster: ClusterByHand) -> str:
    name: str = cluster.job()["vertices"][0]["id"]
    return name
