"""What is particular to S3: refusals in words, lost answers, broken transfers, large files, multipart uploads."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.base.errors import AlreadyExists, NoSuchUpload, NotFound, PartsLost, StoreRefused, StoreUnavailable
from penstock.storage import MultipartUploads, ObjectStore, Opening, S3Settings, open_store, open_uploads, s3, s3_client
from penstock.storage.settings import PART_BYTES_MIN
from penstock.testing.relay import Relay
from penstock.testing.services import Minio


@pytest.fixture
def bucket(minio: Minio) -> str:
    return minio.new_bucket()


@pytest.fixture
def store(minio: Minio, bucket: str) -> ObjectStore:
    return open_store(f"{bucket}/state", minio.settings)


@pytest.fixture
def uploads(minio: Minio, bucket: str) -> MultipartUploads:
    return open_uploads(f"{bucket}/state", minio.settings)


@pytest.fixture
def relay(minio: Minio) -> Iterator[Relay]:
    relay = Relay(minio.address)
    yield relay
    relay.close()


def test_a_wrong_secret_key_is_refused_without_being_told(minio: Minio, bucket: str) -> None:
    settings = replace(minio.settings, secret_key="not-the-secret")
    with pytest.raises(StoreRefused, match=f"{bucket} at http://127.0.0.1:.*SignatureDoesNotMatch") as caught:
        open_store(bucket, settings).probe()
    assert "not-the-secret" not in str(caught.value) + repr(settings)


def test_places_that_are_opened_together_share_one_client(
    minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, connect = [], s3_client._connect
    monkeypatch.setattr(s3_client, "_connect", lambda settings: made.append(settings) or connect(settings))
    opening = Opening(minio.settings)
    opening.store(f"{bucket}/one").create("x", b"1")
    opening.store(f"{bucket}/two").create("x", b"2")
    assert opening.store(f"{bucket}/one").read("x") == b"1"
    assert opening.uploads(f"{bucket}/two").pending("") == []
    assert made == [minio.settings]


def test_a_wrong_access_key_is_refused(minio: Minio, bucket: str) -> None:
    with pytest.raises(StoreRefused, match="InvalidAccessKeyId"):
        open_store(bucket, replace(minio.settings, access_key="nobody")).probe()


def test_a_missing_bucket_is_refused(minio: Minio) -> None:
    store = open_store("s3://no-such-bucket/x", minio.settings)
    for use in (store.probe, lambda: store.read("a"), lambda: store.list(""), lambda: store.delete_many(["a"])):
        with pytest.raises(StoreRefused, match="s3://no-such-bucket/x at .*NoSuchBucket"):
            use()


def test_no_credentials_at_all_are_refused(minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(StoreRefused, match="credentials"):
        open_store(bucket, S3Settings(endpoint=minio.endpoint)).probe()


def test_credentials_come_from_the_environment_where_none_are_set(
    minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    open_store(bucket, S3Settings(endpoint=minio.endpoint)).probe()


def test_an_endpoint_where_nobody_listens_is_unavailable(minio: Minio) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StoreUnavailable, match=f"cannot read x in s3://b at {endpoint}"):
            open_store("s3://b", replace(minio.settings, endpoint=endpoint)).read("x")


def test_a_killed_server_is_unavailable_and_then_has_what_it_had(minio_own: Minio) -> None:
    store = open_store(minio_own.new_bucket(), minio_own.settings)
    store.create("kept", b"1")
    minio_own.kill()
    with pytest.raises(StoreUnavailable):
        store.create("lost", b"2")
    with pytest.raises(StoreUnavailable):
        store.list("")
    minio_own.start()
    assert store.read("kept") == b"1"
    with pytest.raises(NotFound):
        store.read("lost")


def test_a_create_whose_answer_was_lost_succeeds(minio: Minio, bucket: str, relay: Relay) -> None:
    store = open_store(bucket, replace(minio.settings, endpoint=relay.endpoint))
    relay.break_next_answer(after_bytes=0)
    store.create("slot", b"mine")
    assert relay.broken == 1
    assert store.read("slot") == b"mine"
    with pytest.raises(AlreadyExists):
        store.create("slot", b"mine")


def test_a_create_met_by_anothers_object_is_refused_even_after_a_lost_answer(
    minio: Minio, bucket: str, relay: Relay
) -> None:
    open_store(bucket, minio.settings).create("slot", b"theirs")
    store = open_store(bucket, replace(minio.settings, endpoint=relay.endpoint))
    relay.break_next_answer(after_bytes=0)
    with pytest.raises(AlreadyExists):
        store.create("slot", b"mine")
    assert relay.broken == 1


def test_a_read_that_breaks_half_way_is_taken_up_where_it_broke(
    minio: Minio, bucket: str, relay: Relay, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 40_000
    open_store(bucket, minio.settings).create("big", content)
    store = open_store(bucket, replace(minio.settings, endpoint=relay.endpoint))
    relay.break_next_answer(after_bytes=6 << 20)
    store.fetch_file("big", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content
    relay.break_next_answer(after_bytes=6 << 20)
    assert store.read("big", offset=100, length=9 << 20) == content[100 : 100 + (9 << 20)]
    assert relay.broken == 2


class Answering:
    """A server of S3 that gives the same answer to each request on one connection, and another one on the next."""

    def __init__(self, *statuses: str) -> None:
        self._statuses = statuses
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.received: list[bytes] = []
        endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.settings = S3Settings(endpoint, "key", "secret", region="us-east-1", attempts=1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        for status in self._statuses:
            with self._listening.accept()[0] as connection:
                self._answer(connection, status)

    def _answer(self, connection: socket.socket, status: str) -> None:
        request = b""
        while piece := connection.recv(1 << 16):
            request += piece
            if request.endswith(b"reign 2"):
                self.received.append(request)
                request = b""
                connection.sendall(f'HTTP/1.1 {status}\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n'.encode())


@pytest.fixture
def answering() -> Iterator[Callable[..., Answering]]:
    with contextlib.ExitStack() as stack:

        def make(*statuses: str) -> Answering:
            return stack.enter_context(contextlib.closing(Answering(*statuses)))

        yield make


@pytest.mark.parametrize("from_a_file", [False, True])
def test_what_is_small_is_sent_without_being_asked_for(
    tmp_path: Path, answering: Callable[..., Answering], from_a_file: bool
) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(b"reign 2")
    server = answering("200 OK")
    store = open_store("s3://bucket/state", server.settings)
    if from_a_file:
        store.put_file("journal/2", sent)
    else:
        store.create("journal/2", sent.read_bytes())
    (request,) = server.received
    assert request.startswith(b"PUT ") and b"100-continue" not in request.lower()


def test_a_connection_that_the_server_has_given_up_is_not_used_again(answering: Callable[..., Answering]) -> None:
    server = answering("499 status code 499", "200 OK")
    store = open_store("s3://bucket/state", server.settings)
    with pytest.raises(StoreUnavailable, match="cannot create journal/2 .*499"):
        store.create("journal/2", b"reign 2")
    store.create("journal/2", b"reign 2")
    assert len(server.received) == 2


def test_a_large_file_goes_in_parts_and_is_created_only_once(
    minio: Minio, bucket: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SINGLE_PUT_BYTES_MAX", 1 << 20)
    content = bytes(range(256)) * 70_000  # Two parts.
    (tmp_path / "local").write_bytes(content)
    store.put_file("large", tmp_path / "local")
    assert store.read("large") == content
    head = minio.client().head_object(Bucket=bucket.removeprefix("s3://"), Key="state/large")
    assert head["ETag"].endswith('-2"')
    with pytest.raises(AlreadyExists):
        store.put_file("large", tmp_path / "local")


def test_many_more_objects_than_one_request_takes_are_listed_and_deleted(store: ObjectStore) -> None:
    store.create("one", b"x")
    store.delete_many(["one", *(f"absent/{n}" for n in range(1500))])
    assert store.list("") == []


def test_an_upload_is_invisible_until_completed(uploads: MultipartUploads, store: ObjectStore) -> None:
    upload = uploads.start("out/part-0")
    first = uploads.upload_part(upload, 1, b"a" * PART_BYTES_MIN)
    last = uploads.upload_part(upload, 2, memoryview(b"tail"))
    assert store.list("") == []
    assert uploads.parts(upload) == [first, last]
    uploads.complete(upload, [last, first])
    assert store.read("out/part-0", offset=PART_BYTES_MIN) == b"tail"


def test_completing_an_upload_again_changes_nothing(uploads: MultipartUploads, store: ObjectStore) -> None:
    upload = uploads.start("out/part-0")
    parts = [uploads.upload_part(upload, 1, b"data")]
    uploads.complete(upload, parts)
    uploads.complete(upload, parts)
    assert store.read("out/part-0") == b"data"


def test_an_aborted_upload_is_told_from_a_completed_one(uploads: MultipartUploads, store: ObjectStore) -> None:
    upload = uploads.start("out/part-0")
    parts = [uploads.upload_part(upload, 1, b"data")]
    uploads.abort(upload)
    uploads.abort(upload)
    with pytest.raises(NoSuchUpload):
        uploads.complete(upload, parts)
    with pytest.raises(NoSuchUpload):
        uploads.upload_part(upload, 2, b"more")
    with pytest.raises(NoSuchUpload):
        uploads.parts(upload)
    store.create("out/part-0", b"another's")
    with pytest.raises(NoSuchUpload):
        uploads.complete(upload, parts)


def test_what_the_store_has_lost_of_an_upload_is_published_whole_and_counts_as_its_completion(
    uploads: MultipartUploads, store: ObjectStore
) -> None:
    upload = uploads.start("out/part-0")
    sent = uploads.upload_part(upload, 1, b"data")
    uploads.upload_part(upload, 1, b"what the store has instead")
    with pytest.raises(PartsLost, match="out/part-0"):
        uploads.complete(upload, [sent])
    uploads.publish_whole(upload, b"data")
    assert store.read("out/part-0") == b"data" and uploads.pending("") == []
    uploads.complete(upload, [sent])
    uploads.publish_whole(upload, b"data")
    assert store.read("out/part-0") == b"data"


def test_an_upload_goes_on_in_another_process(minio: Minio, bucket: str, uploads: MultipartUploads) -> None:
    upload = uploads.start("out/part-0")
    uploads.upload_part(upload, 1, b"data")
    successor = open_uploads(f"{bucket}/state", minio.settings)
    successor.complete(upload, successor.parts(upload))
    assert open_store(bucket, minio.settings).read("state/out/part-0") == b"data"
