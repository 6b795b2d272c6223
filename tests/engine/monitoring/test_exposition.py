"""The page that Prometheus scrapes: readable by its own parser, with Flink's names and labels, nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from penstock.base.ids import AttemptId, JobId, OperatorUid, SubtaskId, VertexId, WorkerId
from penstock.monitoring.exposition import text
from penstock.monitoring.readings import Distributed, Reading, Scoped
from penstock.monitoring.settings import Wording
from penstock.rpc.figures import (
    KeyedMetrics,
    OperatorMetrics,
    OperatorNames,
    ProcessMetrics,
    TaskMetrics,
    UserMetric,
)
from penstock.rpc.messages import MetricsReport, TaskDescribed, encode_worker
from penstock.taskmanager.exposed import exposed
from penstock.taskmanager.measured import Measured

WORKER = WorkerId("tm-1/0.1")
ATTEMPT = AttemptId(SubtaskId(VertexId("c" * 32), 1), 2)
TASK_LABELS = {
    "host": "10_0_0_1", "tm_id": "tm_1", "job_id": "a" * 32, "job_name": "word_count",
    "task_id": "c" * 32, "task_name": "Map____Sink", "subtask_index": "1",
    "task_attempt_num": "2", "task_attempt_id": f"{'c' * 32}_1_2",
}  # fmt: skip
WORDS = st.text(max_size=12)
Page = dict[str, dict[tuple[tuple[str, str], ...], float]]


def parsed(page: bytes) -> Page:
    found: Page = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            samples = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in samples, f"{sample.name} {labels} is there twice"
            samples[labels] = sample.value
    return found


def key(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def taskmanager_page() -> Page:
    measured = Measured()
    operators = (OperatorNames(OperatorUid("map-uid"), "Map"), OperatorNames(OperatorUid("sink"), "Sink: out"))
    measured.described(TaskDescribed(WORKER, ATTEMPT, JobId("a" * 32), "word count", "Map -> Sink", operators))
    user = (
        UserMetric("shop.eu.seen", "shop.seen", "counter", {"value": 3}, {"shop": "eu"}),
        UserMetric("sizes", "sizes", "distribution", {"count": 2, "sum": 5, "min": 1, "max": 4, "p50": 1, "p99": 4}),
    )
    task = TaskMetrics(
        ATTEMPT,
        records_in=10,
        busy_ms_per_s=250.0,
        operators=(OperatorMetrics(records_in=10, keyed=KeyedMetrics(keys=4), user=user), OperatorMetrics()),
    )
    stranger = TaskMetrics(AttemptId(SubtaskId(VertexId("d" * 32), 0), 0))
    report = MetricsReport((task, stranger), ProcessMetrics(cpu_s=1.5, rss_bytes=100))
    measured.report(WORKER, encode_worker(report))
    labels = {"host": "10.0.0.1", "tm_id": "tm-1"}
    return parsed(text(exposed(measured.newest(), ProcessMetrics(cpu_s=0.5, rss_bytes=11), labels), Wording()))


def test_tasks_and_operators_have_flinks_names_and_labels() -> None:
    page = taskmanager_page()
    assert page["flink_taskmanager_job_task_busyTimeMsPerSecond"] == {key(**TASK_LABELS): 250.0}
    assert page["flink_taskmanager_job_task_currentInputWatermark"] == {key(**TASK_LABELS): -(2.0**63)}
    of_map = TASK_LABELS | {"operator_id": "map_uid", "operator_name": "Map"}
    of_sink = TASK_LABELS | {"operator_id": "sink", "operator_name": "Sink:_out"}
    assert page["flink_taskmanager_job_task_operator_numRecordsIn"] == {key(**of_map): 10, key(**of_sink): 0}
    assert page["flink_taskmanager_job_task_operator_keyedStateKeys"] == {key(**of_map): 4}


def test_users_groups_become_scope_and_labels_and_distributions_summaries() -> None:
    page = taskmanager_page()
    own = TASK_LABELS | {"operator_id": "map_uid", "operator_name": "Map"}
    prefix = "flink_taskmanager_job_task_operator_"
    assert page[f"{prefix}shop_seen"] == {key(**own, shop="eu"): 3}
    assert page[f"{prefix}sizes"] == {key(**own, quantile="0.5"): 1, key(**own, quantile="0.99"): 4}
    assert page[f"{prefix}sizes_count"] == {key(**own): 2}
    assert page[f"{prefix}sizes_max"] == {key(**own): 4}


def test_a_taskmanager_counts_its_workers_in() -> None:
    page = taskmanager_page()
    labels = key(host="10_0_0_1", tm_id="tm_1")
    assert page["flink_taskmanager_Status_JVM_Memory_Heap_Used"] == {labels: 111}
    assert page["flink_taskmanager_Status_JVM_CPU_Time"] == {labels: 2e9}


def test_labels_are_as_the_settings_say() -> None:
    scoped = [Scoped(("jobmanager", "job"), {"job_name": "word count", "host": "h"}, [Reading("uptime", 5)])]
    page = parsed(text(scoped, Wording(plain_values=False, without=frozenset({"host"}))))
    assert page == {"flink_jobmanager_job_uptime": {key(job_name="word count"): 5}}


def test_words_are_left_out() -> None:
    assert (
        parsed(text([Scoped(("jobmanager",), {}, [Reading("lastCheckpointExternalPath", "s3://a")])], Wording())) == {}
    )


@pytest.mark.parametrize("second", [Reading("a.b", 2), Distributed("a_b", {"count": 1, "sum": 1, "p50": 1})])
def test_of_two_that_share_a_name_the_first_counts(second: Reading | Distributed) -> None:
    page = parsed(text([Scoped(("jobmanager",), {}, [Reading("a_b", 1), second])], Wording()))
    assert page["flink_jobmanager_a_b"] == {(): 1}


@given(
    st.lists(
        st.tuples(WORDS, WORDS, st.dictionaries(WORDS, WORDS, max_size=3), st.floats(allow_nan=False)), max_size=12
    ),
    st.booleans(),
)
def test_whatever_users_call_their_metrics_the_page_can_be_read(
    given_: list[tuple[str, str, dict[str, str], float]], plain: bool
) -> None:
    readings: list[Reading | Distributed] = [
        Reading(f"{name}.{logical}", value, logical, labels)
        if number % 3
        else Distributed(name, {"count": 1, "sum": value, "min": value, "p50": value}, logical, labels)
        for number, (name, logical, labels, value) in enumerate(given_)
    ]
    page = parsed(text([Scoped(("taskmanager",), {"host": "h"}, readings)], Wording(plain_values=plain)))
    assert all(name.startswith("flink_taskmanager_") for name in page)
    assert all(("host", "h") in labels for samples in page.values() for labels in samples)
