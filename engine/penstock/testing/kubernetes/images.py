"""Images for the node, made by buildah: Penstock's own from the Dockerfile, what its FROM names, and the pause image.

Nothing is pulled: the base is made of Debian's own Python. An image is made once for what goes into it, and the layer
with the dependencies survives a change of the code. Registries are those that pip and apt-get are configured with.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from penstock.testing.kubernetes.binaries import REPOSITORY, binaries
from penstock.testing.kubernetes.files import PAUSE_IMAGE
from penstock.testing.services import MINIO_MODULE, minio_binary
from penstock.testing.tools import cache_folder, locked, tell

BASE_IMAGE: Final = "docker.io/library/python:3.11-slim-bookworm"
"""As the Dockerfile has it."""
IMAGES: Final = "docker.io/local/penstock"
MINIO_IMAGE: Final = f"docker.io/local/minio:{MINIO_MODULE.rpartition('-')[2]}"
_SUITE: Final = "bookworm"
_BASE_PACKAGES: Final = "python3,python3-pip,python3-venv,ca-certificates"
_CONTEXT: Final = ("Dockerfile", "constraints-image.txt", "engine/penstock", "operator/penstock_operator")
_KEPT: Final = 3
"""How many versions stay in the cache."""
_STEPS_MAX: Final = 40
"""How many intermediate images may pile up before all of them go, and with them the layer of the dependencies."""
_IN_PIPS_CONFIGURATION: Final = re.compile(r"(global|:env:)\.([\w-]+)='(.*)'")


def penstock_image() -> str:
    """The name of the image that the Dockerfile makes of the files as they are; made if there is none."""
    image = name_of_image()
    if not archive_of(image).exists():
        with locked(_folder() / "lock"):
            if not archive_of(image).exists():
                _make_penstock(image)
    return image


def pause_image() -> str:
    """The name of the image that holds a pod's namespaces; made if there is none."""
    if not archive_of(PAUSE_IMAGE).exists():
        with locked(_folder() / "lock"):
            if not archive_of(PAUSE_IMAGE).exists():
                _make_pause()
    return PAUSE_IMAGE


def minio_image() -> str:
    """The name of an image with MinIO in it, such as there is one in public; made if there is none."""
    if not archive_of(MINIO_IMAGE).exists():
        with locked(_folder() / "lock"):
            if not archive_of(MINIO_IMAGE).exists():
                _make_minio()
    return MINIO_IMAGE


def archive_of(image: str) -> Path:
    """The file in which an image that was made is kept."""
    return _folder() / f"{image.replace('/', '_').replace(':', '_')}.tar"


def configuration_of(image: str) -> dict[str, Any]:
    """How containers of an image are started, in the words of OCI: `User`, `Cmd`, `Env` and so on."""
    found: dict[str, Any] = _inspect(image)["config"]
    return found


def size_above_base(image: str) -> int:
    """Bytes of the layers that an image has above its base."""
    with tarfile.open(archive_of(image)) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None, "a file"
        (manifest,) = json.load(member)
        own = manifest["Layers"][len(_inspect(BASE_IMAGE)["rootfs"]["diff_ids"]) :]
        return sum(archive.getmember(layer).size for layer in own)


def _make_penstock(image: str) -> None:
    tell(f"making {image}")
    if not _exists(BASE_IMAGE):
        _make_base()
    with _scratch() as folder:
        context, pip_configuration = folder / "context", folder / "pip.conf"
        _stage(context)
        told = _pip_configuration()
        pip_configuration.write_text(
            "\n".join(["[global]", *(f"{option} = {value}" for option, value in told.items())])
        )
        mounts = {str(pip_configuration): "/etc/pip.conf"} | ({told["cert"]: told["cert"]} if "cert" in told else {})
        volumes = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
        how = ["--layers", "--isolation=chroot", "--network=host", "--pull-never", "--quiet"]
        _buildah("bud", *how, *volumes, f"--tag={image}", str(context))
    _keep(image)
    _forget_old()


