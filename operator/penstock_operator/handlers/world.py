"""The cluster, as passes see it: the cache and the answers of others put together, and acts carried out.

Given to the cycle by the process; see `penstock_operator.cycle.world.World`. It is the only place that writes to a
FlinkJob, and writes under the version that was read.
"""

from typing import Any, Final, final

import msgspec

from penstock_operator.apply.applying import Applier
from penstock_operator.apply.events import Events
from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import FLINK_JOBS
from penstock_operator.cycle.world import JobKey
from penstock_operator.decide.acts import Act, Event
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Question
from penstock_operator.errors import Conflict, Missing, Rejected
from penstock_operator.model.status import Status
from penstock_operator.observe.objects import job_object
from penstock_operator.observe.observing import Observer

Json = dict[str, Any]
_NAMED_MAX: Final = 5


@final
class ClusterWorld:
    """Of one operator process."""

    def __init__(self, kube: Kube, cache: Cache, observer: Observer, applier: Applier, events: Events) -> None:
        self._kube = kube
        self._cache = cache
        self._observer = observer
        self._applier = applier
        self._events = events
        self._read_of: dict[str, tuple[Json, JobObject]] = {}
        """By uid: the body that was read last, and what was read from it."""

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        owner = Owner(key.namespace, key.name)
        body = self._cache.job(owner)
        if fresh or body is None:
            body = await self._read(owner, key)
        if body is None or body["metadata"]["uid"] != key.uid:
            self._observer.forget(key.uid)
            self._read_of.pop(key.uid, None)
            return None
        known = self._read_of.get(key.uid)
        if known is None or known[0] is not body:
            before = None if known is None else known[1]
            known = self._read_of[key.uid] = (body, job_object(body, before))
        return known[1]

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        return await self._observer.observe(job, questions)

    async def write_status(self, job: JobObject, status: Status) -> None:
        identity = {"namespace": job.namespace, "name": job.name, "uid": job.uid}
        written = {
            "apiVersion": FLINK_JOBS.api_version,
            "kind": FLINK_JOBS.kind,
            "metadata": {**identity, "resourceVersion": job.resource_version},
            "status": msgspec.to_builtins(status),
        }
        answer = await self._kube.replace(FLINK_JOBS, job.namespace, written, subresource="status")
        self._cache.read_job(answer)
        if dropped := _dropped(written["status"], answer.get("status"), "status"):
            # What was to be remembered is not: nothing may be done that rests on it.
            raise Rejected(
                "the definition of FlinkJob in this cluster is not of this operator's version; apply that: "
                "`penstock-operator crds | kubectl apply --server-side -f -`. "
                f"It does not know {', '.join(dropped[:_NAMED_MAX])}"
            )

    async def carry_out(self, job: JobObject, act: Act) -> None:
        await self._applier.carry_out(job, self._body(job), act)

    async def tell(self, job: JobObject, event: Event) -> None:
        await self._events.tell(self._body(job), event)

    def _body(self, job: JobObject) -> Json:
        """As it is known now: our own write of this pass is no conflict."""
        body = self._cache.job(Owner(job.namespace, job.name))
        if body is None or body["metadata"]["uid"] != job.uid:
            raise Conflict(f"FlinkJob {job.namespace}/{job.name} has gone meanwhile")
        return body

    async def _read(self, owner: Owner, key: JobKey) -> Json | None:
        try:
            body = await self._kube.get(FLINK_JOBS, owner.namespace, owner.name)
        except Missing:
            self._cache.forget_job(owner, key.uid)
            return None
        self._cache.read_job(body)
        return self._cache.job(owner)


def _dropped(written: Any, kept: Any, path: str) -> tuple[str, ...]:
    """What the API server has left out of what was written, by path: its schema does not know it."""
    if isinstance(written, dict) and isinstance(kept, dict):
        parts = [_dropped(value, kept.get(name), f"{path}.{name}") for name, value in written.items()]
    elif isinstance(written, list | tuple) and isinstance(kept, list):
        parts = [_dropped(*both, f"{path}[]") for both in zip(written, kept, strict=False)]
    else:
        parts = [() if written is None or kept is not None else (path,)]
    return tuple(dict.fromkeys(field for part in parts for field in part))
