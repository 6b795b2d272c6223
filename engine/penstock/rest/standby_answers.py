"""Answers of a JobManager in standby: how far it is, the word to start, the look before it; and of Kubernetes' probes.

Not in Flink's REST. Bodies are read field by field, and fields that are not known are refused: a start that was
misread could not be taken back.
"""

from typing import Any, Final, Literal, final

import msgspec

from penstock.jobmanager.reign import StartOrder
from penstock.jobmanager.standing import Verdict
from penstock.rest.asking import Asked, Cluster, Refused, StandbyDesk, StandbyView

_ID_MAX: Final = 128
_PATH_MAX: Final = 4096


@final
class _From(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["empty", "newest", "savepoint", "checkpoint"]
    path: str | None = None


@final
class _Start(msgspec.Struct, forbid_unknown_fields=True, rename={"origin": "from"}):
    startId: str
    origin: _From
    allowNonRestoredState: bool = False
    claimMode: Literal["NO_CLAIM", "CLAIM"] = "NO_CLAIM"


@final
class _Preflight(msgspec.Struct, forbid_unknown_fields=True):
    against: str | None = None
    allowNonRestoredState: bool | None = None


def alive(cluster: Cluster, asked: Asked) -> Any:
    """GET /penstock/alive: the process serves"""
    return {}


def ready(cluster: Cluster, asked: Asked) -> Any:
    """GET /penstock/ready: 200 once the script was loaded, 503 before"""
    return {"job": cluster.master.job}


def standby(cluster: Cluster, asked: Asked) -> Any:
    """GET /penstock/standby"""
    return shown(_desk(cluster).view())


def start(cluster: Cluster, asked: Asked) -> Any:
    """POST /penstock/standby: done once under one startId, however often it is asked for"""
    desk, body = _desk(cluster), _started(asked)
    order = StartOrder(
        id=body.startId,
        kind=body.origin.kind,
        path=_path(body.origin),
        allow_unclaimed=body.allowNonRestoredState,
        claim=body.claimMode == "CLAIM",
    )
    refusal = _refusal(desk.start(order), desk.view())
    if refusal is not None:
        raise refusal
    return shown(desk.view())


async def preflight(cluster: Cluster, asked: Asked) -> Any:
    """POST /penstock/preflight: the report of `penstock check --json`"""
    body: _Preflight = asked.read(_Preflight)
    if body.against is not None:
        _check_path(body.against, "against")
    if cluster.standby is not None:
        assert cluster.master is not None, "there is a script to look at"
    report = await _desk(cluster).preflight(body.against, body.allowNonRestoredState)
    return report.fields()


def _desk(cluster: Cluster) -> StandbyDesk:
    if cluster.standby is None:
        raise Refused(404, "this JobManager is not in standby: it was started without --standby")
    return cluster.standby


def _started(asked: Asked) -> _Start:
    body: _Start = asked.read(_Start)
    if not body.startId or len(body.startId) > _ID_MAX:
        raise Refused(400, f"startId is a text of 1 to {_ID_MAX} characters that names this start")
    return body


def _path(origin: _From) -> str | None:
    if origin.kind in ("empty", "newest"):
        if origin.path is not None:
            raise Refused(400, f"from.path is for savepoints and checkpoints; found one with kind {origin.kind}")
        return None
    if not origin.path:
        raise Refused(400, f"from.path is missing: the address of the {origin.kind}'s folder")
    _check_path(origin.path, "from.path")
    return origin.path


def _check_path(path: str, where: str) -> None:
    if not path or len(path) > _PATH_MAX or "\0" in path:
        raise Refused(400, f"{where} is a folder's address of at most {_PATH_MAX} characters, without NUL")


def _refusal(verdict: Verdict, view: StandbyView) -> Refused | None:
    standing = view.standing
    match verdict:
        case "begin" | "known":
            return None
        case "not-loaded":
            return Refused(503, standing.error or "the job's script is being loaded; try again")
        case "cannot":
            return Refused(409, f"there is no job to start: {standing.error}")
        case "started":
            by = "by itself, as the journal says" if standing.start_id is None else f"by startId {standing.start_id}"
            return Refused(409, f"the job has been started already, {by}")


def shown(view: StandbyView) -> dict[str, Any]:
    """As standby and summary have it."""
    standing = view.standing
    return {
        "revision": standing.revision,
        "state": standing.state,
        "startId": standing.start_id,
        "error": standing.error,
        "slots": {"required": view.slots_required, "registered": view.slots_registered},
        "preflight": _preflight(view),
        "ended": standing.ended,
    }


def _preflight(view: StandbyView) -> dict[str, Any]:
    report = view.preflight
    if report is None:
        return {"status": "UNKNOWN", "against": view.against, "findings": []}
    if report.outcome == "error":
        return {"status": "UNKNOWN", "against": view.against, "findings": [report.error]}
    refused = report.outcome == "incompatible"
    wanted = "refusal" if refused else "note"
    return {
        "status": "INCOMPATIBLE" if refused else "COMPATIBLE",
        "against": view.against,
        "findings": [finding.message for finding in report.findings if finding.severity == wanted],
    }
