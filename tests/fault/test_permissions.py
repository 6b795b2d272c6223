"""What docs/operating.md says a store must allow is enough, and no more than that is asked for."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from penstock.testing.cluster import FaultCluster, Job, Setup
from penstock.testing.services import Minio

ROOT = Path(__file__).parents[2]


def policy(bucket: str, prefix: str) -> str:
    (found,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs/operating.md").read_text(), re.DOTALL)
    return str(found).replace("BUCKET", bucket).replace("PREFIX", prefix)


def restricted(minio: Minio, allowed: str) -> dict[str, str]:
    """Keys to which only this is allowed, as configuration."""
    tokens: Any = boto3.client(
        "sts",
        endpoint_url=minio.endpoint,
        aws_access_key_id=minio.access_key,
        aws_secret_access_key=minio.secret_key,
        region_name="us-east-1",
    )
    role = {"RoleArn": "arn:aws:iam::000000000000:role/job", "RoleSessionName": "job"}
    keys = tokens.assume_role(**role, Policy=allowed)["Credentials"]
    return {
        "s3.access-key": keys["AccessKeyId"],
        "s3.secret-key": keys["SecretAccessKey"],
        "s3.session-token": keys["SessionToken"],
    }


def test_a_job_that_may_do_no_more_in_its_bucket_than_the_guide_says_runs_recovers_and_stops(
    clusters: Callable[..., FaultCluster], tmp_path: Path
) -> None:
    options: dict[str, str] = {}
    cluster = clusters(Job(options=options), Setup("rocksdb-incremental", "s3"))
    bucket = cluster.checkpoints.removesuffix("/checkpoints")
    cluster.checkpoints = f"{bucket}/jobs/checkpoints"
    cluster.savepoints = f"{bucket}/jobs/savepoints"
    cluster.output = f"{bucket}/jobs/output"
    assert cluster.minio is not None
    options |= restricted(cluster.minio, policy(bucket.removeprefix("s3://"), "jobs"))

    cluster.start()
    cluster.wait_completed(2)
    cluster.host.kill()
    cluster.host.wait()
    cluster.start()
    cluster.wait_completed(2)
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    with cluster.successor(tmp_path / "next", savepoint, options) as other:
        other.start()
        other.finish()
    assert "AccessDenied" not in cluster.log()


def test_what_a_job_may_not_write_is_an_error_that_names_it(clusters: Callable[..., FaultCluster]) -> None:
    options: dict[str, str] = {}
    cluster = clusters(Job(options=options), Setup("hashmap", "s3"))
    assert cluster.minio is not None
    bucket = cluster.checkpoints.removesuffix("/checkpoints")
    options |= restricted(cluster.minio, policy(bucket.removeprefix("s3://"), "elsewhere"))
    cluster.start()
    assert cluster.wait_exit() != 0
    assert bucket in cluster.log() and "AccessDenied" in cluster.log()
