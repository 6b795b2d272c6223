"""Scenario 8: the operator dies at each of its writes and acts, and an upgrade happens once."""

import os
from pathlib import Path
from random import Random

import pytest

from penstock.testing.local_stage import LocalStage
from penstock.testing.stages import Seen, Stage, finish, stable
from penstock.testing.steps import wait_until

DYING = str(Path(__file__).with_name("dying_operator.py"))
SAMPLE = 3
"""Deaths of one upgrade in `make test`; in `make soak` there are as many as it takes, each one moment later."""
MOMENTS = 9


def has_upgraded(stage: Stage, before: Seen) -> bool:
    seen = stage.seen()
    return seen is not None and seen.stable and seen.revision != before.revision


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_an_upgrade_happens_once_wherever_the_operator_dies(
    tmp_path: Path, soak_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed = tmp_path / "die-at"
    monkeypatch.setenv("PENSTOCK_DIE_AT", str(armed))
    rng = Random(os.environ["PENSTOCK_SEED"])
    moments = list(range(1, 4 * MOMENTS)) if soak_s is not None else sorted(rng.sample(range(1, MOMENTS), SAMPLE))
    with LocalStage(tmp_path / "stage", operator=(DYING,), numbers=6_000) as stage:
        stage.apply(stage.manifest())
        before = stable(stage)
        armed.write_text(str(moments.pop(0)))
        stage.apply(stage.manifest(parallelism=2, args=stage.arguments(rate=800)))
        while not has_upgraded(stage, before):
            wait_until(lambda: stage.operator.poll() is not None or has_upgraded(stage, before), 50.0, stage.story)
            if stage.operator.poll() is not None:
                if moments:
                    armed.write_text(str(moments.pop(0)))
                stage.start_operator()
        armed.unlink(missing_ok=True)
        finish(stage)
        assert len(stage.savepoint_folders()) == 1
