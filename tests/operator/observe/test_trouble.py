"""What pods and Deployments say when they cannot run, in the words of Kubernetes, and what that is taken for."""

from typing import Any

import pytest

from penstock_operator.decide.facts import Trouble
from penstock_operator.observe.trouble import find, is_ready, of_events, of_refusal, restarts, waits_for_volumes

SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(*statuses: dict[str, Any], conditions: tuple[dict[str, Any], ...] = (SCHEDULED,)) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"conditions": list(conditions), "containerStatuses": list(statuses)}}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"name": "main", "image": "img", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(message: str = "", reason: str = "Error", code: int = 1) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("ErrImagePull", Trouble.IMAGE),
        ("ImagePullBackOff", Trouble.IMAGE),
        ("InvalidImageName", Trouble.IMAGE),
        ("ErrImageNeverPull", Trouble.IMAGE),
        ("CreateContainerConfigError", Trouble.CONFIG),
        ("CreateContainerError", Trouble.CONFIG),
        ("RunContainerError", Trouble.CONFIG),
    ],
)
def test_a_container_that_cannot_begin_says_why(reason: str, trouble: Trouble) -> None:
    found = find(None, [pod(waiting(reason, "in its own words"))])
    assert found is not None
    assert found.trouble is trouble
    assert found.message == f"{reason}: in its own words"


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", ""])
def test_what_is_only_beginning_is_no_trouble(reason: str) -> None:
    assert find(None, [pod(waiting(reason))]) is None
    assert find(None, []) is None
    assert find(None, [{"metadata": {"name": "p"}}]) is None


def test_a_pod_without_a_node_has_no_room() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }
    found = find(None, [pod(conditions=(condition,))])
    assert found is not None
    assert found.trouble is Trouble.NO_ROOM
    assert "Insufficient memory" in found.message


def test_a_container_that_ends_again_and_again_is_quoted_with_its_last_line() -> None:
    said = "Traceback (most recent call last):\n  ...\nValueError: no such topic\n"
    found = find(None, [pod(waiting("CrashLoopBackOff", restartCount=1, lastState=ended(said)))])
    assert found is not None
    assert found.trouble is Trouble.CRASHES
    assert found.message == "Error, exit code 1: ValueError: no such topic"


def test_out_of_memory_is_named() -> None:
    found = find(None, [pod(waiting("CrashLoopBackOff", lastState=ended(reason="OOMKilled", code=137)))])
    assert found is not None
    assert found.message == "OOMKilled, exit code 137"


def test_one_restart_is_an_accident() -> None:
    assert find(None, [pod({"restartCount": 1, "state": {"running": {}}, "lastState": ended("once")})]) is None
    well_again = {"restartCount": 7, "ready": True, "state": {"running": {}}, "lastState": ended("long ago")}
    assert find(None, [pod(well_again)]) is None


def test_a_pod_that_was_told_to_go_has_no_trouble() -> None:
    body = pod(waiting("ErrImagePull"))
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find(None, [body]) is None


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        ('pods "j" is forbidden: exceeded quota: small, requested: memory=1Gi', Trouble.NO_ROOM),
        ('pods "j" is forbidden: violates PodSecurity "restricted:latest"', Trouble.CONFIG),
    ],
)
def test_a_deployment_whose_pods_are_refused_says_so(message: str, trouble: Trouble) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = find({"status": {"conditions": [condition]}}, [])
    assert found is not None
    assert (found.trouble, found.message) == (trouble, message)
    assert of_refusal(message) == found
    assert find({"status": {"conditions": [{**condition, "status": "False"}]}}, []) is None


def test_only_events_tell_of_volumes_that_are_missing() -> None:
    assert waits_for_volumes(pod(waiting("ContainerCreating")))
    assert not waits_for_volumes(pod(waiting("ImagePullBackOff")))
    assert not waits_for_volumes(pod({"state": {"running": {}}}))
    assert not waits_for_volumes(pod(conditions=()))
    events = [
        {"type": "Normal", "reason": "Scheduled", "message": "assigned"},
        {"type": "Warning", "reason": "FailedMount", "message": 'configmap "script" not found'},
    ]
    found = of_events(events)
    assert found is not None
    assert (found.trouble, found.message) == (Trouble.CONFIG, 'configmap "script" not found')
    assert of_events(events[:1]) is None


def test_restarts_are_those_of_all_containers() -> None:
    assert restarts([pod({"restartCount": 2}, {"restartCount": 1}), pod({})]) == 3


def test_a_pod_that_goes_is_not_ready() -> None:
    body = pod(conditions=({"type": "Ready", "status": "True"},))
    assert is_ready(body)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_ready(body)
