"""Python files and archives that travel with a job."""

import io
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.submission import build
from penstock.graph.job_graph import JobGraph
from penstock.graph.loading import install_prelude


def job_with(env: StreamExecutionEnvironment) -> JobGraph:
    env.from_collection([1]).map(lambda value: value)
    graph = build(env.program, "job")
    return pickle.loads(pickle.dumps(graph))  # type: ignore[no-any-return]


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment()


def test_modules_packages_and_folders_lie_where_workers_import_from(
    env: StreamExecutionEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text("ONE = 1")
    package = tmp_path / "two"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "x.pyc").write_bytes(b"")
    (package / "__init__.py").write_text("")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "three.py").write_text("THREE = 3")
    for address in (str(tmp_path / "one.py"), f"file://{tmp_path}/two", f"file:{tmp_path}/folder"):
        env.add_python_file(address)
    assert [name for name, _ in job_with(env).files] == ["python/one.py", "python/two/__init__.py", "python/three.py"]


def test_workers_import_what_travelled_zip_files_included(
    env: StreamExecutionEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "travelled_module.py").write_text("VALUE = 1")
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        archive.writestr("travelled_library.py", "VALUE = 2")
    env.add_python_file(str(tmp_path / "travelled_module.py"))
    env.add_python_file(str(tmp_path / "library.zip"))
    graph = job_with(env)
    monkeypatch.setattr(sys, "path", sys.path[:])
    install_prelude(graph, tmp_path / "worker")
    import travelled_library  # type: ignore[import-not-found]
    import travelled_module  # type: ignore[import-not-found]

    assert (travelled_module.VALUE, travelled_library.VALUE) == (1, 2)


def test_archives_are_unpacked_under_the_name_they_were_given(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("weights/a.txt", "a")
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("rows.csv")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"1,2"))
    env.add_python_archive(str(tmp_path / "model.zip"), "model")
    env.add_python_archive(str(tmp_path / "data.tar.gz"))
    assert job_with(env).files == (("model/weights/a.txt", b"a"), ("data.tar.gz/rows.csv", b"1,2"))


def test_an_archive_that_would_write_outside_is_refused(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.py", "")
    env.add_python_archive(str(tmp_path / "evil.zip"))
    with pytest.raises(ConfigurationError, match="would lie outside of the job's folder"):
        job_with(env)


def test_what_is_no_archive_is_refused(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("text")
    env.add_python_archive(str(tmp_path / "text.txt"))
    with pytest.raises(ConfigurationError, match="neither a zip nor a tar archive"):
        job_with(env)


def test_the_import_path_of_the_script_travels_without_what_is_installed(env: StreamExecutionEnvironment) -> None:
    path = job_with(env).python_path
    assert not [entry for entry in path if "site-packages" in entry or entry.endswith("lib-dynload")]
