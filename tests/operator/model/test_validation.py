"""Manifests with something wrong: every error at once, each with its field, what was found and what is allowed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from tests.operator.model.specs import SMALLEST, changed, parts, spec

from penstock_operator.model.forbidden import FORBIDDEN
from penstock_operator.model.spec import FlinkJobSpec, from_json, to_json
from penstock_operator.model.validation import (
    FieldError,
    check_config_map,
    check_for_cluster,
    check_secret,
    check_state,
    sentence_of,
    validate_job,
    validate_name,
    validate_snapshot,
)


def sentences(**paths: Any) -> list[str]:
    """What is said of SMALLEST with these changes."""
    manifest = SMALLEST
    for path, value in paths.items():
        manifest = changed(manifest, path.replace("__", "."), value)
    found, errors = validate_job(manifest)
    assert (found is None) == bool(errors)
    return [str(error) for error in errors]


def test_the_smallest_job_is_valid() -> None:
    found, errors = validate_job(SMALLEST)
    assert errors == ()
    assert found == from_json(SMALLEST, FlinkJobSpec)


def test_every_error_is_told_at_once() -> None:
    found, errors = validate_job(
        {
            "imagePullPolicy": "Sometimes",
            "job": {"script": "a.py", "module": "a", "parallelism": 0, "args": "x", "stat": "running"},
            "taskManager": {
                "slots": True,
                "resources": {"requests": {"cpu": 2, "memory": "1G B"}, "limits": {"cpu": 1}},
            },
            "flinkConfiguration": {"rest": {"port": 1}, "parallelism.default": 4},
            "checkpoints": {"dir": "hdfs://x/y", "retention": {"count": 0, "age": "3 weeks"}},
            "deletionTimeout": "0 s",
        }
    )
    assert found is None
    assert [error.field for error in errors] == [
        "spec.image",
        "spec.imagePullPolicy",
        "spec.job.stat",
        "spec.job.args",
        "spec.job.parallelism",
        "spec.taskManager.slots",
        "spec.taskManager.resources.requests.memory",
        "spec.checkpoints.dir",
        "spec.checkpoints.retention.count",
        "spec.checkpoints.retention.age",
        "spec.job",
        "spec.deletionTimeout",
        "spec.taskManager.resources.requests.cpu",
        "spec.flinkConfiguration.parallelism.default",
        "spec.flinkConfiguration.rest.port",
    ]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"image": None}, "spec.image: found nothing, allowed is text that matches ^\\S+$ of at most 512 characters"),
        ({"image": 5}, "spec.image: found 5, allowed is text that matches"),
        ({"job": "x"}, 'spec.job: found "x", allowed is a map of script, module'),
        ({"job__script": None}, "spec.job: found none of them, allowed is exactly one of script, module, source"),
        (
            {"job__source": {}},
            "spec.job.source: found none of them, allowed is exactly one of inline, configMapRef, s3",
        ),
        ({"job__paralelism": 2}, "spec.job.paralelism: found 2, allowed is no such field, only script, "),
        ({"job__paralelism": 2}, "(did you mean parallelism?)"),
        ({"job__parallelism": 40_000}, "spec.job.parallelism: found 40000, allowed is a whole number from 1 to 32768"),
        ({"job__parallelism": 1.5}, "spec.job.parallelism: found 1.5 without quotes, allowed is a whole number from"),
        ({"job__parallelism": 8, "job__maxParallelism": 4}, "spec.job.parallelism: found 8, allowed is at most maxPar"),
        ({"job__upgradeMode": "last_state"}, 'found "last_state", allowed is one of last-state, savepoint, stateless'),
        (
            {"job__parallelism": 4, "taskManager": {"replicas": 1, "slots": 2}},
            "spec.taskManager.replicas: found 1 with 2 slots each, allowed is at least 2 for parallelism 4, or nothing",
        ),
        ({"job__args": ["a", "b\0"]}, 'spec.job.args[1]: found "b\\u0000", allowed is text that a process takes'),
        ({"job__args": ["a", 5]}, "spec.job.args[1]: found 5, allowed is text of at most 4096 characters"),
        ({"jobManager__replicas": 2}, "spec.jobManager.replicas: found 2, allowed is only 1"),
        (
            {"checkpoints__dir": None},
            "spec.checkpoints.dir: found nothing, allowed is where checkpoints go, for upgradeMode",
        ),
        (
            {"checkpoints__dir": None, "job__upgradeMode": "stateless", "savepointNonce": 1},
            "spec.checkpoints.dir: found nothing, allowed is where checkpoints go, as savepointNonce asks for state",
        ),
        ({"checkpoints__dir": "s3://bucket/../x"}, "allowed is s3://BUCKET/PATH or file:///PATH"),
        ({"checkpoints__endpoint": "minio:9000"}, "spec.checkpoints.endpoint: found"),
        ({"checkpoints__retention": {"pin": ["x"]}}, 'spec.checkpoints.retention.pin[0]: found "x", allowed is s3://'),
        (
            {"upgrade__readinessTimeout": 5},
            "spec.upgrade.readinessTimeout: found 5, allowed is a duration above zero such",
        ),
        (
            {"snapshots__periodic": {}},
            "spec.snapshots.periodic: found none of them, allowed is exactly one of interval,",
        ),
        ({"snapshots__periodic": {"cron": "0 0 30 2 *"}}, "spec.snapshots.periodic.cron: found"),
        (
            {"snapshots__periodic": {"interval": "1 s"}},
            "spec.snapshots.periodic.interval: found 1 s, allowed is at least",
        ),
        ({"taskManager__resources__requests__cpu": 0.5}, "found 0.5 without quotes, allowed is a Kubernetes quantity"),
        (
            {"taskManager__resources__requests__cpu": 0},
            "spec.taskManager.resources.requests.cpu: found 0, allowed is more",
        ),
        (
            {"taskManager__resources__requests__memory": "1024m"},
            "at least 64Mi (m means thousandths; did you mean 1024Mi?)",
        ),
        (
            {"jobManager__resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}},
            "spec.jobManager.resources.requests.cpu: found 2, allowed is at most the limit, 1500m",
        ),
        (
            {"flinkConfiguration": {"s3.secret-key": "hush"}},
            "found a value, allowed is only what is said by spec.checkpoints.credentialsSecretRef: take it out and",
        ),
        (
            {"flinkConfiguration": {"a.b": 1, "a": {"b": 2}}},
            "spec.flinkConfiguration.a.b: found it twice, allowed is it on",
        ),
        (
            {"flinkConfiguration": {"a b": 1}},
            'spec.flinkConfiguration.a b: found "a b", allowed is a key without spaces',
        ),
        ({"flinkConfiguration": {1: 1}}, "spec.flinkConfiguration.1: found 1 as a name, allowed is a name in quotes"),
        (
            {"flinkConfiguration": {"a": float("nan")}},
            "spec.flinkConfiguration.a: found nan, allowed is a finite number",
        ),
        (
            {"jobManager__podTemplate": {"sepc": {}}},
            "spec.jobManager.podTemplate.sepc: found {}, allowed is no such field",
        ),
        ({"jobManager__podTemplate": {"spec": []}}, "spec.jobManager.podTemplate.spec: found [], allowed is a map"),
        (
            {"taskManager__podTemplate": {"spec": {"volumes": [{"emptyDir": {}}]}}},
            "spec.taskManager.podTemplate.spec.volumes[0].name: found nothing, allowed is a name",
        ),
        (
            {"taskManager__podTemplate": {"spec": {"volumes": [{"name": "penstock-tmp"}]}}},
            "found penstock-tmp, allowed is a name that does not begin with penstock",
        ),
        (
            {
                "taskManager__podTemplate": {
                    "spec": {"containers": [{"name": "penstock-main-container", "args": ["x"]}]}
                }
            },
            'spec.containers[penstock-main-container].args: found ["x"], allowed is nothing here; it is what spec.',
        ),
        (
            {"taskManager__podTemplate": {"metadata": {"labels": {"penstock.dev/uid": "1"}}}},
            "labels of penstock.dev are the",
        ),
    ],
)
def test_an_error_names_its_field_what_was_found_and_what_is_allowed(paths: dict[str, Any], expected: str) -> None:
    assert any(expected in sentence for sentence in sentences(**paths)), sentences(**paths)


@pytest.mark.parametrize("key", sorted(FORBIDDEN))
def test_keys_that_the_operator_sets_are_refused_however_they_are_written(key: str) -> None:
    nested: Any = 1
    for part in reversed(key.split(".")):
        nested = {part: nested}
    for written in ({key: 1}, nested):
        (sentence,) = sentences(flinkConfiguration=written)
        assert sentence.startswith(f"spec.flinkConfiguration.{key}: ")


def test_what_is_refused_by_its_type_is_reported_once() -> None:
    assert len(sentences(checkpoints__dir="nowhere")) == 1
    assert len(sentences(checkpoints="nowhere")) == 1
    assert len(sentences(upgrade__readinessTimeout="soon")) == 1


def wrong_for(info: inspect.Type) -> Any:
    types = info.types if isinstance(info, inspect.UnionType) else (info,)
    return [] if any(isinstance(one, inspect.StructType | inspect.DictType) for one in types) else {"no": "such"}


def all_fields(info: inspect.Type, prefix: str = "") -> list[tuple[str, Any]]:
    """Every path, and something that can never stand there."""
    if isinstance(info, inspect.UnionType):
        info = next((one for one in info.types if isinstance(one, inspect.StructType)), info)
    if not isinstance(info, inspect.StructType):
        return []
    found = []
    for field in info.fields:
        path = f"{prefix}{field.encode_name}"
        found += [(path, wrong_for(field.type)), *all_fields(field.type, f"{path}.")]
    return found


FIELDS = all_fields(inspect.type_info(FlinkJobSpec))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique_by=lambda field: field[0].split(".")[0]))
def test_whatever_is_of_a_wrong_type_is_named(wrong: list[tuple[str, Any]]) -> None:
    manifest = SMALLEST
    for path, value in wrong:
        manifest = changed(manifest, path, value)
    _, errors = validate_job(manifest)
    reported = [error.field for error in errors]
    assert {f"spec.{path}" for path, _ in wrong} <= set(reported)


def beyond(info: inspect.Type, path: str) -> list[tuple[str, Any]]:
    """Values of the right type that a schema's bounds, patterns and choices forbid, by path."""
    match info:
        case inspect.UnionType(types=types):
            return [found for one in types for found in beyond(one, path)]
        case inspect.StructType(fields=fields):
            return [
                found for field in fields for found in beyond(field.type, f"{path}.{field.encode_name}".lstrip("."))
            ]
        case inspect.VarTupleType(item_type=item, max_length=most):
            return [(path, [value]) for _, value in beyond(item, path)] + [(path, ["x"] * (most or 0) + ["x"])]
        case inspect.IntType(ge=least, le=most):
            return [(path, least - 1) for least in (least,) if least is not None] + [
                (path, most + 1) for most in (most,) if most is not None
            ]
        case inspect.StrType(pattern=pattern, min_length=least, max_length=most):
            texts = [""] * bool(least or pattern) + [" \n"] * bool(pattern) + ["x" * ((most or 0) + 1)] * bool(most)
            return [(path, text) for text in texts]
        case inspect.LiteralType():
            return [(path, "nonsense")]
        case _:
            return []


