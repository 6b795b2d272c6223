"""Whatever REST is asked, a running job answers in the contract's terms: never a 500, never a traceback."""

import contextlib
import copy
import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from penstock.common import Configuration, Types
from penstock.common.job_status import JobStatus
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.routes import ROUTES
from penstock.testing.rest_contract import RestContract
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.steps import wait_until

CONTRACT = json.loads((Path(__file__).parent / "flink_rest_v1.json").read_text())
ANSWERS = RestContract(CONTRACT)
OURS = {(route.method, route.path) for route in ROUTES}
ENDS_IT = {("DELETE", "/cluster")}
CHANGES_IT = {
    ("PATCH", "/jobs/{jobid}"),
    ("POST", "/applications/{applicationid}/cancel"),
    ("POST", "/jobs/{jobid}/checkpoints"),
    ("POST", "/jobs/{jobid}/savepoints"),
    ("POST", "/jobs/{jobid}/stop"),
    ("PATCH", "/jobs/{jobid}/rescaling"),
    ("PUT", "/jobs/{jobid}/resource-requirements"),
    ("POST", "/savepoint-disposal"),
}
"""Asked for jobs that are not there only; with this job's id their bodies are wrong."""
pytestmark = pytest.mark.xdist_group("asked at random")  # One process has the job that they look at.
WORDS = [
    "",
    "0",
    "1",
    "-1",
    "7",
    "99999999999999999999",
    "1e3",
    "null",
    "nothing",
    "..",
    "%00",
    "a,b",
    "a:b",
    "FULL",
    "max",
]
"""What may stand anywhere in a path or query."""
EXAMPLES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 2}
"""Of each operation; wrong bodies take long to think up."""
WRONG: dict[str, Any] = {
    "enum": "NONE_OF_THEM",
    "string": 7,
    "boolean": "perhaps",
    "integer": "many",
    "object": "flat",
    "array": 7,
}
NO_OBJECTS = [b"{", b"[", b"nul", b"\xff\xfe", b'{"a": 1}}', b"[" * 100_000, b'"text"', b"7", b"[]"]
HEADERS = [
    b"",
    b"Host: a\r\n",
    b"Content-Length: many\r\n",
    b"Content-Length: -1\r\n",
    b"\xff: \xff\r\n",
    b": \r\n",
    b"\0\r\n",
]
SWITCHED_OFF = re.compile(r"^/jars/|^/jobs$|/profiler$")


def paired(number: int) -> tuple[int, int]:
    """Slow: who asks needs the machine."""
    time.sleep(0.001)
    return number % 5, number


@pytest.fixture(scope="module")
def seen() -> Iterator[SeenJob]:
    configuration = Configuration.from_dict(
        {"execution.checkpointing.interval": "100 ms", "rest.flamegraph.num-samples": "5"}
    )
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(2)
    pairs = env.from_sequence(0, 1 << 60).map(paired, Types.TUPLE([Types.LONG(), Types.LONG()]))
    pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(max).filter(lambda pair: False).print()
    with running_with_rest(env) as seen:
        wait_until(lambda: seen.job.status() is JobStatus.RUNNING, 30, lambda: f"{seen.job.status()}")
        yield seen
        assert seen.job.status() is JobStatus.RUNNING, "nothing that was asked has harmed the job"


def real_names(seen: SeenJob) -> dict[str, list[str]]:
    """What exists, by the name of the parameter that means it."""
    job = seen.job.job_id
    vertices = [vertex["id"] for vertex in seen.rest.job(job)["vertices"]]
    return {
        "jobid": [job],
        "applicationid": [job],
        "vertexid": vertices,
        "subtaskindex": ["0", "1"],
        "attempt": ["0"],
        "taskmanagerid": [manager["id"] for manager in seen.rest.taskmanagers()],
        "checkpointid": ["1", "2", "3"],
        "type": ["FULL", "ON_CPU", "OFF_CPU"],
        "agg": ["min", "max", "sum,avg", "skew"],
        "get": ["numRecordsIn", "Status.JVM.CPU.Load"],
        "maxExceptions": ["0", "1"],
        "failureLabelFilter": ["a:b"],
        "includeSerializedValue": ["true"],
        "jobs": [job],
        "taskmanagers": ["local-0"],
        "subtasks": ["0", "0-1"],
    }


def pointed_at(seen: SeenJob) -> dict[str, Any]:
    """The contract with parameters that exist as often as not; only what we have, and nothing that ends the job."""
    document = copy.deepcopy(CONTRACT)
    real = real_names(seen)
    for path, operations in list(document["paths"].items()):
        for method, operation in list(operations.items()):
            key = (method.upper(), path)
            if key not in OURS or key in ENDS_IT:
                del operations[method]
                continue
            for parameter in operation.get("parameters", ()):
                known = [] if key in CHANGES_IT and parameter["in"] == "path" else real.get(parameter["name"], [])
                words = [word for word in WORDS if word or parameter["in"] != "path"]
                anything: list[Any] = [{"type": "string"}, {"enum": words}]
                parameter["schema"] = {"anyOf": [*([{"enum": known}] * 3 if known else []), *anything]}
    return document


