"""Why pods do not run, from what Kubernetes says of them. Pure.

The words are the kubelet's, the scheduler's and the controllers'; a test holds each of them. What is not known to be a
trouble is none: it may yet become well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from penstock_operator.decide.facts import Trouble

Json = dict[str, Any]

IMAGE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
CONFIG: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"}
)
MOUNT: Final = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
"""Reasons of events: a pod whose volume is missing says nothing itself."""
MESSAGE_MAX: Final = 400
CRASHES_MIN: Final = 2
"""Ends of one container from which on it is not an accident."""


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in whose words."""

    trouble: Trouble
    message: str


def find(deployment: Mapping[str, Any] | None, pods: Sequence[Json]) -> Finding | None:
    """The first of a Deployment's pods that has a trouble, or the Deployment's own."""
    for pod in pods:
        if "deletionTimestamp" not in pod["metadata"] and (found := _of_pod(pod)) is not None:
            return found
    return None if deployment is None else _of_deployment(deployment)


def of_refusal(message: str) -> Finding:
    """The API server would not have something that was to be created."""
    return Finding(Trouble.NO_ROOM if "exceeded quota" in message else Trouble.CONFIG, _short(message))


def waits_for_volumes(pod: Json) -> bool:
    """It has a node, and no container of it was begun: only an event would say why."""
    conditions = _conditions(pod)
    if conditions.get("PodScheduled", {}).get("status") != "True":
        return False
    states = [status.get("state") or {} for status in _statuses(pod)]
    return bool(states) and all(
        (state.get("waiting") or {}).get("reason") in ("ContainerCreating", "PodInitializing") for state in states
    )


def of_events(events: Iterable[Json]) -> Finding | None:
    """From a pod's events, oldest first: why its volumes are not there."""
    said = [event for event in events if event.get("type") == "Warning" and event.get("reason") in MOUNT]
    if not said:
        return None
    message = said[-1].get("message") or said[-1]["reason"]
    return Finding(Trouble.CONFIG, _short(message))


def restarts(pods: Iterable[Json]) -> int:
    return sum(int(status.get("restartCount") or 0) for pod in pods for status in _statuses(pod))


def is_ready(pod: Json) -> bool:
    ready = _conditions(pod).get("Ready", {}).get("status") == "True"
    return ready and "deletionTimestamp" not in pod["metadata"]


def _of_pod(pod: Json) -> Finding | None:
    scheduled = _conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Finding(Trouble.NO_ROOM, _short(scheduled.get("message") or "no node has room"))
    for status in _statuses(pod):
        if (found := _of_container(status)) is not None:
            return found
    return None


def _of_container(status: Json) -> Finding | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or ""
    if reason in IMAGE:
        return Finding(Trouble.IMAGE, _short(f"{reason}: {waiting.get('message') or status.get('image', '')}"))
    if reason in CONFIG:
        return Finding(Trouble.CONFIG, _short(f"{reason}: {waiting.get('message') or 'no reason given'}"))
    ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
    again = reason == "CrashLoopBackOff" or int(status.get("restartCount") or 0) >= CRASHES_MIN
    if again and not status.get("ready") and ended:
        return Finding(Trouble.CRASHES, _short(_last_words(ended)))
    return None


def _of_deployment(deployment: Mapping[str, Any]) -> Finding | None:
    failure = _conditions(deployment).get("ReplicaFailure", {})
    if failure.get("status") != "True":
        return None
    message = str(failure.get("message") or failure.get("reason") or "pods cannot be created")
    return of_refusal(message)


def _last_words(ended: Json) -> str:
    """The end of what it said, since that is where the reason stands."""
    reason, code = ended.get("reason") or "Error", ended.get("exitCode")
    lines = str(ended.get("message") or "").strip().splitlines()
    said = lines[-1].strip() if lines else ""
    head = f"{reason}, exit code {code}"
    return f"{head}: {said}" if said else head


def _conditions(body: Mapping[str, Any]) -> dict[str, Json]:
    listed = (body.get("status") or {}).get("conditions") or ()
    return {condition["type"]: condition for condition in listed}


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= MESSAGE_MAX else f"{text[: MESSAGE_MAX - 1]}…"
