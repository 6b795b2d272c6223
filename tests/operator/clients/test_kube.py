"""How the Kubernetes API is spoken with, against a server that misbehaves on demand."""

from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from penstock_operator.clients.kube import failure, opened
from penstock_operator.clients.resources import CONFIG_MAPS, DEPLOYMENTS, FLINK_JOBS, LEASES, PODS
from penstock_operator.errors import Conflict, Missing, Rejected, Unavailable

LEASE: dict[str, Any] = {"metadata": {"namespace": "here", "name": "l"}, "spec": {}}
BODY = b'{"message": "it says why"}'


def test_paths_are_those_of_the_api() -> None:
    assert PODS.path(None) == "/api/v1/pods"
    assert CONFIG_MAPS.path("a", "b") == "/api/v1/namespaces/a/configmaps/b"
    assert FLINK_JOBS.path("a", "b", "status") == "/apis/penstock.dev/v1alpha1/namespaces/a/flinkjobs/b/status"
    assert DEPLOYMENTS.path("a") == "/apis/apps/v1/namespaces/a/deployments"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, Missing),
        (410, Unavailable),
        (409, Conflict),
        (401, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (400, Rejected),
        (403, Rejected),
        (413, Rejected),
        (422, Rejected),
    ],
)
def test_a_failure_is_sorted_by_what_can_be_done_about_it(status: int, kind: type) -> None:
    error = failure("PUT", "/x", status, BODY)
    assert type(error) is kind
    assert "it says why" in str(error)


def test_what_has_no_room_in_etcd_is_refused_for_good() -> None:
    error = failure("PATCH", "/x", 500, b'{"message": "etcdserver: request is too large"}')
    assert isinstance(error, Rejected)
    assert str(error) == "PATCH /x: etcdserver: request is too large; the manifest must become smaller"


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", None, b"\xff"])
def test_a_failure_that_is_no_status_of_kubernetes_is_one_all_the_same(body: object) -> None:
    assert isinstance(failure("GET", "/x", 502, body), Unavailable)


async def test_a_write_carries_the_version_that_was_read(api_server: Any) -> None:
    kube = api_server.client()
    await kube.create(LEASES, "here", LEASE)
    read = await kube.get(LEASES, "here", "l")
    await kube.replace(LEASES, "here", {**read, "spec": {"holderIdentity": "a"}})
    with pytest.raises(Conflict):
        await kube.replace(LEASES, "here", {**read, "spec": {"holderIdentity": "b"}})
    assert (await kube.get(LEASES, "here", "l"))["spec"] == {"holderIdentity": "a"}


async def test_deleting_what_is_gone_is_as_good(api_server: Any) -> None:
    kube = api_server.client()
    await kube.delete(LEASES, "here", "l")


async def test_a_server_that_never_answers_is_given_up(api_server: Any, stalled: Any) -> None:
    api_server.behave = stalled
    kube = api_server.client()
    with pytest.raises(Unavailable, match="does not answer GET /apis/coordination"):
        await kube.get(LEASES, "here", "l", timeout_s=0.05)


async def test_a_server_that_hangs_up_is_unavailable(api_server: Any) -> None:
    async def hang_up(request: web.Request) -> None:
        assert request.transport is not None
        request.transport.close()

    api_server.behave = hang_up
    kube = api_server.client()
    with pytest.raises(Unavailable):
        await kube.create(LEASES, "here", LEASE)


async def test_a_fence_stops_writes_and_lets_reads_pass(api_server: Any) -> None:
    class Fenced(Exception):
        pass

    def fence() -> None:
        raise Fenced

    api_server.put(LEASES.path("here", "l"), LEASE)
    kube = api_server.client(fence)
    await kube.get(LEASES, "here", "l")
    for write in (
        kube.create(LEASES, "here", LEASE),
        kube.replace(LEASES, "here", LEASE),
        kube.merge(LEASES, "here", "l", {}),
        kube.apply(LEASES, LEASE),
        kube.delete(LEASES, "here", "l"),
    ):
        with pytest.raises(Fenced):
            await write
    assert [method for method, _ in api_server.requests] == ["GET"]


async def test_every_request_is_counted_with_its_outcome(api_server: Any) -> None:
    kube = api_server.client()
    with pytest.raises(Missing):
        await kube.get(PODS, "here", "p")
    await kube.create(LEASES, "here", LEASE)
    assert api_server.counted == [("GET", "pods", "404"), ("POST", "leases", "200")]


@pytest.mark.parametrize(("spared", "proxy"), [("", "http://proxy.example.com:3128"), ("api.example.com", None)])
async def test_a_proxy_is_taken_from_the_environment(
    spared: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", spared)
    api = opened(client.Configuration(host="https://api.example.com:6443"))
    assert api.rest_client.proxy == proxy
    await api.close()
