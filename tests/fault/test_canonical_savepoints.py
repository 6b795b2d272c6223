"""SP7 and SP14: canonical savepoints of running jobs, read by the other backend and by DuckDB; output is exact."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from penstock.testing.cluster import FaultCluster, Job, Setup

Clusters = Callable[[Job, Setup], FaultCluster]
HEAP, ROCKS = Setup("hashmap", "file"), Setup("rocksdb-incremental", "file")


@pytest.mark.parametrize(
    ("first", "second", "parallelism"),
    [(HEAP, ROCKS, 3), (ROCKS, HEAP, 1)],
    ids=["heap-to-rocksdb", "rocksdb-to-heap"],
)
def test_sp7_a_job_goes_on_exactly_on_the_other_backend_at_another_parallelism(
    clusters: Clusters, first: Setup, second: Setup, parallelism: int, tmp_path: Path
) -> None:
    cluster = clusters(Job(), first)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(format="canonical", stop="suspend")
    assert cluster.wait_exit() == 0
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.setup, other.job = second, replace(other.job, parallelism=parallelism)
        other.start()
        other.finish()


@pytest.mark.parametrize("setup", [HEAP, ROCKS], ids=str)
def test_sp14_duckdb_reads_what_a_running_job_has_counted(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    tables = Path(cluster.savepoint(format="canonical").removeprefix("file:")) / "count"
    cluster.finish()
    with duckdb.connect() as db:
        counts = dict(db.sql(f"SELECT key, value FROM '{tables}/count/*.parquet'").fetchall())
        seen = db.sql(f"SELECT key, map_key, value FROM '{tables}/seen/*.parquet'").fetchall()
    assert counts
    assert counts == Counter(key for key, _, _ in seen)
    # A key's counts are what the job wrote for the same numbers.
    written = {tuple(map(int, line.split())) for line in cluster.committed()}
    assert {(key, count, number) for key, number, count in seen} <= written
