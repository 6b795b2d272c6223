"""Looking into the processes of a running job: logs, stacks, flame graphs."""

import ctypes
import http.client
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.base.ids import AttemptId, SubtaskId, VertexId
from penstock.base.log_files import LogPlace, LogWriter, NoSuchLog, list_logs, read_log
from penstock.common import Configuration
from penstock.common.job_status import JobStatus
from penstock.datastream import StreamExecutionEnvironment
from penstock.rest.client import RestRefused
from penstock.rest.flame_graphs import Sampled, tree
from penstock.rpc.inspection import SampledStack
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.steps import wait_until

pytestmark = pytest.mark.xdist_group("inspection")  # One process has the job that they look at.
SECRET = "wJalrXUtnFEMI-K7MDENG"


def compute_until(deadline_s: float) -> int:
    total = 0
    while time.monotonic() < deadline_s:
        total += sum(range(100))
    return total


def work_on(number: int) -> int:
    """Computes for half of the time and sleeps for the other half; says something once."""
    if number == 0:
        logging.getLogger("my_job").error("the key is %s", SECRET)
        print("printed by the job", flush=True)
    compute_until(time.monotonic() + 0.002)
    time.sleep(0.002)
    return number


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeenJob]:
    folder = tmp_path_factory.mktemp("logs")
    configuration = Configuration.from_dict(
        {
            "env.log.dir": str(folder),
            "penstock.log.level": "INFO",
            "s3.access-key": "AKIA0123456789",
            "s3.secret-key": SECRET,
            "rest.flamegraph.num-samples": "40",
            "rest.flamegraph.delay-between-samples": "10 ms",
        }
    )
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(1)
    env.from_sequence(0, 1 << 60).map(work_on).filter(lambda number: False).print()
    (folder / "below").mkdir()
    (folder / "below" / "hidden").write_text("no log")
    (folder / "link").symlink_to("/etc/passwd")
    with running_with_rest(env) as seen:
        wait_until(lambda: seen.job.status() is JobStatus.RUNNING, 20, lambda: f"{seen.job.status()}")
        yield seen


def text(seen: SeenJob, path: str) -> tuple[int, str]:
    return text_at(seen.rest.address, path)


def text_at(address: str, path: str) -> tuple[int, str]:
    host, _, port = address.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def vertex(seen: SeenJob) -> str:
    name: str = seen.rest.job(seen.job.job_id)["vertices"][0]["id"]
    return name


