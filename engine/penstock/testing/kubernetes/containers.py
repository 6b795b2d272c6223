"""The node's containerd, past Kubernetes: images that stay from one node to the next, and containers that are killed.

To unpack an image takes long, so a place keeps what it has unpacked. What a node leaves that was not ended in order is
not trusted: the next one throws it away.
"""

import shutil
import signal
from typing import Final, final

from penstock.testing.kubernetes.files import CONTAINERD_SOCKET, IMAGE_STORE
from penstock.testing.kubernetes.images import IMAGES, archive_of
from penstock.testing.kubernetes.namespaces import INSIDE, CommandFailed, Namespaces

CONTAINERD: Final = "containerd"
_LOAD_S: Final = 150.0
_ATTEMPTS: Final = 5
_CTR: Final = ("ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io")
# Some may be on their way out already.
_REMOVE_ALL: Final = f"""
ctr="{" ".join(_CTR)}"
for task in $($ctr tasks ls -q); do $ctr tasks rm --force $task; done
for container in $($ctr containers ls -q); do $ctr containers rm $container; done
true
"""


@final
class Containers:
    """One node's containers and images."""

    def __init__(self, node: Namespaces) -> None:
        self._node = node
        self._in_use = node.kept / "in-use"

    def open(self) -> None:
        """Before containerd starts: have the images of the last node in this place, if it was ended in order."""
        if self._in_use.exists():
            shutil.rmtree(self._node.kept / IMAGE_STORE.name, ignore_errors=True)
        self._in_use.touch()

    def answers(self) -> bool:
        """Whether containerd does."""
        try:
            self._ctr("version")
        except CommandFailed:
            return False
        return True

    def load(self, name: str) -> None:
        """Have an image, unless it is there; another version of it goes."""
        present = self._ctr("images", "ls", "-q").split()
        if name in present:
            return
        link = self._node.folder / "image.tar"
        link.hardlink_to(archive_of(name))
        try:
            self._ctr("images", "import", str(INSIDE / link.name), timeout_s=_LOAD_S)
        finally:
            link.unlink()
        if older := [other for other in present if name.startswith(IMAGES) and other.startswith(IMAGES)]:
            self._ctr("images", "rm", *older)

    def name(self, image: str, *names: str) -> None:
        """Have an image that is there under other names too."""
        self._ctr("images", "tag", "--force", image, *names)

    def kill(self, container: str) -> None:
        """SIGKILL for its first process."""
        self._ctr("tasks", "kill", "-s", "KILL", container)

    def close(self) -> None:
        """Leave nothing but images, and end containerd; by now nobody makes new containers."""
        for _ in range(_ATTEMPTS):
            if not self._ctr("containers", "ls", "-q"):
                self._node.signal(CONTAINERD, signal.SIGTERM)
                self._in_use.unlink()
                return
            self._node.run(["sh", "-c", _REMOVE_ALL])
        # One that cannot be removed is no reason to fail: the next node throws everything away.

    def _ctr(self, *arguments: str, timeout_s: float = 30.0) -> str:
        return self._node.run([*_CTR, *arguments], timeout_s)
