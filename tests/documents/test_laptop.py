"""What the documents say for a laptop is done as it stands there, in a checkout, with what `pip install` installs."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from penstock.testing.documents import Reader, checkout, files_of, ports_of_ones_own, sections_for
from penstock.testing.tools import locked

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECTIONS = [(path, title) for path in DOCUMENTS for title in sections_for("laptop", path)]
INSTALLING = "Installing"
NOT_RUN = {
    "make demo": "what it runs, a test of its own runs",
    "make test": "runs this",
}
"""Commands that are passed over, and why."""


def environment(site: Path, folder: Path) -> dict[str, str]:
    """Of somebody who has installed Penstock into `site`: what there is besides comes from the tests' environment."""
    programs = [str(site / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    pip = {"PIP_TARGET": str(site), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return kept | pip | {
        "HOME": str(folder),
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": str(site),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first section of all has installed it, once for all processes of a run."""
    shared = (
        tmp_path_factory.getbasetemp().parent / f"documents-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    )
    shared.mkdir(exist_ok=True)
    with locked(shared / "lock"):
        if not (shared / "site").exists():
            follow(ROOT / "README.md", INSTALLING, shared / "new", shared / "folder")
            (shared / "new").rename(shared / "site")
            shutil.rmtree(shared / "folder")
    return shared / "site"


def follow(document: Path, title: str, site: Path, folder: Path) -> None:
    checkout(ROOT, folder)
    for name, text in files_of(document).items():
        (folder / name).write_text(text)
    with (
        ports_of_ones_own() as within,
        Reader(folder, environment(site, folder), not_run=NOT_RUN, within=within) as reader,
    ):
        reader.follow(sections_for("laptop", document)[title])


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("document", "title"), SECTIONS, ids=[f"{path.stem}: {title}" for path, title in SECTIONS])
def test_every_command_does_what_is_said_of_it(document: Path, title: str, site: Path, tmp_path: Path) -> None:
    if title != INSTALLING:
        follow(document, title, site, tmp_path / "checkout")
