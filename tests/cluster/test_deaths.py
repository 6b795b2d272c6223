"""Scenarios 5 to 8: whatever is killed, and whenever, what was counted is exact."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.cluster.scenes import BILL, Scene, await_checkpoint, newest_checkpoint

from penstock.testing.cluster_operator import OperatorProcess
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.stages import Process, finish, stable

DYING = str(Path(__file__).parents[1] / "operator" / "scenarios" / "dying_operator.py")
DEATHS = 3
MOMENTS = 9
"""Writes and acts of an upgrade, about."""
UPGRADE_S = 60.0
STEPS = ("Preparing", "Savepointing", "Verifying", "Starting", "Settling")
KINDS: tuple[Process, ...] = ("taskmanager", "jobmanager")


@BILL.scenario
def test_a_killed_pod_of_either_kind_is_brought_back_to_the_newest_checkpoint(scene: Scene) -> None:
    with scene.stage() as stage:
        stage.apply(stage.manifest())
        before = stable(stage)
        for victim in KINDS:
            completed = newest_checkpoint(stage)
            stage.kill(victim)
            seen = await_checkpoint(stage, completed)
            assert seen.revision == before.revision
            assert seen.status["jobStatus"]["jobId"] == before.status["jobStatus"]["jobId"]
        finish(stage)


@BILL.scenario
def test_all_may_die_at_once_and_an_upgrade_happens_once_wherever_the_operator_dies(scene: Scene) -> None:
    armed = scene.folder / "die-at"
    with scene.mortal_stage([DYING], PENSTOCK_DIE_AT=str(armed)) as stage:
        stage.apply(stage.manifest())
        before = stable(stage)
        completed = newest_checkpoint(stage)
        stage.kill(*KINDS, "operator")
        stage.start_operator()
        assert await_checkpoint(stage, completed).revision == before.revision

        def has_upgraded() -> bool:
            seen = stage.seen()
            return seen is not None and seen.stable and seen.revision != before.revision

        stage.apply(stage.manifest(args=stage.arguments(rate=150)))
        if isinstance(stage.operator, OperatorProcess):
            _die_at_moments(stage, stage.operator, armed, has_upgraded)
        else:
            _die_in_steps(stage, has_upgraded)
        stage.until(has_upgraded, stage.story)
        finish(stage)
        assert len([key for key in stage.stored(stage.savepoints) if key.endswith("/_metadata")]) == 1


def _die_at_moments(
    stage: ClusterStage, operator: OperatorProcess, armed: Path, has_upgraded: Callable[[], bool]
) -> None:
    """By its own hand, before or after one of its writes and acts."""
    moments = sorted(Random(os.environ["PENSTOCK_SEED"]).sample(range(1, MOMENTS), DEATHS))
    while moments and not has_upgraded():
        armed.write_text(str(moments.pop(0)))
        stage.until(lambda: operator.has_ended() or has_upgraded(), stage.story, UPGRADE_S)
        if operator.has_ended():
            stage.start_operator()
    armed.unlink(missing_ok=True)


def _die_in_steps(stage: ClusterStage, has_upgraded: Callable[[], bool]) -> None:
    """The leader in pods, as soon as it has got so far."""
    places = sorted(Random(os.environ["PENSTOCK_SEED"]).sample(range(len(STEPS)), DEATHS - 1))

    def has_come_to(place: int) -> bool:
        seen = stage.seen()
        return seen is not None and (seen.step in STEPS[place:] or has_upgraded())

    for place in places:
        stage.until(lambda place=place: has_come_to(place), stage.story)  # type: ignore[misc]
        if has_upgraded():
            return
        stage.kill("operator")
