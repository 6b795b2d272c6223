"""Does, in a cluster, what a pass decided about one FlinkJob. Each act may come again; errors go up to the pass."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from penstock_operator.apply import revisions
from penstock_operator.apply.children import deploy, remove
from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.flink_rest import FlinkRest
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import DEPLOYMENTS, FLINK_JOBS, SNAPSHOTS
from penstock_operator.decide.acts import (
    Act,
    CheckState,
    Deploy,
    Dispose,
    ForgetRevision,
    KeepRevision,
    OfJobManager,
    Purge,
    Remove,
    Rescale,
    RetainCheckpoints,
    SetFinalizer,
    SetSnapshotFinalizer,
    StartJob,
    TriggerCheckpoint,
    TriggerSavepoint,
    WriteSnapshotStatus,
)
from penstock_operator.decide.facts import JobObject
from penstock_operator.decide.naming import job_id
from penstock_operator.errors import Missing, Rejected
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.render.names import FINALIZER

Json = dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Reach:
    """How the outside is reached from here."""

    kube: Kube
    cache: Cache
    fence: Callable[[], None]
    """Raises, or ends the process, if we may not act: also in the way of what is asked of JobManagers and stores."""
    rest: FlinkRest
    address: Callable[[Owner, str], str | None]
    """Of a revision's JobManager."""
    dispose: Callable[[JobObject, tuple[str, ...]], Awaitable[None]]
    """In the store, with no JobManager alive."""
    purge: Callable[[JobObject, tuple[str, ...]], Awaitable[None]]
    manifests: Callable[[JobObject, str, FlinkJobSpec], Awaitable[Sequence[Json]]]
    refused: Callable[[JobObject, str, str | None], None]
    """Told why the API server would not have a revision's children; None when it has them."""
    version: str


@final
class Applier:
    """Of one operator process."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def carry_out(self, job: JobObject, body: Json, act: Act) -> None:
        """`body` is the FlinkJob as it was read."""
        reach, owner = self._reach, Owner(job.namespace, job.name)
        reach.fence()
        match act:
            case SetFinalizer(present):
                await self._set_finalizer(body, present)
            case KeepRevision(revision, generation, spec):
                await revisions.keep(reach.kube, reach.cache, body, revision, generation, spec)
            case ForgetRevision(revision):
                await revisions.forget(reach.kube, reach.cache, owner, revision)
            case Deploy(revision, spec):
                await self._deploy(job, revision, spec)
            case Remove(revision):
                reach.refused(job, revision, None)
                await remove(reach.kube, reach.cache, owner, revision)
            case Rescale():
                await self._rescale(job, act)
            case Dispose(paths, ""):
                await reach.dispose(job, paths)
            case StartJob() | CheckState() | TriggerSavepoint() | TriggerCheckpoint() | RetainCheckpoints() | Dispose():
                await self._ask(job, act)
            case Purge(savepoints):
                await reach.purge(job, savepoints)
            case WriteSnapshotStatus() | SetSnapshotFinalizer():
                await self.about_snapshot(owner, act)

    async def about_snapshot(self, owner: Owner, act: WriteSnapshotStatus | SetSnapshotFinalizer) -> None:
        """Of a FlinkJob that need not exist any more."""
        self._reach.fence()
        if isinstance(act, SetSnapshotFinalizer):
            await self._set_snapshot_finalizer(owner, act.name, act.present)
        else:
            await self._write_snapshot(owner, act)

    async def _set_finalizer(self, body: Json, present: bool) -> None:
        metadata = body["metadata"]
        patch = finalizer_patch(body, present)
        if patch is None:
            return
        try:
            answer = await self._reach.kube.merge(FLINK_JOBS, metadata["namespace"], metadata["name"], patch)
        except Missing:
            return
        self._reach.cache.read_job(answer)

    async def _deploy(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> None:
        """What the API server will not have is seen with the next look, as a trouble of that revision."""
        reach, owner = self._reach, Owner(job.namespace, job.name)
        manifests = await reach.manifests(job, revision, spec)
        try:
            await deploy(reach.kube, reach.cache, owner, manifests, reach.version)
        except Rejected as error:
            reach.refused(job, revision, str(error))
        else:
            reach.refused(job, revision, None)

    async def _rescale(self, job: JobObject, act: Rescale) -> None:
        """Slots come before the tasks that need them, and go, by a later look, after the tasks that needed them."""
        owner = Owner(job.namespace, job.name)
        manifests = await self._reach.manifests(job, act.revision, act.spec)
        address = self._reach.address(owner, act.revision)
        if address is None or not fewer(self._reach.cache, owner, manifests):
            await self._deploy(job, act.revision, act.spec)
        await self._ask(job, act)

    async def _ask(self, job: JobObject, act: OfJobManager) -> None:
        address = self._reach.address(Owner(job.namespace, job.name), act.revision)
        if address is None:
            return  # The next look shows that there is none.
        await self._reach.rest.ask(address, job_id(job), act)

    async def _write_snapshot(self, owner: Owner, act: WriteSnapshotStatus) -> None:
        try:
            answer = await self._reach.kube.merge(
                SNAPSHOTS, owner.namespace, act.name, {"status": act.as_json()}, subresource="status"
            )
        except Missing:
            return
        self._reach.cache.put(SNAPSHOTS, owner, answer)

    async def _set_snapshot_finalizer(self, owner: Owner, name: str, present: bool) -> None:
        known = self._reach.cache.belongings(owner, SNAPSHOTS)
        body = next((body for body in known if body["metadata"]["name"] == name), None)
        patch = None if body is None else finalizer_patch(body, present)
        if patch is None:
            return
        try:
            answer = await self._reach.kube.merge(SNAPSHOTS, owner.namespace, name, patch)
        except Missing:
            return
        self._reach.cache.put(SNAPSHOTS, owner, answer)


def finalizer_patch(body: Json, present: bool) -> Json | None:
    """None where it is so already. Only if the object is still as it was read: others have finalizers too."""
    metadata = body["metadata"]
    names = list(metadata.get("finalizers") or ())
    if (FINALIZER in names) == present:
        return None
    wanted = [*names, FINALIZER] if present else [name for name in names if name != FINALIZER]
    return {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted}}


def fewer(cache: Cache, owner: Owner, manifests: Sequence[Json]) -> bool:
    """Whether there are more replicas of something now than these want."""
    live = {body["metadata"]["name"]: body["spec"].get("replicas", 1) for body in cache.belongings(owner, DEPLOYMENTS)}
    wanted = {m["metadata"]["name"]: m["spec"]["replicas"] for m in manifests if m["kind"] == DEPLOYMENTS.kind}
    return any(replicas < live.get(name, 0) for name, replicas in wanted.items())
