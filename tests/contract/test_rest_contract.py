"""What our REST answers about a live job, held against the schemas of Flink's REST, version 1."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.common import Types
from penstock.common.configuration import Configuration
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.client import RestRefused
from penstock.rest.routes import ROUTES
from penstock.testing.rest_contract import RestContract
from penstock.testing.rest_jobs import SeenJob, running_with_rest

pytestmark = pytest.mark.xdist_group("the contract")  # One process has the job that they look at.
CONTRACT = json.loads((Path(__file__).parent / "flink_rest_v1.json").read_text())
ANSWERS = RestContract(CONTRACT)
SWITCHED_OFF = {
    "/datasets/delete/{triggerid}": "there are no data sets to delete",
    "/jars": "there is one job",
    "/jars/{jarid}/plan": "there is one job",
    "/jobmanager/profiler": "rest.profiling.enabled is false",
    "/taskmanagers/{taskmanagerid}/profiler": "rest.profiling.enabled is false",
}


def crawl(number: int, checkpoints: Path) -> tuple[int, int]:
    """Slow, and fails once: when the first checkpoint is certain to be complete."""
    failed = checkpoints / "failed"
    if not failed.exists() and any(checkpoints.glob("*/chk-[2-9]/_metadata")):
        failed.touch()
        raise ValueError("a record that cannot be worked on")
    time.sleep(0.0002)
    return number % 5, 1


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeenJob]:
    """A job that counts, has taken checkpoints, and has failed and been restored."""
    folder = tmp_path_factory.mktemp("checkpoints")
    configuration = Configuration.from_dict(
        {
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.dir": str(folder),
            "execution.checkpointing.savepoint-dir": str(tmp_path_factory.mktemp("savepoints")),
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "50 ms",
            "s3.access-key": "shown",
            "s3.secret-key": "hidden",
        }
    )
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(2)
    pairs = env.from_sequence(0, 1_000_000).map(
        lambda number: crawl(number, folder), Types.TUPLE([Types.LONG(), Types.LONG()])
    )
    pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(lambda one, other: (one[0], one[1] + other[1])).filter(
        lambda pair: False
    ).print()
    with running_with_rest(env) as seen:
        deadline = time.monotonic() + 30
        while True:
            checkpoints, exceptions = seen.rest.checkpoints(seen.job.job_id), seen.rest.exceptions(seen.job.job_id)
            if checkpoints["latest"]["completed"] and checkpoints["latest"]["restored"] and exceptions:
                break
            assert time.monotonic() < deadline, (checkpoints, exceptions)
            time.sleep(0.05)
        seen.rest.rescale(seen.job.job_id, 2)  # Nothing changes, but is remembered.
        yield seen


def answered(path: str) -> bool:
    """Whether a GET of it gives JSON, in the contract and here."""
    operation = CONTRACT["paths"].get(path, {}).get("get", {"responses": {}})
    return "content" in operation["responses"].get("200", {}) and path not in SWITCHED_OFF


def named(seen: SeenJob) -> dict[str, object]:
    """Something that exists for each part of a path that varies."""
    job = seen.job.job_id
    vertex = seen.rest.job(job)["vertices"][0]["id"]
    return {
        "jobid": job,
        "applicationid": job,
        "vertexid": vertex,
        "subtaskindex": 0,
        "attempt": 0,
        "checkpointid": seen.rest.checkpoints(job)["latest"]["completed"]["id"],
        "taskmanagerid": seen.rest.taskmanagers()[0]["id"],
        "triggerid": "0" * 32,
        "rescaleuuid": seen.rest.rescales(job)[0]["rescaleUuid"],
        "filename": "nothing",
        "jarid": "nothing.jar",
    }


def over(seen: SeenJob, path: str) -> str:
    """The id of such an operation that is over."""
    rest, job, trigger = seen.rest, seen.job.job_id, secrets.token_hex(16)
    if "/savepoints/" in path:
        rest.savepoint(job, trigger=trigger, directory=None, format_type="NATIVE")
    elif "/checkpoints/" in path:
        rest.checkpoint(job, trigger=trigger, checkpoint_type="CONFIGURED")
    else:
        trigger = rest.dispose("/no/such/savepoint")
    deadline = time.monotonic() + 20
    while rest.get(path.format(jobid=job, triggerid=trigger))["operation"] is None:
        assert time.monotonic() < deadline, f"{path} is never over"
        time.sleep(0.05)
    return trigger


@pytest.mark.parametrize("path", sorted(r.path for r in ROUTES if r.method == "GET" and answered(r.path)))
def test_each_answer_has_the_fields_of_flinks_contract(seen: SeenJob, path: str) -> None:
    names = named(seen)
    if path.endswith("/rescaling/{triggerid}"):
        names["triggerid"] = seen.rest.rescale(seen.job.job_id, 2)
    elif path.endswith("/{triggerid}"):
        names["triggerid"] = over(seen, path)
    answer = seen.rest.get(path.format(**names))
    assert list(ANSWERS.complaints("GET", path, 200, answer)) == []


@pytest.mark.parametrize("path", sorted(SWITCHED_OFF))
def test_what_is_switched_off_is_not_found(seen: SeenJob, path: str) -> None:
    with pytest.raises(RestRefused) as refused:
        seen.rest.get(path.format(**named(seen)))
    assert refused.value.status == 404


def test_every_path_and_status_code_is_the_contracts() -> None:
    ours = {(route.path, route.method.lower(), str(route.status)) for route in ROUTES}
    theirs = {
        (path, method, status)
        for path, methods in CONTRACT["paths"].items()
        for method, operation in methods.items()
        for status in operation["responses"]
    }
    assert {each for each in ours - theirs if not each[0].startswith("/penstock/")} == set()
    assert theirs - ours == set()


def test_a_restart_shows_in_exceptions_checkpoints_and_timestamps(seen: SeenJob) -> None:
    (newest, *_) = seen.rest.exceptions(seen.job.job_id)
    assert newest["exceptionName"] == "ValueError"
    assert re.fullmatch(r"Source: Sequence Source -> Map \([12]/2\)", newest["taskName"])
    assert newest["taskManagerId"] == "local-0"
    assert newest["stacktrace"].rstrip().endswith("ValueError: a record that cannot be worked on")
    assert seen.rest.checkpoints(seen.job.job_id)["counts"]["restored"] >= 1
    assert seen.rest.job(seen.job.job_id)["timestamps"]["RESTARTING"] > 0


def test_vertices_count_their_records(seen: SeenJob) -> None:
    deadline = time.monotonic() + 20
    while True:
        source, counting = seen.rest.job(seen.job.job_id)["vertices"]
        if source["metrics"]["write-records"] and counting["metrics"]["read-records"]:
            break
        assert time.monotonic() < deadline, (source, counting)
        time.sleep(0.05)
    assert counting["metrics"]["read-bytes"] > 0
    assert counting["status"] in ("RUNNING", "INITIALIZING", "CANCELING", "CANCELED")


def test_secrets_are_not_shown(seen: SeenJob) -> None:
    shown = {entry["key"]: entry["value"] for entry in seen.rest.get("/jobmanager/config")}
    assert shown["s3.secret-key"] == "******"
