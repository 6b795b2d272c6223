"""What a cluster may do to its operator: nothing is lost, nobody asks without end, and the object says what to do."""

import contextlib
from typing import Any

import pytest

from penstock.testing.cluster_operator import ACCOUNT, OperatorProcess
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Refused
from penstock.testing.kubernetes.control_plane import ControlPlane, Request
from penstock.testing.pretended_pods import PretendedPods
from penstock.testing.stages import NAME, said, stable, upgraded
from penstock.testing.steps import wait_until

READING = ("get", "list", "watch")
JOB = "penstock.dev/v1alpha1/FlinkJob"


@pytest.fixture
def pods(stage: ClusterStage):
    with PretendedPods(stage.namespace) as pods:
        yield pods


def manifest(stage: ClusterStage, **job: Any) -> dict[str, Any]:
    """Of a job whose upgrades need no state, since nothing of it runs."""
    return stage.manifest(upgradeMode="stateless", **job)


def asked(plane: ControlPlane, stage: ClusterStage) -> list[Request]:
    return plane.requests(stage.namespace.name, ACCOUNT)


def processes(stage: ClusterStage) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stage.namespace.pods()}


def test_a_killed_api_server_costs_a_job_nothing(
    plane: ControlPlane, stage: ClusterStage, operator: OperatorProcess, pods: PretendedPods
) -> None:
    stage.apply(manifest(stage))
    before = stable(stage)
    running = processes(stage)
    known = len(asked(plane, stage))
    with plane.without("kube-apiserver"):
        pass
    operator.forgive()
    version = before.object["metadata"]["resourceVersion"]
    path = plane.api.path(JOB, namespace=stage.namespace.name)
    query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": 1}

    def cannot_be_gone_on_with() -> bool:
        with contextlib.suppress(Refused):  # 429, until it has its storage.
            return '"code":410' in plane.api.text("GET", path, query=query)
        return False

    wait_until(cannot_be_gone_on_with, 30, lambda: "what was watched is gone on with")

    stage.apply(manifest(stage, args=["other"]))
    after = upgraded(stage, before)
    assert pods.told(before.revision) == pods.told(after.revision) == ["start"]
    assert not running & processes(stage)
    since = asked(plane, stage)[known:]
    assert len(since) < 300, "nobody asks without end"
    assert {"flinkjobs", "pods"} <= {r.resource for r in since if r.verb == "list"}, "it listed anew"


def test_a_steady_job_costs_no_write_and_hardly_a_read(
    plane: ControlPlane, stage: ClusterStage, pods: PretendedPods
) -> None:
    stage.apply(manifest(stage))
    seen = stable(stage)
    settled = pods.looks(seen.revision) + 2  # The first pass after the last write tells what came of it.
    stage.wait("it was looked at", lambda _: pods.looks(seen.revision) >= settled)
    known = len(asked(plane, stage))
    stage.wait("it was looked at three times more", lambda _: pods.looks(seen.revision) >= settled + 3)
    since = [request for request in asked(plane, stage)[known:] if request.resource != "leases"]
    assert not [request for request in since if request.verb not in READING]
    assert len(since) <= 5, since


@pytest.mark.parametrize("what", ["count/deployments.apps", "count/pods"])
def test_a_quota_that_is_exceeded_is_told_and_its_raise_is_noticed(
    plane: ControlPlane, stage: ClusterStage, operator: OperatorProcess, pods: PretendedPods, what: str
) -> None:
    """Of what the operator creates itself, and of what controllers create for it."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    stage.namespace.apply({**quota, "spec": {"hard": {what: "0"}}})
    stage.namespace.wait("v1/ResourceQuota", "small", lambda found: what in found["status"]["used"])
    stage.apply(manifest(stage))
    told = f"exceeded quota: small, requested: {what}=1"
    stage.wait("it is told", lambda seen: told in said(seen))
    stage.namespace.delete("v1/ResourceQuota", "small")
    stable(stage)
    assert len(asked(plane, stage)) < 300, "nobody asks without end"
    operator.forgive()


def test_a_status_that_was_edited_by_hand_is_put_right(
    plane: ControlPlane, stage: ClusterStage, pods: PretendedPods
) -> None:
    stage.apply(manifest(stage))
    before = stable(stage)
    running = processes(stage)
    forged = {
        "kind": "Delete",
        "step": "Cleaning",
        "startedAt": "2020-01-01T00:00:00Z",
        "stepStartedAt": "2020-01-01T00:00:00Z",
    }
    for edit in (
        {"lifecycleState": "Dreaming", "error": "nonsense", "conditions": []},
        {"operation": forged},
        {"operation": {**forged, "kind": "Upgrade", "step": "Starting", "revision": "nowhere"}},
        {"operation": {**forged, "kind": "Nonsense"}},
    ):
        path = plane.api.path(JOB, f"{NAME}/status", stage.namespace.name)
        written = plane.api.json("PATCH", path, {"status": edit}, content_type="application/merge-patch+json")
        version = int(written["metadata"]["resourceVersion"])
        seen = stage.wait(
            f"it is stable in spite of {edit}",
            lambda seen, version=version: int(seen.object["metadata"]["resourceVersion"]) > version and seen.stable,
            30,
        )
        assert (seen.revision, seen.error) == (before.revision, ""), edit
    assert pods.told(before.revision) == ["start"]
    assert processes(stage) == running
    assert len(asked(plane, stage)) < 200, "nobody asks without end"
