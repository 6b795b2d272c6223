"""What exists in a cluster for a job."""

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from tests.operator.model.specs import spec, specs

from penstock_operator.model.changes import Change, difference
from penstock_operator.model.spec import FlinkJobSpec, from_json, to_json
from penstock_operator.render.children import children, script_in
from penstock_operator.render.names import Owner

Json = dict[str, Any]
OWNER = Owner("shop", "word-count", "uid-1")
REVISION = "r3-1a2b3"


def rendered(job: FlinkJobSpec, script: str | None = None) -> dict[tuple[str, str], Json]:
    found = children(OWNER, REVISION, job, script=script, token="hush")
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in found}


def deployment(job: FlinkJobSpec, component: str) -> Json:
    return rendered(job)["Deployment", f"word-count-r3-1a2b3-{component}"]


def pod(job: FlinkJobSpec, component: str = "taskmanager") -> Json:
    found: Json = deployment(job, component)["spec"]["template"]["spec"]
    return found


def container(job: FlinkJobSpec, component: str = "taskmanager") -> Json:
    found: Json = next(c for c in pod(job, component)["containers"] if c["name"] == "penstock-main-container")
    return found


def test_what_there_is_for_a_job() -> None:
    assert list(rendered(spec())) == [
        ("Secret", "word-count-token-uid-1"),
        ("ConfigMap", "word-count-r3-1a2b3"),
        ("Service", "word-count-r3-1a2b3-rpc"),
        ("Service", "word-count-r3-1a2b3-rest"),
        ("PodDisruptionBudget", "word-count"),
        ("Deployment", "word-count-r3-1a2b3-jobmanager"),
        ("Deployment", "word-count-r3-1a2b3-taskmanager"),
    ]


@settings(max_examples=25)
@given(specs())
def test_all_of_it_belongs_to_the_job_and_finds_its_own_pods_only(job: FlinkJobSpec) -> None:
    found = rendered(valid(job), "print()")
    for manifest in found.values():
        (reference,) = manifest["metadata"]["ownerReferences"]
        assert (reference["kind"], reference["uid"], reference["controller"]) == ("FlinkJob", "uid-1", True)
        assert manifest["metadata"]["namespace"] == "shop"
        assert manifest["metadata"]["labels"]["penstock.dev/job"] == "word-count"
    for name, component in (("jobmanager", "jobmanager"), ("taskmanager", "taskmanager")):
        body = found["Deployment", f"word-count-r3-1a2b3-{name}"]
        selector = body["spec"]["selector"]["matchLabels"]
        assert selector.items() <= body["spec"]["template"]["metadata"]["labels"].items()
        assert selector["app.kubernetes.io/component"] == component
        assert selector["penstock.dev/revision"] == REVISION


@settings(max_examples=40)
@given(specs(), specs())
def test_pods_are_restarted_by_nothing_but_an_upgrade(old: FlinkJobSpec, new: FlinkJobSpec) -> None:
    """What is heeded in place, or by rescaling, leaves pod templates as they are."""
    wanted = to_json(valid(new))
    kept = to_json(valid(old))
    for path in ("upgrade", "snapshots", "deletionPolicy", "deletionTimeout", "savepointNonce", "checkpointNonce"):
        kept.pop(path, None)
        if path in wanted:
            kept[path] = wanted[path]
    kept["job"] |= {"parallelism": wanted["job"]["parallelism"], "state": wanted["job"]["state"]}
    kept["checkpoints"]["retention"] = wanted["checkpoints"]["retention"]
    job = from_json(kept, FlinkJobSpec)
    assert difference(valid(old), job).change < Change.UPGRADE
    for component in ("jobmanager", "taskmanager"):
        assert deployment(job, component)["spec"]["template"] == deployment(valid(old), component)["spec"]["template"]


def valid(job: FlinkJobSpec) -> FlinkJobSpec:
    """With exactly one program, as validation has it, and templates that API servers take."""
    written = to_json(job)
    written["job"] = {key: value for key, value in written["job"].items() if key not in ("module", "source")}
    written["job"]["script"] = "/opt/job.py"
    for who in ("jobManager", "taskManager"):
        written[who].pop("podTemplate", None)
    return from_json(written, FlinkJobSpec)


