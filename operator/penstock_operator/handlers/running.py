"""The operator's life in a cluster: reach the API, lead, fill the cache, watch, attend to every job, end cleanly.

`penstock-operator run` calls it. It ends the process at once, without a clean-up, when leadership cannot be proved any
more or when a job's task has ended without reason: the kubelet starts another, which goes on from what status says.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, final

import kopf

from penstock_operator.apply.applying import Applier, Reach
from penstock_operator.apply.events import Events
from penstock_operator.apply.manifests import Manifests
from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.flink_rest import FlinkRest, open_session
from penstock_operator.clients.kube import Kube, connect
from penstock_operator.clients.s3 import make_ready
from penstock_operator.clients.store import StoreClient
from penstock_operator.cycle.one_pass import Logic
from penstock_operator.cycle.supervised import Cycle, CycleSettings, Ended
from penstock_operator.cycle.world import JobKey
from penstock_operator.decide.facts import JobObject
from penstock_operator.decide.times import read
from penstock_operator.errors import OperatorError
from penstock_operator.handlers.elector import Elector, boot_clock
from penstock_operator.handlers.health import Health
from penstock_operator.handlers.measuring import Measured
from penstock_operator.handlers.orphans import Orphans
from penstock_operator.handlers.resync import Resync
from penstock_operator.handlers.watching import Wakes, key_of, register, watch_settings
from penstock_operator.handlers.world import ClusterWorld
from penstock_operator.observe.objects import read_status
from penstock_operator.observe.observing import Observer, Sources
from penstock_operator.observe.places import Places
from penstock_operator.observe.readings import Readings
from penstock_operator.settings import Settings
from penstock_operator.telemetry.exporter import Exporter
from penstock_operator.telemetry.metrics import Metrics

log: Final = logging.getLogger(__name__)

API_RETRY_S: Final = 2.0
GROUP_PATH: Final = "/apis/penstock.dev/v1alpha1"
KINDS: Final = frozenset({"flinkjobs", "flinkjobs/status", "flinkstatesnapshots", "flinkstatesnapshots/status"})
OPERATOR_VERSION: Final = "0.1.0"
"""Goes onto what is applied; a test holds it to that of the distribution."""
GC_ALLOCATIONS: Final = 50_000
"""Between two looks of the collector for cycles; Python's own few hundred make a tenth of what a steady job costs."""
DEPOSED: Final = 75
CRASHED: Final = 70
"""Exit codes."""


