"""The operator dies after each single write that it makes in a cluster; whoever comes after it goes on from there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from kubernetes.aio import client, config

from penstock.testing.kubernetes.api import Namespace, Object
from penstock.testing.pretended_pods import PretendedPods
from penstock_operator.clients.flink_rest import FlinkRest, open_session
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.store import StoreClient
from penstock_operator.cycle.one_pass import Logic, one_pass
from penstock_operator.cycle.world import JobKey
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.questions import questions
from penstock_operator.errors import Conflict, Missing
from penstock_operator.handlers.resync import Resync
from penstock_operator.handlers.running import ClusterOperator
from penstock_operator.settings import Settings
from penstock_operator.telemetry.metrics import Metrics

JOB = "penstock.dev/v1alpha1/FlinkJob"
LIVES_MAX = 200
CHILDREN = ("apps/v1/Deployment", "v1/Service", "policy/v1/PodDisruptionBudget", "apps/v1/ControllerRevision")


class Died(BaseException):
    """Nothing in the operator sees it coming."""


class Life:
    """An operator that dies when it is about to write once more, to the API server or to a JobManager."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def fence(self) -> None:
        if self.left <= 0:
            raise Died

    def count(self, verb: str, what: str, status: str) -> None:
        self.left -= verb != "GET"


class Lives:
    """One operator after the other. What one has got done the next finds done; so that they get on, each of those that
    find the same status may write once more than the one before it."""

    def __init__(self, namespace: Namespace, uid: str, api: client.ApiClient, session: aiohttp.ClientSession) -> None:
        self._namespace = namespace
        self._key = JobKey(namespace.name, "count", uid)
        self._api = api
        self._session = session
        self.deaths = 0

    async def until(self, holds: Callable[[Object | None], bool]) -> None:
        writes, version = 0, ""
        for _ in range(LIVES_MAX):
            found = self._seen()
            now = "" if found is None else found["metadata"]["resourceVersion"]
            writes, version = writes + 1 if now == version else 1, now
            try:
                async with asyncio.timeout(30):
                    await self._one(Life(writes), holds)
            except Died:
                self.deaths += 1
            except TimeoutError as error:
                raise AssertionError(f"life {self.deaths} does not get on: {self._seen()}") from error
            else:
                return
        raise AssertionError(f"{LIVES_MAX} lives did not suffice: {self._seen()}")

    async def _one(self, life: Life, holds: Callable[[Object | None], bool]) -> None:
        """As the process puts it together, without its watch."""
        kube = Kube(self._api, fence=life.fence, count=life.count)
        logic = Logic(questions, decide)
        process = ClusterOperator(Settings(namespaces=(self._namespace.name,)), logic, Metrics(now=time.time))
        with contextlib.closing(StoreClient()) as stores:
            world, _ = process._world(kube, FlinkRest(self._session, count=life.count), stores, life.fence)
            resync = Resync(
                kube, process._cache, namespaces=(self._namespace.name,), interval_s=1, wrong=lambda owner: None
            )
            assert await resync.load()
            while not holds(self._seen()):
                with contextlib.suppress(Conflict, Missing):
                    await one_pass(world, logic, self._key, fresh=True)
                await resync.once()

    def _seen(self) -> Object | None:
        return self._namespace.find(JOB, "count")


@pytest.fixture
async def connections(namespace: Namespace) -> AsyncIterator[tuple[client.ApiClient, aiohttp.ClientSession]]:
    settings = client.Configuration()
    await config.load_kube_config(str(namespace.api.kubeconfig), client_configuration=settings)
    async with client.ApiClient(settings) as api, open_session() as session:
        yield api, session


def is_stable(found: Object | None, revisions: int) -> bool:
    status = {} if found is None else found.get("status", {})
    return status.get("lifecycleState") == "Stable" and len(status.get("revisions", ())) == revisions


@pytest.mark.usefixtures("kinds")
async def test_what_was_begun_is_done_once_wherever_the_operator_dies(namespace: Namespace, connections: Any) -> None:
    spec = {"image": "docker.io/local/nowhere:1", "job": {"script": "/job.py", "upgradeMode": "stateless"}}
    job = {"apiVersion": "penstock.dev/v1alpha1", "kind": "FlinkJob", "metadata": {"name": "count"}, "spec": spec}
    (created,) = namespace.apply(job)
    lives = Lives(namespace, created["metadata"]["uid"], *connections)
    with PretendedPods(namespace) as pods:
        await lives.until(lambda found: is_stable(found, 1))
        (first,) = [deployment["metadata"]["labels"] for deployment in namespace.all(CHILDREN[0])][:1]
        namespace.apply({**job, "spec": {**spec, "job": {**spec["job"], "args": ["--more"]}}})
        await lives.until(lambda found: is_stable(found, 2))
        second = namespace.get(JOB, "count")["status"]["activeRevision"]
        assert pods.told(first["penstock.dev/revision"]) == pods.told(second) == ["start"]
        assert {kind: len(namespace.all(kind)) for kind in CHILDREN} == dict(zip(CHILDREN, (2, 2, 1, 2), strict=True))
        namespace.delete(JOB, "count")
        await lives.until(lambda found: found is None)
    assert lives.deaths > 20
