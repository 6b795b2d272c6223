"""The end of a job, once its tasks are gone: written into the journal, then what nobody needs any more is deleted."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from penstock.base.ids import JobId
from penstock.checkpoint.protocol import JobEnded
from penstock.checkpoint.retention import FinalState
from penstock.common.job_status import JobStatus
from penstock.jobmanager.checkpoints import CheckpointService

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
