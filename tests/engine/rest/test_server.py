"""What the REST server does with requests, good and bad. That answers have Flink's fields is held in tests/contract."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from penstock.base.errors import ConfigurationError, PeerUnavailable
from penstock.common import Configuration
from penstock.common.job_status import JobStatus
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.client import RestClient, RestRefused
from penstock.rest.listening import listen_error
from penstock.rest.summary import summary
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.steps import wait_until

pytestmark = pytest.mark.xdist_group("the server")  # One process has the job that they look at.


def dropped(number: int) -> bool:
    """Slowly: who asks needs the machine."""
    time.sleep(0.001)
    return False


def endless() -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment(Configuration()).set_parallelism(1)
    env.from_sequence(0, 1 << 60).filter(dropped).print()
    return env


@pytest.fixture(scope="module")
def seen() -> Iterator[SeenJob]:
    with running_with_rest(endless()) as seen:
        yield seen


def asked(seen: SeenJob, method: str, path: str) -> tuple[int, Any]:
    host, _, port = seen.rest.address.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("path", ["/overview", "/jobs", "/config", "/taskmanagers", "/jobs/"])
def test_paths_answer_with_and_without_the_version(seen: SeenJob, path: str) -> None:
    assert asked(seen, "GET", path)[0] == asked(seen, "GET", f"/v1{path}")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/nothing", 404, "Not found: /v1/nothing"),
        ("GET", f"/jobs/{'0' * 32}", 404, f"Job {'0' * 32} not found"),
        ("GET", "/jobs/seven", 400, "'seven' is not a job id: expected 32 hexadecimal digits"),
        ("POST", "/overview", 405, "POST is not allowed on /overview; allowed: GET"),
        ("GET", "/taskmanagers/nobody", 404, "TaskManager nobody not found"),
        ("GET", "/jobs/{job}/checkpoints/details/last", 400, "'last' is not a checkpoint id"),
        ("GET", "/jobs/{job}/checkpoints/details/77", 404, "Could not find checkpoint 77"),
        ("GET", "/jobs/{job}/exceptions?maxExceptions=-1", 400, "maxExceptions is a whole number, 0 or more"),
        ("PATCH", "/jobs/{job}?mode=sleep", 400, "the query parameter mode is cancel or stop; found 'sleep'"),
        ("PATCH", "/jobs/{job}?mode=stop", 308, "POST to /jobs/:jobid/stop instead"),
    ],
)
def test_errors_are_a_list_of_sentences(seen: SeenJob, method: str, path: str, status: int, error: str) -> None:
    found, answer = asked(seen, method, path.format(job=seen.job.job_id))
    assert found == status
    (sentence,) = answer["errors"]
    assert error in sentence


def test_the_client_says_why_it_was_refused(seen: SeenJob) -> None:
    with pytest.raises(RestRefused, match=f"Job {'0' * 32} not found") as refused:
        seen.rest.job("0" * 32)
    assert refused.value.status == 404


def test_cancelling_is_accepted_at_once_and_ends_the_job() -> None:
    with running_with_rest(endless()) as seen:
        wait_until(lambda: seen.job.status() is JobStatus.RUNNING, 20, lambda: f"{seen.job.status()}")
        assert asked(seen, "PATCH", f"/v1/jobs/{seen.job.job_id}?mode=cancel") == (202, {})
        wait_until(lambda: seen.job.ended, 20, lambda: f"{seen.job.status()}")
        assert seen.job.status() is JobStatus.CANCELED
        with pytest.raises(PeerUnavailable, match="no JobManager answers"):
            seen.rest.overview()


def test_shutting_the_cluster_down_ends_the_job() -> None:
    with running_with_rest(endless()) as seen:
        seen.rest.shut_down()
        wait_until(lambda: seen.job.ended, 20, lambda: f"{seen.job.status()}")


def test_a_port_in_use_is_named_with_its_key() -> None:
    assert listen_error("127.0.0.1", [8081]) == (
        "port 8081 on 127.0.0.1 is in use: stop what uses it, or set rest.port to another port"
    )
    assert "ports 8081-8083 on 127.0.0.1 are in use" in listen_error("127.0.0.1", [8081, 8082, 8083])


@pytest.mark.parametrize("address", ["", "host:port", "ftp://host:1", "http://[", "host:1/path"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="expected HOST:PORT"):
        RestClient(address)


def test_what_answers_but_is_no_jobmanager_is_said_to_be_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = RestClient(f"127.0.0.1:{listening.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(PeerUnavailable, match="no JobManager answers"):
            client.overview()


def test_quantiles_lie_between_neighbours() -> None:
    assert summary([]) == {"min": 0, "max": 0, "avg": 0} | dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), "NaN")
    figures = summary([4, 1, 3, 2])
    assert (figures["min"], figures["max"], figures["avg"], figures["p50"], figures["p99"]) == (1, 4, 2, 2.5, 4.0)
