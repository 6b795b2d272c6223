"""One checkpoint of one vertex, subtask by subtask: sizes, durations, alignment, and how they are spread."""

from collections.abc import Iterable
from typing import Any

from penstock.base.ids import SubtaskId
from penstock.checkpoint.handles import SnapshotStats
from penstock.jobmanager.history import CheckpointRecord
from penstock.rest.asking import Asked, Cluster
from penstock.rest.checkpoint_answers import checkpoint_of, task_of
from penstock.rest.summary import summary


def details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid"""
    _, vertex = cluster.vertex(asked)
    record = checkpoint_of(cluster, asked)
    mine = record.subtasks_of(vertex.id)
    acknowledged = [(record.subtasks[s], duration_ms(record, s)) for s in mine if s in record.subtasks]
    return task_of(record, vertex.id, cluster.clock.now_ms()) | {
        "summary": _summary(acknowledged),
        "subtasks": [_subtask(record, subtask) for subtask in mine],
    }


def duration_ms(record: CheckpointRecord, subtask: SubtaskId) -> int:
    """From the checkpoint's trigger to this subtask's acknowledgement."""
    return max(0, record.ack_ms[subtask] - record.trigger_ms)


def _subtask(record: CheckpointRecord, subtask: SubtaskId) -> dict[str, Any]:
    stats = record.subtasks.get(subtask)
    if stats is None:
        return {"className": "pending", "index": subtask.index, "status": "pending_or_failed"}
    return {
        "className": "completed",
        "index": subtask.index,
        "status": "completed",
        "ack_timestamp": record.ack_ms[subtask],
        "end_to_end_duration": duration_ms(record, subtask),
        "checkpointed_size": stats.checkpointed_bytes,
        "state_size": stats.state_bytes,
        "checkpoint": {"sync": stats.sync_ms, "async": stats.async_ms},
        "alignment": {
            "buffered": 0,
            "processed": stats.processed_bytes,
            "persisted": stats.persisted_bytes,
            "duration": stats.alignment_ms,
        },
        "start_delay": stats.start_delay_ms,
        "unaligned_checkpoint": stats.unaligned,
        "aborted": record.status == "FAILED",
    }


def _summary(acknowledged: Iterable[tuple[SnapshotStats, int]]) -> dict[str, Any]:
    every = list(acknowledged)
    stats = [each for each, _ in every]
    return {
        "checkpointed_size": summary(s.checkpointed_bytes for s in stats),
        "state_size": summary(s.state_bytes for s in stats),
        "end_to_end_duration": summary(took_ms for _, took_ms in every),
        "checkpoint_duration": {
            "sync": summary(s.sync_ms for s in stats),
            "async": summary(s.async_ms for s in stats),
        },
        "alignment": {
            "buffered": summary([0] * len(stats)),
            "processed": summary(s.processed_bytes for s in stats),
            "persisted": summary(s.persisted_bytes for s in stats),
            "duration": summary(s.alignment_ms for s in stats),
        },
        "start_delay": summary(s.start_delay_ms for s in stats),
    }
