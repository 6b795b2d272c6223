"""Answers about checkpoints: how many, the newest ones, the remembered ones, one in detail, and their settings."""

from collections.abc import Iterable
from typing import Any, Final

from penstock.base.ids import CheckpointId, VertexId
from penstock.checkpoint.retention import ExternalizedRetention
from penstock.common.options import checkpointing, state
from penstock.jobmanager.history import CheckpointFigures, CheckpointRecord, RestoreRecord
from penstock.jobmanager.job_master import JobMaster
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.summary import summary

_NOT_PERIODIC_MS: Final = 2**63 - 1
"""Flink's interval of a job that takes no checkpoints by itself."""
_BACKENDS: Final = {"rocksdb": "EmbeddedRocksDBStateBackend", "hashmap": "HashMapStateBackend"}


def statistics(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/checkpoints"""
    master, now_ms = cluster.job(asked), cluster.clock.now_ms()
    history = master.history
    completed, failed, restored = history.latest_completed, history.latest_failed, history.latest_restore
    return {
        "counts": dict(history.counts),
        "summary": _summary(history.completed_figures),
        "latest": {
            "completed": None if completed is None else _record(completed, now_ms),
            "savepoint": None if history.latest_savepoint is None else _record(history.latest_savepoint, now_ms),
            "failed": None if failed is None else _record(failed, now_ms),
            "restored": None if restored is None else _restored(restored),
        },
        "history": [_record(record, now_ms) for record in reversed(history.records.values())],
    }


def details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/checkpoints/details/:checkpointid"""
    record, now_ms = checkpoint_of(cluster, asked), cluster.clock.now_ms()
    tasks = {vertex.id: task_of(record, vertex.id, now_ms) for vertex in cluster.master.graph.vertices}
    return _record(record, now_ms) | {"tasks": tasks}


def config(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/checkpoints/config"""
    master = cluster.job(asked)
    settings, get = master.settings, master.configuration.get
    periodic, retention = settings.checkpoints, settings.externalized
    in_files = get(checkpointing.DIRECTORY) is not None and get(checkpointing.STORAGE) != "jobmanager"
    return {
        "mode": "EXACTLY_ONCE" if settings.exactly_once else "AT_LEAST_ONCE",
        "interval": _NOT_PERIODIC_MS if periodic.interval_s is None else round(periodic.interval_s * 1000),
        "timeout": round(periodic.timeout_s * 1000),
        "min_pause": round(periodic.min_pause_s * 1000),
        "max_concurrent": periodic.concurrent_max,
        "externalization": {
            "enabled": retention is not ExternalizedRetention.NO_EXTERNALIZED_CHECKPOINTS,
            "delete_on_cancellation": retention is not ExternalizedRetention.RETAIN_ON_CANCELLATION,
        },
        "state_backend": _BACKENDS[get(state.BACKEND)],
        "checkpoint_storage": "FileSystemCheckpointStorage" if in_files else "JobManagerCheckpointStorage",
        "unaligned_checkpoints": get(checkpointing.UNALIGNED),
        "tolerable_failed_checkpoints": periodic.tolerable_failures,
        "aligned_checkpoint_timeout": round(get(checkpointing.ALIGNED_TIMEOUT).to_seconds() * 1000),
        "checkpoints_after_tasks_finish": periodic.after_tasks_finish,
        "state_changelog_enabled": False,
        "changelog_storage": "",
        "changelog_periodic_materialization_interval": 0,
    }


def checkpoint_of(cluster: Cluster, asked: Asked) -> CheckpointRecord:
    """The checkpoint that the path names, of the job that it names."""
    master = cluster.job(asked)
    text = asked.path["checkpointid"]
    if not text.isdecimal():
        raise Refused(400, f"{text!r} is not a checkpoint id: expected a whole number")
    record = _find(master, CheckpointId(asked.path_number("checkpointid", "checkpoint")))
    if record is None:
        raise Refused(404, f"Could not find checkpoint {text}: it was never taken, or is no longer remembered")
    return record


def _find(master: JobMaster, checkpoint: CheckpointId) -> CheckpointRecord | None:
    history = master.history
    kept = (
        history.records.get(checkpoint),
        history.latest_completed,
        history.latest_savepoint,
        history.latest_failed,
    )
    return next((record for record in kept if record is not None and record.id == checkpoint), None)


def _record(record: CheckpointRecord, now_ms: int) -> dict[str, Any]:
    figures = record.figures(now_ms)
    found: dict[str, Any] = {
        "className": _CLASSES[record.status],
        "id": record.id,
        "status": record.status,
        "is_savepoint": record.savepoint is not None,
        "checkpoint_type": "CHECKPOINT" if record.savepoint is None else "SAVEPOINT",
        "trigger_timestamp": record.trigger_ms,
        "latest_ack_timestamp": max(record.ack_ms.values(), default=-1),
        "checkpointed_size": figures.checkpointed_bytes,
        "state_size": figures.state_bytes,
        "end_to_end_duration": figures.duration_ms,
        "alignment_buffered": 0,
        "processed_data": figures.processed_bytes,
        "persisted_data": figures.persisted_bytes,
        "num_subtasks": len(record.tasks),
        "num_acknowledged_subtasks": len(record.ack_ms),
        "tasks": {},
    }
    if record.savepoint is not None:
        found["savepointFormat"] = record.savepoint.format.upper()
    match record.status:
        case "COMPLETED":
            return found | {"external_path": record.path, "discarded": record.discarded}
        case "FAILED":
            return found | {"failure_timestamp": record.end_ms, "failure_message": record.failure}
        case "IN_PROGRESS":
            return found


_CLASSES: Final = {"COMPLETED": "completed", "FAILED": "failed", "IN_PROGRESS": "in_progress"}


def task_of(record: CheckpointRecord, vertex: VertexId, now_ms: int) -> dict[str, Any]:
    """What a checkpoint came to in one vertex."""
    mine = record.subtasks_of(vertex)
    stats = [record.subtasks[subtask] for subtask in mine if subtask in record.subtasks]
    acks = [record.ack_ms[subtask] for subtask in mine if subtask in record.ack_ms]
    last_ms = max(acks, default=-1)
    status = "COMPLETED" if len(acks) == len(mine) else record.status
    return {
        "id": record.id,
        "status": status,
        "latest_ack_timestamp": last_ms,
        "checkpointed_size": sum(s.checkpointed_bytes for s in stats),
        "state_size": sum(s.state_bytes for s in stats),
        "end_to_end_duration": (last_ms if status == "COMPLETED" else record.end_ms or now_ms) - record.trigger_ms,
        "alignment_buffered": 0,
        "processed_data": sum(s.processed_bytes for s in stats),
        "persisted_data": sum(s.persisted_bytes for s in stats),
        "num_subtasks": len(mine),
        "num_acknowledged_subtasks": len(acks),
    }


def _summary(figures: Iterable[CheckpointFigures]) -> dict[str, Any]:
    figures = list(figures)
    return {
        "checkpointed_size": summary(f.checkpointed_bytes for f in figures),
        "state_size": summary(f.state_bytes for f in figures),
        "end_to_end_duration": summary(f.duration_ms for f in figures),
        "alignment_buffered": summary([0] * len(figures)),
        "processed_data": summary(f.processed_bytes for f in figures),
        "persisted_data": summary(f.persisted_bytes for f in figures),
    }


def _restored(restore: RestoreRecord) -> dict[str, Any]:
    return {
        "id": restore.checkpoint,
        "restore_timestamp": restore.at_ms,
        "is_savepoint": restore.is_savepoint,
        "external_path": restore.path,
    }
