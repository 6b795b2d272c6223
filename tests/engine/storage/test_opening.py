"""Which URI opens which store, and how wrong ones and wrong settings are told."""

import pytest

from penstock.base.errors import ConfigurationError, StoreRefused
from penstock.common.configuration import Configuration
from penstock.storage import FileStore, S3Settings, S3Store, open_store, open_uploads
from penstock.storage.s3_client import load_descriptions


@pytest.mark.parametrize(
    ("uri", "opened"),
    [
        ("/var/state", "file:///var/state"),
        ("file:///var/state", "file:///var/state"),
        ("file:/var/state", "file:///var/state"),
        ("file://localhost/var/my%20state", "file:///var/my%20state"),
        ("/var/my:state", "file:///var/my%3Astate"),
    ],
)
def test_paths_and_file_uris_open_files(uri: str, opened: str) -> None:
    store = open_store(uri, S3Settings())
    assert isinstance(store, FileStore)
    assert store.uri == opened


@pytest.mark.parametrize("uri", ["s3://bucket/a/b", "s3a://bucket/a/b/", "s3p://bucket//a/b"])
def test_all_of_flinks_s3_schemes_open_the_same_place(uri: str) -> None:
    store = open_store(uri, S3Settings())
    assert isinstance(store, S3Store)
    assert store.uri == "s3://bucket/a/b"


@pytest.mark.parametrize("uri", ["checkpoints", "hdfs://name/x", "s3:///x", "file://host/x", "s3://b/../c", ""])
def test_a_uri_that_opens_nothing_is_an_error_that_names_it(uri: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{uri}"):
        open_store(uri, S3Settings())


def test_only_s3_has_multipart_uploads() -> None:
    with pytest.raises(ConfigurationError, match="only s3://"):
        open_uploads("/var/out", S3Settings())


def test_settings_are_read_from_flinks_keys() -> None:
    configuration = Configuration.from_dict(
        {
            "s3.endpoint": "minio:9000",
            "s3.access-key": "me",
            "s3.secret-key": "hush",
            "s3.session-token": "hush too",
            "s3.region": "eu-west-1",
            "s3.path.style.access": "TRUE",
            "s3.connection.timeout": "1500 ms",
            "s3.retry.max-num-retries": "1",
            "s3.upload.min.part.size": "1 mb",
            "parallelism.default": "2",
        }
    )
    settings = S3Settings.from_configuration(configuration)
    assert settings == S3Settings(
        endpoint="https://minio:9000",
        access_key="me",
        secret_key="hush",
        session_token="hush too",
        region="eu-west-1",
        path_style_access=True,
        connect_timeout_s=1.5,
        attempts=2,
        part_bytes=5 << 20,
    )
    assert "hush" not in repr(settings)


def test_an_empty_configuration_is_the_default() -> None:
    assert S3Settings.from_configuration(Configuration()) == S3Settings()


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigurationError, match="s3.path.style.access: 'maybe'"):
        S3Settings.from_configuration(Configuration.from_dict({"s3.path.style.access": "maybe"}))
    with pytest.raises(ConfigurationError, match=r"s3\.access-key and s3\.secret-key"):
        S3Settings.from_configuration(Configuration.from_dict({"s3.access-key": "me"}))


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("s3://b", "https://not a url"),
        ("s3://b", "http://host:99999"),
        ("s3://b", "http://"),
        ("s3://No_Bucket!", None),
    ],
)
def test_what_cannot_be_an_endpoint_or_a_bucket_is_refused_in_one_line(uri: str, endpoint: str | None) -> None:
    settings = S3Settings(endpoint=endpoint, access_key="me", secret_key="hush", region="eu-west-1")
    with pytest.raises(StoreRefused, match=f"^cannot .*{uri}") as refused:
        open_store(uri, settings).probe()
    assert "\n" not in str(refused.value)


def test_settings_of_the_users_own_that_reach_no_s3_are_told_to_who_asks_it_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "there-is-none")
    load_descriptions()  # As every process of workers does, whatever the job reads and writes.
    with pytest.raises(StoreRefused, match=r"cannot read a in s3://bucket: .*profile \(there-is-none\)"):
        open_store("s3://bucket", S3Settings()).read("a")