BEYOND = beyond(inspect.type_info(FlinkJobSpec), "")


@pytest.mark.parametrize(("path", "value"), BEYOND, ids=[f"{path}-{str(value)[:12]!r}" for path, value in BEYOND])
def test_whatever_is_out_of_bounds_is_named(path: str, value: Any) -> None:
    _, errors = validate_job(changed(SMALLEST, path, value))
    assert any(error.is_within(f"spec.{path}") for error in errors), errors
    assert all(len(error.found) < 200 for error in errors)


@settings(max_examples=25)
@given(parts(FlinkJobSpec))
def test_nothing_of_the_right_shape_makes_validation_fail_itself(manifest: dict[str, Any]) -> None:
    found, errors = validate_job(manifest)
    if found is not None:
        assert validate_job(to_json(found)) == (found, ())
    assert all(error.field.startswith("spec") and error.found and error.allowed for error in errors)


@settings(max_examples=60)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))  # fmt: skip
def test_nothing_at_all_makes_validation_fail_itself(anything: Any) -> None:
    for manifest in (anything, {"image": anything, "job": anything}, changed(SMALLEST, "flinkConfiguration", anything)):
        validate_job(manifest)
        validate_snapshot(manifest)


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = {"a": deep}
    (sentence,) = sentences(flinkConfiguration=deep)
    assert "at most 32 levels" in sentence