def _make_base() -> None:
    """As small as the image of this name: Debian and its Python 3.11."""
    tell(f"making {BASE_IMAGE} of Debian's packages: a minute, once")
    with _scratch() as folder:
        root = folder / "root"
        # What it mounts there goes with it, whatever becomes of it.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        make = ["debootstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", _SUITE, str(root), *_mirror()]
        done = subprocess.run([*alone, *make], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        (root / "usr/bin/python").symlink_to("python3")
        for name in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
            shutil.rmtree(root / name)
            (root / name).mkdir()
        _make(BASE_IMAGE, root, Path("/"), ["--cmd=python3"])


def _make_pause() -> None:
    _make(PAUSE_IMAGE, binaries() / "pause", Path("/pause"), ['--entrypoint=["/pause"]', "--user=65535"])
    _keep(PAUSE_IMAGE)


def _make_minio() -> None:
    tell(f"making {MINIO_IMAGE}")
    if not _exists(BASE_IMAGE):
        _make_base()
    _make(MINIO_IMAGE, minio_binary(), Path("/usr/bin/minio"), ["--cmd=minio"], above=BASE_IMAGE)
    _keep(MINIO_IMAGE)


def _make(image: str, source: Path, target: Path, configuration: Sequence[str], above: str = "scratch") -> None:
    """An image with one more layer."""
    container = _buildah("from", "--pull-never", above).strip()
    try:
        _buildah("copy", "--quiet", container, str(source), str(target))
        _buildah("config", *configuration, container)
        _buildah("commit", "--quiet", container, image)
    finally:
        _buildah("rm", container)


def _keep(image: str) -> None:
    """Write the archive of an image, whole or not at all."""
    draft = archive_of(image).with_suffix(".draft")
    draft.unlink(missing_ok=True)
    _buildah("push", "--quiet", image, f"docker-archive:{draft}:{image}")
    draft.replace(archive_of(image))


def _forget_old() -> None:
    """Versions beyond the newest few."""
    prefix = archive_of(f"{IMAGES}:").stem
    archives = sorted(_folder().glob(f"{prefix}*.tar"), key=lambda file: file.stat().st_mtime, reverse=True)
    for archive in archives[_KEPT:]:
        tag = archive.stem.removeprefix(prefix)
        archive.unlink()
        _buildah("rmi", f"{IMAGES}:{tag}")
    if len(_buildah("images", "--quiet", "--filter", "dangling=true").split()) > _STEPS_MAX:
        _buildah("rmi", "--prune")


def _stage(context: Path) -> None:
    """Copy what goes into the image; times must not matter to what is the same as before."""
    for file in _inputs():
        target = context / file.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)
    for folder, _, names in os.walk(context, topdown=False):
        for name in (*names, "."):
            os.utime(Path(folder) / name, (0, 0))


def _inputs() -> Iterator[Path]:
    for name in _CONTEXT:
        path = REPOSITORY / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def name_of_image() -> str:
    """The name that the image of the files as they are has or will have."""
    digest = hashlib.sha256()
    for file in _inputs():
        digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes())
    return f"{IMAGES}:{digest.hexdigest()[:12]}"


def _inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_buildah("inspect", "--type", "image", image))["OCIv1"]
    return found


def _exists(image: str) -> bool:
    return _run_buildah("inspect", "--type", "image", image).returncode == 0


def _pip_configuration() -> dict[str, str]:
    """What pip is told here, by files and, above them, by the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True)
    matches = [_IN_PIPS_CONFIGURATION.fullmatch(line) for line in listed.stdout.splitlines()]
    found = [(match[1], match[2], match[3]) for match in matches if match]
    by_file = {option: value for where, option, value in found if where == "global"}
    return by_file | {option: value for where, option, value in found if where == ":env:"}


def _mirror() -> list[str]:
    """Where apt-get has Debian from; debootstrap's own choice if it does not say."""
    wanted = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(wanted, capture_output=True, text=True).stdout
    sites = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [_SUITE, "main"]]
    return sites[:1]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for the one who holds the lock; what a predecessor left in it is gone."""
    folder = _folder() / "making"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def _folder() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _buildah(*arguments: str) -> str:
    done = _run_buildah(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"buildah {arguments[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def _run_buildah(*arguments: str) -> "subprocess.CompletedProcess[str]":
    store = [f"--root={_folder() / 'store'}", f"--runroot={_folder() / 'state'}"]
    return subprocess.run(["buildah", *store, *arguments], capture_output=True, text=True)
