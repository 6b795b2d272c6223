"""What the documents say for a cluster is done as it stands there: operator installed, jobs run, all of it removed."""

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import yaml

from penstock.testing.documents import Reader, checkout, files_of, sections_for
from penstock.testing.kubernetes.api import Namespace
from penstock.testing.kubernetes.binaries import built
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.kubernetes.images import minio_image
from penstock.testing.kubernetes.minio import minio_manifests

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
Section = tuple[Path, str]
INSTALLING: Final = (ROOT / "README.md", "Installing")
FIRST_JOB: Final = (ROOT / "README.md", "The first job, in Kubernetes")
REMOVING: Final = (ROOT / "docs" / "operating.md", "The operator itself")
NOT_RUN: Final = {
    "docker build -t penstock:0.1.0 .": "there is no Docker: the node has the image of the Dockerfile under this name",
    "kind create cluster": "it makes nodes of Docker's containers; the node of the tests takes its place",
    "kind load docker-image penstock:0.1.0": "the same",
}
"""Commands that are passed over, and why."""
SECTIONS: Final = {
    (path, title): blocks for path in DOCUMENTS for title, blocks in sections_for("cluster", path).items()
}
IMAGE: Final = "docker.io/library/penstock:0.1.0"
MINIO_APPLIED: Final = "kubectl apply -f examples/minio.yaml"


DEFINITION: Final = "apiextensions.k8s.io/v1/CustomResourceDefinition"


class Guides:
    """One reader for each section; those of later sections find what the first job has begun with."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in ("kubectl", "helm"):
            (self.programs / name).symlink_to(built(name))

    def follow(self, section: Section, namespace: Namespace) -> None:
        document, title = section
        folder = checkout(ROOT, self.folder / f"{namespace.name}-{title}")
        for name, text in files_of(document).items():
            (folder / name).write_text(text)
        with Reader(folder, self.environment(namespace, folder), not_run=NOT_RUN) as reader:
            reader.follow(SECTIONS[section])

    def follow_on(self, document: Path, namespace: Namespace) -> None:
        """From the first job, in another namespace; all jobs use one S3 server."""
        namespace.create()
        namespace.apply(next(found for found in minio_manifests() if found["kind"] == "Secret"))
        beginning = next(block for block in SECTIONS[FIRST_JOB] if MINIO_APPLIED in block.commands)
        folder = checkout(ROOT, self.folder / f"{namespace.name}-beginning")
        with Reader(folder, self.environment(namespace, folder), not_run=[MINIO_APPLIED]) as reader:
            reader.follow([beginning])
        for section in SECTIONS:
            if section[0] == document and section != REMOVING:
                self.follow(section, namespace)

    def environment(self, namespace: Namespace, folder: Path) -> dict[str, str]:
        """Where commands are about this namespace."""
        found = yaml.safe_load(self.cluster.kubeconfig.read_text())
        for context in found["contexts"]:
            context["context"]["namespace"] = namespace.name
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(found))
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "KUBECONFIG": str(file), "PATH": path, "HOME": str(folder), "NO_PROXY": "*"}


@pytest.fixture
def guides(tmp_path: Path, cluster: Cluster, image: str) -> Guides:
    cluster.name_image(image, IMAGE)
    if isinstance(cluster, Cluster):  # Others pull it.
        (server,) = [found for found in minio_manifests() if found["kind"] == "Deployment"]
        cluster.load_image(minio_image())
        cluster.name_image(minio_image(), server["spec"]["template"]["spec"]["containers"][0]["image"])
    return Guides(tmp_path, cluster)


@pytest.fixture
def default(cluster: Cluster, guides: Guides) -> Iterator[Namespace]:
    """The namespace that everybody has, on a cluster of ours (as `guides` needs) that has never heard of Penstock."""
    namespace = cluster.api.namespace("default")
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        name = yaml.safe_load(file.read_text())["metadata"]["name"]
        if namespace.find(DEFINITION, name) is not None:
            namespace.delete(DEFINITION, name)
            namespace.wait_gone(DEFINITION, name)
    yield namespace
    for found in ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "word-count"}}, *minio_manifests()):
        namespace.kubectl("delete", "--ignore-not-found", "--wait=false", found["kind"], found["metadata"]["name"])


@pytest.fixture
def others(cluster: Cluster) -> Iterator[dict[Path, Namespace]]:
    """One for each document that goes on from the first job."""
    documents = {path for path, _ in SECTIONS} - {FIRST_JOB[0]}
    found = {path: cluster.api.namespace(f"{path.stem}-{secrets.token_hex(3)}") for path in documents}
    yield found
    for namespace in found.values():
        namespace.delete_all()


@pytest.mark.timeout(240, func_only=True)
def test_every_command_does_what_is_said_of_it(
    guides: Guides, default: Namespace, others: dict[Path, Namespace]
) -> None:
    guides.follow(INSTALLING, default)
    try:
        with ThreadPoolExecutor(1 + len(others)) as threads:
            outcomes = [threads.submit(guides.follow, FIRST_JOB, default)]
            outcomes += [threads.submit(guides.follow_on, *other) for other in others.items()]
    finally:
        guides.follow(REMOVING, default)
    failures = [failure for outcome in outcomes if isinstance(failure := outcome.exception(), Exception)]
    if failures:
        raise ExceptionGroup("something else came of what the documents say", failures)
