"""Puts together what a job master drives, from how its reign began. Called once, by the job master."""

from collections.abc import Callable
from random import Random

from penstock.base.clock import Clock
from penstock.base.ids import JobId
from penstock.checkpoint.coordinator import Coordinator
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.checkpoints import CheckpointService, JobDescription, Notifier, SavepointListener
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.reign import Reign, begin_reign
from penstock.jobmanager.settings import JobSettings
from penstock.storage.objects import ObjectStore


def reign_over(
    store: ObjectStore,
    job: JobId,
    graph: JobGraph,
    owner: str,
    settings: JobSettings,
    open_root: Callable[[str], ObjectStore],
    clock: Clock,
    rng: Random,
) -> Reign:
    """Begin to rule the job, as its settings say. Blocking."""
    return begin_reign(
        store,
        job,
        graph,
        owner,
        open_root=open_root,
        restore_path=settings.restore_path,
        claim=settings.claim,
        allow_older=settings.allow_older,
        allow_unclaimed=settings.allow_unclaimed,
        retained_max=settings.checkpoints.retained_max,
        probe=True,
        clock=clock,
        rng=rng,
    )


def checkpoint_service(
    description: JobDescription,
    reign: Reign,
    settings: JobSettings,
    store: ObjectStore,
    notifier: Notifier,
    listener: SavepointListener,
    history: CheckpointHistory,
    clock: Clock,
    open_root: Callable[[str], ObjectStore],
) -> CheckpointService:
    """Checkpoints of the job during this reign."""
    state = reign.journal.state
    coordinator = Coordinator(
        settings.checkpoints,
        reign.retention,
        externalized=settings.externalized,
        next_id=reign.first_id,
        ids_below=state.ids_below,
        stopped=state.stopped is not None,
    )
    return CheckpointService(
        description,
        store,
        reign.journal,
        coordinator,
        reign.retention,
        notifier,
        listener,
        history,
        clock,
        open_root,
    )
