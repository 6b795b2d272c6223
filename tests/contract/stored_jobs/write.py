"""Writes this release's examples of journal and `_metadata` beside itself, with the engine's code. Run once a release:

PYTHONPATH=engine python tests/contract/stored_jobs/write.py
"""

import json
from pathlib import Path

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId, JobId, VertexId
from penstock.checkpoint.journal_state import (
    Finished,
    Forgotten,
    FromCheckpoint,
    FromSavepoint,
    IdsReserved,
    OriginForgotten,
    Rescaled,
)
from penstock.checkpoint.layout import journal_slot, metadata_path
from penstock.storage import MemoryStore
from penstock.testing.stored_jobs import StoredJob

RELEASE = "0.1.0"
HERE = Path(__file__).parent
JOB = JobId("0123456789abcdef" * 2)


def main() -> None:
    stores = {address: MemoryStore(SystemClock()) for address in ("memory:",)}
    job = StoredJob(lambda address: stores.setdefault(address, MemoryStore(SystemClock())), "memory:", JOB)
    job.start(FromSavepoint("file:///before/savepoint-0123456-789abcdef012", claimed=True))
    shared = job.upload("base", 1, shared=True)
    first = job.complete((shared,))
    second = job.complete((shared, job.upload("delta", 2, shared=True)))
    job.append(OriginForgotten())
    job.append(Rescaled({VertexId("v"): 4}, {VertexId("v"): 2}))
    job.lead("second")
    job.start(FromCheckpoint(CheckpointId(first)))
    job.append(IdsReserved(CheckpointId(job.state.ids_below + 4)))
    third = job.complete((shared,))
    job.append(Forgotten(CheckpointId(second)))
    job.savepoint("file:///savepoints", stop=True)
    job.append(Finished("FINISHED", claimed=True))
    slots = [json.loads(job.store.read(journal_slot(JOB, slot))) for slot in range(job.state.slots)]
    while job.state.slots <= 64:
        job.append(IdsReserved(CheckpointId(job.state.ids_below + 1)))
    state = json.loads(job.store.read(journal_slot(JOB, 64)))["state"]
    put(f"journal-{RELEASE}.json", json.dumps({"slots": slots, "state_at_64": state}, indent=1) + "\n")
    put(f"metadata-{RELEASE}.json", job.store.read(metadata_path(JOB, CheckpointId(third))).decode())


def put(name: str, text: str) -> None:
    (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
