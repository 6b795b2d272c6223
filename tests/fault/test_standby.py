"""A job goes from one revision's JobManager to the next one's, whatever dies meanwhile: the output is exact."""

import signal
from pathlib import Path
from random import Random
from typing import final

import pytest

from penstock.base.clock import SystemClock
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import JournalState
from penstock.rest.client import RestRefused
from penstock.storage import FileStore
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.revisions import Revision
from penstock.testing.steps import Plan, Stop


def test_a_job_goes_from_one_revision_to_the_next_by_a_savepoint(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        old, new = Revision(cluster, "rev-1"), Revision(cluster, "rev-2")
        olds = old.up()
        assert old.wait_prepared()["preflight"] == {"status": "COMPATIBLE", "against": None, "findings": []}
        first = old.start("empty")
        old.wait_completed(1)
        news = new.up()
        prepared = new.wait_prepared()
        assert prepared["slots"] == {"required": 2, "registered": 2}
        assert "/chk-" in prepared["preflight"]["against"]
        savepoint = old.stop_with_savepoint()
        assert old.wait_state("ENDED")["startId"] == first
        assert new.rest.preflight(savepoint)["outcome"] == "compatible"
        second = new.start("savepoint", savepoint)
        assert new.start("savepoint", savepoint, start_id=second) == second
        with pytest.raises(RestRefused) as refused:
            new.start("savepoint", savepoint)
        assert refused.value.status == 409
        new.wait_completed(1)
        for running in olds:
            running.signal(signal.SIGTERM)
        assert new.wait_state("STARTED")["startId"] == second
        new.finish(*news)


@final
class Upgrade:
    """Two revisions; the old one has stopped with a savepoint, the new one stands by and follows a plan."""

    def __init__(self, cluster: ClusterByHand, plan: Plan) -> None:
        self.cluster = cluster
        self.old, self.new = Revision(cluster, "rev-1"), Revision(cluster, "rev-2")
        self.olds, self.news = self.old.up(), self.new.up(plan=plan)
        self.old.wait_prepared()
        self.old.start("empty")
        self.old.wait_completed(1)
        self.new.wait_prepared()
        self.savepoint = self.old.stop_with_savepoint()
        self.old.wait_state("ENDED")

    def end_old(self) -> None:
        for running in self.olds:
            running.signal(signal.SIGTERM)
            running.wait()

    def restart_new(self) -> None:
        """As whoever supervises the process does."""
        assert self.news[0].wait().code == -signal.SIGKILL
        self.news[0] = self.new.jobmanager()


def journal_of(cluster: ClusterByHand) -> JournalState:
    return Journal(FileStore(cluster.checkpoints), cluster.id, "", clock=SystemClock(), rng=Random()).open()


@pytest.mark.parametrize(("step", "owner"), [("journal.epoch.before", "rev-1"), ("restore.start.before", "rev-2")])
def test_a_start_that_is_not_in_the_journal_is_told_again(tmp_path: Path, step: str, owner: str) -> None:
    with ClusterByHand(tmp_path) as cluster:
        upgrade = Upgrade(cluster, Plan(tmp_path / "plan", Stop(step)))
        told = upgrade.new.start("savepoint", upgrade.savepoint)
        upgrade.restart_new()
        assert journal_of(cluster).owner == owner
        assert upgrade.new.wait_state("WAITING")["startId"] is None
        upgrade.new.start("savepoint", upgrade.savepoint, start_id=told)
        upgrade.new.wait_completed(1)
        upgrade.end_old()
        upgrade.new.finish(*upgrade.news)


def test_a_start_that_is_in_the_journal_is_gone_on_with_by_a_restarted_process(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        upgrade = Upgrade(cluster, Plan(tmp_path / "plan", Stop("jobmanager.deploy")))
        told = upgrade.new.start("savepoint", upgrade.savepoint)
        upgrade.restart_new()
        assert upgrade.new.wait_state("STARTED")["startId"] == told
        before = journal_of(cluster).epoch
        assert upgrade.new.start("savepoint", upgrade.savepoint, start_id=told) == told
        with pytest.raises(RestRefused):
            upgrade.new.start("empty")
        upgrade.new.wait_completed(1)
        assert journal_of(cluster).epoch == before, "nothing was begun again"
        upgrade.end_old()
        upgrade.new.finish(*upgrade.news)


def test_the_old_revision_comes_up_again_after_the_upgrade_and_harms_nobody(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        upgrade = Upgrade(cluster, Plan(tmp_path / "plan"))
        jobmanager, taskmanager = upgrade.olds
        jobmanager.signal(signal.SIGKILL)
        upgrade.new.start("savepoint", upgrade.savepoint)
        upgrade.new.wait_completed(1)
        jobmanager = upgrade.old.jobmanager()
        assert upgrade.old.wait_state("WAITING")["startId"] is None
        upgrade.new.wait_completed(1)
        for running in (jobmanager, taskmanager):
            running.signal(signal.SIGTERM)
        upgrade.new.finish(*upgrade.news)


def test_a_revision_that_runs_is_deposed_and_then_waits(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        old, new = Revision(cluster, "rev-1"), Revision(cluster, "rev-2")
        olds, news = old.up(), new.up()
        old.wait_prepared()
        old.start("empty")
        old.wait_completed(1)
        new.wait_prepared()
        new.start("newest")
        assert olds[0].wait().code == 3
        olds[0] = old.jobmanager()
        old.wait_state("WAITING")
        new.wait_completed(1)
        for running in olds:
            running.signal(signal.SIGTERM)
        new.finish(*news)


def test_a_jobmanager_that_was_replaced_by_another_of_its_revision_does_not_depose_it_in_turn(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        lost, instead = Revision(cluster, "rev-1"), Revision(cluster, "rev-1")
        losts = lost.up()
        lost.wait_prepared()
        lost.start("empty")
        lost.wait_completed(1)
        instead_of = instead.up()
        assert losts[0].wait().code == 3
        losts[0] = lost.jobmanager()
        assert lost.wait_state("WAITING")["startId"] is None
        instead.wait_completed(1)
        for running in losts:
            running.signal(signal.SIGTERM)
        instead.finish(*instead_of)


def test_both_jobmanagers_die_in_the_middle_of_a_start_and_the_journal_says_whose_the_job_is(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        upgrade = Upgrade(cluster, Plan(tmp_path / "plan", Stop("journal.started.written")))
        upgrade.olds[0].signal(signal.SIGKILL)
        told = upgrade.new.start("savepoint", upgrade.savepoint)
        upgrade.restart_new()
        upgrade.olds[0] = upgrade.old.jobmanager()
        assert upgrade.new.wait_state("STARTED")["startId"] == told
        upgrade.old.wait_state("WAITING")
        upgrade.new.wait_completed(1)
        upgrade.end_old()
        upgrade.new.finish(*upgrade.news)


def test_a_job_that_has_ended_is_still_told_of_by_a_restarted_process_and_may_be_started_again(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        revision = Revision(cluster, "rev-1")
        jobmanager, taskmanager = revision.up()
        revision.wait_prepared()
        first = revision.start("empty")
        revision.wait_completed(1)
        savepoint = revision.stop_with_savepoint()
        assert revision.wait_state("ENDED")["ended"] == "FINISHED"
        jobmanager.signal(signal.SIGKILL)
        jobmanager = revision.jobmanager()
        seen = revision.wait_state("ENDED")
        assert (seen["ended"], seen["startId"], revision.job_state()) == ("FINISHED", first, "FINISHED")
        revision.start("savepoint", savepoint)
        revision.wait_completed(1)
        revision.finish(jobmanager, taskmanager)
