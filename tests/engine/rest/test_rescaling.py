"""A running job is rescaled over REST, says what it is required to have, and what became of each wish."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common import Types
from penstock.common.configuration import Configuration
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.client import RestRefused
from penstock.testing.cluster import ONLY_WHEN_ASKED
from penstock.testing.paced import PacedNumbers
from penstock.testing.rest_jobs import SeenJob, running_with_rest

pytestmark = pytest.mark.xdist_group("rescaling over REST")  # One process has the job that they look at.


def environment(gate: Path, **options: str | None) -> StreamExecutionEnvironment:
    """Numbers that never end, counted; the sink has a parallelism of its own."""
    usual = {"parallelism.default": "2", "pipeline.max-parallelism": "4", **ONLY_WHEN_ASKED}
    chosen = {key: value for key, value in (usual | options).items() if value is not None}
    configuration = Configuration.from_dict(chosen)
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    source = PacedNumbers(0, 1_000_000, str(gate), 200)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    counted = numbers.key_by(lambda n: n % 7, Types.LONG()).map(lambda n: n, Types.LONG()).name("counted")
    counted.filter(lambda n: False).name("sink").set_parallelism(1).print().set_parallelism(1)
    return env


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeenJob]:
    with running_with_rest(environment(tmp_path_factory.mktemp("gate"))) as seen:
        wait_until_running(seen)
        yield seen


def wait_until_running(seen: SeenJob) -> None:
    until(lambda: seen.rest.job(seen.job.job_id)["state"] == "RUNNING")


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def parallelism(seen: SeenJob) -> dict[str, int]:
    return {vertex["name"]: vertex["parallelism"] for vertex in seen.rest.job(seen.job.job_id)["vertices"]}


def completed(seen: SeenJob, trigger: str) -> dict[str, Any]:
    until(lambda: seen.rest.rescale_status(seen.job.job_id, trigger)["status"]["id"] == "COMPLETED")
    operation: dict[str, Any] = seen.rest.rescale_status(seen.job.job_id, trigger)["operation"]
    return operation


def wait_completed(seen: SeenJob, vertices: dict[str, int]) -> None:
    until(lambda: parallelism(seen) == vertices and seen.rest.rescales(seen.job.job_id)[0]["endTimestampInMillis"] > 0)


def test_a_job_is_rescaled_where_its_program_leaves_the_parallelism_open_and_back_within_bounds(seen: SeenJob) -> None:
    job = seen.job.job_id
    assert completed(seen, seen.rest.rescale(job, 3)) == {}
    names = list(parallelism(seen))
    assert [parallelism(seen)[name] for name in names] == [3, 3, 1]
    required = seen.rest.resource_requirements(job)
    assert [bounds["parallelism"]["upperBound"] for bounds in required.values()] == [3, 3, 1]

    fewer = {vertex: {"parallelism": {"lowerBound": 1, "upperBound": 1}} for vertex in required}
    seen.rest.require(job, fewer)
    wait_completed(seen, dict.fromkeys(names, 1))
    assert seen.rest.resource_requirements(job) == fewer
    seen.rest.require(job, fewer)

    newest, before = seen.rest.rescales(job)[:2]
    assert (newest["terminalState"], newest["terminatedReason"]) == ("COMPLETED", "SUCCEEDED")
    assert sorted(v["preRescaleParallelism"] for v in newest["vertices"].values()) == [1, 3, 3]
    assert sorted(v["postRescaleParallelism"] for v in before["vertices"].values()) == [1, 3, 3]
    assert [span["state"] for span in newest["schedulerStates"]] == ["Executing", "Restarting", "Executing"]
    (slots,) = newest["slots"].values()
    assert (slots["preRescaleSlots"], slots["postRescaleSlots"]) == (3, 1)
    assert seen.rest.get(f"/jobs/{job}/rescales/details/{newest['rescaleUuid']}") == newest


def test_what_the_job_has_already_is_granted_at_once(seen: SeenJob) -> None:
    assert completed(seen, seen.rest.rescale(seen.job.job_id, 1)) == {}
    assert completed(seen, seen.rest.rescale(seen.job.job_id, 1)) == {}
    assert seen.rest.rescales(seen.job.job_id)[0]["terminalState"] == "IGNORED"


def test_under_an_id_of_the_askers_it_is_done_once_and_a_refusal_is_found_there_too(seen: SeenJob) -> None:
    job, done, refused = seen.job.job_id, "d" * 32, "e" * 32
    for _ in range(2):
        for trigger, wanted in ((done, "1"), (refused, "5")):
            asked = {"parallelism": wanted, "triggerId": trigger}
            assert seen.rest._asked("PATCH", f"/jobs/{job}/rescaling", asked) == {"request-id": trigger}
    assert completed(seen, done) == {}
    cause = completed(seen, refused)["failure-cause"]["stack-trace"]
    assert "is above its maximum parallelism 4" in cause
    with pytest.raises(RestRefused, match="'x' is not a trigger id"):
        seen.rest._asked("PATCH", f"/jobs/{job}/rescaling", {"parallelism": "1", "triggerId": "x"})


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("5", "parallelism 5 of .* is above its maximum parallelism 4, beyond which it cannot be scaled"),
        ("0", "the query parameter parallelism is a whole number, 1 or more; found 0"),
        ("two", "the query parameter parallelism is a whole number"),
        (None, "the query parameter parallelism is missing"),
    ],
)
def test_rs3_a_parallelism_that_cannot_be_is_refused_with_a_sentence(
    seen: SeenJob, wanted: str | None, sentence: str
) -> None:
    query = {} if wanted is None else {"parallelism": wanted}
    with pytest.raises(RestRefused, match=sentence) as refused:
        seen.rest._asked("PATCH", f"/jobs/{seen.job.job_id}/rescaling", query)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "the request is incomplete"),
        ({"x": 1}, "the request's body is not what is expected"),
        ({"x": {"parallelism": {"lowerBound": 1, "upperBound": 2}}}, "the job has no vertex x"),
        ([], "the request's body is not what is expected"),
    ],
)
def test_requirements_that_cannot_be_are_refused_with_a_sentence(seen: SeenJob, body: Any, sentence: str) -> None:
    before = seen.rest.resource_requirements(seen.job.job_id)
    with pytest.raises(RestRefused, match=sentence) as refused:
        seen.rest._asked("PUT", f"/jobs/{seen.job.job_id}/resource-requirements", body=body)
    assert refused.value.status == 400
    assert seen.rest.resource_requirements(seen.job.job_id) == before


def test_a_trigger_that_nobody_knows_is_not_found(seen: SeenJob) -> None:
    with pytest.raises(RestRefused, match="not found") as refused:
        seen.rest.rescale_status(seen.job.job_id, "0" * 32)
    assert refused.value.status == 404


def test_a_job_without_checkpoints_is_not_rescaled(tmp_path: Path) -> None:
    with running_with_rest(environment(tmp_path, **{"execution.checkpointing.interval": None})) as seen:
        wait_until_running(seen)
        with pytest.raises(RestRefused, match="the job takes no checkpoints"):
            seen.rest.rescale(seen.job.job_id, 2)


def test_slots_that_are_missing_are_named_in_the_answer(tmp_path: Path) -> None:
    options = {"taskmanager.numberOfTaskSlots": "2", "slot.request.timeout": "50 ms"}
    with running_with_rest(environment(tmp_path, **options)) as seen:
        wait_until_running(seen)
        failure = completed(seen, seen.rest.rescale(seen.job.job_id, 3))["failure-cause"]
    assert "not enough slots: it needs 3, 1 of them are missing (2 registered)" in failure["stack-trace"]
    assert json.dumps(failure)
