"""What the Dockerfile promises of Penstock's image."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.testing.kubernetes.api import POD, Namespace
from penstock.testing.kubernetes.images import configuration_of, size_above_base

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "cargo", "rustc", "go")
CAREFUL = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}


def versions(constraints: str) -> dict[str, str]:
    """Each package, and its version with the hashes."""
    lines = (ROOT / constraints).read_text().splitlines()
    whole = "\n".join(line for line in lines if not line.startswith("#")).replace(" \\\n", " ")
    return {line.partition("==")[0]: line for line in whole.splitlines()}


def run(namespace: Namespace, image: str, command: Sequence[str], early: str = "") -> tuple[int, str]:
    """How a pod of the image ends under the rights that a careful administrator gives it: exit code, and what it says.

    `early` is what Python runs in it before anything else.
    """
    customized = {"kind": "ConfigMap", "metadata": {"name": "early"}, "data": {"sitecustomize.py": early}}
    namespace.apply({"apiVersion": "v1", **customized})
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": CAREFUL,
        "command": command,
        "env": [{"name": "PYTHONPATH", "value": "/early"}],
        "volumeMounts": [{"name": "early", "mountPath": "/early"}],
    }
    volume = {"name": "early", "configMap": {"name": "early"}}
    spec = {"containers": [container], "volumes": [volume], "restartPolicy": "Never"}
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec})
    found = namespace.wait(POD, "one", lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))
    return found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], namespace.logs("one")


def said(namespace: Namespace, image: str, script: str) -> str:
    """What a shell says that ends well."""
    code, output = run(namespace, image, ["sh", "-c", script])
    assert code == 0, output
    return output


@pytest.fixture
def made_here(image: str, request: pytest.FixtureRequest) -> str:
    """The image, where it is one that can be looked into."""
    if request.config.getoption("--elsewhere"):
        pytest.skip("made by others")
    return image


def test_the_image_is_less_than_250_mb_above_its_base(made_here: str) -> None:
    assert size_above_base(made_here) / MEGABYTE < 250


def test_the_image_does_not_run_as_root(made_here: str) -> None:
    assert configuration_of(made_here)["User"] == "9999:9999"


def test_all_that_is_in_the_image_is_what_is_tested() -> None:
    tested = versions("constraints.txt")
    assert {name: line for name, line in versions("constraints-image.txt").items() if tested.get(name) != line} == {}


@pytest.mark.parametrize("entry_point", ["jobmanager", "taskmanager", "operator"])
def test_an_entry_point_needs_neither_rights_nor_a_root_it_can_write_to(
    namespace: Namespace, image: str, entry_point: str
) -> None:
    assert "Usage: " in said(namespace, image, f"! touch /tmp/x && {entry_point} --help")


@pytest.mark.parametrize("entry_point", ["jobmanager", "taskmanager", "operator"])
def test_an_entry_point_is_ended_by_what_came_before_it_listened(
    namespace: Namespace, image: str, entry_point: str
) -> None:
    """A pod deleted the moment it starts: the signal comes once, and a first process ignores it without a handler."""
    early = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert run(namespace, image, [entry_point, "--help"], early) == (143, "")


def test_what_was_left_out_is_missed_by_nobody(namespace: Namespace, image: str) -> None:
    program = (
        "import confluent_kafka, fastavro, kubernetes.aio.client, pyarrow.compute, pyarrow.dataset, pyarrow.fs, rich\n"
        "import pyarrow.parquet, rocksdict, boto3, xxhash, uvloop, kopf\n"
        "print(boto3.client('s3', region_name='eu-central-1').meta.endpoint_url)"
    )
    assert (
        said(namespace, image, f'/opt/penstock/bin/python -c "{program}"') == "https://s3.eu-central-1.amazonaws.com\n"
    )


def test_there_is_nothing_to_compile_with(namespace: Namespace, image: str) -> None:
    found = said(namespace, image, f"for name in {' '.join(COMPILERS)}; do command -v $name; done; id -u")
    assert found.splitlines() == ["9999"]
