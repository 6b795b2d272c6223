"""A purge leaves nothing behind that was being written when its writer died, where it may look for that at all."""

from pathlib import Path

import pytest

from penstock.testing.services import Minio
from penstock_operator.clients.journal import Journal
from penstock_operator.clients.objects import Address, Files, Objects
from penstock_operator.clients.removal import Remover
from penstock_operator.clients.s3 import Bucketed, S3Access
from penstock_operator.errors import Rejected

JOB = "0123456789abcdef" * 2
OTHER = "0123456789abcdef" * 2 + "0"


def test_uploads_of_the_job_are_aborted_and_no_others(minio: Minio) -> None:
    bucket = minio.new_bucket().removeprefix("s3://")
    access = S3Access(minio.endpoint, minio.access_key, minio.secret_key, region="us-east-1")
    for key in (f"jobs/{JOB}/chk-1/a", f"jobs/{JOB}/shared/b", f"jobs/{OTHER}/chk-1/c", f"{JOB}/d"):
        minio.client().create_multipart_upload(Bucket=bucket, Key=key)
    journal = Journal(Bucketed(bucket, "jobs", access), JOB)
    for _ in range(2):
        Remover(journal, lambda address: Bucketed(address.bucket, address.path, access)).purge(())
    left = minio.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert {upload["Key"] for upload in left} == {f"jobs/{OTHER}/chk-1/c", f"{JOB}/d"}


def test_files_that_were_half_written_go(tmp_path: Path) -> None:
    ours, others = tmp_path / JOB / "chk-1" / ".penstock-tmp-1", tmp_path / OTHER / ".penstock-tmp-2"
    for path in (ours, others):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    Remover(Journal(Files(tmp_path), JOB), lambda address: Files(Path(address.path))).purge(())
    assert not (tmp_path / JOB).exists() and others.exists()


def test_folders_that_never_got_a_file_go(tmp_path: Path) -> None:
    ours, others = tmp_path / JOB / "chk-14" / "part", tmp_path / OTHER / "chk-1"
    for path in (ours, others):
        path.mkdir(parents=True)
    Files(tmp_path).create(f"{JOB}/chk-13/_metadata", b"x")
    Remover(Journal(Files(tmp_path), JOB), lambda address: Files(Path(address.path))).purge(())
    assert list(tmp_path.iterdir()) == [others.parent] and others.exists()


def test_a_savepoint_is_purged_by_who_may_not_look_for_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Files, prefix: str) -> None:
        raise Rejected("AccessDenied")

    monkeypatch.setattr(Files, "abandon", refuse)
    left = tmp_path / f"savepoint-{JOB[:6]}-0123456789ab" / "data"
    left.parent.mkdir()
    left.write_bytes(b"state")

    def open_at(address: Address) -> Objects:
        return Files(Path(address.path))

    Remover(Journal(Files(tmp_path), JOB), open_at).purge((left.parent.as_uri(),))
    assert not left.exists()
