"""What people give an operator in a cluster: refused or told in a sentence, mended by what the sentence says."""

from typing import Any

import pytest
import yaml

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.pretended_pods import PretendedPods
from penstock.testing.stages import said, stable
from penstock.testing.steps import wait_until

CRD = "apiextensions.k8s.io/v1/CustomResourceDefinition"
DEFINITION = "flinkjobs.penstock.dev"


@pytest.fixture
def pods(stage: ClusterStage):
    with PretendedPods(stage.namespace) as pods:
        yield pods


def with_variable(wanted: dict[str, Any], size: int) -> dict[str, Any]:
    """A manifest with so many bytes in its podTemplate."""
    container = {"name": "penstock-main-container", "env": [{"name": "LONG", "value": "x" * size}]}
    wanted["spec"]["jobManager"]["podTemplate"] = {"spec": {"containers": [container]}}
    return wanted


def test_unknown_fields_wrong_types_and_what_is_no_yaml_are_refused_by_name(stage: ClusterStage) -> None:
    unknown, wrong = stage.manifest(), stage.manifest()
    unknown["spec"]["restart"] = True
    wrong["spec"]["jobManager"] = {"replicas": "one"}
    for text, sentence in (
        (yaml.safe_dump(unknown), ".spec.restart: field not declared in schema"),
        (yaml.safe_dump(wrong), ".spec.jobManager.replicas: expected numeric"),
        ("kind: [", "error converting YAML to JSON"),
    ):
        with pytest.raises(AssertionError) as refused:
            stage.namespace.kubectl("apply", "--server-side", "-f", "-", stdin=text)
        assert sentence in str(refused.value)
    assert stage.seen() is None


def test_a_megabyte_is_run_or_refused(stage: ClusterStage, pods: PretendedPods) -> None:
    wanted = stage.manifest()
    wanted["spec"]["job"] = {"source": {"inline": "x" * 1_000_000}}
    stage.apply(wanted)
    assert "spec.job.source.inline: Too long: may not be more than 262144" in stage.refusal()
    stage.apply(with_variable(stage.manifest(), 1_000_000))
    stable(stage)


def refusals(stage: ClusterStage) -> list[str]:
    """What the object says was refused of what is made of it; waits for the first."""
    told: list[str] = []

    def refused() -> bool:
        told[:] = [told.message for told in stage.events() if told.reason == "Refused"]
        return bool(told)

    wait_until(refused, 50, stage.story)
    return told


def test_what_has_room_as_a_flinkjob_and_not_as_what_is_made_of_it_is_told(
    stage: ClusterStage, pods: PretendedPods
) -> None:
    """A ControllerRevision or a Deployment, whichever has the longer names."""
    sentence = "request is too large; the manifest must become smaller"
    stage.apply(with_variable(stage.manifest(), 1_569_000))
    stage.wait(
        "it is told",
        lambda seen: sentence in said(seen) or any(sentence in told.message for told in stage.events()),
        50,
    )


def test_a_definition_older_than_the_operator_is_told_and_nothing_is_begun_that_it_cannot_hold(
    stage: ClusterStage, pods: PretendedPods
) -> None:
    known = stage.namespace.get(CRD, DEFINITION)
    older = stage.namespace.get(CRD, DEFINITION)
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["operation"]["properties"]["startId"]
    path = stage.namespace.api.path(CRD, DEFINITION)
    stage.namespace.api.json("PUT", path, older)
    try:
        stage.apply(stage.manifest())
        told = refusals(stage)
        assert "penstock-operator crds" in told[0] and "status.operation.startId" in told[0]
        (revision,) = {pod["metadata"]["labels"]["penstock.dev/revision"] for pod in stage.namespace.pods()}
        assert pods.told(revision) == []
    finally:
        newest = stage.namespace.get(CRD, DEFINITION)
        stage.namespace.api.json("PUT", path, {**newest, "spec": known["spec"]})
    stable(stage)
    assert pods.told(revision) == ["start"]
