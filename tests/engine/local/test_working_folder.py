"""Where temporary files go."""

from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError
from penstock.common import Configuration
from penstock.local.working_folder import working_folder


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("process.working-dir", "{0}"),
        ("state.backend.rocksdb.localdir", "file://{0}"),
        ("io.tmp.dirs", "{0}/first,{0}/second"),
        ("io.tmp.dirs", "{0}/first:{0}/second"),
    ],
)
def test_temporary_files_go_to_the_first_folder_that_is_configured(tmp_path: Path, key: str, text: str) -> None:
    folder = working_folder("tm", Configuration.from_dict({key: text.format(tmp_path)}))
    assert folder.path.parent == (tmp_path / "first" if "first" in text else tmp_path)
    folder.remove()
    assert not folder.path.exists()


def test_a_folder_for_temporary_files_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"io\.tmp\.dirs: .*/file/below cannot be written to: Not a directory"):
        working_folder("tm", Configuration.from_dict({"io.tmp.dirs": str(tmp_path / "file" / "below")}))
