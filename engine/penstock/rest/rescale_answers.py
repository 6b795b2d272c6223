"""Answers about rescaling: what a job is required to have, the wish for another parallelism, and what became of each.

Bodies are read field by field; what cannot be is refused before anything begins.
"""

import hashlib
from typing import Any, Final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.base.ids import VertexId
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.parallelism import Bounds, Parallelism, requirements_of
from penstock.jobmanager.rescale_history import HISTORY_MAX, RescaleRecord, TerminalState
from penstock.jobmanager.rescaler import Rescaler
from penstock.rest.asking import Asked, Cluster, Refused, hexadecimal
from penstock.rest.summary import summary

_NEVER: Final = -1


class _Bounds(msgspec.Struct):
    lowerBound: int
    upperBound: int


class _Required(msgspec.Struct):
    parallelism: _Bounds


def requirements(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/resource-requirements"""
    master = cluster.job(asked)
    required = requirements_of(master.graph) if master.rescaler is None else master.rescaler.requirements
    return {
        vertex: {"parallelism": {"lowerBound": bounds.lower, "upperBound": bounds.upper}}
        for vertex, bounds in required.items()
    }


def require(cluster: Cluster, asked: Asked) -> Any:
    """PUT /jobs/:jobid/resource-requirements: taken over at once, carried out as soon as there are slots"""
    rescaler = _rescaler(cluster.job(asked))
    body: dict[str, _Required] = asked.read(dict[str, _Required])
    wanted = {
        VertexId(vertex): Bounds(required.parallelism.lowerBound, required.parallelism.upperBound)
        for vertex, required in body.items()
    }

    async def answer() -> Any:
        try:
            await rescaler.require(wanted)
        except JobDefinitionError as error:
            raise Refused(400, str(error)) from error
        return {}

    return answer()


def rescale(cluster: Cluster, asked: Asked) -> Any:
    """PATCH /jobs/:jobid/rescaling?parallelism=N; with &triggerId=..., done once under that id"""
    rescaler = _rescaler(cluster.job(asked))
    if "parallelism" not in asked.query:
        raise Refused(400, "the query parameter parallelism is missing: a whole number, 1 or more")
    parallelism = asked.number("parallelism", 1)
    if parallelism < 1:
        raise Refused(400, "the query parameter parallelism is a whole number, 1 or more; found 0")
    trigger = asked.query.get("triggerId")
    if trigger is not None:
        return {"request-id": rescaler.scale_once(parallelism, hexadecimal(trigger, "trigger")).trigger_id}
    try:
        operation = rescaler.scale_to(parallelism)
    except JobDefinitionError as error:
        raise Refused(400, str(error)) from error

    async def answer() -> Any:
        await rescaler.recorded()
        return {"request-id": operation.trigger_id}

    return answer()


def rescaling(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescaling/:triggerid"""
    master, trigger = cluster.job(asked), asked.hexadecimal("triggerid", "trigger")
    operation = master.operations.find("rescaling", trigger)
    if operation is None:
        raise Refused(404, f"Operation {trigger} not found: job {master.job} was not asked for it, or long ago")
    if not operation.is_completed:
        return {"status": {"id": "IN_PROGRESS"}, "operation": None}
    if operation.failure is None:
        return {"status": {"id": "COMPLETED"}, "operation": {}}
    told = f"{operation.failure.type}: {operation.failure.message}"
    cause = {"class": operation.failure.type, "stack-trace": told, "serialized-throwable": ""}
    return {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}


def overview(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescales/overview"""
    master = cluster.job(asked)
    rescaler = master.rescaler
    latest: dict[TerminalState, RescaleRecord] = {} if rescaler is None else rescaler.history.latest
    return {
        "rescalesCounts": _counts(master),
        "latest": {
            state.lower(): _details(master.graph, latest[state]) if state in latest else None
            for state in ("COMPLETED", "FAILED", "IGNORED")
        },
    }


def history(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescales/history, newest first"""
    master = cluster.job(asked)
    records = [] if master.rescaler is None else master.rescaler.history.records
    return [_details(master.graph, record) for record in reversed(records)]


def details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescales/details/:rescaleuuid"""
    master, uuid = cluster.job(asked), asked.path["rescaleuuid"].lower()
    record = None if master.rescaler is None else master.rescaler.history.find(uuid)
    if record is None:
        raise Refused(404, f"Job {master.job} has no rescale {asked.path['rescaleuuid']}")
    return _details(master.graph, record)


def figures(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescales/summary"""
    master = cluster.job(asked)
    rescaler = master.rescaler
    took: dict[TerminalState, list[int]] = {"COMPLETED": [], "FAILED": [], "IGNORED": []}
    if rescaler is not None:
        took = {state: list(durations) for state, durations in rescaler.history.durations_ms.items()}
    return {
        "rescalesCounts": _counts(master),
        "rescalesDurationStatsInMillis": summary([ms for durations in took.values() for ms in durations]),
        "completedRescalesDurationStatsInMillis": summary(took["COMPLETED"]),
        "ignoredRescalesDurationStatsInMillis": summary(took["IGNORED"]),
        "failedRescalesDurationStatsInMillis": summary(took["FAILED"]),
    }


def config(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/rescales/config: a job begins when it has all its slots, and waits for them this long"""
    settings = cluster.job(asked).settings
    wait_ms = int(settings.slot_timeout_s * 1000)
    return {
        "rescaleHistoryMax": HISTORY_MAX,
        "schedulerExecutionMode": "REACTIVE",
        "submissionResourceWaitTimeoutInMillis": wait_ms,
        "submissionResourceStabilizationTimeoutInMillis": wait_ms,
        "slotIdleTimeoutInMillis": _NEVER,
        "executingCooldownTimeoutInMillis": 0,
        "executingResourceStabilizationTimeoutInMillis": wait_ms,
        "maximumDelayForTriggeringRescaleInMillis": int(settings.checkpoints.timeout_s * 1000),
        "rescaleOnFailedCheckpointCount": 1,
    }


def _rescaler(master: JobMaster) -> Rescaler:
    if master.status.is_globally_terminal_state():
        raise Refused(409, f"Job {master.job} has ended {master.status.name}: it cannot be rescaled")
    if master.rescaler is None:
        raise Refused(503, f"Job {master.job} is being initialized: ask again")
    return master.rescaler


def _counts(master: JobMaster) -> dict[str, int]:
    if master.rescaler is None:
        return {"ignored": 0, "inProgress": 0, "completed": 0, "failed": 0}
    return dict(master.rescaler.history.counts)


def _details(graph: JobGraph, record: RescaleRecord) -> dict[str, Any]:
    after = record.before if record.after is None else record.after
    return {
        "rescaleUuid": record.uuid,
        "resourceRequirementsUuid": record.requirements_uuid,
        "rescaleAttemptId": record.attempt,
        "vertices": {
            vertex.id: {
                "jobVertexId": vertex.id,
                "jobVertexName": vertex.name,
                "slotSharingGroupId": _group_id(vertex.slot_sharing_group),
                "slotSharingGroupName": vertex.slot_sharing_group,
                "desiredParallelism": record.wanted[vertex.id],
                "sufficientParallelism": record.requirements[vertex.id].lower,
                "preRescaleParallelism": record.before[vertex.id],
                "postRescaleParallelism": after[vertex.id],
            }
            for vertex in graph.vertices
        },
        "slots": {
            _group_id(group): _group(graph, group, record, after)
            for group in dict.fromkeys(vertex.slot_sharing_group for vertex in graph.vertices)
        },
        "schedulerStates": [
            {
                "state": span.state,
                "enterTimestampInMillis": span.enter_ms,
                "leaveTimestampInMillis": _NEVER if span.leave_ms is None else span.leave_ms,
                "durationInMillis": _NEVER if span.leave_ms is None else span.leave_ms - span.enter_ms,
                "stringifiedException": record.reason,
            }
            for span in record.spans
        ],
        "startTimestampInMillis": record.start_ms,
        "endTimestampInMillis": _NEVER if record.end_ms is None else record.end_ms,
        "terminalState": record.terminal_state,
        "triggerCause": record.cause.value,
        "terminatedReason": None if record.end is None else record.end.value,
    }


def _group(graph: JobGraph, group: str, record: RescaleRecord, after: Parallelism) -> dict[str, Any]:
    members = [vertex.id for vertex in graph.vertices if vertex.slot_sharing_group == group]
    return {
        "slotSharingGroupId": _group_id(group),
        "slotSharingGroupName": group,
        "requestResourceProfile": _PROFILE,
        "desiredSlots": max(record.wanted[vertex] for vertex in members),
        "minimalRequiredSlots": max(record.requirements[vertex].lower for vertex in members),
        "preRescaleSlots": max(record.before[vertex] for vertex in members),
        "postRescaleSlots": max(after[vertex] for vertex in members),
        "acquiredResourceProfile": _PROFILE,
    }


_PROFILE: Final = {
    "cpuCores": 1.0,
    "taskHeapMemory": 0,
    "taskOffHeapMemory": 0,
    "managedMemory": 0,
    "networkMemory": 0,
    "extendedResources": {},
}
"""Every slot is one worker; the cluster's configuration says what it may use, not the job."""


def _group_id(group: str) -> str:
    return hashlib.blake2b(group.encode(), digest_size=16).hexdigest()
