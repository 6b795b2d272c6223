"""FlinkJobs and FlinkStateSnapshots as they are in the API, as facts. Pure.

A person may have edited anything, status included: what cannot be read counts as not there, part by part.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from penstock_operator.decide.facts import JobObject, SnapshotObject
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import FlinkJobSpec, FlinkStateSnapshotSpec, from_json
from penstock_operator.model.status import Status
from penstock_operator.model.validation import check_for_cluster, validate_job, validate_name
from penstock_operator.render.names import FINALIZER, PAUSED

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]


def job_object(body: Json, before: JobObject | None = None) -> JobObject:
    """A FlinkJob with every error in its spec. `before`: the same object as it was; a spec of the same generation is
    not checked again."""
    metadata = body["metadata"]
    generation = int(metadata.get("generation") or 0)
    if before is not None and generation and (before.uid, before.generation) == (metadata["uid"], generation):
        spec, errors = before.spec, before.errors
    else:
        spec, errors = _checked(metadata["name"], body.get("spec"))
    status, whole = _status(body.get("status"))
    return JobObject(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=generation,
        resource_version=metadata["resourceVersion"],
        created_at=str(metadata.get("creationTimestamp") or ""),
        spec=spec,
        errors=errors,
        status=status,
        deleting_since=metadata.get("deletionTimestamp"),
        paused=_is_paused(metadata),
        finalizer=FINALIZER in (metadata.get("finalizers") or ()),
        status_damaged=not whole,
    )


def snapshot_object(body: Json) -> SnapshotObject | None:
    """None for one that cannot be read; the schema of its kind lets none such pass."""
    metadata, status = body["metadata"], body.get("status") or {}
    try:
        spec = from_json(body["spec"], FlinkStateSnapshotSpec)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        log.warning("snapshot cannot be read", extra={"object": metadata["name"], "error": str(error)})
        return None
    return SnapshotObject(
        name=metadata["name"],
        uid=metadata["uid"],
        kind="checkpoint" if spec.savepoint is None else "savepoint",
        phase=_text(status.get("phase")),
        trigger_id=_text(status.get("triggerId")),
        path=_text(status.get("path")),
        attempts=status["attempts"] if isinstance(status.get("attempts"), int) else 0,
        backoff_limit=spec.backoff_limit,
        deleting="deletionTimestamp" in metadata,
        dispose_on_delete=spec.disposes,
        finalizer=FINALIZER in (metadata.get("finalizers") or ()),
        created_at=str(metadata.get("creationTimestamp") or ""),
        already_exists=spec.savepoint is not None and spec.savepoint.already_exists,
        directory="" if spec.savepoint is None else spec.savepoint.path or "",
        format="canonical" if spec.savepoint is None else spec.savepoint.format,
        generation=int(metadata.get("generation") or 0),
    )


def read_status(raw: Any) -> Status:
    """Whole, or without the parts that cannot be read."""
    return _status(raw)[0]


def _checked(name: str, raw: Any) -> tuple[FlinkJobSpec | None, tuple[FieldError, ...]]:
    spec, wrong = validate_job(raw)
    errors = (*validate_name(name), *wrong, *(check_for_cluster(spec) if spec else ()))
    return None if errors else spec, errors


def _status(raw: Any) -> tuple[Status, bool]:
    """And whether it is whole."""
    if not isinstance(raw, Mapping):
        return Status(), raw is None
    try:
        return msgspec.convert(raw, Status), True
    except msgspec.ValidationError as error:
        log.warning("status cannot be read whole", extra={"error": str(error)})
    fields = {field.encode_name: (field.name, field.type) for field in msgspec.structs.fields(Status)}
    parts = {}
    for key, value in raw.items():
        if key in fields:
            name, kind = fields[key]
            try:
                parts[name] = msgspec.convert(value, kind)
            except msgspec.ValidationError:
                continue
    return Status(**parts), False


def _is_paused(metadata: Json) -> bool:
    return str((metadata.get("annotations") or {}).get(PAUSED, "false")).lower() not in ("false", "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
