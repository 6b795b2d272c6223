"""What travels with a job besides its operators: Python files and archives, read when the program executes.

Files land in the job's folder on every worker: modules and packages below `python/`, which workers put on their import
path together with each zip file in it; archives unpacked below the name that the program gave them.
"""

import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.connectors.file_access import local_path
from penstock.graph.job_graph import PYTHON_FOLDER

File = tuple[str, bytes]


def existing(path: str) -> Path:
    """The place of a path or `file://` address; one that is not there is refused, in the program's own line."""
    place = Path(local_path(path))
    if not place.exists():
        raise ConfigurationError(f"there is no file or folder {path}")
    return place


def files(configuration: Configuration) -> tuple[File, ...]:
    """(name below the job's folder, content) of all that the program has added."""
    found: dict[str, bytes] = {}
    for path in configuration.get(jobs.PYTHON_FILES):
        found.update(_python_files(existing(path)))
    for entry in configuration.get(jobs.PYTHON_ARCHIVES):
        path, _, target = entry.partition("#")
        place = existing(path)
        found.update(_unpacked(place, target or place.name))
    return tuple(found.items())


def python_path(configuration: Configuration) -> tuple[str, ...]:
    """What this process has on its import path besides Python itself and what is installed."""
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    own = [path for entry in sys.path if not _belongs_to(path := Path(entry).resolve(), installed)]
    given = configuration.get(jobs.PYTHON_PATH)
    extra = given.split(":") if given else []
    return tuple(dict.fromkeys([*extra, *(str(path) for path in own)]))


def _belongs_to(path: Path, installed: set[Path]) -> bool:
    standard = path.suffix == ".zip" and path.name.startswith("python")
    return standard or any(path == root or root in path.parents for root in installed)


def _python_files(path: Path) -> Iterator[File]:
    if path.is_file():
        yield f"{PYTHON_FOLDER}/{path.name}", path.read_bytes()
        return
    is_package = (path / "__init__.py").is_file()
    root = path.parent if is_package else path
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield f"{PYTHON_FOLDER}/{file.relative_to(root).as_posix()}", file.read_bytes()


def _unpacked(path: Path, target: str) -> Iterator[File]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield _inside(target, entry.filename, path), archive.read(entry)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield _inside(target, member.name, path), content.read()
    else:
        raise ConfigurationError(f"{path} is neither a zip nor a tar archive")


def _inside(target: str, name: str, archive: Path) -> str:
    """The member's place in the job's folder; a name that would leave it is refused."""
    parts = PurePosixPath(target, name).parts
    if ".." in parts or PurePosixPath(name).is_absolute() or PurePosixPath(target).is_absolute():
        raise ConfigurationError(f"{archive}: the member {name!r} would lie outside of the job's folder")
    return str(PurePosixPath(*parts))
