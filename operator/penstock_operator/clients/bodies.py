"""What is kept of an object: a head, which passes read each time, and all of it as bytes where that is read rarely.

A thousand jobs have nearly ten thousand objects, and as dictionaries each takes ten times the room that its text does.
Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from penstock_operator.clients.resources import DEPLOYMENTS, FLINK_JOBS, PODS, Resource
from penstock_operator.render.names import COMPONENT_LABEL, JOB_LABEL, REVISION_LABEL

Json = dict[str, Any]

_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_LABELS: Final = (JOB_LABEL, REVISION_LABEL, COMPONENT_LABEL)
_POD_STATUS: Final = ("phase", "podIP", "conditions", "initContainerStatuses", "containerStatuses")
_CONDITION: Final = ("type", "status", "reason", "message")
_CONTAINER: Final = ("name", "image", "ready", "restartCount", "state", "lastState")


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """One object."""

    head: Json
    text: bytes
    """All of it; empty where the head is."""

    @property
    def whole(self) -> Json:
        if not self.text:
            return self.head
        found: Json = msgspec.json.decode(self.text)
        return found


def kept(resource: Resource, body: Json) -> Kept:
    """Of a pod nothing is read but how it is, and where; FlinkJobs and their snapshots are read whole."""
    if resource.group == FLINK_JOBS.group:
        return Kept(slim(body), b"")
    head: Json = {"metadata": _metadata(body["metadata"])}
    status = body.get("status") or {}
    if resource is PODS:
        if status:
            head["status"] = _pod_status(status)
        if node := (body.get("spec") or {}).get("nodeName"):
            head["spec"] = {"nodeName": node}
        return Kept(head, b"")
    if resource is DEPLOYMENTS:
        head["spec"] = _picked(body.get("spec") or {}, ("replicas",))
        head["status"] = {"conditions": _each(status.get("conditions"), _CONDITION)}
    return Kept(head, msgspec.json.encode(slim(body)))


def slim(body: Json) -> Json:
    """Without what nobody here reads and takes most of the room."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def _metadata(metadata: Json) -> Json:
    head = _picked(metadata, _METADATA)
    if labels := metadata.get("labels"):
        head["labels"] = _picked(labels, _LABELS)
    return head


def _pod_status(status: Json) -> Json:
    head = _picked(status, _POD_STATUS)
    if "conditions" in head:
        head["conditions"] = _each(head["conditions"], _CONDITION)
    for key in ("initContainerStatuses", "containerStatuses"):
        if key in head:
            head[key] = _each(head[key], _CONTAINER)
    return head


def _each(items: Iterable[Json] | None, keys: tuple[str, ...]) -> list[Json]:
    return [_picked(item, keys) for item in items or ()]


def _picked(found: Mapping[str, Any], keys: tuple[str, ...]) -> Json:
    return {key: found[key] for key in keys if key in found}
