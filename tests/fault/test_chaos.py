"""Random kills of workers, TaskManagers, JobManager and MinIO: what is committed in the end is exact.

PENSTOCK_CHAOS_SEED repeats a run, as far as the machine's timing does; PENSTOCK_CHAOS_SECONDS says how long all of them
take together.
"""

import os
from collections.abc import Callable

import pytest

from penstock.testing.chaos import Chaos
from penstock.testing.cluster import Job, Setup
from penstock.testing.services import Minio
from penstock.testing.spread import SpreadCluster

Spread = Callable[..., SpreadCluster]

SHORT_S = 60.0
RATE = 150
SETUPS = [Setup("hashmap", "s3"), Setup("rocksdb-incremental", "s3")]


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("state", SETUPS, ids=str)
def test_whatever_is_killed_at_random_the_output_is_exact(
    spread: Spread, state: Setup, minio_own: Minio, soak_s: float | None
) -> None:
    seconds = float(os.environ.get("PENSTOCK_CHAOS_SECONDS") or soak_s or SHORT_S) / len(SETUPS)
    seed = int(os.environ.get("PENSTOCK_CHAOS_SEED") or os.environ["PENSTOCK_SEED"])
    print(f"PENSTOCK_CHAOS_SEED={seed} PENSTOCK_CHAOS_SECONDS={seconds * len(SETUPS):g}")
    # Two sources of two subtasks each; less than they could emit in the time.
    job = Job("connect", numbers=int(seconds * RATE * 4 * 0.6), rate=RATE, local_output=True)
    cluster = spread(job, state, minio_own)
    chaos = Chaos(cluster, minio_own, seed)

    cluster.start()
    try:
        chaos.run(seconds)
        chaos.end(timeout_s=60 + seconds)
        differences = cluster.expectation().differences(cluster.committed())
    finally:
        print("\n".join(chaos.deeds))

    assert differences == []
    assert cluster.journal().finished == "FINISHED"
