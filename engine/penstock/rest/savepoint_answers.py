"""Answers about what is asked of a job's state: savepoints, stops, checkpoints, disposals, and what came of each.

Asked twice under one trigger id, a thing is done once. Bodies are read field by field.
"""

from typing import Any, Final, Literal, final

import msgspec

from penstock.base.errors import ConfigurationError
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import Operation, OperationKind, SavepointRequest
from penstock.records.batch import SavepointFormat
from penstock.rest.asking import Asked, Cluster, Refused, hexadecimal

_Format = Literal["CANONICAL", "NATIVE"]
_FORMATS: Final[dict[_Format, SavepointFormat]] = {"CANONICAL": "canonical", "NATIVE": "native"}
_PATH_MAX: Final = 4096


@final
class _Savepoint(msgspec.Struct, rename={"directory": "target-directory", "cancel": "cancel-job"}):
    directory: str | None = None
    cancel: bool | None = False
    triggerId: str | None = None
    formatType: _Format | None = None


@final
class _Stop(msgspec.Struct):
    targetDirectory: str | None = None
    drain: bool | None = False
    triggerId: str | None = None
    formatType: _Format | None = None


@final
class _Checkpoint(msgspec.Struct):
    checkpointType: Literal["CONFIGURED", "FULL", "INCREMENTAL"] | None = None
    triggerId: str | None = None


@final
class _Disposal(msgspec.Struct, rename={"path": "savepoint-path"}):
    path: str


def trigger_savepoint(cluster: Cluster, asked: Asked) -> Any:
    """POST /jobs/:jobid/savepoints"""
    master = cluster.job(asked)
    body: _Savepoint = asked.read(_Savepoint)
    # What Flink calls cancelling with a savepoint is stopping with one, which commits what belongs to it.
    request = SavepointRequest(
        trigger_id=_trigger(body.triggerId),
        directory=_folder(body.directory),
        format=_FORMATS[body.formatType or "CANONICAL"],
        stop="suspend" if body.cancel else None,
    )
    return _begun(master, request)


def trigger_stop(cluster: Cluster, asked: Asked) -> Any:
    """POST /jobs/:jobid/stop"""
    master = cluster.job(asked)
    body: _Stop = asked.read(_Stop)
    request = SavepointRequest(
        trigger_id=_trigger(body.triggerId),
        directory=_folder(body.targetDirectory),
        format=_FORMATS[body.formatType or "CANONICAL"],
        stop="drain" if body.drain else "suspend",
    )
    return _begun(master, request)


def savepoint_status(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/savepoints/:triggerid"""
    operation = _known(cluster.job(asked), "savepoint", asked)
    found = {} if operation.location is None or operation.failure is not None else {"location": operation.location}
    return _status(operation, found, "failure-cause")


def trigger_checkpoint(cluster: Cluster, asked: Asked) -> Any:
    """POST /jobs/:jobid/checkpoints"""
    master = cluster.job(asked)
    body: _Checkpoint = asked.read(_Checkpoint)
    return _accepted(master.take_checkpoint(_trigger(body.triggerId), anew=body.checkpointType == "FULL"))


def checkpoint_status(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/checkpoints/:triggerid"""
    operation = _known(cluster.job(asked), "checkpoint", asked)
    found = {} if operation.checkpoint is None else {"checkpointId": operation.checkpoint}
    return _status(operation, found, "failureCause")


def trigger_disposal(cluster: Cluster, asked: Asked) -> Any:
    """POST /savepoint-disposal"""
    body: _Disposal = asked.read(_Disposal)
    path = _folder(body.path)
    if path is None:
        raise Refused(400, "savepoint-path is the address of a savepoint's folder; found nothing")
    return _accepted(cluster.master.dispose(path, None))


def disposal_status(cluster: Cluster, asked: Asked) -> Any:
    """GET /savepoint-disposal/:triggerid"""
    return _status(_known(cluster.master, "savepoint-disposal", asked), {}, "failure-cause")


def _begun(master: JobMaster, request: SavepointRequest) -> Any:
    try:
        return _accepted(master.savepoint(request))
    except ConfigurationError as error:
        raise Refused(400, str(error)) from error


def _accepted(operation: Operation) -> Any:
    operation.is_awaited = True
    return {"request-id": operation.trigger_id}


def _known(master: JobMaster, kind: OperationKind, asked: Asked) -> Operation:
    trigger = asked.hexadecimal("triggerid", "trigger")
    operation = master.operations.find(kind, trigger)
    if operation is None:
        raise Refused(404, f"Operation {trigger} not found: job {master.job} was not asked for it, or long ago")
    return operation


def _status(operation: Operation, found: dict[str, Any], failure: str) -> Any:
    if not operation.is_completed:
        return {"status": {"id": "IN_PROGRESS"}, "operation": None}
    operation.is_awaited = False
    if operation.failure is not None:
        told = f"{operation.failure.type}: {operation.failure.message}"
        found |= {failure: {"class": operation.failure.type, "stack-trace": told, "serialized-throwable": ""}}
    return {"status": {"id": "COMPLETED"}, "operation": found}


def _trigger(given: str | None) -> str | None:
    return None if given is None else hexadecimal(given, "trigger")


def _folder(given: str | None) -> str | None:
    if not given:
        return None
    if len(given) > _PATH_MAX or "\0" in given:
        raise Refused(400, f"a folder's address has at most {_PATH_MAX} characters, and no NUL")
    return given
