"""RS: jobs at another parallelism than the one they had: while they run, and from what they left."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import PenstockError
from penstock.testing.cluster import DURABLE, MATRIX, ONLY_WHEN_ASKED, FaultCluster, Job, Setup
from penstock.testing.host import View
from penstock.testing.jobs import RULES
from penstock.testing.oracle import Expectation, open_uploads_of
from penstock.testing.spread import SpreadCluster
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]

BEFORE = (
    "rescale.begun",
    "rescale.checkpoint",
    "checkpoint.metadata.before",
    "journal.completed.before",
    "journal.completed.written",
    "checkpoint.notify",
    "rescale.restore",
    "rescale.switch",
    "rescale.stopped",
    "rescale.running",
    "journal.rescaled.before",
)
"""Steps at which the journal does not know of it yet."""
AFTER = ("journal.rescaled.written", "rescale.recorded")


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_running_job_goes_from_one_to_its_max_parallelism_and_back(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(parallelism=1, options={"pipeline.max-parallelism": "4"}), setup)
    cluster.start()
    cluster.wait_completed()
    cluster.rescale(4)
    cluster.wait_rescaled(4)
    cluster.wait_completed()
    cluster.rescale(1)
    view = cluster.wait_rescaled(1)
    assert view.restarts == 0
    assert set(view.tasks.values()) == {"RUNNING"}
    cluster.wait_completed()
    cluster.finish()
    assert open_uploads_of(cluster.output, cluster.minio) == [], "what the tasks before had begun is removed"


@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_rs1_a_jobmanager_that_dies_at_any_step_of_a_rescaling_is_succeeded_at_a_parallelism_that_is_recorded(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    # The only checkpoint is the one that the rescaling takes.
    cluster = clusters(Job(options=ONLY_WHEN_ASKED), setup)
    plan = Plan(tmp_path / "plan", Stop(step))
    cluster.start(plan)
    cluster.wait_running()
    cluster.rescale(3)
    plan.wait()
    cluster.host.wait()
    journal = cluster.journal()
    assert (journal.rescaled is not None) == (step in AFTER)
    cluster.start()
    view = cluster.wait_running()
    if journal.required is not None or step in AFTER:
        view = cluster.wait("it comes about", lambda view: set(view.parallelism.values()) == {3})
    else:
        assert set(view.parallelism.values()) == {2}, "nobody was told that it will be"
    cluster.rescale(4)
    cluster.wait_rescaled(4)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_worker_that_dies_while_the_new_parallelism_starts_brings_back_the_old_one(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options={"restart-strategy.type": "none"}), setup)
    plan = Plan(tmp_path / "plan", Stop("task.restored", nth=3))
    cluster.start(plan)
    cluster.wait_completed()
    cluster.rescale(3)
    plan.wait()

    def fell_back(view: View) -> bool:
        return view.status == "RUNNING" and view.rescales[-1:] != ("",) and set(view.parallelism.values()) == {2}

    view = cluster.wait("the old parallelism", fell_back)
    assert view.rescales[-1].startswith("EXCEPTION_OCCURRED it could not be brought to run, and runs at its")
    assert set(view.attempts.values()) == {2}
    cluster.wait_completed()
    cluster.rescale(3)
    cluster.wait_rescaled(3)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_checkpoint_that_fails_leaves_the_job_at_its_parallelism(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options=ONLY_WHEN_ASKED), setup)
    cluster.start(Plan(tmp_path / "plan", Stop("checkpoint.metadata.before", "fail")))
    cluster.wait_running()
    cluster.rescale(3)
    view = cluster.wait("the rescaling has failed", lambda view: view.rescales[:1] > ("",))
    assert view.rescales[0].startswith("EXCEPTION_OCCURRED the checkpoint before it failed")
    assert set(view.parallelism.values()) == {2}
    assert set(view.attempts.values()) == {0}
    cluster.rescale(3)
    cluster.wait_rescaled(3)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_slots_that_never_come_are_named_and_the_job_goes_on(clusters: Clusters, setup: Setup) -> None:
    options = {"taskmanager.numberOfTaskSlots": "2", "slot.request.timeout": "200 ms"}
    cluster = clusters(Job(options=options), setup)
    cluster.start()
    cluster.wait_running()
    cluster.rescale(5)
    view = cluster.wait("the rescaling has failed", lambda view: view.rescales[:1] > ("",))
    assert "not enough slots: it needs 5, 3 of them are missing (2 registered)" in view.rescales[0]
    assert set(view.attempts.values()) == {0}
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
@pytest.mark.parametrize("name", ["lists", "splits"])
def test_rs5_lists_of_operators_and_splits_of_sources_are_dealt_out_anew(
    clusters: Clusters, setup: Setup, name: str
) -> None:
    cluster = clusters(Job(name, arguments=() if name == "splits" else ("--waiting", "3")), setup)
    rescale_through(cluster, 3, 1)
    assert cluster.view().restarts == 0, "each time the operators found the union state of all"
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs5_a_subtask_that_is_new_knows_what_was_broadcast(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("broadcast"), setup)
    rescale_through(cluster, 3)
    cluster.end()
    lines = cluster.committed()
    counts: dict[str, list[int]] = {index: [] for index in ("rule0", "rule1", "rule2")}
    for line in lines:
        if line.startswith("rule"):
            counts[line.split()[0]].append(int(line.split()[1]))
    for index, found in counts.items():
        known = RULES - len(found)
        assert sorted(found) == list(range(known + 1, RULES + 1)), f"{index} has counted {found}"
    assert len(counts["rule0"]) == len(counts["rule1"]) == RULES
    numbers = [line for line in lines if not line.startswith("rule")]
    assert not Expectation.of("count", cluster.job.numbers, 2).differences(numbers)


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs6_timers_fire_once_where_their_keys_have_gone(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("timers"), setup)
    rescale_through(cluster, 3, 1)
    cluster.finish()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize("form", ["native", "canonical"])
def test_rs1_savepoints_carry_a_job_from_one_to_its_max_parallelism_and_back(
    clusters: Clusters, setup: Setup, form: str
) -> None:
    job = Job(parallelism=1, options={"pipeline.max-parallelism": "4"}, arguments=("--waiting", "4"))
    cluster = clusters(job, setup)
    cluster.start()
    for parallelism in (4, 1):
        cluster.wait_completed()
        savepoint = cluster.savepoint(stop="suspend", format=form)
        assert cluster.wait_exit() == 0
        job = replace(cluster.job, parallelism=parallelism)
        cluster = going_on(clusters, cluster, job, savepoint)
        cluster.start()
    cluster.finish()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize("parallelism", [1, 3])
def test_rs2_another_job_goes_on_from_a_retained_checkpoint_at_another_parallelism(
    clusters: Clusters, setup: Setup, parallelism: int
) -> None:
    first = clusters(Job(), setup)
    first.start()
    first.wait_completed(3)
    first.kill_host()
    second = successor(clusters, first, Job(parallelism=parallelism))
    second.start()
    second.wait_completed(2)
    second.rescale(2)
    second.wait_rescaled(2)
    second.finish()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pipeline.max-parallelism": "64"}, "max parallelism of .* is 64, but its state was written with 128"),
        (
            {"parallelism.default": "129", "pipeline.max-parallelism": "129"},
            "max parallelism of .* is 129, but its state was written with 128",
        ),
        (
            {"parallelism.default": "129"},
            "parallelism of .* is 129, but its state was written with max parallelism 128",
        ),
    ],
    ids=["rs4-lower", "rs4-higher", "rs3"],
)
def test_rs3_rs4_what_the_states_key_groups_do_not_allow_is_refused_before_anything_starts(
    clusters: Clusters, setup: Setup, options: dict[str, str], sentence: str
) -> None:
    first = clusters(Job(), setup)
    first.start()
    first.wait_completed()
    first.kill_host()
    second = successor(clusters, first, Job(options=options))
    second.start()
    assert second.wait_exit() != 0
    assert re.search(sentence, second.log()), second.log()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
def test_what_is_required_and_has_not_come_about_is_known_to_a_successor(
    spread: Callable[[Job, Setup], SpreadCluster], setup: Setup
) -> None:
    cluster = spread(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    three = {vertex: {"parallelism": {"lowerBound": 1, "upperBound": 3}} for vertex in requirements(cluster)}
    cluster.rest.require(cluster.id, three)
    assert cluster.journal().required is not None, "it is known before it is granted"
    cluster.kill_host()
    cluster.start_taskmanager()
    cluster.start()
    cluster.wait("a third subtask of each", lambda _: parallelism(cluster) == {3})
    assert requirements(cluster) == three
    cluster.finish()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
def test_a_parallelism_that_was_asked_for_once_is_brought_about_and_answered_for_by_a_successor(
    spread: Callable[[Job, Setup], SpreadCluster], setup: Setup
) -> None:
    cluster = spread(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    trigger = cluster.rest.rescale(cluster.id, 3)
    assert cluster.rest.rescale_status(cluster.id, trigger)["status"]["id"] == "IN_PROGRESS", "there are two slots"
    cluster.kill_host()
    cluster.start_taskmanager()
    cluster.start()
    cluster.wait("a third subtask of each", lambda _: parallelism(cluster) == {3})
    cluster.wait("an answer", lambda _: cluster.rest.rescale_status(cluster.id, trigger)["operation"] == {})
    cluster.wait("the journal forgets what was asked", lambda _: cluster.journal().required is None)
    cluster.finish()


def requirements(cluster: SpreadCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.rest.resource_requirements(cluster.id)
    return found


def parallelism(cluster: SpreadCluster) -> set[int]:
    """Of the job's vertices; empty while nobody knows."""
    try:
        return {vertex["parallelism"] for vertex in cluster.rest.job(cluster.id)["vertices"]}
    except PenstockError:
        return set()


def rescale_through(cluster: FaultCluster, *row: int) -> None:
    """Run the job, and give it one parallelism after the other."""
    cluster.start()
    cluster.wait_completed(2)
    for parallelism in row:
        cluster.rescale(parallelism)
        cluster.wait_rescaled(parallelism)
        cluster.wait_completed(2)


def successor(clusters: Clusters, first: FaultCluster, job: Job) -> FaultCluster:
    """Another job that is to go on from the newest checkpoint of the first."""
    newest = first.journal().lineage[-1].id
    return going_on(clusters, first, job, f"{first.checkpoints}/{first.id}/chk-{newest}")


def going_on(clusters: Clusters, first: FaultCluster, job: Job, path: str) -> FaultCluster:
    """Another job, with another id, that is to begin from there and write where the first one wrote."""
    options = {**job.options, "execution.state-recovery.path": path}
    second = clusters(replace(job, options=options), first.setup)
    second.gate, second.output, second.minio = first.gate, first.output, first.minio
    return second
