"""What figures are called: Flink's names where it has them. Pure; the one place where names of metrics stand.

A reading is one figure within a scope (a task, an operator, a job, a process). TaskManagers make Prometheus samples of
them, REST makes lists; both by the same names. In Flink's REST a name may follow its operator's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, final

import msgspec

from penstock.rpc.figures import KeyedMetrics, OperatorMetrics, ProcessMetrics, TaskMetrics, UserMetric

_IN_REST: Final = str.maketrans(dict.fromkeys(" .:,", "_") | dict.fromkeys("<>\"'"))
_NS_PER_S: Final = 1_000_000_000


@final
class Reading(msgspec.Struct, frozen=True):
    """One figure."""

    name: str
    """Within its scope, parts joined by dots."""
    value: float | str
    """What is no number shows in REST only."""
    logical: str = ""
    """The name without the values of variables, where it has any."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)


@final
class Distributed(msgspec.Struct, frozen=True):
    """What a user's distribution says: many figures under one name."""

    name: str
    values: Mapping[str, float]
    """`count`, `sum`, and unless it is empty `min`, `max`, `mean`, `p50`..."""
    logical: str = ""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)


Readings = Iterable[Reading | Distributed]


@final
class Scoped(msgspec.Struct, frozen=True):
    """What something says, and what it is."""

    scope: tuple[str, ...]
    """As `("taskmanager", "job", "task")`."""
    labels: Mapping[str, str]
    readings: Readings


def task_readings(task: TaskMetrics) -> list[Reading]:
    """What a task says as a whole."""
    found = [
        Reading("numRecordsIn", task.records_in),
        Reading("numRecordsInPerSecond", task.records_in_per_s),
        Reading("numRecordsOut", task.records_out),
        Reading("numRecordsOutPerSecond", task.records_out_per_s),
        Reading("numBytesIn", task.bytes_in),
        Reading("numBytesInPerSecond", task.bytes_in_per_s),
        Reading("numBytesOut", task.bytes_out),
        Reading("numBytesOutPerSecond", task.bytes_out_per_s),
        Reading("numBuffersIn", task.batches_in),
        Reading("numBuffersOut", task.batches_out),
        Reading("busyTimeMsPerSecond", task.busy_ms_per_s),
        Reading("backPressuredTimeMsPerSecond", task.backpressured_ms_per_s),
        Reading("softBackPressuredTimeMsPerSecond", task.backpressured_ms_per_s),
        Reading("hardBackPressuredTimeMsPerSecond", 0.0),
        Reading("idleTimeMsPerSecond", task.idle_ms_per_s),
        Reading("waitingForSlotTimeMsPerSecond", task.waited_ms_per_s),
        Reading("accumulateBusyTimeMs", task.busy_ms),
        Reading("accumulateBackPressuredTimeMs", task.backpressured_ms),
        Reading("accumulateIdleTimeMs", task.idle_ms),
        Reading("accumulateWaitingForSlotTimeMs", task.waited_ms),
        Reading("isBackPressured", int(task.is_backpressured)),
        Reading("currentOutputWatermark", task.watermark_out),
        Reading("checkpointStartDelayNanos", task.start_delay_ns),
        Reading("snapshotSize", task.state_bytes),
    ]
    if task.has_input:
        found.append(Reading("currentInputWatermark", task.watermark))
        found.append(Reading("checkpointAlignmentTime", task.alignment_ns))
    return found


def operator_readings(operator: OperatorMetrics, *, is_source: bool) -> Iterator[Reading | Distributed]:
    """What an operator of a chain says, and the user's function in it."""
    # A source has read what it has emitted.
    records_in, in_per_s = operator.records_in, operator.records_in_per_s
    if is_source:
        records_in, in_per_s = operator.records_out, operator.records_out_per_s
    yield Reading("numRecordsIn", records_in)
    yield Reading("numRecordsInPerSecond", in_per_s)
    yield Reading("numRecordsOut", operator.records_out)
    yield Reading("numRecordsOutPerSecond", operator.records_out_per_s)
    if not is_source:
        yield Reading("currentInputWatermark", operator.watermark_in)
    for number, watermark in enumerate(operator.input_watermarks, 1):
        yield Reading(f"currentInput{number}Watermark", watermark)
    yield Reading("currentOutputWatermark", operator.watermark_out)
    yield Reading("snapshotSize", operator.snapshot_bytes)
    if operator.keyed is not None:
        yield from _keyed_readings(operator.keyed)
    for metric in operator.user:
        yield from user_readings(metric)


