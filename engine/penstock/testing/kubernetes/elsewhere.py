"""A cluster that is there already, or one that kind makes where it and Docker are at hand: for `make e2e`.

Tests use it like the node of their own; what it cannot do they skip. Its pods need not reach this machine, nor this
machine its pods: MinIO and the operator run in pods too. PENSTOCK_IMAGE names an image that it can pull.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from penstock.testing.kubernetes.api import POD, Api
from penstock.testing.kubernetes.binaries import REPOSITORY
from penstock.testing.kubernetes.control_plane import Request
from penstock.testing.kubernetes.images import name_of_image

KUBECONFIG: Final = "KUBECONFIG"
IMAGE: Final = "PENSTOCK_IMAGE"


@final
class ClusterElsewhere:
    """What of `Cluster` can be done with any cluster; `kind` is the name of one that kind has made."""

    def __init__(self, kubeconfig: Path, kind: str | None) -> None:
        self.kubeconfig = kubeconfig
        self.api = Api(kubeconfig)
        self._kind = kind

    def load_image(self, name: str) -> None:
        """Give it to kind's node; elsewhere it has to be where the cluster pulls from."""
        if self._kind is not None:
            _run("kind", "load", "docker-image", name, "--name", self._kind)

    def name_image(self, image: str, *names: str) -> None:
        """Other names for it, which only kind's node can be taught."""
        if self._kind is None:
            raise unittest.SkipTest("needs a node that can be given images by any name")
        for name in names:
            _run("docker", "tag", image, name)
            self.load_image(name)

    def kill_container(self, namespace: str, pod: str, container: str | None = None) -> None:
        """SIGKILL for a container's first process; where nobody lets us, the pod's end without any grace."""
        jobs = self.api.namespace(namespace)
        found = jobs.get(POD, pod)
        if self._kind is None:
            if not found["metadata"].get("ownerReferences"):
                raise unittest.SkipTest("kills a container of a pod that nobody would make anew")
            jobs.delete(POD, pod, grace_s=0)
            return
        statuses = found["status"]["containerStatuses"]
        status = next(status for status in statuses if container in (None, status["name"]))
        identifier = status["containerID"].removeprefix("containerd://")
        kill = ["ctr", "--namespace=k8s.io", "tasks", "kill", "-s", "KILL", identifier]
        _run("docker", "exec", found["spec"]["nodeName"], *kill)

    def requests(self, namespace: str, service_account: str) -> list[Request]:
        """Nor is their audit log ours to read."""
        raise unittest.SkipTest("needs a node of its own, whose audit log it may read")

    def without(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Parts of a cluster elsewhere are not ours to stop."""
        raise unittest.SkipTest(f"needs a node of its own, whose {name} it may stop")


@contextlib.contextmanager
def cluster_elsewhere() -> Iterator[ClusterElsewhere]:
    """The cluster that $KUBECONFIG names, else one of kind's, for the length of the block."""
    if given := os.environ.get(KUBECONFIG):
        yield ClusterElsewhere(Path(given), None)
        return
    if shutil.which("kind") is None or shutil.which("docker") is None:
        raise RuntimeError(f"name a cluster in {KUBECONFIG}, or have kind and docker on PATH")
    name = f"penstock-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        try:
            _run("kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", "120s")
            yield ClusterElsewhere(kubeconfig, name)
        finally:
            _run("kind", "delete", "cluster", "--name", name)


def image_elsewhere() -> str:
    """The image that PENSTOCK_IMAGE names, else one that Docker builds."""
    if given := os.environ.get(IMAGE):
        return given
    name = name_of_image()
    _run("docker", "build", "--quiet", "--tag", name, str(REPOSITORY))
    return name


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
