"""The end of a job, once its tasks are gone: written into the journal, then what nobody needs any more is deleted.

The latter by a successor where the JobManager that recorded the end died before it could.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from penstock.base.errors import StorageError
from penstock.base.ids import JobId
from penstock.checkpoint.journal_state import Forgotten, OriginForgotten
from penstock.checkpoint.protocol import JobEnded
from penstock.checkpoint.publish import delete_files, job_files
from penstock.checkpoint.retention import ExternalizedRetention, FinalState
from penstock.checkpoint.savepoints import OpenRoot, delete_claimed
from penstock.common.job_status import JobStatus
from penstock.jobmanager.asks import claimed_and_forgotten
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.reign import Reign
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)

_FINAL_STATES: Final[Mapping[JobStatus, FinalState]] = {
    JobStatus.FINISHED: "FINISHED",
    JobStatus.CANCELED: "CANCELED",
    JobStatus.FAILED: "FAILED",
}
_END_TIMEOUT_S: Final = 30.0
"""Time for the job's end to reach the journal before it is only logged that it did not."""

_CLEAN_UP_TIMEOUT_S: Final = 30.0
"""Time for the files of checkpoints that nobody needs any more to be deleted."""


async def record_end(service: CheckpointService, job: JobId, status: JobStatus) -> None:
    """Have it recorded and cleaned up; what cannot be is logged, and left to a sweep."""
    service.feed(JobEnded(service.now(), _FINAL_STATES[status]))
    try:
        async with asyncio.timeout(_END_TIMEOUT_S):
            await service.end_journaled()
    except TimeoutError:
        log.warning("the job's end could not be recorded", extra={"job": job, "status": status.name})
        return
    try:
        async with asyncio.timeout(_CLEAN_UP_TIMEOUT_S):
            await service.end_cleaned()
    except TimeoutError:
        log.warning("files of the job's checkpoints are left in the store", extra={"job": job})


def finish_clean_up(
    store: ObjectStore, job: JobId, reign: Reign, policy: ExternalizedRetention, open_root: OpenRoot
) -> None:
    """Forget and delete the checkpoints that do not outlive a job that has ended before, and what else was left.

    Blocking. What cannot be deleted is logged, and left to whoever comes next.
    """
    journal, retention = reign.journal, reign.retention
    ended = journal.state.finished
    assert ended is not None, "only a job whose end is recorded has ended"
    if journal.state.claimed:
        return
    first_id = journal.state.first_id
    try:
        if retention.origin_may_go(_FINAL_STATES[JobStatus[ended]], policy):
            journal.append(OriginForgotten())
        origin = claimed_and_forgotten(journal.state)
        if origin is not None:
            delete_claimed(open_root, origin)
        for checkpoint in retention.ended(_FINAL_STATES[JobStatus[ended]], policy):
            journal.append(Forgotten(checkpoint))
            retention.forgotten(checkpoint)
        gone = retention.collect(bases=(), referred=())
        gone += retention.sweep(job_files(store, job), decided_below=first_id, referred=gone)
    except StorageError:
        log.warning("files of the job's checkpoints are left in the store", extra={"job": job}, exc_info=True)
        return
    if gone:
        log.info("left-over files deleted", extra={"files": len(gone)})
        delete_files(store, gone)
