"""What a worker measures of its tasks and of itself, a few times a second; nothing is measured per record.

One `TaskMeter` per task, made and asked by the worker. Rates are over the last five seconds, as Flink's times are.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, final

from penstock.common.metrics import MetricTree
from penstock.operators.chain import ChainNode
from penstock.rpc.figures import KeyedMetrics, OperatorMetrics, TaskMetrics, UserMetric
from penstock.state.backend import KeyedBackend
from penstock.taskmanager.skew import SkewGauge
from penstock.taskmanager.task import Task

SPAN_S: Final = 5.0
"""What rates are taken over."""

_Counts = tuple[float, ...]


@final
class TaskMeter:
    """Reads a task's counters."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._keyed: dict[int, KeyedMetrics] = {}
        """As long as the task runs: once it is closed, there is no state to ask."""
        self._counts: deque[tuple[float, _Counts]] = deque()
        self._skews = [
            None if states.keyed is None else SkewGauge(states.keyed, states.max_parallelism)
            for states in task.snapshots.operators
        ]

    def measure(self, now_s: float) -> TaskMetrics:
        """The counters at `now_s` of time.perf_counter(), and their rates since some seconds ago."""
        task = self._task
        inputs, writers, nodes = task.inputs, task.output.writers, task.chain.nodes
        channels = () if inputs is None else inputs.channels
        # A source takes nothing from other tasks: what it has read is what it has emitted.
        records_in = nodes[0].records_out if inputs is None else nodes[0].records_in
        records_out = sum(writer.records_written for writer in writers) if writers else nodes[-1].records_in
        bytes_in = sum(channel.traffic.bytes for channel in channels)
        bytes_out = sum(writer.bytes_written for writer in writers)
        spent = task.times
        lived_s = now_s - spent.started if spent.started else 0.0
        busy_s, blocked_s, waited_s = spent.busy_s, spent.blocked_s, spent.waited_s
        idle_s = max(0.0, lived_s - busy_s - blocked_s - waited_s)
        operators = [count for node in nodes for count in (node.records_in, node.records_out)]
        times = busy_s, blocked_s, idle_s, waited_s
        rates = self._rates(now_s, (records_in, records_out, bytes_in, bytes_out, *times, *operators))
        return TaskMetrics(
            task.attempt,
            records_in=records_in,
            records_out=records_out,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            batches_in=sum(channel.traffic.batches for channel in channels),
            batches_out=sum(writer.batches_written for writer in writers),
            busy_ms=int(busy_s * 1000),
            backpressured_ms=int(blocked_s * 1000),
            idle_ms=int(idle_s * 1000),
            waited_ms=int(waited_s * 1000),
            watermark=task.watermark,
            watermark_out=min(node.watermark_out for node in nodes if node.outlets or not node.children),
            state_bytes=task.snapshots.state_bytes,
            alignment_ns=0 if inputs is None else int(inputs.alignment_now_s(now_s) * 1e9),
            start_delay_ns=task.snapshots.start_delay_ms * 1_000_000,
            is_backpressured=spent.is_blocked,
            records_in_per_s=rates[0],
            records_out_per_s=rates[1],
            bytes_in_per_s=rates[2],
            bytes_out_per_s=rates[3],
            busy_ms_per_s=min(1000.0, rates[4] * 1000),
            backpressured_ms_per_s=min(1000.0, rates[5] * 1000),
            idle_ms_per_s=min(1000.0, rates[6] * 1000),
            waited_ms_per_s=min(1000.0, rates[7] * 1000),
            has_input=inputs is not None,
            operators=tuple(
                self._operator(node, rates[8 + 2 * node.index], rates[9 + 2 * node.index]) for node in nodes
            ),
        )

    def _operator(self, node: ChainNode, in_per_s: float, out_per_s: float) -> OperatorMetrics:
        index, inputs, snapshots = node.index, self._task.inputs, self._task.snapshots
        keyed, gauge = snapshots.operators[index].keyed, self._skews[index]
        if keyed is not None and gauge is not None and self._task.is_running:
            gauge.look()
            self._keyed[index] = _keyed(keyed, gauge)
        return OperatorMetrics(
            records_in=node.records_in,
            records_out=node.records_out,
            records_in_per_s=in_per_s,
            records_out_per_s=out_per_s,
            watermark_in=node.watermark_in,
            watermark_out=node.watermark_out,
            snapshot_bytes=snapshots.operator_bytes[index] if snapshots.operator_bytes else 0,
            keyed=self._keyed.get(index),
            user=user_metrics(self._task.metrics[index]),
            input_watermarks=inputs.watermarks() if index == 0 and inputs is not None else (),
        )

    def _rates(self, now_s: float, counts: _Counts) -> Sequence[float]:
        """Of each count, per second."""
        kept = self._counts
        while len(kept) > 1 and kept[1][0] <= now_s - SPAN_S:
            kept.popleft()
        kept.append((now_s, counts))
        then_s, before = kept[0]
        elapsed_s = now_s - then_s
        if elapsed_s <= 0:
            return [0.0] * len(counts)
        return [(now - then) / elapsed_s for now, then in zip(counts, before, strict=True)]


def _keyed(backend: KeyedBackend, gauge: SkewGauge) -> KeyedMetrics:
    (keys_skew, keys_group), (records_skew, records_group) = gauge.keys, gauge.records
    native = backend.native_figures()
    return KeyedMetrics(
        bytes=backend.size_bytes(),
        keys=backend.size_keys(),
        key_groups=len(backend.key_groups),
        keys_skew=keys_skew,
        keys_skewed_group=keys_group,
        records_skew=records_skew,
        records_skewed_group=records_group,
        native={} if native is None else native.figures,
        state_as_variable=native is not None and native.family_as_variable,
    )


def user_metrics(tree: MetricTree) -> tuple[UserMetric, ...]:
    """What the metrics of an operator's function say now."""
    return tuple(
        UserMetric(reading.name, reading.logical, reading.kind, dict(reading.values), reading.variables)
        for reading in tree.readings()
    )
