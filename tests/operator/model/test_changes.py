"""What each change of a spec takes."""

from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import inspect
from tests.operator.model.specs import spec, specs

from penstock_operator.model.changes import CLASSES, Change, difference, savepoint_format
from penstock_operator.model.spec import FlinkJobSpec, from_json, to_json


def leaf_paths(info: inspect.Type, prefix: str = "") -> list[str]:
    """Paths of all fields that are no parts themselves."""
    if isinstance(info, inspect.UnionType):
        info = next((one for one in info.types if isinstance(one, inspect.StructType)), info)
    if not isinstance(info, inspect.StructType):
        return [prefix]
    return [
        path
        for field in info.fields
        for path in leaf_paths(field.type, f"{prefix}.{field.encode_name}".removeprefix("."))
    ]


def test_every_field_of_the_spec_is_classed() -> None:
    assert sorted(leaf_paths(inspect.type_info(FlinkJobSpec))) == sorted(CLASSES)


@settings(max_examples=25)
@given(specs())
def test_equal_specs_differ_in_nothing(job: FlinkJobSpec) -> None:
    found = difference(job, from_json(to_json(job), FlinkJobSpec))
    assert found.fields == ()
    assert found.change is Change.NONE


@settings(max_examples=25)
@given(specs(), specs())
def test_whatever_differs_is_found_both_ways(old: FlinkJobSpec, new: FlinkJobSpec) -> None:
    there, back = difference(old, new), difference(new, old)
    assert [field.path for field in there.fields] == [field.path for field in back.fields]
    assert there.change == back.change == max((field.change for field in there.fields), default=Change.NONE)
    assert bool(there.sentence()) == bool(there.fields)


@pytest.mark.parametrize(
    ("changed", "change", "sentence"),
    [
        ({"job__args": ["--fast"]}, Change.UPGRADE, 'job.args [] -> ["--fast"]'),
        ({"image": "example/job:2"}, Change.UPGRADE, 'image "example/job:1" -> "example/job:2"'),
        ({"job__parallelism": 4}, Change.SCALE, "job.parallelism 1 -> 4"),
        ({"taskManager__replicas": 4}, Change.SCALE, "taskManager.replicas (not set) -> 4"),
        ({"savepointNonce": 1}, Change.IN_PLACE, "savepointNonce (not set) -> 1"),
        ({"job__state": "suspended"}, Change.IN_PLACE, 'job.state "running" -> "suspended"'),
        ({"deletionPolicy": "Retain"}, Change.IGNORED, 'deletionPolicy "Savepoint" -> "Retain"'),
        ({"flinkConfiguration": {"a": {"b": True}}}, Change.UPGRADE, 'flinkConfiguration.a.b (not set) -> "true"'),
        ({"flinkConfiguration": {"my.password": "x"}}, Change.UPGRADE, "flinkConfiguration.my.password changed"),
        ({"jobManager__podTemplate": {"spec": {}}}, Change.UPGRADE, "jobManager.podTemplate added"),
        ({"job__script": None, "job__source": {"inline": "1"}}, Change.UPGRADE,
         'job.script "/opt/job.py" -> (not set); job.source.inline added'),
    ],
)  # fmt: skip
def test_a_change_is_told_by_what_was_and_what_is(changed: dict[str, Any], change: Change, sentence: str) -> None:
    found = difference(spec(), spec(**changed))
    assert (found.change, found.sentence()) == (change, sentence)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"taskManager__resources__requests__cpu": 1}, {"taskManager__resources__requests__cpu": "1000m"}),
        ({"jobManager__resources__limits__memory": "1Gi"}, {"jobManager__resources__limits__memory": "1024Mi"}),
        ({"upgrade__readinessTimeout": "60 s"}, {"upgrade__readinessTimeout": "1 min"}),
        ({"flinkConfiguration": {"a.b": 1}}, {"flinkConfiguration": {"a": {"b": "1"}}}),
        ({"flinkConfiguration": {"a": 1.0}}, {"flinkConfiguration": {"a": 1}}),
        ({"taskManager": None}, {"taskManager": {"slots": 1}}),
    ],
)
def test_another_spelling_is_no_change(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert difference(spec(**one), spec(**other)).fields == ()


def test_the_strongest_change_counts_and_comes_first() -> None:
    found = difference(spec(), spec(job__parallelism=2, deletionPolicy="Retain", image="example/job:2"))
    assert found.change is Change.UPGRADE
    assert [part.split()[0] for part in found.sentence().split("; ")] == ["image", "job.parallelism", "deletionPolicy"]
    assert found.touches("job") and found.touches("image") and not found.touches("jobManager")


def test_a_sentence_stays_short() -> None:
    new = spec(flinkConfiguration={f"key{at}": "x" * 500 for at in range(50)})
    assert len(difference(spec(), new).sentence()) < 1_000
    assert difference(spec(), new).sentence().endswith("; and 42 more")


def test_only_a_canonical_savepoint_goes_from_one_backend_to_another() -> None:
    heap, rocks = spec(), spec(flinkConfiguration={"state.backend.type": "rocksdb"})
    assert savepoint_format(heap, heap) == "native"
    assert savepoint_format(heap, rocks) == savepoint_format(rocks, heap) == "canonical"
    assert savepoint_format(heap, spec(upgrade__savepointFormat="canonical")) == "canonical"
