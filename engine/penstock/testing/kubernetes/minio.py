"""MinIO in pods, as examples/minio.yaml has it: for clusters whose pods do not reach this machine.

Pods ask it by its Service's name, tests through a port of this machine that kubectl forwards. PENSTOCK_MINIO_IMAGE
names another image than the manifest's, where a cluster cannot pull that one.
"""

import contextlib
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Final, final

import yaml

from penstock.testing.kubernetes.api import Namespace, Object
from penstock.testing.kubernetes.binaries import REPOSITORY, built
from penstock.testing.services import options_of, s3_client

MANIFEST: Final = REPOSITORY / "examples" / "minio.yaml"
IMAGE: Final = "PENSTOCK_MINIO_IMAGE"
_PORT: Final = 9000
_PULLED_S: Final = 120.0
_FORWARDING: Final = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


@final
class MinioInPods:
    """One server in a namespace; see `penstock.testing.services.S3Server`."""

    def __init__(self, namespace: Namespace) -> None:
        manifests = minio_manifests()
        (secret,) = [found for found in manifests if found["kind"] == "Secret"]
        self.access_key: str = secret["stringData"]["AWS_ACCESS_KEY_ID"]
        self.secret_key: str = secret["stringData"]["AWS_SECRET_ACCESS_KEY"]
        self._namespace = namespace
        self._forward: subprocess.Popen[str] | None = None
        self._client: Any = None
        self._forwarding = threading.Lock()
        namespace.apply(*manifests)
        namespace.wait(
            "apps/v1/Deployment",
            "minio",
            lambda found: found.get("status", {}).get("availableReplicas") == 1,
            timeout_s=_PULLED_S,
        )

    @property
    def endpoint(self) -> str:
        """For pods."""
        return f"http://minio.{self._namespace.name}:{_PORT}"

    @property
    def options(self) -> dict[str, str]:
        """For pods, as configuration keys."""
        return options_of(self)

    def new_bucket(self) -> str:
        """Make a bucket that no other test has and return its URI."""
        name = f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def client(self) -> Any:
        """boto3's own client, through a port of this machine."""
        with self._forwarding:
            if self._forward is None or self._forward.poll() is not None:
                self._client = s3_client(f"http://{self._forwarded()}", self.access_key, self.secret_key)
            return self._client

    def close(self) -> None:
        """Forward nothing any more."""
        if self._forward is not None:
            self._forward.terminate()
            self._forward.communicate()

    def _forwarded(self) -> str:
        """An address on this machine; another one whenever the pod is another one."""
        self.close()
        api = self._namespace.api
        command = [str(built("kubectl")), "--kubeconfig", str(api.kubeconfig), "--namespace", self._namespace.name]
        command += ["port-forward", "service/minio", f":{_PORT}"]
        self._forward = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._forward.stdout is not None
        line = self._forward.stdout.readline()
        match = _FORWARDING.search(line)
        assert match, f"kubectl forwards nothing: {line}{self._forward.stdout.read()}"
        return match[1]


def minio_manifests() -> list[Object]:
    """Of the example, with the image that this cluster can pull."""
    manifests: list[Object] = list(yaml.safe_load_all(MANIFEST.read_text()))
    if given := os.environ.get(IMAGE):
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                manifest["spec"]["template"]["spec"]["containers"][0]["image"] = given
    return manifests


@contextlib.contextmanager
def running_minio_in_pods(namespace: Namespace) -> Iterator[MinioInPods]:
    """One in a namespace made for it, for the length of the block."""
    namespace.create()
    try:
        server = MinioInPods(namespace)
        try:
            yield server
        finally:
            server.close()
    finally:
        namespace.delete_all()