def asked(
    seen: SeenJob, method: str, target: str, body: bytes | None = None, kind: str = "application/json"
) -> tuple[int, str, bytes]:
    host, _, port = seen.rest.address.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        connection.request(method, target, body, {} if body is None else {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()


def check(method: str, path: str, status: int, media_type: str, body: bytes) -> None:
    """The answer is one that the contract knows."""
    assert status < 500, (method, path, status, body)
    assert b"Traceback" not in body
    if media_type == "application/json":
        assert list(ANSWERS.complaints(method, path, status, json.loads(body))) == []
    else:
        assert (status, media_type) == (200, "text/plain")


def ask_anything(seen: SeenJob, mode: GenerationMode, number: int, examples: int) -> int:
    """Each operation with made-up parameters and bodies; how many answers there were."""
    operations = [found.ok() for found in schemathesis.openapi.from_dict(pointed_at(seen)).get_all_operations()]
    if mode is GenerationMode.NEGATIVE:
        operations = [operation for operation in operations if operation.body]  # Any text may stand in a path.
    return sum(ask_operation(seen, operation, mode, number, examples) for operation in operations)


def ask_operation(seen: SeenJob, operation: Any, mode: GenerationMode, number: int, examples: int) -> int:
    answers = 0

    @seed(number)
    @settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal answers
        response = case.call(base_url=f"http://{seen.rest.address}", timeout=20)
        media_type = response.headers["content-type"][0].partition(";")[0]
        check(operation.method.upper(), operation.path, response.status_code, media_type, response.content)
        answers += 1

    with contextlib.suppress(Unsatisfiable):  # Without parameters and body nothing can be wrong.
        ask()
    return answers


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_whatever_is_asked_is_answered_in_the_contracts_terms(
    seen: SeenJob, soak_s: float | None, mode: GenerationMode
) -> None:
    begun, number = time.monotonic(), int(os.environ["PENSTOCK_SEED"])
    assert ask_anything(seen, mode, number, EXAMPLES[mode]) > 0
    while soak_s is not None and time.monotonic() - begun < soak_s:
        number += 1
        ask_anything(seen, mode, number, 10 * EXAMPLES[mode])


def bodies() -> Iterator[tuple[str, str, str, Any]]:
    """Method and path, and one field of the body with a value that it cannot have."""
    schemas = CONTRACT["components"]["schemas"]
    for path, operations in CONTRACT["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or (method.upper(), path) not in OURS or SWITCHED_OFF.search(path):
                continue
            for name, schema in schemas[content["schema"]["$ref"].rpartition("/")[2]].get("properties", {}).items():
                schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
                wrong = WRONG["enum" if "enum" in schema else schema["type"]]
                yield method.upper(), path, name, wrong
                yield method.upper(), path, name, [wrong]


@pytest.mark.parametrize(("method", "path", "name", "value"), list(bodies()))
def test_a_field_of_a_wrong_type_is_named(seen: SeenJob, method: str, path: str, name: str, value: Any) -> None:
    real = {key: values[0] for key, values in real_names(seen).items()} | {"operatorUid": "a"}
    target = path.format_map(real)
    status, media_type, body = asked(seen, method, target, json.dumps({name: value}).encode())
    check(method, path, status, media_type, body)
    assert status == 400, body
    assert name in json.loads(body)["errors"][0]


@pytest.mark.parametrize("body", NO_OBJECTS, ids=range(len(NO_OBJECTS)))
def test_bodies_that_are_no_json_objects_are_refused(seen: SeenJob, body: bytes) -> None:
    for method, path in sorted({each[:2] for each in bodies()}):
        real = {key: values[0] for key, values in real_names(seen).items()} | {"operatorUid": "a"}
        status, media_type, answer = asked(seen, method, path.format_map(real), body)
        check(method, path, status, media_type, answer)
        assert status == 400, (path, answer)


@seed(int(os.environ.get("PENSTOCK_SEED", "0")))
@settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
@given(
    method=st.booleans(),
    line=st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")),
    header=st.sampled_from(HEADERS),
)
def test_bytes_that_are_no_http_are_not_sent_back(seen: SeenJob, method: bool, line: bytes, header: bytes) -> None:
    mark = b"squeamish-ossifrage"
    first = mark + line + b" /jobs" if method else b"GET /" + line + mark
    host, _, port = seen.rest.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(first + b" HTTP/1.1\r\nHost: a\r\n" + header + b"Connection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert 400 <= int(head.split(b" ")[1]) < 500, answer
    (error,) = json.loads(body)["errors"]
    assert mark.decode() not in error or error.startswith("Not found: /") or "is not allowed on /jobs" in error