@final
class ClusterOperator:
    """One run. `run` is its whole life."""

    def __init__(self, settings: Settings, logic: Logic, metrics: Metrics) -> None:
        self._settings = settings
        self._identity = settings.identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._logic = logic
        self._metrics = metrics
        self._cache = Cache(clock=boot_clock)
        self._reached = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Returns after a clean end."""
        health = Health(lag_s=self._cache.behind_s, ready=lambda: self._reached)
        exporter = Exporter(self._metrics)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(health.stop)
            await health.start("", self._settings.health_port)
            stack.push_async_callback(exporter.stop)
            await exporter.start("", self._settings.metrics_port)
            with _until_signalled(self._stopping):
                lease_kube = Kube(await connect(), fence=_open, count=self._metrics.counter_of("kubernetes"))
                stack.push_async_callback(lease_kube.close)
                elector = self._elector(lease_kube)
                if not await self._led(elector, lease_kube):
                    return
            self._metrics.leading(True)
            stack.push_async_callback(elector.release)
            kube = Kube(await connect(), fence=elector.fence, count=self._metrics.counter_of("kubernetes"))
            stack.push_async_callback(kube.close)
            session = open_session()
            stack.push_async_callback(session.close)
            stores = StoreClient()
            stack.callback(stores.close)
            rest = FlinkRest(session, count=self._metrics.counter_of("jobmanager"))
            await self._attend(kube, rest, stores, elector)

    async def _led(self, elector: Elector, kube: Kube) -> bool:
        """Once we lead; False when we were told to end before."""
        leading = asyncio.create_task(self._lead(elector, kube), name="leads")
        stopped = asyncio.create_task(self._stopping.wait(), name="waits for a signal")
        await asyncio.wait([leading, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not leading.done():
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            return False
        leading.result()
        return True

    async def _lead(self, elector: Elector, kube: Kube) -> None:
        # In here: the back-off of a crash loop grows to minutes, and kopf would idle for ever without the kinds.
        while not await _has_kinds(kube):
            await asyncio.sleep(API_RETRY_S)
        self._reached = True
        await elector.lead()

    async def _attend(self, kube: Kube, rest: FlinkRest, stores: StoreClient, elector: Elector) -> None:
        """From now on we lead."""
        world, applier = self._world(kube, rest, stores, elector.fence)
        orphans = Orphans(kube, self._cache, applier)
        cycle = Cycle(
            Measured(world, self._metrics, time.time),
            self._logic,
            settings=CycleSettings(),
            crashed=_crashed,
            ended=self._ended,
        )
        resync = Resync(
            kube,
            self._cache,
            namespaces=self._settings.namespaces,
            interval_s=self._settings.resync_interval_s,
            wrong=lambda owner: self._news(cycle, orphans, owner),
        )
        # Before the first pass: what the cache does not hold counts as not there.
        while not await resync.load():
            await asyncio.sleep(API_RETRY_S)
        await asyncio.to_thread(make_ready)
        # What is there by now stays: the collector need not walk through it again and again. Passes leave few cycles.
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)
        resyncing = asyncio.create_task(resync.run(), name="resync")
        resyncing.add_done_callback(_starts_anew)
        beside = [resyncing, asyncio.create_task(orphans.run(), name="orphans")]
        wakes = Wakes(news=cycle.news, gone=cycle.gone, orphaned=orphans.look, stop=cycle.close)
        try:
            await self._watch(wakes, [namespace for namespace in resync.namespaces if namespace is not None])
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await cycle.close()

    async def _watch(self, wakes: Wakes, namespaces: Sequence[str]) -> None:
        registry = kopf.OperatorRegistry()
        register(registry, self._cache, wakes)
        await kopf.operator(
            registry=registry,
            settings=watch_settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
        )

    def _world(
        self, kube: Kube, rest: FlinkRest, stores: StoreClient, fence: Callable[[], None]
    ) -> tuple[ClusterWorld, Applier]:
        readings = Readings(kube)
        places = Places(readings, self._cache)
        manifests = Manifests(kube, self._cache)
        observer = Observer(Sources(self._cache, kube, readings, rest, stores, places, manifests.rendered))

        async def dispose(job: JobObject, paths: tuple[str, ...]) -> None:
            if (place := await places.of(job)) is not None:
                await stores.dispose(place, paths)

        async def purge(job: JobObject, savepoints: tuple[str, ...]) -> None:
            if (place := await places.of(job)) is not None:
                await stores.purge(place, savepoints)

        reach = Reach(
            kube=kube,
            cache=self._cache,
            fence=fence,
            rest=rest,
            address=observer.address,
            dispose=dispose,
            purge=purge,
            manifests=manifests.of,
            refused=observer.refused,
            version=OPERATOR_VERSION,
        )
        applier, events = Applier(reach), Events(kube, instance=self._identity)
        return ClusterWorld(kube, self._cache, observer, applier, events), applier

    def _elector(self, kube: Kube) -> Elector:
        return Elector(
            kube,
            namespace=self._settings.lease_namespace,
            name=self._settings.lease_name,
            identity=self._identity,
            clock=boot_clock,
            end=_deposed,
        )

    def _ended(self, ended: Ended) -> None:
        """A pass is over."""
        passed, key = ended.passed, ended.key
        self._metrics.waited(ended.waited_s)
        self._metrics.passed(outcome(ended), ended.took_s)
        body = self._cache.job(Owner(key.namespace, key.name))
        if body is None or (passed is None and ended.failure is None):
            self._metrics.job_gone(key.namespace, key.name)
            return
        status = read_status(body.get("status"))
        newest = status.checkpoints.last_completed
        taken_ms = None if newest is None else read(newest.time)
        taken_at = None if taken_ms is None else taken_ms / 1_000
        self._metrics.job_seen(key.namespace, key.name, status.lifecycle_state, checkpoint_at=taken_at)

    def _news(self, cycle: Cycle, orphans: Orphans, owner: Owner) -> None:
        if (body := self._cache.job(owner)) is not None:
            cycle.news(key_of(body))
        else:
            orphans.look(owner)


def outcome(ended: Ended) -> Literal["steady", "changed", "conflict", "failed", "gone"]:
    """In a word, for who counts passes."""
    if ended.failure is not None:
        return "conflict" if ended.failure == "conflict" else "failed"
    if ended.passed is None:
        return "gone"
    return "changed" if ended.passed.wrote or ended.passed.acts else "steady"


async def _has_kinds(kube: Kube) -> bool:
    """Whether the API answers and has our definitions, in a version that we know."""
    try:
        listed = await kube.raw(GROUP_PATH)
    except OperatorError as error:
        log.warning("the Kubernetes API is not ready", extra={"reason": str(error)})
        return False
    lacking = KINDS - {resource["name"] for resource in listed.get("resources") or ()}
    if lacking:
        log.warning("definitions are missing; apply the chart's", extra={"lacking": sorted(lacking)})
    return not lacking


@contextlib.contextmanager
def _until_signalled(stopping: asyncio.Event) -> Iterator[None]:
    """As long as kopf does not run, which listens for signals itself."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _starts_anew(resyncing: asyncio.Task[str]) -> None:
    """kopf watches the namespaces that it was begun with: for another one this process ends, in order."""
    if resyncing.cancelled():
        return
    if (error := resyncing.exception()) is not None:
        log.critical("ends: the cache is not put right any more", exc_info=error)
    else:
        log.warning("ends, for the next to look after one more namespace", extra={"namespace": resyncing.result()})
    os.kill(os.getpid(), signal.SIGTERM)


def _open() -> None:
    """The fence of what may write without leading: the Lease itself."""


def _deposed(why: str) -> None:
    # Not through the log: whoever holds its lock may be the one that must not go on.
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)
        os.write(2, f"penstock-operator ends at once: {why}\n".encode())
    os._exit(DEPOSED)


def _crashed(key: JobKey, error: BaseException | None) -> None:
    log.critical("ends at once: the task of a job has ended", extra={"job": str(key)}, exc_info=error)
    os._exit(CRASHED)
