"""The world of processes on this machine, as passes see it: looks at what they ask for, does what they decide."""

import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, final

import msgspec

from penstock_operator.clients.flink_rest import FlinkRest, open_session
from penstock_operator.clients.store import Place, StoreClient
from penstock_operator.cycle.world import JobKey
from penstock_operator.decide.acts import (
    Act,
    CheckState,
    Deploy,
    Dispose,
    Event,
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
from penstock_operator.decide.orphans import orphaned
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
from penstock_operator.decide.whereabouts import spec_of_state
from penstock_operator.local.deployments import Deployments, RevisionKey
from penstock_operator.local.launching import access_of, credentials, source_map
from penstock_operator.local.objects import JOB_FINALIZER, SNAPSHOT_FINALIZER, ObjectKey, Objects, Stored
from penstock_operator.model.resources import task_managers
from penstock_operator.model.spec import FlinkJobSpec, FlinkStateSnapshotSpec, from_json, to_json
from penstock_operator.model.status import Status
from penstock_operator.model.validation import FieldError, check_config_map, check_secret, validate_job

log: Final = logging.getLogger(__name__)

PAUSED: Final = "penstock.dev/paused"
_NO_JOBMANAGER: Final = "there is no JobManager of that revision"
_NO_PLACE: Final = "the spec has no checkpoints.dir"
_NOWHERE: Final = StoreFacts(exists=False, recoverable=False)
"""State in the JobManager's memory: nothing outlives it."""


@final
class LocalWorld:
    """See `penstock_operator.cycle.world.World`."""

    def __init__(
        self,
        objects: Objects,
        deployments: Deployments,
        *,
        now_ms: Callable[[], int],
        tell: Callable[[ObjectKey, Event], None],
    ) -> None:
        self._objects = objects
        self._deployments = deployments
        self._now_ms = now_ms
        self._tell = tell
        self._session = open_session()
        self._rest = FlinkRest(self._session, count=lambda verb, asked, status: None)
        self._stores = StoreClient()

    async def close(self) -> None:
        await self._session.close()
        self._stores.close()

    def running(self) -> list[tuple[ObjectKey, int, str]]:
        """Jobs that a JobManager drives: the object, the port of its REST, the job's id."""
        found = []
        for key, stored in self._objects.all("FlinkJob"):
            revision = status_of(stored).active_revision
            port = self._deployments.rest_port(RevisionKey(key.namespace, key.name, revision))
            if revision and port is not None:
                found.append((key, port, job_id(_job(stored))))
        return found

    # Looking.

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        stored = self._objects.get(ObjectKey("FlinkJob", key.namespace, key.name))
        return None if stored is None or stored.metadata.uid != key.uid else _job(stored)

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        answers: dict[str, JobAnswer | Unknown] = {}
        triggers: dict[str, TriggerAnswer | Unknown] = {}
        verified: dict[str, Verified | Unknown] = {}
        store, retained, missing = None, None, None
        for question in sorted(questions, key=repr):
            match question:
                case Answer(revision=revision):
                    answers[revision] = await self._answer(job, revision)
                case Trigger():
                    triggers[question.trigger_id] = await self._trigger(job, question)
                case Store():
                    store = await self._facts(job)
                case Retained():
                    retained = await self._retained(job)
                case Verification(directory=directory):
                    verified[directory] = await self._verified(job, directory)
                case References():
                    missing = self._missing(job)
                case Children():
                    pass  # They are at hand, as objects are.
        revisions = tuple(self._revisions(job))
        return Observed(
            now_ms=self._now_ms(),
            job=job,
            revisions=revisions,
            deployed=self._deployed(job, revisions),
            answers=answers,
            triggers=triggers,
            store=store,
            retained=retained,
            verified=verified,
            snapshots=tuple(self._snapshots(job)),
            missing=missing,
            random_id=secrets.token_hex(16),
        )

    async def _answer(self, job: JobObject, revision: str) -> JobAnswer | Unknown:
        address = self._address(job, revision)
        return Unknown(_NO_JOBMANAGER) if address is None else await self._rest.answer(address)

    async def _trigger(self, job: JobObject, asked: Trigger) -> TriggerAnswer | Unknown:
        address = self._address(job, asked.revision)
        if address is None:
            return Unknown(_NO_JOBMANAGER)
        return await self._rest.trigger(address, job_id(job), asked.kind, asked.trigger_id)

    async def _facts(self, job: JobObject) -> StoreFacts | Unknown:
        place = self._place(job)
        return _NOWHERE if place is None else await self._stores.facts(place)

    async def _retained(self, job: JobObject) -> tuple[Checkpoint, ...] | Unknown:
        place = self._place(job)
        return () if place is None else await self._stores.retained(place)

    async def _verified(self, job: JobObject, directory: str) -> Verified | Unknown:
        place = self._place(job)
        return Unknown(_NO_PLACE) if place is None else await self._stores.verified(place, directory)

    def _address(self, job: JobObject, revision: str) -> str | None:
        port = self._deployments.rest_port(RevisionKey(job.namespace, job.name, revision))
        return None if port is None else f"http://127.0.0.1:{port}"

    def _deployed(self, job: JobObject, revisions: tuple[Revision, ...]) -> tuple[Deployed, ...]:
        wanted = {revision.name: task_managers(revision.spec) for revision in revisions}
        return tuple(
            replace(found, drifted=found.taskmanagers.wanted != wanted.get(found.revision, found.taskmanagers.wanted))
            for found in self._deployments.of(job.namespace, job.name)
        )

    def _taskmanagers(self, job: JobObject, revision: str) -> int:
        found = self._deployments.of(job.namespace, job.name)
        return next((one.taskmanagers.wanted for one in found if one.revision == revision), 0)

    def _revisions(self, job: JobObject) -> Iterable[Revision]:
        for key, stored in self._objects.all("ControllerRevision", job.namespace):
            owner, _, name = key.name.partition("/")
            if owner == job.name:
                yield Revision(name, stored.spec["generation"], from_json(stored.spec["spec"], FlinkJobSpec))

    def _snapshots(self, job: JobObject) -> Iterable[SnapshotObject]:
        for _, stored in self._objects.all("FlinkStateSnapshot", job.namespace):
            spec = from_json(stored.spec, FlinkStateSnapshotSpec)
            if spec.job_reference.name == job.name:
                yield _snapshot(stored, spec)

    def _missing(self, job: JobObject) -> tuple[FieldError, ...]:
        """What stands in no manifest, and for credentials not in this process's environment either."""
        if job.spec is None:
            return ()
        keys = credentials(self._objects, job.namespace, job.spec)
        data = source_map(self._objects, job.namespace, job.spec)
        return (*check_secret(job.spec, keys), *check_config_map(job.spec, data))

    def _place(self, job: JobObject) -> Place | None:
        spec = spec_of_state(job, tuple(self._revisions(job)))
        if spec is None or spec.checkpoints.dir is None:
            return None
        return Place(job_id(job), spec.checkpoints.dir, access_of(self._objects, job.namespace, spec))

    # Doing.

    async def write_status(self, job: JobObject, status: Status) -> None:
        self._objects.write_status(_key(job), msgspec.to_builtins(status), job.resource_version)

    async def tell(self, job: JobObject, event: Event) -> None:
        self._tell(_key(job), event)

    async def carry_out(self, job: JobObject, act: Act) -> None:
        match act:
            case SetFinalizer(present=present):
                self._objects.set_finalizer(_key(job), JOB_FINALIZER, present)
            case KeepRevision(revision=revision, generation=generation, spec=spec):
                kept = {"generation": generation, "spec": to_json(spec)}
                self._objects.apply(_revision(job, revision), kept, {})
            case ForgetRevision(revision=revision):
                self._objects.remove(_revision(job, revision))
            case Deploy(revision=revision, spec=spec):
                self._deploy(job, revision, spec)
            case Remove(revision=revision):
                self._deployments.remove(RevisionKey(job.namespace, job.name, revision))
            case WriteSnapshotStatus() | SetSnapshotFinalizer():
                self._change_snapshot(job.namespace, act)
            case Dispose(revision="", paths=paths):
                if (place := self._place(job)) is not None:
                    await self._stores.dispose(place, paths)
            case Purge(savepoints=savepoints):
                if (place := self._place(job)) is not None:
                    await self._stores.purge(place, savepoints)
            case Rescale(revision=revision, spec=spec):
                # Those that are too many stay until the job does without them; the next look finds them to differ.
                if task_managers(spec) >= self._taskmanagers(job, revision):
                    self._deploy(job, revision, spec)
                await self._ask(job, act)
            case StartJob() | CheckState() | TriggerSavepoint() | TriggerCheckpoint() | RetainCheckpoints() | Dispose():
                await self._ask(job, act)

    async def _ask(self, job: JobObject, act: OfJobManager) -> None:
        address = self._address(job, act.revision)
        if address is not None:  # Otherwise the next look shows that there is none.
            await self._rest.ask(address, job_id(job), act)

    def _deploy(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> None:
        key = RevisionKey(job.namespace, job.name, revision)
        self._deployments.deploy(key, job_id(job), to_json(spec), task_managers(spec), spec.task_manager.slots)

    def look_after_orphans(self) -> None:
        """Snapshots whose FlinkJob does not exist: no pass sees them."""
        for key, stored in self._objects.all("FlinkStateSnapshot"):
            spec = from_json(stored.spec, FlinkStateSnapshotSpec)
            job = ObjectKey("FlinkJob", key.namespace, spec.job_reference.name)
            for act in () if self._objects.get(job) is not None else orphaned(_snapshot(stored, spec), job.name):
                self._change_snapshot(key.namespace, act)

    def _change_snapshot(self, namespace: str, act: WriteSnapshotStatus | SetSnapshotFinalizer) -> None:
        key = ObjectKey("FlinkStateSnapshot", namespace, act.name)
        if self._objects.get(key) is None:
            return
        if isinstance(act, SetSnapshotFinalizer):
            self._objects.set_finalizer(key, SNAPSHOT_FINALIZER, act.present)
            return
        self._objects.write_status(key, act.as_json(), None)


def status_of(stored: Stored) -> Status:
    """What cannot be read counts as not there: all of it can be observed again."""
    try:
        return msgspec.convert(stored.status, Status)
    except msgspec.ValidationError as error:
        log.warning("status cannot be read", extra={"object": stored.metadata.name, "reason": str(error)})
        return Status()


def _job(stored: Stored) -> JobObject:
    metadata = stored.metadata
    spec, errors = validate_job(stored.spec)
    return JobObject(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        generation=metadata.generation,
        resource_version=metadata.resource_version,
        created_at=metadata.creation_timestamp,
        spec=spec,
        errors=errors,
        status=status_of(stored),
        deleting_since=metadata.deletion_timestamp,
        paused=metadata.annotations.get(PAUSED, "false").lower() not in ("", "false"),
        finalizer=JOB_FINALIZER in metadata.finalizers,
    )


def _snapshot(stored: Stored, spec: FlinkStateSnapshotSpec) -> SnapshotObject:
    metadata, status = stored.metadata, stored.status
    return SnapshotObject(
        name=metadata.name,
        uid=metadata.uid,
        kind="checkpoint" if spec.checkpoint is not None else "savepoint",
        phase=str(status.get("phase", "")),
        trigger_id=str(status.get("triggerId", "")),
        path=str(status.get("path", "")),
        attempts=int(status.get("attempts", 0)),
        backoff_limit=spec.backoff_limit,
        deleting=metadata.deletion_timestamp is not None,
        dispose_on_delete=spec.disposes,
        finalizer=SNAPSHOT_FINALIZER in metadata.finalizers,
        created_at=metadata.creation_timestamp,
        already_exists=spec.savepoint is not None and spec.savepoint.already_exists,
        directory="" if spec.savepoint is None else spec.savepoint.path or "",
        format="canonical" if spec.savepoint is None else spec.savepoint.format,
        generation=metadata.generation,
    )


def _key(job: JobObject) -> ObjectKey:
    return ObjectKey("FlinkJob", job.namespace, job.name)


def _revision(job: JobObject, revision: str) -> ObjectKey:
    return ObjectKey("ControllerRevision", job.namespace, f"{job.name}/{revision}")
