"""Scenarios 11 and 12: the store is away for a while, or has lost bytes."""

from pathlib import Path

from penstock.testing.local_stage import LocalStage
from penstock.testing.services import Minio
from penstock.testing.stages import finish, stable


def test_checkpoints_fail_while_s3_is_down_and_the_job_goes_on(tmp_path: Path, minio_own: Minio) -> None:
    with LocalStage(tmp_path / "stage", minio=minio_own) as stage:
        stage.apply(stage.manifest())
        stable(stage)
        minio_own.kill()
        minio_own.start()
        finish(stage)


def test_a_truncated_checkpoint_is_passed_over(tmp_path: Path) -> None:
    with LocalStage(tmp_path / "stage") as stage:
        stage.apply(stage.manifest())
        stable(stage)
        stage.kill("operator")
        stage.kill("jobmanager")
        folder = Path(stage.checkpoints.removeprefix("file://"))
        newest = max(folder.rglob("chk-*/_metadata"), key=lambda file: int(file.parent.name.removeprefix("chk-")))
        newest.write_bytes(newest.read_bytes()[:-7])
        stage.start_operator()
        finish(stage)  # From the checkpoint before it.
