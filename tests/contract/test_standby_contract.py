"""What a JobManager in standby answers, held against the document that whoever upgrades jobs builds on."""

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.rest import standby_answers
from penstock.rest.client import RestClient
from penstock.rest.routes import ROUTES
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.rest_contract import RestContract
from penstock.testing.revisions import Revision

CONTRACT = json.loads((Path(__file__).parent / "penstock_rest_v1.json").read_text())
ANSWERS = RestContract(CONTRACT)
EMPTY = {"kind": "empty"}
pytestmark = pytest.mark.xdist_group("a JobManager in standby")


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """It waits to be told; no TaskManager has come."""
    with ClusterByHand(tmp_path_factory.mktemp("standby")) as cluster:
        revision = Revision(cluster, "rev-1")
        jobmanager = revision.jobmanager()
        revision.wait_state("WAITING")
        yield revision.rest
        jobmanager.signal(signal.SIGTERM)
        assert jobmanager.wait().code == 128 + signal.SIGTERM


def answer(rest: RestClient, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    host, _, port = rest.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request(method, f"/v1{path}", None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_every_path_is_in_the_document_and_every_one_of_the_document_is_served() -> None:
    ours = {(r.path, r.method.lower()) for r in ROUTES if r.answer.__module__ == standby_answers.__name__}
    theirs = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}
    assert ours == theirs


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/penstock/alive", None),
        ("GET", "/penstock/ready", None),
        ("GET", "/penstock/standby", None),
        ("POST", "/penstock/preflight", None),
        ("POST", "/penstock/preflight", {"against": None}),
        ("POST", "/penstock/preflight", {"against": "/no/such/savepoint", "allowNonRestoredState": True}),
    ],
)
def test_answers_have_the_documents_fields(waiting: RestClient, method: str, path: str, body: Any) -> None:
    status, found = answer(waiting, method, path, body)
    assert list(ANSWERS.complaints(method, path, status, found)) == []
    assert status == 200


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/penstock/standby", {}, "startId"),
        ("/penstock/standby", {"startId": "a"}, "from"),
        ("/penstock/standby", {"startId": "", "from": EMPTY}, "startId"),
        ("/penstock/standby", {"startId": "a" * 129, "from": EMPTY}, "startId"),
        ("/penstock/standby", {"startId": "a", "from": {"kind": "anything"}}, "kind"),
        ("/penstock/standby", {"startId": "a", "from": {"kind": "savepoint"}}, "path"),
        ("/penstock/standby", {"startId": "a", "from": {"kind": "newest", "path": "/x"}}, "path"),
        ("/penstock/standby", {"startId": "a", "from": {"kind": "savepoint", "path": "/\0"}}, "path"),
        ("/penstock/standby", {"startId": "a", "from": EMPTY, "claimMode": "LEGACY"}, "claimMode"),
        ("/penstock/standby", {"startId": "a", "from": EMPTY, "allowNonRestored": True}, "allowNonRestored"),
        ("/penstock/preflight", {"against": 7}, "against"),
        ("/penstock/preflight", {"against": ""}, "against"),
        ("/penstock/preflight", [], ""),
    ],
)
def test_what_is_misread_starts_nothing_and_is_named(waiting: RestClient, path: str, body: Any, named: str) -> None:
    status, found = answer(waiting, "POST", path, body)
    assert (status, list(ANSWERS.complaints("POST", path, status, found))) == (400, [])
    assert named in found["errors"][0]
    assert waiting.standby()["state"] == "WAITING"