def graph(seen: SeenJob, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def there() -> bool:
        nonlocal found
        found = seen.rest.get(f"/jobs/{seen.job.job_id}/vertices/{vertex(seen)}/flamegraph", {"type": kind})
        return found["endTimestamp"] > 0

    wait_until(there, 30, lambda: str(found))
    root: dict[str, Any] = found["data"]
    return root


def names(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    yield node["name"], node["value"]
    for child in node["children"]:
        yield from names(child)


def test_the_logs_of_a_taskmanager_are_listed_and_read(seen: SeenJob) -> None:
    name = "penstock-taskmanager-local-0"
    wait_until(lambda: "job" in text(seen, "/taskmanagers/local-0/stdout")[1], 20, lambda: "nothing was printed")
    listed = {file["name"]: file["size"] for file in seen.rest.get("/taskmanagers/local-0/logs")["logs"]}
    assert listed.keys() >= {f"{name}.log", f"{name}.out"}
    assert "link" not in listed and "below" not in listed
    assert text(seen, "/taskmanagers/local-0/stdout") == (200, "printed by the job\n")
    said = "ERROR [worker local-0/0.1] the key is ******"
    wait_until(lambda: said in text(seen, "/taskmanagers/local-0/log")[1], 20, lambda: "nothing was logged")
    status, log = text(seen, "/taskmanagers/local-0/log")
    assert status == 200
    assert log == text(seen, f"/taskmanagers/local-0/logs/{name}.log")[1]
    assert SECRET not in log


def test_files_beside_the_logs_are_shown_by_the_jobmanager_too(seen: SeenJob) -> None:
    wait_until(lambda: "job" in text(seen, "/taskmanagers/local-0/stdout")[1], 20, lambda: "nothing was printed")
    name = "penstock-taskmanager-local-0.out"
    assert name in [file["name"] for file in seen.rest.get("/jobmanager/logs")["logs"]]
    assert text(seen, f"/jobmanager/logs/{name}") == (200, "printed by the job\n")


def test_processes_of_a_cluster_log_to_files_and_never_a_secret(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    options = {"env.log.dir": str(logs), "penstock.log.format": "json", "penstock.log.level": "DEBUG"}
    with ClusterByHand(tmp_path, options | {"s3.access-key": "AKIA0123456789", "s3.secret-key": SECRET}) as cluster:
        running = [
            cluster.jobmanager(),
            cluster.taskmanager("-D", "taskmanager.resource-id=one"),
            cluster.taskmanager(),
        ]
        cluster.wait_completed()
        status, log = text_at(f"127.0.0.1:{cluster.rest_port}", "/jobmanager/log")
        assert status == 200
        assert "rest listens" in [json.loads(line)["message"] for line in log.splitlines()]
        status, log = text_at(f"127.0.0.1:{cluster.rest_port}", "/taskmanagers/one/log")
        assert status == 200
        assert {json.loads(line)["process"] for line in log.splitlines()} >= {"taskmanager", "worker one/0.1"}
        shown = [json.dumps(cluster.rest.get(path)) for path in ("/jobmanager/config", f"/jobs/{cluster.id}/config")]
        cluster.finish(*running)
        shown += [file.read_text() for file in logs.iterdir()] + [each.errors for each in running]
        secret = (tmp_path / ".penstock" / "secret").read_text()
        assert not [text for text in shown if SECRET in text or "AKIA0123456789" in text or secret in text]


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "..", "link", "below", "nothing", "%00"])
@pytest.mark.parametrize("of", ["/jobmanager", "/taskmanagers/local-0"])
def test_nothing_outside_the_log_folder_is_read(seen: SeenJob, of: str, name: str) -> None:
    status, answer = text(seen, f"{of}/logs/{name}")
    assert status == 404
    assert "root:" not in answer and json.loads(answer)["errors"]


def test_a_thread_dump_shows_what_the_users_function_does(seen: SeenJob) -> None:
    def dumped() -> str:
        threads = seen.rest.get("/taskmanagers/local-0/thread-dump")["threadInfos"]
        return "".join(
            t["stringifiedThreadInfo"] for t in threads if t["threadName"] == "worker local-0/0.1 MainThread"
        )

    wait_until(lambda: "in work_on" in dumped(), 20, dumped)


def test_the_jobmanager_shows_its_threads(seen: SeenJob) -> None:
    threads = [thread["threadName"] for thread in seen.rest.get("/jobmanager/thread-dump")["threadInfos"]]
    assert "jobmanager MainThread" in threads and "jobmanager penstock-cluster" in threads


def test_a_flame_graph_shows_where_a_task_spends_its_time(seen: SeenJob) -> None:
    computing, waiting, whole = (dict(names(graph(seen, kind))) for kind in ("ON_CPU", "OFF_CPU", "FULL"))
    assert whole["root"] == computing["root"] + waiting["root"] == 40
    assert any(re.search(r"\.compute_until:\d+", name) for name in whole)
    assert any(re.search(r"\.work_on:\d+", name) for name in waiting)


def test_stacks_are_laid_over_each_other_by_what_their_task_did() -> None:
    mine, other = (AttemptId(SubtaskId(VertexId("a"), index), 0) for index in (0, 1))
    step = ("outside:1", "penstock.taskmanager.task.Task._step:9")
    sampled = Sampled(
        mine,
        (
            SampledStack(3, True, (*step, "f:1", "g:2"), mine),
            SampledStack(2, False, (*step, "f:1"), mine),
            SampledStack(4, True, (*step, "h:1"), other),
            SampledStack(1, False, ("loop:1",), None),
        ),
    )
    assert dict(names(tree([sampled], "ON_CPU"))) == {"root": 3, step[1]: 3, "f:1": 3, "g:2": 3}
    waiting = {"root": 7, step[1]: 2, "f:1": 2, "(waits while another task of the same worker runs)": 4, "loop:1": 1}
    assert dict(names(tree([sampled], "OFF_CPU"))) == waiting
    assert tree([sampled], "FULL")["value"] == 10


def test_a_flame_graph_of_another_type_is_refused(seen: SeenJob) -> None:
    with pytest.raises(RestRefused, match="type is one of FULL, ON_CPU, OFF_CPU; found 'BLUE'"):
        seen.rest.get(f"/jobs/{seen.job.job_id}/vertices/{vertex(seen)}/flamegraph", {"type": "BLUE"})


def test_settings_are_shown_without_secrets(seen: SeenJob) -> None:
    for path in ("/jobmanager/config", f"/jobs/{seen.job.job_id}/jobmanager/config", "/jobmanager/environment"):
        shown = json.dumps(seen.rest.get(path))
        assert SECRET not in shown and "AKIA0123456789" not in shown


def keep_the_interpreter(number: int) -> int:
    if number == 3:
        ctypes.PyDLL(None).usleep(30_000_000)  # Unlike CDLL, it does not let go of the interpreter's lock.
    return number


def test_a_worker_that_keeps_the_interpreter_is_dumped_by_a_signal() -> None:
    env = StreamExecutionEnvironment.get_execution_environment(Configuration()).set_parallelism(1)
    env.from_sequence(0, 1 << 60).map(keep_the_interpreter).filter(lambda number: False).print()
    with running_with_rest(env) as stuck:
        found = ""

        def dumped() -> bool:
            nonlocal found
            threads = stuck.rest.get("/taskmanagers/local-0/thread-dump")["threadInfos"]
            found = "".join(thread["stringifiedThreadInfo"] for thread in threads)
            return "keeps the interpreter to itself" in found

        wait_until(dumped, 20, lambda: found)
        assert "in keep_the_interpreter" in found
        stuck.job.cluster.stop()


def test_files_that_grow_too_large_are_put_aside_and_writers_go_on(tmp_path: Path) -> None:
    place = LogPlace(log=tmp_path / "a.log", kept_max=2, bytes_max=10)
    for number in range(5):
        writer = LogWriter(place.log, pytest.fail)
        writer.write(f"line number {number}\n")
        writer.close()
        place.rotate()
    assert [file.name for file in list_logs(tmp_path)] == ["a.log.1", "a.log.2"]
    assert read_log(tmp_path, "a.log.1", 0, 100) == b"line number 4\n"
    assert read_log(tmp_path, "a.log.2", 5, 6) == b"number"
    assert read_log(tmp_path, "a.log.2", 50, 6) == b""


def test_a_pipe_in_the_log_folder_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list_logs(tmp_path) == ()
    with pytest.raises(NoSuchLog):
        read_log(tmp_path, "pipe", 0, 1)
