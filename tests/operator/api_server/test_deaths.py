"""The operator dies after each write that it makes in a cluster, and its clock jumps: nothing is lost or doubled."""

import asyncio
import contextlib
import itertools
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
from penstock_operator.observe import observing
from penstock_operator.settings import Settings
from penstock_operator.telemetry.metrics import Metrics

JOB = "penstock.dev/v1alpha1/FlinkJob"
LIVES_MAX = 200
FOR_EVER = 1_000_000
YEAR_S = 365 * 86_400.0
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
        self.mortal = True

    async def until(self, holds: Callable[[Object | None], bool]) -> None:
        writes, version = 0, ""
        for _ in range(LIVES_MAX):
            found = self._seen()
            now = "" if found is None else found["metadata"]["resourceVersion"]
            writes, version = writes + 1 if now == version else 1, now
            try:
                async with asyncio.timeout(30):
                    await self._one(Life(writes if self.mortal else FOR_EVER), holds)
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


def a_job(*args: str) -> dict[str, Any]:
    """One whose upgrades need no state, since nothing of it runs."""
    inner = {"script": "/job.py", "upgradeMode": "stateless", "args": list(args)}
    spec = {"image": "docker.io/local/nowhere:1", "job": inner}
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": "FlinkJob", "metadata": {"name": "count"}, "spec": spec}


def active(namespace: Namespace) -> str:
    return str(namespace.get(JOB, "count")["status"]["activeRevision"])


class JumpingClock:
    """A year ahead, a year back, and right again, from look to look."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._ahead_s = itertools.cycle((YEAR_S, -YEAR_S, 0.0, -YEAR_S, YEAR_S, 0.0))

    def time(self) -> float:
        return time.time() + next(self._ahead_s)


@pytest.mark.usefixtures("kinds")
async def test_a_clock_that_jumps_stops_no_job(
    namespace: Namespace, connections: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (created,) = namespace.apply(a_job())
    lives = Lives(namespace, created["metadata"]["uid"], *connections)
    lives.mortal = False
    with PretendedPods(namespace) as pods, monkeypatch.context() as jumping:
        jumping.setattr(observing, "time", JumpingClock())
        await lives.until(lambda found: is_stable(found, 1))
        first = active(namespace)
        namespace.apply(a_job("--more"))
        await lives.until(lambda found: is_stable(found, 2) or was_given_up(found))
        jumping.undo()
        assert pods.told(active(namespace)) == pods.told(first) == ["start"]
        namespace.apply(a_job("--again"))
        await lives.until(lambda found: found is not None and found["status"]["observedGeneration"] == 3)
        await lives.until(lambda found: found is not None and "operation" not in found["status"])
        assert pods.told(active(namespace)) == ["start"] and active(namespace) != first


def was_given_up(found: Object | None) -> bool:
    """With a sentence that says why."""
    status = {} if found is None else found.get("status", {})
    return status.get("refusedGeneration") == 2 and "JobManager" in status["error"]


@pytest.mark.usefixtures("kinds")
async def test_what_was_begun_is_done_once_wherever_the_operator_dies(namespace: Namespace, connections: Any) -> None:
    (created,) = namespace.apply(a_job())
    lives = Lives(namespace, created["metadata"]["uid"], *connections)
    with PretendedPods(namespace) as pods:
        await lives.until(lambda found: is_stable(found, 1))
        first = active(namespace)
        namespace.apply(a_job("--more"))
        await lives.until(lambda found: is_stable(found, 2))
        assert pods.told(first) == pods.told(active(namespace)) == ["start"]
        assert {kind: len(namespace.all(kind)) for kind in CHILDREN} == dict(zip(CHILDREN, (2, 2, 1, 2), strict=True))
        namespace.delete(JOB, "count")
        await lives.until(lambda found: found is None)
    assert lives.deaths > 20
