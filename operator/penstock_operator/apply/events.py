"""Events on a FlinkJob, for `kubectl describe`: what happened again is counted on the Event that is there.

A pass calls it after each decision. It never fails a pass: an Event that cannot be written is in the log.
"""

import datetime
import hashlib
import logging
from typing import Any, Final, final

from penstock_operator.clients.kube import FIELD_MANAGER, Kube
from penstock_operator.clients.resources import EVENTS, FLINK_JOBS
from penstock_operator.decide.acts import Event
from penstock_operator.errors import Conflict, OperatorError

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

NOTE_MAX: Final = 1_024
"""What the API server takes."""


@final
class Events:
    """Writes them under one identity: that of this process."""

    def __init__(self, kube: Kube, *, instance: str) -> None:
        self._kube = kube
        self._instance = instance

    async def tell(self, body: Json, event: Event) -> None:
        """About a FlinkJob as it was read."""
        try:
            await self._tell(body, event)
        except OperatorError as error:
            log.warning("event not written", extra={"reason": event.reason, "said": event.message, "error": str(error)})

    async def _tell(self, body: Json, event: Event) -> None:
        new = manifest(body, event, instance=self._instance, now=_now())
        metadata = new["metadata"]
        try:
            await self._kube.create(EVENTS, metadata["namespace"], new)
        except Conflict:
            # The name says what it is about, so that also an operator that was started again finds the one there is.
            there = await self._kube.get(EVENTS, metadata["namespace"], metadata["name"])
            again = {"count": int(there.get("count") or 1) + 1, "lastTimestamp": new["lastTimestamp"]}
            await self._kube.merge(EVENTS, metadata["namespace"], metadata["name"], again)


def event_name(job: str, uid: str, event: Event) -> str:
    text = f"{uid}/{event.type}/{event.reason}/{event.message}"
    return f"{job}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def manifest(body: Json, event: Event, *, instance: str, now: str) -> Json:
    metadata, second = body["metadata"], f"{now.partition('.')[0]}Z"
    name = event_name(metadata["name"], metadata["uid"], event)
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "eventTime": now,
        # By which `kubectl describe` sorts.
        "firstTimestamp": second,
        "lastTimestamp": second,
        "count": 1,
        "type": event.type,
        "reason": event.reason,
        "action": event.reason,
        "message": event.message if len(event.message) <= NOTE_MAX else f"{event.message[: NOTE_MAX - 1]}…",
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": f"penstock.dev/{FIELD_MANAGER}",
        "reportingInstance": instance,
        "involvedObject": {
            "apiVersion": FLINK_JOBS.api_version,
            "kind": FLINK_JOBS.kind,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
