"""What the paths of file sources and sinks may be."""

from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError
from penstock.common.serialization import Encoder
from penstock.connectors.file_access import is_remote, local_path
from penstock.connectors.file_sink import FileSink
from penstock.connectors.file_source import FileSource
from penstock.connectors.formats import StreamFormat


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("hdfs://name/data", "hdfs://name/data: no store for hdfs:, only for file:, s3:, s3a: and s3p:"),
        ("gs://bucket/data", "no store for gs:"),
        ("file://data/in", "files on the host 'data' are out of reach; write file:///in"),
        ("", "an empty path is that of no file and no folder"),
    ],
)
def test_addresses_that_nothing_reads_or_writes_are_refused_where_they_are_named(path: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    with pytest.raises(ConfigurationError, match=said):
        FileSink.for_row_format(path, Encoder.simple_string_encoder()).build()


def test_paths_and_file_addresses_are_absolute_paths(tmp_path: Path) -> None:
    place = tmp_path / "with spaces: and colons"
    for path in (str(place), place.as_uri(), f"file:{place}".replace(" ", "%20"), f"{tmp_path}/./{place.name}"):
        assert local_path(path) == str(place)
    assert local_path("a:b") == str(Path("a:b").absolute())


def test_addresses_are_known_in_any_case() -> None:
    assert is_remote("S3://bucket/data")
    assert not is_remote("/s3://bucket/data")
