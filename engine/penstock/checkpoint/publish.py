"""The coordinator's commands that touch the store, but for the journal: write `_metadata`, delete, list.

The JobManager calls these in threads, as commands come. They decide nothing.

Steps a fault test may stop at: `checkpoint.metadata.before`, `checkpoint.metadata.written`, `checkpoint.delete.before`,
`checkpoint.deleted`, `checkpoint.sweep.before`. (Those of the journal's entries are named in `journal.py`: between
`journal.completed.written` and the tasks' commits lies "after `_metadata`, before notify".)
"""

import logging
from collections.abc import Sequence
from typing import Final

from penstock.base.errors import AlreadyExists, StorageError, StoreRefused
from penstock.base.ids import JobId
from penstock.base.steps import reached
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.layout import checkpoints_prefix, metadata_path, shared_prefix
from penstock.checkpoint.metadata import Metadata, encode
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)


def write_metadata(store: ObjectStore, metadata: Metadata) -> tuple[str, str]:
    """Its path and checksum, for `MetadataWritten`. May be called again after StoreUnavailable, with the same value."""
    path, data = metadata_path(metadata.job, metadata.checkpoint), encode(metadata)
    reached("checkpoint.metadata.before")
    try:
        store.create(path, data)
    except AlreadyExists:
        # Ids are used once, so it is ours, from a try whose answer was lost; anything else must not be built upon.
        if store.read(path) != data:
            raise StoreRefused(f"{path} in {store.uri} exists already and is not this checkpoint's") from None
    reached("checkpoint.metadata.written")
    return path, checksum_of(data)


def delete_files(store: ObjectStore, paths: Sequence[str]) -> None:
    """Carry out `DeleteFiles`. What cannot be deleted now is found by the next reign's sweep."""
    reached("checkpoint.delete.before")
    try:
        store.delete_many(paths)
    except StorageError:
        log.warning("files of dropped checkpoints could not be deleted", extra={"files": len(paths)}, exc_info=True)
    reached("checkpoint.deleted")


def job_files(store: ObjectStore, job: JobId) -> list[str]:
    """Every snapshot file and `_metadata` of the job, for `Retention.sweep`; what that returns goes to `delete_files`.

    At the start of a reign, before any task runs, sweep with `decided_below` = the journal's `first_id`; later with
    `Coordinator.decided_below` and `Coordinator.referred()` as they are when sweeping.
    """
    reached("checkpoint.sweep.before")
    return [entry.path for prefix in (checkpoints_prefix(job), shared_prefix(job)) for entry in store.list(prefix)]
