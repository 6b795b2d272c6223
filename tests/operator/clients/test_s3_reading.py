"""Objects are read in one plain request, and wherever that tells too little, as boto3 reads them."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from penstock.testing.services import Minio
from penstock_operator.clients import s3
from penstock_operator.clients.s3 import Bucketed, S3Access
from penstock_operator.errors import Missing, Rejected, Unavailable

ODD = "a folder/ä+b=~%2F'(1).*"


@pytest.fixture
def access(minio: Minio) -> S3Access:
    return S3Access(minio.endpoint, minio.access_key, minio.secret_key, region="us-east-1")


def test_what_is_there_and_what_is_not_is_told_without_a_client(
    minio: Minio, access: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = minio.new_bucket().removeprefix("s3://")
    for key, data in ((f"jobs/{ODD}", b"data"), ("jobs/empty", b"")):
        minio.client().put_object(Bucket=bucket, Key=key, Body=data)

    def unwanted(_: S3Access) -> None:
        raise AssertionError("a client was asked for")

    monkeypatch.setattr(s3, "_client", unwanted)
    objects = Bucketed(bucket, "jobs", access)
    assert objects.read(ODD) == b"data"
    assert objects.read("empty") == b""
    with pytest.raises(Missing, match=f"nothing is not in s3://{bucket}/jobs at {minio.endpoint}"):
        objects.read("nothing")


def test_what_is_refused_says_why(minio: Minio, access: S3Access) -> None:
    with pytest.raises(Rejected, match="NoSuchBucket"):
        Bucketed("no-such-bucket-here", "", access).read("a")
    wrong = S3Access(minio.endpoint, minio.access_key, "not-the-secret", region="us-east-1")
    with pytest.raises(Rejected, match="SignatureDoesNotMatch"):
        Bucketed("any", "", wrong).read("a")


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()


@contextmanager
def server(answer: Callable[[], bytes]) -> Iterator[str]:
    """Answers each request so, and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer())

    with serving(Handler) as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    "spoilt",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["cut off", "busy", "hung up"],
)
def test_an_answer_that_leaves_something_open_is_asked_for_again(spoilt: bytes) -> None:
    answers = [spoilt, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"]
    with server(lambda: answers.pop(0)) as endpoint:
        assert Bucketed("bucket", "", S3Access(endpoint, "a", "bbbb", region="r", attempts=1)).read("a") == b"whole"
    assert not answers


def test_what_is_never_whole_is_never_believed() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    with server(lambda: half) as endpoint, pytest.raises(Unavailable):
        Bucketed("bucket", "", S3Access(endpoint, "a", "bbbb", region="r", attempts=1)).read("a")


def test_a_connection_that_the_server_has_given_up_is_not_used_again() -> None:
    statuses = ["499 status code 499", "204 No Content"]

    class Handler(socketserver.StreamRequestHandler):
        timeout = 5.0  # Of a connection that is kept.

        def handle(self) -> None:
            status = statuses.pop(0)
            while self.rfile.readline().strip():
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    with serving(Handler) as endpoint:
        access = S3Access(endpoint, "a", "bbbb", region="r", attempts=1)
        with pytest.raises(Unavailable, match="499"):
            Bucketed("bucket", "", access)._call("delete", "a", "delete_object", lambda answer: None, Key="a")
        Bucketed("bucket", "", access)._call("delete", "a", "delete_object", lambda answer: None, Key="a")
        s3._client(access).close()
    assert not statuses
