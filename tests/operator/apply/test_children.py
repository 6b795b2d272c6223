"""How a revision's children are applied, and what is left alone."""

from typing import Any

from penstock_operator.apply.applying import fewer, finalizer_patch
from penstock_operator.apply.children import deploy, kept_as_rendered, remove
from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.likeness import sealed
from penstock_operator.clients.resources import DEPLOYMENTS, SECRETS
from penstock_operator.render.names import FINALIZER, REVISION_LABEL

OWNER = Owner("ns", "j")
META = {"namespace": "ns", "name": "t"}
SECRET: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": META, "data": {}}


def deployment(image: str = "new", replicas: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "ns", "name": "d", "labels": {REVISION_LABEL: "r1"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
    }


def cached(body: dict[str, Any], version: int = 1) -> Cache:
    body["metadata"] |= {"uid": "u", "resourceVersion": str(version)}
    cache = Cache(clock=lambda: 0.0)
    cache.put(DEPLOYMENTS, OWNER, body)
    return cache


def test_what_another_version_rendered_is_not_restarted_and_still_scaled() -> None:
    live = sealed(deployment("old"), "1")
    wanted = kept_as_rendered(live, deployment("new", replicas=3), "2")
    assert wanted["spec"]["template"] == live["spec"]["template"]
    assert wanted["spec"]["replicas"] == 3
    assert kept_as_rendered(live, deployment("new"), "1") == deployment("new")
    assert kept_as_rendered(deployment("strange"), deployment("new"), "2") == deployment("new")


async def test_what_pods_need_comes_before_them_and_a_secret_is_made_once(api_server: Any) -> None:
    kube, cache = api_server.client(), Cache(clock=lambda: 0.0)
    applied = [deployment(), SECRET]
    for manifest in applied:
        manifest["metadata"]["uid"] = "u"  # As the API server would give it.
    await deploy(kube, cache, OWNER, applied, "1")
    assert [path for _, path in api_server.requests] == [SECRETS.path("ns"), DEPLOYMENTS.path("ns", "d")]
    held = api_server.objects[SECRETS.path("ns", "t")]
    await deploy(kube, cache, OWNER, [{**SECRET, "data": {"token": "another"}}], "1")
    assert api_server.objects[SECRETS.path("ns", "t")] == held
    assert [body["metadata"]["name"] for body in cache.belongings(OWNER, DEPLOYMENTS)] == ["d"]


async def test_a_removal_is_asked_for_once(api_server: Any) -> None:
    body = deployment()
    cache = cached(body)
    api_server.put(DEPLOYMENTS.path("ns", "d"), deployment())
    kube = api_server.client()
    await remove(kube, cache, OWNER, "r1")
    await remove(kube, cache, OWNER, "r1")
    assert api_server.requests == [("DELETE", DEPLOYMENTS.path("ns", "d"))]
    assert cache.being_removed(OWNER, body)


async def test_a_removal_of_what_has_gone_is_done(api_server: Any) -> None:
    cache = cached(deployment())
    await remove(api_server.client(), cache, OWNER, "r1")
    assert cache.belongings(OWNER, DEPLOYMENTS) == []


async def test_another_revision_is_left_alone(api_server: Any) -> None:
    await remove(api_server.client(), cached(deployment()), OWNER, "r2")
    assert api_server.requests == []


def test_finalizers_of_others_stay() -> None:
    body = {"metadata": {"resourceVersion": "7", "finalizers": ["other"]}}
    patch = finalizer_patch(body, True)
    assert patch == {"metadata": {"resourceVersion": "7", "finalizers": ["other", FINALIZER]}}
    assert finalizer_patch(body, False) is None
    ours = {"metadata": {"resourceVersion": "8", "finalizers": ["other", FINALIZER]}}
    assert finalizer_patch(ours, False) == {"metadata": {"resourceVersion": "8", "finalizers": ["other"]}}
    assert finalizer_patch(ours, True) is None


def test_fewer_replicas_are_seen_as_fewer() -> None:
    cache = cached(deployment(replicas=3))
    assert fewer(cache, OWNER, [deployment(replicas=2)])
    assert not fewer(cache, OWNER, [deployment(replicas=4)])
    assert not fewer(cache, OWNER, [SECRET])
