"""What a node is made of: Debian's packages, and Kubernetes, CoreDNS and Helm, built from their Go modules.

`tests/cluster/gotools` pins the modules. Each binary is built once into the cache, under a name that changes with the
pins; a build that was interrupted goes on where it was. All of it together takes a quarter of an hour on two cores.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from penstock.testing.tools import cache_folder, go_install, install_packages, locked, tell

REPOSITORY: Final = Path(__file__).parents[4]
MODULE: Final = REPOSITORY / "tests" / "cluster" / "gotools"
KUBERNETES: Final = "1.36.3"
HELM_MODULE: Final = "helm.sh/helm/v4/cmd/helm@v4.3.1"
COMMANDS: Final = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
}
"""What has to be on PATH, and the package that brings it."""
CNI_PLUGINS: Final = Path("/usr/lib/cni")
CNI_PACKAGE: Final = "containernetworking-plugins"
_COMPONENTS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
_LINKED: Final = "-s -w"
# Kubernetes learns its own version from the linker.
_VERSION: Final = "k8s.io/component-base/version"
_FLAGS: Final = f"{_LINKED} -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
_PACKAGES: Final = {
    **{name: (f"k8s.io/kubernetes/cmd/{name}", _FLAGS) for name in _COMPONENTS},
    "coredns": ("./coredns", _LINKED),
    "pause": ("./pause", _LINKED),
    "helm": (HELM_MODULE, _LINKED),
}


def binaries() -> Path:
    """The folder with all that a node needs, and kubectl, after building what it lacks."""
    places = {built(name).parent for name in _PACKAGES if name != "helm"}
    return places.pop()


def is_built() -> bool:
    """Whether nothing of it is lacking."""
    return all((cache_folder() / "kubernetes" / _pins() / name).exists() for name in _PACKAGES)


def built(name: str) -> Path:
    """One binary, built first if there is none."""
    place = cache_folder() / "kubernetes" / _pins() / name
    if not place.exists():
        with locked(cache_folder() / "kubernetes.lock"):
            if not place.exists():
                tell(f"building {name} into {place.parent}: some minutes, once")
                _build(name, place)
    return place


def debian_packages() -> None:
    """Install what is missing."""
    if not _missing():
        return
    with locked(cache_folder() / "packages.lock"):
        if missing := _missing():
            install_packages(missing, "a Kubernetes node needs Debian's packages")


def _missing() -> list[str]:
    missing = [package for command, package in COMMANDS.items() if shutil.which(command) is None]
    return missing if (CNI_PLUGINS / "ptp").exists() else [*missing, CNI_PACKAGE]


def _build(name: str, place: Path) -> None:
    package, flags = _PACKAGES[name]
    go_install(["-buildvcs=false", f"-ldflags={flags}", package], folder=MODULE, place=place)


def _pins() -> str:
    """A name for what is built: another one as soon as anything of it changes."""
    digest = hashlib.sha256(repr(_PACKAGES).encode())
    for file in sorted(MODULE.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(MODULE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]
