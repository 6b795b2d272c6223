"""When an object counts as being as it was applied."""

from typing import Any

import pytest

from penstock_operator.clients.likeness import covers, digest, digest_on, rendered_by, sealed

MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {"name": "a", "image": "i", "resources": {"limits": {"memory": "1024Mi", "cpu": "1000m"}}},
                    {"name": "b", "env": [{"name": "X", "value": ""}], "args": ["one", "two"]},
                ]
            }
        },
    },
}


def live(**spec: Any) -> dict[str, Any]:
    """As the API server gives it back: with defaults and others' fields, amounts as it writes them."""
    container = {"name": "a", "image": "i", "terminationMessagePath": "/dev/termination-log"}
    second = {"name": "b", "env": [{"name": "X"}, {"name": "INJECTED", "value": "1"}], "args": ["one", "two"]}
    containers = [
        {"name": "sidecar"},
        second,
        {**container, "resources": {"limits": {"memory": "1Gi", "cpu": "1"}}},
    ]
    template = {"spec": {"containers": containers, "restartPolicy": "Always"}}
    return {**MANIFEST, "spec": {"replicas": 2, "template": template, **spec}, "status": {}}


def test_defaults_and_what_others_add_are_no_difference() -> None:
    assert covers(live(), MANIFEST)


def test_another_number_of_replicas_is_a_difference() -> None:
    assert not covers(live(replicas=3), MANIFEST)


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ("1Gi", "1024Mi", True),
        ("500m", 0.5, True),
        ("1", 1, True),
        ("1G", "1Gi", False),
        ("latest", "newest", False),
        (None, {}, True),
        (None, [], True),
        (None, "", True),
        (None, False, True),
        (None, "x", False),
        ({}, "x", False),
        ([1, 2], [1], False),
        ([{"name": "a"}], [{"name": "b"}], False),
        ("text", {"a": 1}, False),
        (True, 1, True),
    ],
)
def test_values_are_compared_by_what_they_mean(live: Any, wanted: Any, same: bool) -> None:
    assert covers(live, wanted) is same


def test_the_digest_says_what_was_applied_whatever_the_number_of_replicas() -> None:
    more = {**MANIFEST, "spec": {**MANIFEST["spec"], "replicas": 9}}
    other = {**MANIFEST, "spec": {**MANIFEST["spec"], "template": {}}}
    assert digest(MANIFEST) == digest(more) != digest(other)


def test_a_sealed_manifest_names_its_digest_and_version() -> None:
    seal = sealed(MANIFEST, "1.2.3")
    assert digest_on(seal) == digest(MANIFEST)
    assert rendered_by(seal) == "1.2.3"
    assert "annotations" not in MANIFEST["metadata"]
    assert digest_on(MANIFEST) is None
