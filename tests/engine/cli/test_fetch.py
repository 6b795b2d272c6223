"""`penstock fetch`: an object of a store as a local file."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli.main import main
from penstock.testing.services import Minio


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["fetch", *map(str, arguments)])
    return found.exit_code, found.output.strip()


def test_a_script_in_s3_becomes_a_file(minio: Minio, tmp_path: Path) -> None:
    bucket = minio.new_bucket()
    minio.client().put_object(Bucket=bucket.removeprefix("s3://"), Key="code/count.py", Body=b"print(1)\n")
    (tmp_path / "config.yaml").write_text("\n".join(f"{key}: '{value}'" for key, value in minio.options.items()))
    target = tmp_path / "job" / "count.py"
    assert run("--conf", tmp_path, f"{bucket}/code/count.py", target) == (
        0,
        f"{bucket}/code/count.py: 9 bytes to {target}",
    )
    assert target.read_bytes() == b"print(1)\n"
    code, said = run("--conf", tmp_path, f"{bucket}/code/none.py", tmp_path / "none.py")
    assert code == 1 and "none.py" in said and not (tmp_path / "none.py").exists()


def test_a_file_is_copied_over_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("new")
    (tmp_path / "b.py").write_text("old")
    code, _ = run((tmp_path / "a.py").as_uri(), tmp_path / "b.py")
    assert code == 0 and (tmp_path / "b.py").read_text() == "new"


@pytest.mark.parametrize("uri", ["s3://bucket", "job.py", "s3://bucket/", "hdfs://x/y"])
def test_what_is_no_object_is_refused_in_a_sentence(uri: str, tmp_path: Path) -> None:
    code, said = run(uri, tmp_path / "x")
    assert code == 1 and said.startswith("penstock: ") and len(said.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("new")
    (tmp_path / "file").write_text("")
    code, said = run((tmp_path / "a.py").as_uri(), tmp_path / "file" / "b.py")
    assert code == 1 and said.startswith("penstock: cannot write")