def user_readings(metric: UserMetric) -> Iterator[Reading | Distributed]:
    """A metric of a user's function. A meter is its rate, as in Flink, and its count besides."""
    name, logical, variables = metric.name, metric.logical, metric.variables
    match metric.kind:
        case "counter" | "gauge":
            yield Reading(name, metric.values["value"], logical, variables)
        case "meter":
            yield Reading(name, metric.values["rate"], logical, variables)
            yield Reading(f"{name}.count", metric.values["count"], f"{logical}.count", variables)
        case "distribution":
            yield Distributed(name, metric.values, logical, variables)


def process_readings(process: ProcessMetrics) -> list[Reading]:
    """What a process, or several together, take. The names are those that dashboards made for a JVM ask for."""
    return [
        Reading("Status.JVM.CPU.Load", process.cpu_load),
        Reading("Status.JVM.CPU.Time", int(process.cpu_s * _NS_PER_S)),
        Reading("Status.JVM.Memory.Heap.Used", process.rss_bytes),
        Reading("Status.JVM.Memory.Heap.Committed", process.rss_bytes),
        Reading("Status.JVM.Threads.Count", process.threads),
        Reading("Status.JVM.FileDescriptor.Open", process.open_files),
        Reading("Status.JVM.GarbageCollector.All.Count", process.gc_collections),
        Reading("Status.JVM.GarbageCollector.All.Time", process.gc_ms),
    ]


def rest_values(readings: Readings, prefix: str = "") -> dict[str, float | str]:
    """By the names that Flink's REST has; of two that share one, the first."""
    found: dict[str, float | str] = {}
    for reading in readings:
        name = prefix + reading.name.translate(_IN_REST_NAMES)
        if isinstance(reading, Reading):
            found.setdefault(name, reading.value)
        else:
            for part, value in reading.values.items():
                found.setdefault(f"{name}_{_PARTS.get(part, part)}", value)
    return found


def rest_operator(name: str) -> str:
    """An operator's name as it stands before its metrics in REST."""
    return name.translate(_IN_REST)


_IN_REST_NAMES: Final = str.maketrans(dict.fromkeys(" :,", "_") | dict.fromkeys("<>\"'"))
"""The dots between a name's parts stay."""
_PARTS: Final = {"p50": "median"}
"""Of a distribution: Flink's word in REST."""


def _keyed_readings(keyed: KeyedMetrics) -> Iterator[Reading]:
    yield Reading("keyedStateSize", keyed.bytes)
    yield Reading("keyedStateKeys", keyed.keys)
    yield Reading("keyGroups", keyed.key_groups)
    if keyed.keys_skew:
        yield Reading("keyGroupKeysSkew", keyed.keys_skew)
        yield Reading("keyGroupWithMostKeys", keyed.keys_skewed_group)
    if keyed.records_skew:
        yield Reading("keyGroupRecordsSkew", keyed.records_skew)
        yield Reading("keyGroupWithMostRecords", keyed.records_skewed_group)
    for state, figures in keyed.native.items():
        for name, value in figures.items():
            yield _native_reading(state, f"rocksdb.{name}", value, as_variable=keyed.state_as_variable)


def _native_reading(state: str, name: str, value: int, *, as_variable: bool) -> Reading:
    if not state:
        return Reading(name, value)
    if as_variable:
        return Reading(f"column_family.{state}.{name}", value, f"column_family.{name}", {"column_family": state})
    return Reading(f"{state}.{name}", value)
