"""What a worker measures of its tasks, for the JobManager's counters and for Prometheus."""

import time

from penstock.rpc.messages import TaskMetrics
from penstock.taskmanager.task import Task


def measure(task: Task) -> TaskMetrics:
    """A task's counters now."""
    lived_s = time.perf_counter() - task.started if task.started else 0.0
    nodes = task.chain.nodes
    writers = task.output.writers
    channels = task.inputs.channels if task.inputs is not None else ()
    blocked_s = task.blocked_s
    user = {
        f"{operator}.{reading.name}.{part}": value
        for operator, tree in task.metrics.items()
        for reading in tree.readings()
        for part, value in reading.values.items()
    }
    return TaskMetrics(
        task.attempt,
        # A source takes nothing from other tasks: what it has read is what it has emitted.
        records_in=nodes[0].records_out if task.inputs is None else nodes[0].records_in,
        records_out=sum(writer.records_written for writer in writers) if writers else nodes[-1].records_in,
        bytes_in=sum(channel.traffic.bytes for channel in channels),
        bytes_out=sum(writer.bytes_written for writer in writers),
        busy_ms=int(task.busy_s * 1000),
        backpressured_ms=int(blocked_s * 1000),
        idle_ms=max(0, int((lived_s - task.busy_s - blocked_s) * 1000)),
        watermark=task.watermark,
        state_bytes=task.state_bytes,
        user=user,
    )
