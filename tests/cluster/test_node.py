"""What a test may take for granted of its node: pods, names, Services, and what happens when parts of it die."""

import time
from pathlib import Path

import pytest

from penstock.testing.kubernetes.api import POD, Api, Namespace, Object, Refused
from penstock.testing.kubernetes.cluster import Cluster

SERVER = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
ASK = "import urllib.request as u; print(u.urlopen('http://{}:8000/', timeout=5).status)"


def pod(name: str, image: str, program: str, **spec: object) -> Object:
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-c", program],
        "imagePullPolicy": "IfNotPresent",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def is_ready(found: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"]["conditions"])


def is_over(found: Object) -> bool:
    return found["status"]["phase"] in ("Succeeded", "Failed")


def restarts(found: Object) -> int:
    return int(found["status"]["containerStatuses"][0]["restartCount"])


def test_pods_find_each_other_by_the_names_of_their_services(namespace: Namespace, image: str) -> None:
    service = {"selector": {"app": "server"}, "ports": [{"port": 8000}]}
    namespace.apply(
        pod("server", image, SERVER),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "words"}, "spec": service},
    )
    namespace.wait(POD, "server", is_ready)

    namespace.apply(pod("client", image, ASK.format("words"), restartPolicy="OnFailure"))

    namespace.wait(POD, "client", is_over)
    assert namespace.logs("client").splitlines()[-1] == "200"


def test_a_killed_container_is_started_again(cluster: Cluster, namespace: Namespace, image: str) -> None:
    namespace.apply(pod("server", image, SERVER))
    namespace.wait(POD, "server", is_ready)

    cluster.kill_container(namespace.name, "server")

    again = namespace.wait(POD, "server", lambda found: restarts(found) == 1 and is_ready(found))
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137


def test_the_node_goes_on_without_its_api_server(cluster: Cluster, namespace: Namespace, image: str) -> None:
    namespace.apply(pod("server", image, SERVER))
    namespace.wait(POD, "server", is_ready)

    with cluster.without("kube-apiserver"):
        assert not cluster.api.ready()

    assert restarts(namespace.get(POD, "server")) == 0


def test_a_node_whose_kubelet_is_away_is_lost_until_it_is_back(cluster: Cluster) -> None:
    with cluster.without("kubelet"):
        deadline = time.monotonic() + 30
        while cluster.node_ready():
            assert time.monotonic() < deadline, "nobody notices"
            time.sleep(0.2)
    cluster.await_node()


def test_what_a_service_account_asks_for_is_recorded(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    asking = Api(namespace.kubeconfig_of("default", tmp_path / "kubeconfig"))

    with pytest.raises(Refused, match="403"):
        asking.namespace(namespace.name).pods()

    assert [(r.verb, r.resource, r.code) for r in cluster.requests(namespace.name, "default")][-1:] == [
        ("list", "pods", 403)
    ]
    asking.close()


def test_people_have_kubectl_and_helm(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "words", "--from-literal=text=to be")

    assert namespace.get("v1/ConfigMap", "words")["data"] == {"text": "to be"}
    assert namespace.helm("list", "--short") == ""
