"""What counts as existing of a revision, as ready, as gone and as drifted."""

from typing import Any

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.likeness import sealed
from penstock_operator.clients.resources import DEPLOYMENTS, PODS, SERVICES
from penstock_operator.decide.facts import Deployed, Processes, Trouble, Unheard
from penstock_operator.observe.children import (
    deployed,
    has_drifted,
    newest_pod,
    revisions_present,
    unheard,
)
from penstock_operator.observe.trouble import Finding
from penstock_operator.render.names import COMPONENT_LABEL, JOB_LABEL, REVISION_LABEL

OWNER = Owner("ns", "j")
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
VERSION = "1"


def labels(revision: str, component: str) -> dict[str, str]:
    return {JOB_LABEL: "j", REVISION_LABEL: revision, COMPONENT_LABEL: component}


def deployment(component: str, replicas: int = 1, revision: str = "r1", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "namespace": "ns",
            "name": f"j-{revision}-{component}",
            "labels": labels(revision, component),
            **metadata,
        },
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
    }


def pod(name: str, component: str, *, ready: bool = True, revision: str = "r1", **metadata: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"namespace": "ns", "name": name, "labels": labels(revision, component), **metadata},
        "status": {"conditions": [condition], "podIP": f"10.0.0.{name[-1]}", "phase": "Running"},
    }


def cache_of(*bodies: dict[str, Any]) -> Cache:
    cache = Cache(clock=lambda: 0.0)
    for version, body in enumerate(bodies, 1):
        resource = {"Deployment": DEPLOYMENTS, "Service": SERVICES}.get(body.get("kind", ""), PODS)
        body["metadata"] |= {"uid": f"u{version}", "resourceVersion": str(version)}
        cache.put(resource, OWNER, body)
    return cache


def looked(cache: Cache, revision: str = "r1", **findings: Finding) -> Deployed:
    return deployed(cache, OWNER, revision, now_ms=NOW_MS, drifted=False, findings=findings)


def test_a_revision_is_what_its_deployments_want_and_its_pods_are() -> None:
    cache = cache_of(
        deployment("jobmanager"),
        deployment("taskmanager", 3),
        pod("p1", "jobmanager"),
        pod("p2", "taskmanager"),
        pod("p3", "taskmanager", ready=False),
        pod("p4", "taskmanager", revision="r2"),
    )
    assert looked(cache) == Deployed("r1", Processes(1, 1, 0), Processes(3, 1, 0))
    assert revisions_present(cache, OWNER, NOW_MS) == ("r1", "r2")


def test_a_revision_is_there_until_its_last_process_has_gone() -> None:
    going = pod("p1", "taskmanager", deletionTimestamp="2026-01-01T00:00:30Z")
    cache = cache_of(going)
    assert revisions_present(cache, OWNER, NOW_MS) == ("r1",)
    assert looked(cache) == Deployed("r1", Processes(0, 0, 0), Processes(0, 0, 0), being_removed=True)


def test_a_pod_that_nobody_has_heard_of_long_after_its_time_does_not_hold_up_anything() -> None:
    lost = pod("p1", "taskmanager", deletionTimestamp="2025-12-31T23:58:00Z")
    assert revisions_present(cache_of(lost), OWNER, NOW_MS) == ()


def test_a_pod_that_nobody_has_heard_of_is_told_with_its_node_and_an_ended_one_is_not() -> None:
    lost = pod("p1", "taskmanager", deletionTimestamp="2025-12-31T23:58:00Z") | {"spec": {"nodeName": "n1"}}
    over = pod("p2", "taskmanager", deletionTimestamp="2025-12-31T23:58:00Z") | {"status": {"phase": "Failed"}}
    going = pod("p3", "taskmanager", deletionTimestamp="2026-01-01T00:00:30Z")
    assert unheard(cache_of(lost, over, going), OWNER, NOW_MS) == (Unheard("r1", "pod p1 on node n1"),)


def test_a_pod_that_was_evicted_is_no_process() -> None:
    evicted = pod("p1", "jobmanager", ready=False)
    evicted["status"]["phase"] = "Failed"
    assert revisions_present(cache_of(evicted), OWNER, NOW_MS) == ()


def test_a_revision_is_being_removed_once_we_have_said_so() -> None:
    body = deployment("jobmanager")
    cache = cache_of(body)
    assert not looked(cache).being_removed
    cache.removing(OWNER, body)
    assert looked(cache).being_removed


def service(revision: str = "r1") -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": f"j-{revision}-rest", "labels": labels(revision, "jobmanager")}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}}


def test_what_was_applied_or_removed_in_part_is_to_be_completed_whichever_it_is_to_be() -> None:
    """Its maker died in between; nothing of it is on its way out."""
    cache = cache_of(service())
    wanted = [service(), deployment("jobmanager")]
    assert has_drifted(cache, OWNER, wanted)
    seen = deployed(cache, OWNER, "r1", now_ms=NOW_MS, drifted=True, findings={})
    assert (seen.drifted, seen.being_removed) == (True, False)


def test_what_was_refused_as_a_whole_is_to_be_applied_again() -> None:
    refusal = Finding(Trouble.NO_ROOM, "exceeded quota")
    seen = deployed(cache_of(), OWNER, "r1", now_ms=NOW_MS, drifted=True, findings={"jobmanager": refusal})
    assert (seen.drifted, seen.being_removed) == (True, False)


def test_a_trouble_known_from_elsewhere_is_told_where_pods_tell_none() -> None:
    refusal = Finding(Trouble.NO_ROOM, "exceeded quota")
    seen = looked(cache_of(), jobmanager=refusal)
    assert seen.jobmanager == Processes(0, 0, 0, Trouble.NO_ROOM, "exceeded quota")


def test_whoever_answers_is_the_newest_pod_that_stays() -> None:
    cache = cache_of(
        pod("p1", "jobmanager", creationTimestamp="2026-01-01T00:00:01Z"),
        pod("p2", "jobmanager", creationTimestamp="2026-01-01T00:00:02Z"),
        pod("p3", "jobmanager", creationTimestamp="2026-01-01T00:00:03Z", deletionTimestamp="2026-01-01T00:01:00Z"),
    )
    found = newest_pod(cache, OWNER, "r1", "jobmanager")
    assert found is not None
    assert found["metadata"]["name"] == "p2"
    assert newest_pod(cache, OWNER, "r9", "jobmanager") is None


def drifted(live: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    return has_drifted(cache_of() if live is None else cache_of(live), OWNER, [wanted])


def test_what_is_missing_has_drifted() -> None:
    assert drifted(None, deployment("jobmanager"))
    assert not drifted(sealed(deployment("jobmanager"), VERSION), deployment("jobmanager"))


def test_what_somebody_changed_has_drifted() -> None:
    changed = sealed(deployment("jobmanager"), VERSION)
    changed["spec"] = deployment("jobmanager", replicas=5)["spec"]
    assert drifted(changed, deployment("jobmanager"))


def test_what_another_version_of_the_operator_made_has_not_drifted() -> None:
    older = deployment("jobmanager")
    older["spec"] = {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}
    assert not drifted(sealed(older, "0"), deployment("jobmanager"))


def test_what_lies_in_a_secret_is_nobodys_to_compare() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    assert not has_drifted(cache_of(), OWNER, [secret])
