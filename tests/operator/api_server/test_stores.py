"""Stores that do not answer as they should: told as long as they do not, and nothing is started meanwhile."""

import base64
from collections.abc import Iterator

import pytest

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.pretended_pods import PretendedPods
from penstock.testing.stages import stable

DEPLOYMENT = "apps/v1/Deployment"


@pytest.fixture
def pods(stage: ClusterStage) -> Iterator[PretendedPods]:
    with PretendedPods(stage.namespace) as pods:
        yield pods


def test_a_store_that_does_not_answer_as_it_should_is_told_until_it_does(
    stage: ClusterStage, pods: PretendedPods
) -> None:
    nobody = stage.manifest()
    nobody["spec"]["checkpoints"]["endpoint"] = "http://127.0.0.1:9"
    nowhere = stage.manifest()
    nowhere["spec"]["checkpoints"] |= {"dir": "s3://there-is-no-such-bucket/a"}
    stranger = stage.manifest()
    stranger["spec"]["checkpoints"]["credentialsSecretRef"] = {"name": "stranger"}
    lacking = stage.manifest()
    lacking["spec"]["checkpoints"]["credentialsSecretRef"] = {"name": "lacking"}
    unnamed = stage.manifest()
    unnamed["spec"]["checkpoints"]["credentialsSecretRef"] = {"name": "nobody"}
    keys = {"AWS_ACCESS_KEY_ID": "stranger", "AWS_SECRET_ACCESS_KEY": "stranger"}
    for name, data in (("stranger", keys), ("lacking", {})):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        stage.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})
    for wanted, sentence in (
        (nobody, "127.0.0.1:9"),
        (nowhere, "there-is-no-such-bucket"),
        (stranger, "InvalidAccessKeyId"),
        (lacking, "AWS_ACCESS_KEY_ID"),
        (unnamed, "nobody"),
    ):
        stage.apply(wanted)
        stage.wait(f"{sentence} is told", lambda seen, sentence=sentence: sentence in seen.error)
        assert not stage.namespace.all(DEPLOYMENT)
    stage.apply(stage.manifest())
    stable(stage)
