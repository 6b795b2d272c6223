"""A JobManager in standby that cannot start, or should not: it stays up, says why, and changes nothing in the store."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.rest.client import RestRefused
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.commands import Running
from penstock.testing.revisions import Revision
from penstock.testing.savepoints import HandMade

RAISES = """\
print("before")
def wanted():
    return {}["the table"]

wanted()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterByHand]:
    with ClusterByHand(tmp_path) as cluster:
        yield cluster


def end(running: Running) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait().code == 128 + signal.SIGTERM


def stored(cluster: ClusterByHand) -> list[str]:
    return sorted(str(path.relative_to(cluster.checkpoints)) for path in cluster.checkpoints.rglob("*"))


def words(backend: Any, on: Any) -> None:
    state = backend.state(ValueStateDescriptor("count", Types.STRING()))
    if on(3):
        state.update("three")


def test_a_script_that_raises_is_told_over_rest_with_its_line(cluster: ClusterByHand) -> None:
    script = cluster.commands.script("raises.py", RAISES)
    revision = Revision(cluster, "rev-1")
    jobmanager = revision.jobmanager(script=[script])
    seen = revision.wait_state("FAILED")
    assert seen["error"] == f"{script} failed: KeyError: 'the table' ({script}, line 3)"
    assert revision.rest.get("/penstock/alive") == {}
    for ask in (lambda: revision.rest.get("/penstock/ready"), revision.rest.jobs, revision.rest.preflight):
        with pytest.raises(RestRefused, match="KeyError: 'the table'") as refused:
            ask()
        assert refused.value.status == 503
    with pytest.raises(RestRefused, match="there is no job to start") as refused:
        revision.start("empty")
    assert refused.value.status == 409
    assert "in wanted" in jobmanager.errors, "the log has the traceback"
    end(jobmanager)
    assert stored(cluster) == []


def test_while_it_waits_nothing_is_written_whatever_it_is_asked(cluster: ClusterByHand, tmp_path: Path) -> None:
    revision = Revision(cluster, "rev-1")
    jobmanager = revision.jobmanager()
    revision.wait_state("WAITING")
    savepoint = HandMade(tmp_path / "savepoint").write()
    rest, job = revision.rest, cluster.id
    trigger = rest.savepoint(job, trigger="a" * 32, directory=str(tmp_path / "more"), format_type="NATIVE")
    disposal = rest.dispose(str(savepoint))
    for status in (lambda: rest.savepoint_status(job, trigger), lambda: rest.disposal_status(disposal)):
        cluster.wait("an answer", lambda status=status: status()["operation"] is not None)
        assert "failure-cause" in status()["operation"]
    assert rest.preflight()["outcome"] == "compatible"
    assert stored(cluster) == []
    assert (savepoint / "_metadata").exists() and not (tmp_path / "more").exists()
    end(jobmanager)


def test_what_does_not_fit_is_said_before_and_after_the_start_and_another_start_may_be_told(
    cluster: ClusterByHand, tmp_path: Path
) -> None:
    made = HandMade(tmp_path / "other").keyed("nobody", words, key_type=Types.LONG()).write()
    revision = Revision(cluster, "rev-1")
    jobmanager = revision.jobmanager()
    revision.wait_state("WAITING")
    report = revision.rest.preflight(str(made))
    assert (report["outcome"], report["findings"][0]["kind"]) == ("incompatible", "state-without-operator")
    preflight = revision.seen()["preflight"]
    assert (preflight["status"], preflight["against"]) == ("INCOMPATIBLE", str(made))
    assert preflight["findings"] == [report["findings"][0]["message"]]
    told = revision.start("savepoint", str(made))
    failed = revision.wait_state("FAILED")
    assert failed["startId"] == told and "nobody" in failed["error"]
    assert revision.rest.start({"startId": told, "from": {"kind": "empty"}})["state"] == "FAILED", "done once"
    revision.start("empty")
    assert revision.wait_state("STARTED")["error"] is None
    end(jobmanager)


def test_who_cancels_it_is_told_so_and_a_restarted_process_says_so_too(cluster: ClusterByHand) -> None:
    revision = Revision(cluster, "rev-1")
    jobmanager = revision.jobmanager()
    revision.wait_state("WAITING")
    revision.start("empty")
    revision.wait_state("STARTED")
    revision.rest.cancel(cluster.id)
    assert revision.wait_state("ENDED")["ended"] == "CANCELED"
    jobmanager.signal(signal.SIGKILL)
    jobmanager.wait()
    jobmanager = revision.jobmanager()
    assert revision.wait_state("ENDED")["ended"] == "CANCELED"
    assert revision.job_state() == "CANCELED"
    end(jobmanager)


def test_a_standby_without_a_name_for_its_revision_is_refused(cluster: ClusterByHand) -> None:
    ended = cluster.commands.run("jobmanager", "--standby", "--job", "job.py", "--job-id", "a" * 32)
    assert (ended.code, "needs --revision" in ended.errors) == (1, True)


def test_a_script_that_never_ends_does_not_keep_it_from_stopping(cluster: ClusterByHand) -> None:
    script = cluster.commands.script("sleeps.py", "import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")
    revision = Revision(cluster, "rev-1")
    jobmanager = revision.jobmanager(script=[script])
    jobmanager.says("asleep")
    revision.wait_state("LOADING")
    with pytest.raises(RestRefused, match="being loaded") as refused:
        revision.start("empty")
    assert refused.value.status == 503
    end(jobmanager)
    cluster.check_nothing_left()
