"""The guide's first job in Kubernetes, by the guide's own commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.services import Minio

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "getting-started.md"


@pytest.fixture
def stage(
    tmp_path: Path, cluster: Cluster, namespace: Namespace, image: str, cluster_minio: Minio
) -> Iterator[ClusterStage]:
    with ClusterStage(tmp_path, cluster, namespace, image, cluster_minio) as stage:
        yield stage


def commands() -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^    kubectl (.*)$", GUIDE.read_text(), re.MULTILINE)]


@pytest.mark.timeout(180)
def test_every_command_of_the_guide_does_what_it_says(
    stage: ClusterStage, tmp_path: Path, image: str, cluster_minio: Minio
) -> None:
    manifest, script = "examples/word_count/flinkjob-s3.yaml", "examples/word_count/word_count.py"
    filled_in = tmp_path / "flinkjob.yaml"
    filled_in.write_text(
        (ROOT / manifest)
        .read_text()
        .replace("BUCKET", cluster_minio.new_bucket().removeprefix("s3://"))
        .replace("https://ENDPOINT", cluster_minio.endpoint)
        .replace("image: penstock:0.1.0", f"image: {image}\n  imagePullPolicy: Never")
    )
    keys = {"AWS_ACCESS_KEY_ID=KEY": cluster_minio.access_key, "AWS_SECRET_ACCESS_KEY=SECRET": cluster_minio.secret_key}
    given = {
        manifest: str(filled_in),
        f"--from-file={script}": f"--from-file={ROOT / script}",
        **{f"--from-literal={key}": f"--from-literal={key.partition('=')[0]}={value}" for key, value in keys.items()},
    }
    said = {}
    for command in commands():
        words = [given.get(word, word) for word in command]
        said[words[0], words[1]] = stage.namespace.kubectl(*words, timeout_s=120)
    assert said["get", "fj"].split("\n")[1].split()[:3] in (
        ["word-count", "Deployed", "RUNNING"],
        ["word-count", "Stable", "RUNNING"],
    )
    assert "Started" in said["describe", "fj/word-count"]
    assert "savepointDir" in said["explain", "fj.spec.checkpoints"]