def test_a_sentence_of_many_errors_says_how_many_more() -> None:
    errors = [FieldError(f"spec.a{at}", "x", "y") for at in range(25)]
    assert sentence_of(errors).endswith("spec.a19: found x, allowed is y; and 5 more")
    assert sentence_of(errors[:1]) == "spec.a0: found x, allowed is y"


def test_a_sentence_has_room_in_a_status_whatever_the_fields_are_called() -> None:
    errors = [FieldError(f"spec.flinkConfiguration.{'a' * 1_000_000}", "x", "y") for _ in range(1_000)]
    assert len(sentence_of(errors)) < 12_000


@pytest.mark.parametrize("name", ["a", "word-count", "a" * 45, "a1"])
def test_names_that_others_can_be_made_of(name: str) -> None:
    assert validate_name(name) == ()


@pytest.mark.parametrize("name", ["", "A", "1a", "a-", "a" * 46, "a.b", "a\n", "-a"])
def test_other_names_are_refused(name: str) -> None:
    (error,) = validate_name(name)
    assert error.field == "metadata.name"


def test_the_secret_must_be_there_with_its_keys() -> None:
    job = spec(checkpoints__credentialsSecretRef={"name": "s3"})
    assert check_secret(job, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "more"}) == ()
    assert "found s3, which does not exist, allowed is a Secret with the keys AWS" in str(check_secret(job, None)[0])
    assert "found s3 without AWS_SECRET_ACCESS_KEY" in str(check_secret(job, {"AWS_ACCESS_KEY_ID"})[0])
    assert check_secret(spec(), None) == ()


