"""Puts together what a job master drives, from how its reign began. Called once, by the job master."""

from penstock.base.clock import Clock
from penstock.checkpoint.coordinator import Coordinator
from penstock.jobmanager.checkpoints import CheckpointService, JobDescription, Notifier
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.reign import Reign
from penstock.jobmanager.settings import JobSettings
from penstock.storage.objects import ObjectStore


def checkpoint_service(
    description: JobDescription,
    reign: Reign,
    settings: JobSettings,
    store: ObjectStore,
    notifier: Notifier,
    history: CheckpointHistory,
    clock: Clock,
) -> CheckpointService:
    """Checkpoints of the job during this reign."""
    state = reign.journal.state
    coordinator = Coordinator(
        settings.checkpoints,
        reign.retention,
        externalized=settings.externalized,
        next_id=state.first_id,
        ids_below=state.ids_below,
    )
    return CheckpointService(description, store, reign.journal, coordinator, reign.retention, notifier, history, clock)
