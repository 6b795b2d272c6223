"""What a job keeps: its retained checkpoints and its savepoints, each with size, age, and whether the job needs it.

Not in Flink's REST. What is not needed is removed by `/savepoint-disposal`, which takes either.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from penstock.base.errors import ConfigurationError, StorageError
from penstock.jobmanager.keeping import Kept
from penstock.rest.asking import Asked, Cluster, Refused


class _Retention(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    pinned: Annotated[tuple[str, ...], Meta(max_length=1_000)] | None = None


async def kept(cluster: Cluster, asked: Asked) -> Any:
    """GET /penstock/kept?directory=...: newest first; without a directory, savepoints where the job puts them"""
    master, now_ms = cluster.master, cluster.clock.now_ms()
    try:
        checkpoints, savepoints = await master.kept(asked.query.get("directory"))
    except ConfigurationError as error:
        raise Refused(400, str(error)) from error
    except StorageError as error:
        raise Refused(503, str(error)) from error
    return {
        "checkpoints": [_shown(each, now_ms) for each in checkpoints],
        "savepoints": [_shown(each, now_ms) for each in savepoints],
    }


def keep(cluster: Cluster, asked: Asked) -> Any:
    """PUT /penstock/retention: how many completed checkpoints are retained from now on, until this JobManager ends, and
    what is pinned: addresses of checkpoints and savepoints that stay (not given: the same as so far)"""
    body: _Retention = asked.read(_Retention)
    try:
        heeded = cluster.master.keep(body.count, body.pinned)
    except ConfigurationError as error:
        raise Refused(400, str(error)) from error
    if not heeded:
        raise Refused(409, "the job does not run: what it retains cannot be changed now")
    return {}


def _shown(kept: Kept, now_ms: int) -> dict[str, Any]:
    return {
        "path": kept.path,
        "id": kept.id,
        "triggerTime": kept.triggered_ms,
        "age": None if kept.triggered_ms is None else max(0, now_ms - kept.triggered_ms),
        "stateSize": kept.state_bytes,
        "needed": kept.needed,
        "pinned": kept.pinned,
        "damaged": kept.damaged,
    }
