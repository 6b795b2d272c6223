"""Names of metrics are Flink's, and stay what they are."""

import msgspec

from penstock.base.ids import AttemptId, SubtaskId, VertexId
from penstock.monitoring.readings import (
    Distributed,
    Reading,
    operator_readings,
    process_readings,
    rest_operator,
    rest_values,
    task_readings,
)
from penstock.rpc.figures import KeyedMetrics, OperatorMetrics, ProcessMetrics, TaskMetrics, UserMetric

ATTEMPT = AttemptId(SubtaskId(VertexId("v"), 0), 0)
TASK = {
    "numRecordsIn", "numRecordsInPerSecond", "numRecordsOut", "numRecordsOutPerSecond",
    "numBytesIn", "numBytesInPerSecond", "numBytesOut", "numBytesOutPerSecond", "numBuffersIn", "numBuffersOut",
    "busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "idleTimeMsPerSecond",
    "softBackPressuredTimeMsPerSecond", "hardBackPressuredTimeMsPerSecond",
    "accumulateBusyTimeMs", "accumulateBackPressuredTimeMs", "accumulateIdleTimeMs", "isBackPressured",
    "currentOutputWatermark", "checkpointStartDelayNanos", "snapshotSize",
    "waitingForSlotTimeMsPerSecond", "accumulateWaitingForSlotTimeMs",
}  # fmt: skip
OF_INPUTS = {"currentInputWatermark", "checkpointAlignmentTime"}
OPERATOR = {
    "numRecordsIn", "numRecordsInPerSecond", "numRecordsOut", "numRecordsOutPerSecond",
    "currentInputWatermark", "currentOutputWatermark", "snapshotSize",
}  # fmt: skip
KEYED = {
    "keyedStateSize", "keyedStateKeys", "keyGroups", "keyGroupKeysSkew", "keyGroupWithMostKeys",
    "keyGroupRecordsSkew", "keyGroupWithMostRecords",
}  # fmt: skip
PROCESS = {
    "Status.JVM.CPU.Load", "Status.JVM.CPU.Time", "Status.JVM.Memory.Heap.Used", "Status.JVM.Memory.Heap.Committed",
    "Status.JVM.Threads.Count", "Status.JVM.FileDescriptor.Open",
    "Status.JVM.GarbageCollector.All.Count", "Status.JVM.GarbageCollector.All.Time",
}  # fmt: skip


def test_tasks_have_flinks_names() -> None:
    assert rest_values(task_readings(TaskMetrics(ATTEMPT))).keys() == TASK | OF_INPUTS
    assert rest_values(task_readings(TaskMetrics(ATTEMPT, has_input=False))).keys() == TASK


def test_operators_have_flinks_names_and_ours_for_keyed_state() -> None:
    keyed = KeyedMetrics(keys_skew=2.0, records_skew=3.0)
    assert rest_values(operator_readings(OperatorMetrics(), is_source=False)).keys() == OPERATOR
    assert rest_values(operator_readings(OperatorMetrics(keyed=keyed), is_source=False)).keys() == OPERATOR | KEYED


def test_an_operator_with_two_inputs_has_a_watermark_of_each() -> None:
    found = rest_values(operator_readings(OperatorMetrics(input_watermarks=(5, 7)), is_source=False))
    assert found["currentInput1Watermark"] == 5 and found["currentInput2Watermark"] == 7


def test_rocksdbs_own_figures_have_flinks_names() -> None:
    keyed = KeyedMetrics(native={"clicks": {"estimate-num-keys": 7}, "": {"block_cache_hit": 9}})
    found = rest_values(operator_readings(OperatorMetrics(keyed=keyed), is_source=False))
    assert (found["clicks.rocksdb.estimate-num-keys"], found["rocksdb.block_cache_hit"]) == (7, 9)
    variable = OperatorMetrics(keyed=msgspec.structs.replace(keyed, state_as_variable=True))
    readings = {reading.logical: reading for reading in operator_readings(variable, is_source=False)}
    assert readings["column_family.rocksdb.estimate-num-keys"].variables == {"column_family": "clicks"}


def test_an_unknown_skew_is_not_told() -> None:
    found = rest_values(operator_readings(OperatorMetrics(keyed=KeyedMetrics()), is_source=False))
    assert found.keys() - OPERATOR == {"keyedStateSize", "keyedStateKeys", "keyGroups"}


def test_a_source_has_read_what_it_has_emitted() -> None:
    found = rest_values(operator_readings(OperatorMetrics(records_out=7), is_source=True))
    assert found["numRecordsIn"] == found["numRecordsOut"] == 7
    assert "currentInputWatermark" not in found


def test_processes_have_the_names_that_dashboards_ask_for() -> None:
    assert {reading.name for reading in process_readings(ProcessMetrics())} == PROCESS


def test_users_metrics_stand_below_their_groups() -> None:
    variables = {"shop": "eu west"}
    metrics = (
        UserMetric("shop.eu west.seen", "shop.seen", "counter", {"value": 3}, variables),
        UserMetric("rate", "rate", "meter", {"count": 9, "rate": 1.5}),
        UserMetric("sizes", "sizes", "distribution", {"count": 1, "sum": 4, "min": 4, "p50": 4, "p99": 4}),
    )
    found = list(operator_readings(OperatorMetrics(user=metrics), is_source=False))[-4:]
    assert found[:3] == [
        Reading("shop.eu west.seen", 3, "shop.seen", variables),
        Reading("rate", 1.5, "rate"),
        Reading("rate.count", 9, "rate.count"),
    ]
    assert isinstance(found[3], Distributed)
    assert rest_values(found, "Map.") == {
        "Map.shop.eu_west.seen": 3,
        "Map.rate": 1.5,
        "Map.rate.count": 9,
        "Map.sizes_count": 1,
        "Map.sizes_sum": 4,
        "Map.sizes_min": 4,
        "Map.sizes_median": 4,
        "Map.sizes_p99": 4,
    }


def test_operators_names_in_rest_have_neither_blanks_nor_dots() -> None:
    assert rest_operator("Sink: Print to Std. Out") == "Sink__Print_to_Std__Out"
