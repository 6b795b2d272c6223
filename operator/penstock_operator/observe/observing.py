"""What one pass sees of one FlinkJob in a cluster: each question answered, from the cache where that is enough.

The world asks it; nothing here changes anything. What cannot be found out is in the answer as unknown.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.flink_rest import FlinkRest
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import EVENTS, SNAPSHOTS
from penstock_operator.clients.store import StoreClient
from penstock_operator.decide.facts import (
    Checkpoint,
    Deployed,
    JobAnswer,
    JobObject,
    Observed,
    Revision,
    SnapshotObject,
    StoreFacts,
    TriggerAnswer,
    Unknown,
    Verified,
)
from penstock_operator.decide.naming import job_id
from penstock_operator.decide.questions import (
    Answer,
    Children,
    Question,
    References,
    Retained,
    Store,
    Trigger,
    Verification,
)
from penstock_operator.errors import OperatorError
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.observe.children import (
    deployed,
    has_drifted,
    newest_pod,
    pods_of,
    revisions_present,
    unheard,
)
from penstock_operator.observe.objects import snapshot_object
from penstock_operator.observe.places import Places
from penstock_operator.observe.readings import Readings
from penstock_operator.observe.references import missing
from penstock_operator.observe.revisions import revisions
from penstock_operator.observe.trouble import Finding, of_events, of_refusal, waits_for_volumes

Json = dict[str, Any]

REST_PORT: Final = 8081
ASKED_EVENTS_S: Final = 15.0
"""A pod's events are asked for no more often; nothing else is told of a volume that is missing."""
COMPONENTS: Final = ("jobmanager", "taskmanager")
_NO_JOBMANAGER: Final = "there is no JobManager of that revision"
_NOWHERE: Final = StoreFacts(exists=False, recoverable=False)
"""State in the JobManager's memory: nothing outlives it."""


Manifests = Callable[[JobObject, str, FlinkJobSpec], Sequence[Json]]
"""What exists of a revision that is deployed."""


@final
@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from."""

    cache: Cache
    kube: Kube
    readings: Readings
    rest: FlinkRest
    stores: StoreClient
    places: Places
    manifests: Manifests


@final
@dataclass(slots=True)
class _Remembered:
    """Of one job, from pass to pass; all of it can be found out again."""

    compared: dict[str, tuple[object, bool]] = field(default_factory=dict)
    """By revision: what was compared, and whether it had drifted."""
    volumes: dict[str, tuple[float, Finding | None]] = field(default_factory=dict)
    """By the pod's uid: when its events were asked for, and what they said."""
    revisions: tuple[int, tuple[Revision, ...]] = (-1, ())
    """As of which stand of the cache, and what there was."""


@final
@dataclass(slots=True)
class _Found:
    """The answers of one look, as they come."""

    children: tuple[Deployed, ...] = ()
    answers: dict[str, JobAnswer | Unknown] = field(default_factory=dict)
    triggers: dict[str, TriggerAnswer | Unknown] = field(default_factory=dict)
    store: StoreFacts | Unknown | None = None
    retained: tuple[Checkpoint, ...] | Unknown | None = None
    verified: dict[str, Verified | Unknown] = field(default_factory=dict)
    absent: tuple[FieldError, ...] | Unknown | None = None


