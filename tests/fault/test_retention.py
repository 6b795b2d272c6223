"""What lies in the store after a job's end: what its retained checkpoints need, and not one file more."""

import os
import secrets
import signal
from pathlib import Path

import pytest

from penstock.checkpoint.metadata import decode
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.cluster import ONLY_WHEN_ASKED
from penstock.testing.jobs import RAISE
from penstock.testing.paced import FINISH
from penstock.testing.processes import workers_of

HASHMAP = {"state.backend.type": "hashmap", "execution.checkpointing.incremental": "true"}
ROCKSDB = {"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"}
ROCKSDB_FULL = {"state.backend.type": "rocksdb"}
CASES = [
    (HASHMAP, "RETAIN_ON_CANCELLATION", "cancel", True),
    (ROCKSDB, "RETAIN_ON_CANCELLATION", "cancel", True),
    (ROCKSDB_FULL, "RETAIN_ON_CANCELLATION", "finish", False),
    (ROCKSDB_FULL, "DELETE_ON_CANCELLATION", "fail", True),
    (ROCKSDB, "DELETE_ON_CANCELLATION", "cancel", False),
    (HASHMAP, "NO_EXTERNALIZED_CHECKPOINTS", "fail", False),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("backend", "retention", "end", "kept"), CASES)
def test_the_store_holds_exactly_what_retained_checkpoints_need(
    tmp_path: Path, backend: dict[str, str], retention: str, end: str, kept: bool
) -> None:
    options = {
        "execution.checkpointing.num-retained": "3",
        "execution.checkpointing.interval": "50 ms",
        "execution.checkpointing.externalized-checkpoint-retention": retention,
        "restart-strategy.fixed-delay.attempts": "1",
    }
    with ClusterByHand(tmp_path, options | backend) as cluster:
        jobmanager, taskmanager = cluster.jobmanager(), cluster.taskmanager(slots=2)
        cluster.wait_completed(8)
        os.kill(workers_of(taskmanager.process.pid)[0], signal.SIGKILL)
        jobmanager.says("status=RESTARTING")
        cluster.wait_running()
        cluster.wait_completed(5)
        bring_to_its_end(cluster, end)
        assert jobmanager.wait().code == (1 if end == "fail" else 0)
        taskmanager.wait()
        checkpoints, needed, found = stored(cluster.checkpoints)
        assert len(checkpoints) == (3 if kept else 0)
        assert found == needed


def bring_to_its_end(cluster: ClusterByHand, end: str) -> None:
    match end:
        case "cancel":
            cluster.rest.cancel(cluster.id)
        case "finish":
            (cluster.gate / FINISH).touch()
        case _:
            (cluster.gate / f"{RAISE}-numbers").touch()


def stored(root: Path) -> tuple[list[int], set[str], set[str]]:
    """Checkpoints in the store, the files that they need, and all files but the journal's."""
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    found = {path for path in files if "/journal/" not in path}
    checkpoints, needed = [], set()
    for path in sorted(found):
        if path.endswith("/_metadata"):
            metadata = decode((root / path).read_bytes(), path)
            checkpoints.append(int(metadata.checkpoint))
            needed |= {path} | metadata.paths(shared=True) | metadata.paths(shared=False)
    return checkpoints, needed, found


@pytest.mark.parametrize("backend", [HASHMAP, ROCKSDB], ids=["hashmap", "rocksdb"])
def test_a_full_checkpoint_refers_to_no_earlier_file_and_later_ones_build_on_it(
    tmp_path: Path, backend: dict[str, str]
) -> None:
    options = {"execution.checkpointing.num-retained": "9", **ONLY_WHEN_ASKED}
    kept = {"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION"}
    with ClusterByHand(tmp_path, options | kept | backend) as cluster:
        jobmanager, taskmanager = cluster.jobmanager(), cluster.taskmanager(slots=2)
        cluster.wait_running()
        cluster.wait("there is state", lambda: read(cluster) > 100)
        for kind in ("CONFIGURED", "INCREMENTAL", "FULL", "CONFIGURED"):
            trigger = cluster.rest.checkpoint(cluster.id, trigger=secrets.token_hex(16), checkpoint_type=kind)
            cluster.wait(kind, lambda trigger=trigger: outcome(cluster, trigger))  # type: ignore[misc]
        cluster.rest.cancel(cluster.id)
        assert jobmanager.wait().code == 0
        taskmanager.wait()
    referred = {
        int(path.parent.name.removeprefix("chk-")): checkpoints_of(path)
        for path in cluster.checkpoints.rglob("chk-*/_metadata")
    }
    assert referred[3] == {3}
    assert min(referred[4]) >= 3
    if backend is ROCKSDB:  # On the heap, one that has most keys anew begins anew.
        assert min(referred[2]) == 1, "the second one builds on the first"
        assert min(referred[4]) == 3


def read(cluster: ClusterByHand) -> int:
    """Records that the counting vertex has had."""
    return sum(int(vertex["metrics"]["read-records"]) for vertex in cluster.rest.job(cluster.id)["vertices"])


def outcome(cluster: ClusterByHand, trigger: str) -> bool:
    found = cluster.rest.checkpoint_status(cluster.id, trigger)
    assert "failureCause" not in (found.get("operation") or {}), found
    return bool(found["status"]["id"] == "COMPLETED")


def checkpoints_of(path: Path) -> set[int]:
    """The checkpoints for which the files were written that this one's keyed state is in."""
    metadata = decode(path.read_bytes(), str(path))
    keyed = (handle for operator in metadata.operators for subtask in operator.subtasks for handle in subtask.keyed)
    names = [file.file.path.rpartition("/")[2] for handle in keyed for file in handle.files]
    return {int(name.split("-")[1].removeprefix("c")) for name in names}
