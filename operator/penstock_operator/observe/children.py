"""What exists of each revision's processes, from the cache alone. Pure but for the cache it reads.

Whatever carries a revision's label counts until it has gone, so that one revision is never taken for removed while a
process of it may live.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.likeness import covers, digest, digest_on
from penstock_operator.clients.resources import BUDGETS, CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, resource_of
from penstock_operator.decide.facts import Deployed, Processes, Trouble, Unheard
from penstock_operator.observe.trouble import Finding, find, is_ready, restarts
from penstock_operator.render.names import COMPONENT_LABEL, REVISION_LABEL

Json = dict[str, Any]

WATCHED: Final = (DEPLOYMENTS, SERVICES, CONFIG_MAPS, BUDGETS)
"""Children whose presence the watches tell."""
OVERDUE_S: Final = 60.0
"""So long after its time was up a pod that still exists is on a node that nobody hears of: the store fences it off."""
ENDED: Final = ("Succeeded", "Failed")
"""Phases of pods in which no process is left."""
_NOTHING: Final = Processes(0, 0, 0)


def revisions_present(cache: Cache, owner: Owner, now_ms: int) -> tuple[str, ...]:
    """Of which anything exists."""
    bodies = [body for resource in WATCHED for body in cache.belongings(owner, resource)]
    bodies += [pod for pod in cache.belongings(owner, PODS) if may_live(pod, now_ms)]
    return tuple(sorted({r for body in bodies if (r := _label(body, REVISION_LABEL))}))


def deployed(
    cache: Cache,
    owner: Owner,
    revision: str,
    *,
    now_ms: int,
    drifted: bool,
    findings: Mapping[str, Finding],
) -> Deployed:
    """One revision. `findings` are troubles known from elsewhere than the pods, by component."""
    jobmanager = _processes(cache, owner, revision, "jobmanager", now_ms, findings)
    taskmanagers = _processes(cache, owner, revision, "taskmanager", now_ms, findings)
    # All kinds: who died between two of them has left a part, to be completed or removed. Pods go by themselves; and of
    # what the API server refused there may be nothing at all.
    children = [body for resource in WATCHED for body in _of(cache, owner, resource, revision)]
    left = children or _of(cache, owner, PODS, revision)
    removed = bool(left) and all(cache.being_removed(owner, body) for body in children)
    return Deployed(revision, jobmanager, taskmanagers, being_removed=removed, drifted=drifted and not removed)


def has_drifted(cache: Cache, owner: Owner, manifests: Sequence[Json]) -> bool:
    """Whether one of these is missing, or differs although this very version of the operator applied it."""
    for manifest in manifests:
        resource = resource_of(manifest)
        if resource not in WATCHED:
            continue  # A Secret is not watched: its content is nobody's to see.
        name = manifest["metadata"]["name"]
        live = cache.whole(owner, resource, name)
        if live is None or (digest_on(live) == digest(manifest) and not covers(live, manifest)):
            return True
    return False


def newest_pod(cache: Cache, owner: Owner, revision: str, component: str) -> Json | None:
    """The one that would answer: it has an address, and was not told to go."""
    pods = [
        pod
        for pod in _of(cache, owner, PODS, revision, component)
        if "deletionTimestamp" not in pod["metadata"] and (pod.get("status") or {}).get("podIP")
    ]
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def may_live(pod: Json, now_ms: int) -> bool:
    """Whether there may be a process in it."""
    if (pod.get("status") or {}).get("phase") in ENDED:
        return False
    deadline = pod["metadata"].get("deletionTimestamp")
    return deadline is None or now_ms < _ms(deadline) + OVERDUE_S * 1000


def unheard(cache: Cache, owner: Owner, now_ms: int) -> tuple[Unheard, ...]:
    """Pods that exist, and of which nothing may be hoped or feared any more."""
    return tuple(
        Unheard(_label(pod, REVISION_LABEL), f"pod {pod['metadata']['name']} on node {_node(pod)}")
        for pod in cache.belongings(owner, PODS)
        if (pod.get("status") or {}).get("phase") not in ENDED and not may_live(pod, now_ms)
    )


def pods_of(cache: Cache, owner: Owner, revision: str, component: str) -> list[Json]:
    return _of(cache, owner, PODS, revision, component)


def _processes(
    cache: Cache, owner: Owner, revision: str, component: str, now_ms: int, findings: Mapping[str, Finding]
) -> Processes:
    deployment = next(iter(_of(cache, owner, DEPLOYMENTS, revision, component)), None)
    pods = [pod for pod in pods_of(cache, owner, revision, component) if may_live(pod, now_ms)]
    if deployment is None and not pods:
        return _with(_NOTHING, findings.get(component))
    wanted = 0 if deployment is None else int((deployment.get("spec") or {}).get("replicas", 1))
    state = Processes(wanted, sum(map(is_ready, pods)), restarts(pods))
    return _with(state, find(deployment, pods) or findings.get(component))


def _with(state: Processes, finding: Finding | None) -> Processes:
    if finding is None:
        return state
    trouble: Trouble = finding.trouble
    return Processes(state.wanted, state.ready, state.restarts, trouble, finding.message)


def _of(cache: Cache, owner: Owner, resource: Any, revision: str, component: str = "") -> list[Json]:
    return [
        body
        for body in cache.belongings(owner, resource)
        if _label(body, REVISION_LABEL) == revision and component in ("", _label(body, COMPONENT_LABEL))
    ]


def _label(body: Json, label: str) -> str:
    return str((body["metadata"].get("labels") or {}).get(label, ""))


def _node(pod: Json) -> str:
    return str((pod.get("spec") or {}).get("nodeName", "that is not known"))


def _ms(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp() * 1000