@final
class Observer:
    """Of one operator process."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._remembered: dict[str, _Remembered] = {}
        self._refused: dict[tuple[str, str], Finding] = {}

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        owner, now_ms = Owner(job.namespace, job.name), int(time.time() * 1000)
        kept, found = self._revisions(owner, job.uid), _Found()
        # At once: a job that is down waits for all of it, and they are answered in different places.
        await asyncio.gather(*(self._look(job, kept, now_ms, question, found) for question in questions))
        return Observed(
            now_ms=now_ms,
            job=job,
            revisions=kept,
            deployed=found.children,
            unheard=unheard(self._sources.cache, owner, now_ms),
            answers=found.answers,
            triggers=found.triggers,
            store=found.store,
            retained=found.retained,
            verified=found.verified,
            snapshots=self._snapshots(owner),
            missing=found.absent,
            random_id=secrets.token_hex(16),
        )

    def refused(self, job: JobObject, revision: str, why: str | None) -> None:
        """The API server would not have a revision's children; None: now it has them."""
        if why is None:
            self._refused.pop((job.uid, revision), None)
        else:
            self._refused[job.uid, revision] = of_refusal(why)

    def forget(self, uid: str) -> None:
        self._remembered.pop(uid, None)
        self._refused = {key: finding for key, finding in self._refused.items() if key[0] != uid}

    def address(self, owner: Owner, revision: str) -> str | None:
        """Of a revision's JobManager: its pod's own, since a Service leads nowhere until the script was loaded."""
        pod = newest_pod(self._sources.cache, owner, revision, "jobmanager")
        if pod is None:
            return None
        ip = str(pod["status"]["podIP"])
        return f"http://[{ip}]:{REST_PORT}" if ":" in ip else f"http://{ip}:{REST_PORT}"

    async def _look(
        self, job: JobObject, kept: tuple[Revision, ...], now_ms: int, question: Question, found: _Found
    ) -> None:
        match question:
            case Children():
                found.children = await self._deployed(job, kept, now_ms)
            case Answer(revision):
                found.answers[revision] = await self._answer(Owner(job.namespace, job.name), revision)
            case Trigger():
                found.triggers[question.trigger_id] = await self._trigger(job, question)
            case Store():
                found.store = await self._store(job)
            case Retained():
                found.retained = await self._retained(job)
            case Verification(directory):
                found.verified[directory] = await self._verified(job, directory)
            case References():
                found.absent = await missing(self._sources.readings, job.namespace, job.spec) if job.spec else ()

    async def _answer(self, owner: Owner, revision: str) -> JobAnswer | Unknown:
        address = self.address(owner, revision)
        return Unknown(_NO_JOBMANAGER) if address is None else await self._sources.rest.answer(address)

    async def _trigger(self, job: JobObject, asked: Trigger) -> TriggerAnswer | Unknown:
        address = self.address(Owner(job.namespace, job.name), asked.revision)
        if address is None:
            return Unknown(_NO_JOBMANAGER)
        return await self._sources.rest.trigger(address, job_id(job), asked.kind, asked.trigger_id)

    async def _store(self, job: JobObject) -> StoreFacts | Unknown:
        try:
            place = await self._sources.places.of(job)
        except OperatorError as error:
            return Unknown(str(error))
        return _NOWHERE if place is None else await self._sources.stores.facts(place)

    async def _retained(self, job: JobObject) -> tuple[Checkpoint, ...] | Unknown:
        try:
            place = await self._sources.places.of(job)
        except OperatorError as error:
            return Unknown(str(error))
        return () if place is None else await self._sources.stores.retained(place)

    async def _verified(self, job: JobObject, directory: str) -> Verified | Unknown:
        try:
            place = await self._sources.places.of(job)
        except OperatorError as error:
            return Unknown(str(error))
        if place is None:
            return Unknown("the spec has no checkpoints.dir")
        return await self._sources.stores.verified(place, directory)

    def _revisions(self, owner: Owner, uid: str) -> tuple[Revision, ...]:
        """Read again only when something has changed."""
        memory, stand = self._memory(uid), self._sources.cache.stand(owner)
        if memory.revisions[0] != stand:
            memory.revisions = (stand, revisions(self._sources.cache, owner, uid))
        return memory.revisions[1]

    def _snapshots(self, owner: Owner) -> tuple[SnapshotObject, ...]:
        found = map(snapshot_object, self._sources.cache.belongings(owner, SNAPSHOTS))
        return tuple(snapshot for snapshot in found if snapshot is not None)

    async def _deployed(self, job: JobObject, kept: Sequence[Revision], now_ms: int) -> tuple[Deployed, ...]:
        cache, owner = self._sources.cache, Owner(job.namespace, job.name)
        present = set(revisions_present(cache, owner, now_ms))
        present |= {revision for uid, revision in self._refused if uid == job.uid}
        specs = {revision.name: revision.spec for revision in kept}
        return tuple(
            [
                deployed(
                    cache,
                    owner,
                    revision,
                    now_ms=now_ms,
                    drifted=revision in specs and self._has_drifted(job, revision, specs[revision]),
                    findings=await self._findings(job, revision),
                )
                for revision in sorted(present)
            ]
        )

    def _has_drifted(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> bool:
        """Compared again only when something has changed."""
        cache, owner = self._sources.cache, Owner(job.namespace, job.name)
        stand = (cache.stand(owner), spec)
        memory = self._memory(job.uid).compared
        known = memory.get(revision)
        if known is None or known[0] != stand:
            known = memory[revision] = (stand, has_drifted(cache, owner, self._sources.manifests(job, revision, spec)))
        return known[1]

    async def _findings(self, job: JobObject, revision: str) -> Mapping[str, Finding]:
        """Troubles that pods do not tell of."""
        refused = self._refused.get((job.uid, revision))
        if refused is not None:
            return dict.fromkeys(COMPONENTS, refused)
        owner = Owner(job.namespace, job.name)
        found = {}
        for component in COMPONENTS:
            for pod in pods_of(self._sources.cache, owner, revision, component):
                if waits_for_volumes(pod) and (finding := await self._volumes(job, pod)) is not None:
                    found[component] = finding
        return found

    async def _volumes(self, job: JobObject, pod: Json) -> Finding | None:
        memory, uid, now_s = self._memory(job.uid).volumes, pod["metadata"]["uid"], time.monotonic()
        # The first look only notes that it waits: most pods do, for a moment.
        asked_s, finding = memory.setdefault(uid, (now_s, None))
        if now_s - asked_s < ASKED_EVENTS_S:
            return finding
        selector = f"involvedObject.uid={uid}"
        try:
            events = await self._sources.kube.list_all(EVENTS, job.namespace, page=50, fieldSelector=selector)
            finding = of_events(events)
        except OperatorError:
            pass  # Then it is not known yet.
        memory[uid] = (now_s, finding)
        return finding

    def _memory(self, uid: str) -> _Remembered:
        return self._remembered.setdefault(uid, _Remembered())
