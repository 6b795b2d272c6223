"""SP1 to SP11: savepoints taken, stopped with, moved, claimed and disposed of, on jobs whose output is exact."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.checkpoint.journal_state import FromSavepoint
from penstock.checkpoint.recovery import Recovery
from penstock.testing.cluster import DURABLE, MATRIX, ONLY_WHEN_ASKED, FaultCluster, Job, Setup
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]

everywhere = pytest.mark.parametrize("setup", MATRIX, ids=str)
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)
in_files = pytest.mark.parametrize("setup", [s for s in MATRIX if s.storage == "file"], ids=str)


@everywhere
def test_sp1_a_job_goes_on_from_a_savepoint_that_was_taken_while_it_ran(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint()
    assert cluster.wait_completed().status == "RUNNING"
    cluster.finish()
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.output = str(tmp_path / "next" / "output")
        other.start()
        other.end()
        again, expected = other.committed(), other.expectation()
    numbers = Counter(int(line.split()[2]) for line in again)
    counts = Counter(line.rpartition(" ")[0] for line in again)
    # The state of each key is what it was: all counts from there on are there again, each once, up to the last.
    assert numbers <= expected.numbers and counts <= expected.counts
    last = {count.split()[0]: int(count.split()[1]) for count in expected.counts}
    for key in {count.split()[0] for count in counts}:
        found = sorted(int(count.split()[1]) for count in counts if count.split()[0] == key)
        assert found == list(range(found[0], last[key] + 1))
    assert len(again) < expected.numbers.total(), "it did not begin anew"


@everywhere
def test_sp2_a_stop_with_savepoint_commits_all_before_it_and_emits_nothing_after_it(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    assert cluster.view().status == "FINISHED"
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.start()
        other.finish()


@durable
@pytest.mark.parametrize("stop", ["suspend", "drain"])
def test_sp4_a_stop_that_fails_leaves_the_job_running(
    clusters: Clusters, setup: Setup, stop: str, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start(Plan(tmp_path / "plan", Stop("savepoint.metadata.before", "fail")))
    cluster.wait_completed(2)
    answer = cluster.wait_answer(cluster.ask(stop=stop))
    assert answer.failure is not None and "it could not be written" in answer.failure
    view = cluster.wait_completed()
    # What was drained cannot go on: it begins again from its newest checkpoint.
    assert (view.restarts > 0) == (stop == "drain")
    cluster.finish()
    assert not cluster.files_below(cluster.savepoints), "nothing is left of it"


@in_files
def test_sp5_a_state_without_its_operator_is_refused_unless_that_is_allowed(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    with cluster.successor(tmp_path / "refused", savepoint, name="union") as other:
        other.start()
        assert other.wait_exit() != 0
        assert "holds state of operators that the program does not have: " in other.log()
        assert "execution.state-recovery.ignore-unclaimed-state" in other.log()
    allowed = {"execution.state-recovery.ignore-unclaimed-state": "true"}
    with cluster.successor(tmp_path / "allowed", savepoint, allowed, name="union") as other:
        other.start()
        other.wait_completed()
        other.end()


@in_files
def test_sp6_a_savepoint_that_was_moved_elsewhere_restores(clusters: Clusters, setup: Setup, tmp_path: Path) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    shutil.move(savepoint, tmp_path / "elsewhere")
    shutil.rmtree(cluster.checkpoints)
    cluster.checkpoints = str(tmp_path / "new checkpoints")
    with cluster.successor(tmp_path / "next", f"file://{tmp_path}/elsewhere/_metadata") as other:
        other.start()
        other.finish()


@in_files
def test_sp9_chained_differently_and_at_another_parallelism_the_job_goes_on(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    unchained = {"pipeline.operator-chaining.enabled": "false", "parallelism.default": "3"}
    with cluster.successor(tmp_path / "next", savepoint, unchained) as other:
        other.start()
        other.finish()


@durable
def test_sp11_a_savepoint_that_is_not_claimed_is_left_alone_and_needed_by_nobody_in_the_end(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    whole = cluster.files_below(savepoint)
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.start()
        other.wait_completed(3)
        assert cluster.files_below(savepoint) == whole
        assert other.wait_answer(other.ask("savepoint-disposal", savepoint)).failure is None
        other.kill_worker()
        other.wait_restarted()
        other.finish()


@durable
def test_sp11_a_claimed_savepoint_is_deleted_once_the_job_has_checkpoints_of_its_own(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    claim = {"execution.savepoint-restore-mode": "CLAIM", **ONLY_WHEN_ASKED}
    with cluster.successor(tmp_path / "next", savepoint, claim) as other:
        other.start()
        other.wait_running()
        refused = other.wait_answer(other.ask("savepoint-disposal", savepoint))
        assert refused.failure is not None and "the job has claimed it" in refused.failure
        for _ in range(2):
            assert cluster.files_below(savepoint), "two checkpoints are kept, and it is one of them"
            assert other.wait_answer(other.ask("checkpoint")).failure is None
        other.wait("what was claimed is gone", lambda view: not cluster.files_below(savepoint))
        other.kill_host()
        other.start()
        other.finish()


@durable
def test_sp11_a_retained_checkpoint_is_claimed_and_deleted_and_its_successor_goes_on(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)
    claim = {"execution.state-recovery.claim-mode": "CLAIM"}
    cluster.cancel()
    retained = cluster.journal().retained
    assert len(retained) == 2, "that is how many are kept on cancellation"
    newest = f"{cluster.checkpoints}/{cluster.id}/chk-{retained[-1].id}"
    with cluster.successor(tmp_path / "next", newest, claim) as other:
        other.start()
        other.wait_completed(3)
        other.wait("what was claimed is gone", lambda view: not cluster.files_below(newest))
        other.finish()
    # The one before it is still whole: what both shared has not been deleted with it.
    older = FromSavepoint(f"{cluster.checkpoints}/{cluster.id}/chk-{retained[0].id}")
    assert Recovery(None, cluster.id, cluster.open, False, lambda: None).of(older).metadata is not None


@durable
def test_sp11_a_checkpoint_of_a_job_that_died_is_claimed_and_the_dead_job_does_not_come_back(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(3)
    cluster.kill_host()
    *_, older, newest = cluster.journal().retained  # One more where it died before it let go of the oldest.
    path = f"{cluster.checkpoints}/{cluster.id}/chk-{newest.id}"
    with cluster.successor(tmp_path / "next", path, {"execution.state-recovery.claim-mode": "CLAIM"}) as other:
        other.start()
        other.wait_completed(3)
        other.wait("what was claimed is gone", lambda view: not cluster.files_below(path))
        cluster.start()
        cluster.wait_exit()
        assert cluster.journal().finished == "CANCELED"
        other.finish()
    whole = FromSavepoint(f"{cluster.checkpoints}/{cluster.id}/chk-{older.id}")
    assert Recovery(None, cluster.id, cluster.open, False, lambda: None).of(whole).metadata is not None


@in_files
def test_claim_mode_legacy_is_refused_in_a_sentence(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(options={"execution.state-recovery.claim-mode": "LEGACY"}), setup)
    cluster.start()
    assert cluster.wait_exit() != 0
    assert "execution.state-recovery.claim-mode: LEGACY is not supported" in cluster.log()
    assert "use NO_CLAIM" in cluster.log()
