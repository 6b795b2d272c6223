"""Puts together what a job master drives, from how its reign began. Called once, by the job master."""

import logging
import pickle
from collections.abc import Callable
from random import Random
from typing import Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.ids import Epoch, JobId, SubtaskId
from penstock.base.threads import told_when_slow
from penstock.checkpoint.coordinator import Coordinator
from penstock.common.configuration import Configuration
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.ahead import RestoringAhead
from penstock.jobmanager.asks import Asks
from penstock.jobmanager.checkpoints import CheckpointService, JobDescription
from penstock.jobmanager.coordinators import Coordinators
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.lifecycle_protocol import Event
from penstock.jobmanager.operations import Operations
from penstock.jobmanager.placement import slots_of
from penstock.jobmanager.regions import regions
from penstock.jobmanager.reign import Ahead, Reign, Start, begin_reign
from penstock.jobmanager.rescaler import RescaleHooks, Rescaler
from penstock.jobmanager.restoring import Restoring
from penstock.jobmanager.settings import JobSettings, restart_strategy
from penstock.jobmanager.task_notifier import TaskNotifier
from penstock.jobmanager.task_runner import TaskRunner
from penstock.jobmanager.workers import Workers
from penstock.rpc.messages import LoadJob
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)


@final
class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is there before the reign, and outlasts it."""

    job: JobId
    configuration: Configuration
    settings: JobSettings
    store: ObjectStore
    open_root: Callable[[str], ObjectStore]
    workers: Workers
    history: CheckpointHistory
    operations: Operations
    asks: Asks
    clock: Clock
    rng: Random


def reign_over(around: Surroundings, graph: JobGraph, owner: str, start: Start, ahead: Ahead) -> Reign:
    """Begin to rule the job, as its settings say, or as somebody has told. Blocking."""
    settings = around.settings
    with told_when_slow(lambda: log.warning("still reading the checkpoint folder", extra={"store": around.store.uri})):
        return begin_reign(
            around.store,
            around.job,
            graph,
            owner,
            open_root=around.open_root,
            restore_path=settings.restore_path,
            claim=settings.claim,
            allow_older=settings.allow_older,
            allow_unclaimed=settings.allow_unclaimed,
            retained_max=settings.checkpoints.retained_max,
            pinned=settings.pinned,
            probe=not ahead.probed,
            clock=around.clock,
            rng=around.rng,
            start=start,
            known=ahead.known,
        )


@final
class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts tell the master."""

    feed: Callable[[Event], None]
    send_event: Callable[[SubtaskId, int | None, int, bytes], None]
    coordinator_failed: Callable[[BaseException], None]
    passed_over: Callable[[str], None]
    checkpoint: Callable[[], None]
    deliver: Callable[[bytes], None]
    deposed: Callable[[str], None]
    want_slots: Callable[[int], None]


@final
class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a master drives during one reign."""

    lifecycle: JobLifecycle
    restoring: Restoring
    coordinators: Coordinators
    runner: TaskRunner
    notifier: TaskNotifier
    service: CheckpointService
    rescaler: Rescaler


def assemble(around: Surroundings, reign: Reign, program: JobGraph, calls: Calls) -> Parts:
    """All parts, none of them at work yet; `program` is the graph as the script gave it."""
    settings, graph = around.settings, reign.graph
    restoring = Restoring(
        around.job,
        around.store,
        around.open_root,
        reign,
        around.history,
        allow_older=settings.allow_older,
        passed_over=calls.passed_over,
    )
    coordinators = Coordinators(
        graph,
        configuration=around.configuration,
        clock=around.clock,
        send=calls.send_event,
        fail=calls.coordinator_failed,
        deliver=calls.deliver,
    )
    lifecycle = JobLifecycle.create(regions(graph), slots_of(graph), restart_strategy(around.configuration))
    runner = TaskRunner(
        load_job(around.job, Epoch(reign.journal.epoch), graph, around.configuration),
        graph,
        lifecycle,
        around.workers,
        coordinators,
        calls.feed,
        cancellation_timeout_s=settings.cancellation_timeout_s,
    )
    notifier = TaskNotifier(
        lifecycle,
        around.workers,
        coordinators,
        exactly_once=settings.exactly_once,
        ask=calls.checkpoint,
        feed=calls.feed,
        deposed=calls.deposed,
    )
    service = _checkpoint_service(around, reign, notifier)
    rescaler = Rescaler(
        program,
        graph,
        service,
        reign.journal,
        settings,
        around.operations,
        RescaleHooks(calls.want_slots, calls.feed, runner.prepare, calls.deposed),
        # What took so long to write may take as long to be read.
        RestoringAhead(restoring, service, lifecycle, around.workers, timeout_s=settings.checkpoints.timeout_s),
        around.clock,
        around.rng,
    )
    return Parts(
        lifecycle=lifecycle,
        restoring=restoring,
        coordinators=coordinators,
        runner=runner,
        notifier=notifier,
        service=service,
        rescaler=rescaler,
    )


def load_job(job: JobId, epoch: Epoch, graph: JobGraph, configuration: Configuration) -> LoadJob:
    """What a worker is told of the job before it is given tasks of it."""
    return LoadJob(job, epoch, pickle.dumps(graph, 5), configuration.to_dict())


def _checkpoint_service(around: Surroundings, reign: Reign, notifier: TaskNotifier) -> CheckpointService:
    """Checkpoints of the job during this reign."""
    state, settings = reign.journal.state, around.settings
    coordinator = Coordinator(
        settings.checkpoints,
        reign.retention,
        externalized=settings.externalized,
        next_id=reign.first_id,
        ids_below=state.ids_below,
        stopped=state.stopped is not None,
    )
    return CheckpointService(
        JobDescription(job=around.job, name=reign.graph.name, fingerprint=reign.graph.fingerprint),
        around.store,
        reign.journal,
        coordinator,
        reign.retention,
        notifier,
        around.asks,
        around.history,
        around.clock,
        around.open_root,
    )
