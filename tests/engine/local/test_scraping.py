"""Prometheus sees a running job under Flink's names: of a local run when it is asked for, of a cluster always."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.common import Configuration, Types
from penstock.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.state import ValueStateDescriptor
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.commands import free_port
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.scraping import Samples, scraped
from penstock.testing.steps import wait_until

pytestmark = pytest.mark.xdist_group("scraping")
TASK = "flink_taskmanager_job_task_"
OPERATOR = "flink_taskmanager_job_task_operator_"
JOB = "flink_jobmanager_job_"


def slowly(number: int) -> int:
    time.sleep(0.0002)
    return number


class Count(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.counted = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        group = runtime_context.get_metrics_group().add_group("shop", "eu")
        self.seen, self.sizes = group.counter("seen"), group.distribution("sizes")

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[int]:
        self.counted.update((self.counted.value() or 0) + 1)
        self.seen.inc()
        self.sizes.update(value)
        yield value


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeenJob]:
    configuration = Configuration.from_dict(
        {
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.dir": str(tmp_path_factory.mktemp("checkpoints")),
            "metrics.reporter.prom.port": "0",
        }
    )
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(2)
    numbers = env.from_sequence(0, 1 << 40).map(slowly, Types.LONG())
    counted = numbers.key_by(lambda number: number % 20, Types.LONG()).process(Count())
    counted.name("count per key").filter(lambda number: False).print()
    with running_with_rest(env) as seen:
        wait_until(lambda: keys_seen(seen) == 20 and completed(seen) > 0, 50, lambda: f"{keys_seen(seen)} keys")
        yield seen


def completed(seen: SeenJob) -> int:
    return int(seen.rest.checkpoints(seen.job.job_id)["counts"]["completed"])


def keys_seen(seen: SeenJob) -> float:
    path = f"/jobs/{seen.job.job_id}/vertices/{seen.rest.job(seen.job.job_id)['vertices'][1]['id']}/subtasks/metrics"
    return sum(entry["sum"] for entry in seen.rest.get(path, {"get": "count_per_key.keyedStateKeys"}))


def page(seen: SeenJob) -> dict[str, Samples]:
    endpoint = seen.job.cluster.scraped
    assert endpoint is not None
    return scraped(endpoint.host, endpoint.port)


def value(samples: Samples) -> float:
    return max((value for _, value in samples), default=-1.0)


def test_tasks_operators_jobmanager_and_processes_are_there(seen: SeenJob) -> None:
    found = page(seen)
    for name in ("numRecordsIn", "numRecordsOut", "busyTimeMsPerSecond", "idleTimeMsPerSecond", "numBytesIn"):
        assert len(found[f"{TASK}{name}"]) == 4, name
    assert len(found[f"{TASK}checkpointAlignmentTime"]) == 2
    assert value(found[f"{TASK}busyTimeMsPerSecond"]) > 0
    assert value(found[f"{JOB}lastCheckpointFullSize"]) > 0
    assert value(found[f"{JOB}uptime"]) > 0
    assert value(found[f"{JOB}numRestarts"]) == 0
    assert value(found["flink_jobmanager_taskSlotsTotal"]) == 2
    assert value(found["flink_jobmanager_numRegisteredTaskManagers"]) == 1
    assert value(found["flink_taskmanager_Status_JVM_Memory_Heap_Used"]) > 1 << 20
    assert value(found[f"{JOB}operator_coordinator_numEventsIn"]) > 0


def test_labels_say_which_job_task_subtask_and_operator(seen: SeenJob) -> None:
    samples = page(seen)[f"{OPERATOR}keyedStateKeys"]
    assert {labels["subtask_index"] for labels, _ in samples} == {"0", "1"}
    assert sum(value for _, value in samples) == 20
    (labels, _) = samples[0]
    vertex = seen.rest.job(seen.job.job_id)["vertices"][1]
    assert labels["job_id"] == seen.job.job_id and labels["job_name"] == "seen_by_rest"
    assert labels["task_id"] == vertex["id"]
    assert labels["operator_name"] == "count_per_key"
    assert labels["tm_id"] == "local_0" and labels["host"] == "127_0_0_1"


def test_users_metrics_are_there_with_their_groups(seen: SeenJob) -> None:
    found = page(seen)
    assert {labels["shop"] for labels, _ in found[f"{OPERATOR}shop_seen"]} == {"eu"}
    quantiles = {labels["quantile"] for labels, _ in found[f"{OPERATOR}shop_sizes"]}
    assert quantiles == {"0.5", "0.75", "0.9", "0.95", "0.98", "0.99", "0.999"}
    assert value(found[f"{OPERATOR}shop_sizes_count"]) > 0


def test_rest_says_the_same(seen: SeenJob) -> None:
    job, rest = seen.job.job_id, seen.rest
    vertex = rest.job(job)["vertices"][1]["id"]
    path = f"/jobs/{job}/vertices/{vertex}"
    names = {entry["id"] for entry in rest.get(f"{path}/subtasks/metrics")}
    assert {"numRecordsIn", "count_per_key.numRecordsOut", "count_per_key.shop.eu.seen"} <= names
    (both,) = rest.get(f"{path}/subtasks/metrics", {"get": "count_per_key.keyedStateKeys"})
    (one,) = rest.get(
        f"{path}/subtasks/metrics", {"get": "count_per_key.keyedStateKeys", "subtasks": "1", "agg": "max"}
    )
    assert both["sum"] == 20 and one.keys() == {"id", "max"}
    (single,) = rest.get(f"{path}/subtasks/1/metrics", {"get": "count_per_key.keyedStateKeys"})
    assert float(single["value"]) == one["max"]
    (behind,) = rest.get(f"{path}/metrics", {"get": "1.count_per_key.keyedStateKeys"})
    assert behind["value"] == single["value"]
    (counter,) = rest.get(f"{path}/accumulators")["user-accumulators"]
    assert counter["name"] == "shop.eu.seen" and int(counter["value"]) > 0
    (completed,) = rest.get(f"/jobs/{job}/metrics", {"get": "numberOfCompletedCheckpoints"})
    assert int(completed["value"]) > 0
    answer = rest.get(f"{path}/backpressure")
    assert answer["status"] == "ok" and [subtask["subtask"] for subtask in answer["subtasks"]] == [0, 1]
    assert [entry["id"] for entry in rest.get(f"{path}/watermarks")] == [
        "0.currentInputWatermark",
        "1.currentInputWatermark",
    ]


def test_a_checkpoint_is_told_subtask_by_subtask(seen: SeenJob) -> None:
    job, rest = seen.job.job_id, seen.rest
    vertex = rest.job(job)["vertices"][1]["id"]
    newest = rest.checkpoints(job)["latest"]["completed"]["id"]
    whole = rest.get(f"/jobs/{job}/checkpoints/details/{newest}")["tasks"][vertex]
    found = rest.get(f"/jobs/{job}/checkpoints/details/{newest}/subtasks/{vertex}")
    assert {name: found[name] for name in whole} == whole
    subtasks, summary = found["subtasks"], found["summary"]
    assert [(subtask["index"], subtask["status"]) for subtask in subtasks] == [(0, "completed"), (1, "completed")]
    assert sum(subtask["state_size"] for subtask in subtasks) == whole["state_size"] > 0
    for part in ("state_size", "checkpointed_size", "end_to_end_duration", "start_delay"):
        values = [subtask[part] for subtask in subtasks]
        assert (summary[part]["min"], summary[part]["max"]) == (min(values), max(values)), part
    for part in ("sync", "async"):
        assert summary["checkpoint_duration"][part]["max"] == max(s["checkpoint"][part] for s in subtasks)
    assert summary["alignment"]["duration"]["max"] == max(s["alignment"]["duration"] for s in subtasks)
    for subtask in subtasks:
        assert 0 <= subtask["start_delay"] <= subtask["end_to_end_duration"]
        assert subtask["checkpoint"]["sync"] + subtask["checkpoint"]["async"] <= subtask["end_to_end_duration"] + 5


def test_locally_nobody_listens_unless_asked() -> None:
    env = StreamExecutionEnvironment.get_execution_environment(Configuration()).set_parallelism(1)
    env.from_sequence(0, 1 << 40).map(slowly, Types.LONG()).filter(lambda number: False).print()
    with running_with_rest(env) as seen:
        assert seen.job.cluster.scraped is not None
        assert seen.job.cluster.scraped.port == 0


def test_jobmanager_and_taskmanagers_of_a_cluster_are_scraped_apart(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    options = {"metrics.reporter.prom.port": ",".join(map(str, ports))}

    def pages() -> list[dict[str, Samples]]:
        found = []
        for port in ports:
            try:
                found.append(scraped("127.0.0.1", port))
            except OSError:
                continue
        return found

    with ClusterByHand(tmp_path, options, numbers=200) as cluster:
        started = [cluster.jobmanager(), cluster.taskmanager(slots=2)]
        cluster.wait_running()
        cluster.wait("both pages", lambda: f"{TASK}numRecordsIn" in str(pages()) and f"{JOB}uptime" in str(pages()))
        of_jobmanager = next(found for found in pages() if f"{JOB}uptime" in found)
        of_taskmanager = next(found for found in pages() if f"{TASK}numRecordsIn" in found)
        assert not any(name.startswith("flink_taskmanager") for name in of_jobmanager)
        assert not any(name.startswith("flink_jobmanager") for name in of_taskmanager)
        cluster.finish(*started)