def test_the_config_map_must_be_there_with_its_key() -> None:
    job = spec(job__script=None, job__source={"configMapRef": {"name": "code"}})
    assert check_config_map(job, {"job.py": "print()"}) == ()
    assert "code, which does not exist" in str(check_config_map(job, None)[0])
    assert "found job.py, allowed is a key that is there: the ConfigMap has main.py" in str(
        check_config_map(job, {"main.py": ""})[0]
    )
    assert "a script of 900001 bytes" in str(check_config_map(job, {"job.py": "x" * 900_001})[0])
    assert check_config_map(spec(), None) == ()


def test_max_parallelism_stays_while_there_is_state() -> None:
    def found(max_parallelism: int | None, **paths: Any) -> str:
        return sentence_of(check_state(spec(), spec(**paths), max_parallelism))

    assert found(None, job__maxParallelism=64) == ""
    assert found(64, job__maxParallelism=64) == ""
    assert found(128, image="example/job:2") == ""
    assert "spec.job.maxParallelism: found 64, while there is state with 128" in found(128, job__maxParallelism=64)
    assert "spec.job.parallelism: found 200, while there is" in found(128, job__parallelism=200)
    assert found(128, job__maxParallelism=64, job__upgradeMode="stateless") == ""
    unchanged = spec(job__maxParallelism=64)
    assert check_state(unchanged, spec(job__maxParallelism=64, image="example/job:2"), 128) == (), "a program's own"


def test_pods_need_a_store_that_they_share() -> None:
    template = {"spec": {"containers": [{"name": "penstock-main-container", "volumeMounts": [{"mountPath": "/data"}]}]}}
    local = {"checkpoints": {"dir": "file:///data/checkpoints", "savepointDir": "file:///elsewhere"}}
    assert check_for_cluster(spec()) == ()
    assert [error.field for error in check_for_cluster(spec(**local))] == [
        "spec.checkpoints.dir",
        "spec.checkpoints.savepointDir",
    ]
    mounted = spec(**local, jobManager__podTemplate=template, taskManager__podTemplate=template)
    assert [error.field for error in check_for_cluster(mounted)] == ["spec.checkpoints.savepointDir"]
    assert len(check_for_cluster(spec(**local, jobManager__podTemplate=template))) == 2


def test_a_snapshot_is_a_savepoint_or_a_checkpoint() -> None:
    assert validate_snapshot({"jobReference": {"name": "job"}, "savepoint": {}})[1] == ()
    assert validate_snapshot({"jobReference": {"name": "job"}, "checkpoint": {}})[1] == ()
    both = {"jobReference": {"name": "job"}, "checkpoint": {}, "savepoint": {"alreadyExists": True}}
    assert [str(error) for error in validate_snapshot(both)[1]] == [
        "spec: found both savepoint and checkpoint, allowed is exactly one of the two",
        "spec.savepoint.path: found nothing, allowed is the folder of the savepoint that already exists",
    ]
    assert [error.field for error in validate_snapshot({"checkpoint": {"x": 1}})[1]] == [
        "spec.jobReference",
        "spec.checkpoint.x",
    ]
    assert validate_snapshot(None)[1][0].field == "spec"