def test_pods_have_no_rights() -> None:
    """The restricted profile of Kubernetes' pod security standards."""
    for component in ("jobmanager", "taskmanager"):
        found = pod(spec(job={"source": {"s3": "s3://bucket/job.py"}}), component)
        assert found["automountServiceAccountToken"] is False
        assert found["securityContext"]["runAsNonRoot"] is True
        assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in (*found["containers"], *found["initContainers"]):
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_the_job_manager_is_probed_over_rest_and_stopped_with_time() -> None:
    found = container(spec(), "jobmanager")
    assert found["readinessProbe"]["httpGet"] == {"path": "/v1/penstock/ready", "port": "rest"}
    assert found["livenessProbe"]["httpGet"] == {"path": "/v1/penstock/alive", "port": "rest"}
    assert pod(spec(), "jobmanager")["terminationGracePeriodSeconds"] == 45
    assert deployment(spec(), "jobmanager")["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment(spec(), "jobmanager")["spec"]["replicas"] == 1


def test_pods_of_lost_nodes_are_replaced_after_half_a_minute() -> None:
    assert {(t["key"], t["tolerationSeconds"]) for t in pod(spec())["tolerations"]} == {
        ("node.kubernetes.io/not-ready", 30),
        ("node.kubernetes.io/unreachable", 30),
    }


def test_there_are_as_many_task_managers_as_the_parallelism_takes() -> None:
    def replicas(**paths: Any) -> int:
        return int(deployment(spec(**paths), "taskmanager")["spec"]["replicas"])

    assert replicas(job__parallelism=5, taskManager={"slots": 2}) == 3
    assert replicas(job__parallelism=5, taskManager={"slots": 2, "replicas": 4}) == 4


def test_requests_and_limits_reach_the_container() -> None:
    resources = {"requests": {"cpu": "250m", "ephemeral-storage": "5Gi"}, "limits": {"memory": "2Gi"}}
    assert container(spec(taskManager__resources=resources))["resources"] == {
        "requests": {"cpu": "250m", "memory": "2147483648", "ephemeral-storage": "5Gi"},
        "limits": {"memory": "2Gi"},
    }
    assert container(spec())["resources"] == {"requests": {"cpu": "1000m", "memory": "1073741824"}}


def test_arguments_reach_the_program_as_they_are() -> None:
    """Kubernetes would expand $(HOME), and make one dollar of two."""
    arguments = ["$(HOME)", "$$", "a b", "$"]
    found = container(spec(job__args=arguments), "jobmanager")
    assert found["command"] == ["penstock"]
    assert found["args"][-5:] == ["--", "$$(HOME)", "$$$$", "a b", "$$"]
    assert container(spec())["args"][3:5] == ["--host", "$(PENSTOCK_POD_IP)"]


def test_a_script_in_the_spec_is_mounted_into_both_kinds_of_pods() -> None:
    job = spec(job={"source": {"inline": "print(1)"}})
    body = rendered(job, "print(1)")["ConfigMap", "word-count-r3-1a2b3"]
    assert body["data"]["job.py"] == "print(1)" == script_in(body, job)
    for component in ("jobmanager", "taskmanager"):
        mounts = {mount["name"]: mount["mountPath"] for mount in container(job, component)["volumeMounts"]}
        assert mounts["penstock-sources"] == "/opt/job"
        volumes = {volume["name"]: volume for volume in pod(job, component)["volumes"]}
        assert volumes["penstock-sources"]["configMap"]["items"] == [{"key": "job.py", "path": "job.py"}]
    assert script_in({}, job) is None


def test_a_script_in_s3_is_fetched_before_anything_runs() -> None:
    job = spec(job={"source": {"s3": "s3://bucket/code/count.py"}}, checkpoints__credentialsSecretRef={"name": "s3"})
    (init,) = pod(job)["initContainers"]
    assert [*init["command"], *init["args"]] == [
        *("penstock", "fetch", "--conf", "/etc/penstock/conf", "s3://bucket/code/count.py", "/opt/job/count.py")
    ]
    assert {"name": "penstock-sources", "mountPath": "/opt/job", "readOnly": False} in init["volumeMounts"]
    assert {"name": "penstock-sources", "emptyDir": {}} in pod(job)["volumes"]
    assert [variable["name"] for variable in init["env"] if "secretKeyRef" in variable.get("valueFrom", {})][:1] == [
        "AWS_ACCESS_KEY_ID"
    ]


def test_credentials_come_from_the_secret_and_stand_nowhere_else() -> None:
    job = spec(checkpoints__credentialsSecretRef={"name": "s3"})
    variables = {v["name"]: v.get("valueFrom", {}).get("secretKeyRef") for v in container(job)["env"]}
    assert variables["AWS_ACCESS_KEY_ID"] == {"name": "s3", "key": "AWS_ACCESS_KEY_ID", "optional": False}
    assert variables["AWS_SESSION_TOKEN"] == {"name": "s3", "key": "AWS_SESSION_TOKEN", "optional": True}
    found = rendered(job)
    secret = found.pop(("Secret", "word-count-token-uid-1"))
    assert base64.b64decode(secret["data"]["token"]) == b"hush"
    assert "hush" not in yaml.safe_dump(list(found.values()))


def test_a_pod_template_is_merged_by_name() -> None:
    template = {
        "metadata": {"labels": {"team": "shop"}, "annotations": {"a": "b", "prometheus.io/scrape": "false"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "priorityClassName": "high",
            "terminationGracePeriodSeconds": 90,
            "securityContext": {"runAsUser": 1000},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "containers": [
                {"name": "sidecar", "image": "x"},
                {
                    "name": "penstock-main-container",
                    "env": [{"name": "HOME", "value": "/data"}, {"name": "MINE", "value": "1"}],
                    "volumeMounts": [{"mountPath": "/data", "name": "data"}],
                    "resources": {"limits": {"example.com/gpu": 1}},
                },
            ],
            "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    }
    job = spec(taskManager__podTemplate=template)
    body = deployment(job, "taskmanager")["spec"]["template"]
    assert body["metadata"]["labels"]["team"] == "shop"
    assert body["metadata"]["annotations"] == {"a": "b", "prometheus.io/scrape": "false", "prometheus.io/port": "9249"}
    found = pod(job)
    assert (found["nodeSelector"], found["priorityClassName"]) == ({"disk": "ssd"}, "high")
    assert found["terminationGracePeriodSeconds"] == 90
    assert (found["securityContext"]["runAsUser"], found["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert len(found["tolerations"]) == 3
    assert [each["name"] for each in found["containers"]] == ["penstock-main-container", "sidecar"]
    assert [volume["name"] for volume in found["volumes"]][-1] == "data"
    main = container(job)
    assert [v for v in main["env"] if v["name"] == "HOME"] == [{"name": "HOME", "value": "/data"}]
    assert {"name": "MINE", "value": "1"} in main["env"] and {"name": "TMPDIR", "value": "/tmp"} in main["env"]
    assert [mount["mountPath"] for mount in main["volumeMounts"]][-1] == "/data" and main["image"] == job.image
    assert main["resources"]["limits"] == {"example.com/gpu": 1} and "cpu" in main["resources"]["requests"]
    assert pod(spec()) == pod(spec(jobManager__podTemplate=template)), "each kind has its own"


@pytest.mark.parametrize("labels", [{"penstock.dev/uid": "x"}, {"app.kubernetes.io/component": "x"}])
def test_labels_that_pods_are_found_by_stay(labels: dict[str, str]) -> None:
    job = spec(taskManager__podTemplate={"metadata": {"labels": labels}})
    body = deployment(job, "taskmanager")["spec"]
    assert body["selector"]["matchLabels"].items() <= body["template"]["metadata"]["labels"].items()


def test_a_service_reaches_a_job_manager_that_is_not_ready() -> None:
    """It must take TaskManagers, and say why it is not ready."""
    for port in ("rpc", "rest"):
        body = rendered(spec())["Service", f"word-count-r3-1a2b3-{port}"]["spec"]
        assert body["publishNotReadyAddresses"] is True
        assert body["ports"][0]["targetPort"] == port
    address = container(spec())["args"][2]
    assert address == "word-count-r3-1a2b3-rpc.shop.svc:6123"


def test_what_pods_need_comes_before_them() -> None:
    kinds = [kind for kind, _ in rendered(spec())]
    assert kinds[-2:] == ["Deployment", "Deployment"] and "Deployment" not in kinds[:-2]
