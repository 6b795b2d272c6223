"""The CRDs and the operator's own types say the same: names, types, what must be there, defaults, choices, bounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from msgspec import inspect

from penstock_operator.__main__ import commands
from penstock_operator.handlers.definitions import definitions
from penstock_operator.model.snapshot_status import SnapshotStatus
from penstock_operator.model.spec import FlinkJobSpec, FlinkStateSnapshotSpec, without_nulls
from penstock_operator.model.status import Status
from penstock_operator.model.validation import NAME_PATTERN

CRDS = Path(__file__).parents[2] / "crds"
FILES = {"FlinkJob": "flinkjobs.yaml", "FlinkStateSnapshot": "flinkstatesnapshots.yaml"}
TYPES: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("FlinkJob", "spec"): FlinkJobSpec,
    ("FlinkJob", "status"): Status,
    ("FlinkStateSnapshot", "spec"): FlinkStateSnapshotSpec,
    ("FlinkStateSnapshot", "status"): SnapshotStatus,
}


def version(kind: str) -> dict[str, Any]:
    (found,) = yaml.safe_load((CRDS / FILES[kind]).read_text())["spec"]["versions"]
    return dict(found)


def schema(kind: str) -> dict[str, Any]:
    return dict(version(kind)["schema"]["openAPIV3Schema"])


def parts(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from parts(inner, f"{path}.{name}")
    if "items" in node:
        yield from parts(node["items"], f"{path}[]")


def differences(node: dict[str, Any], info: inspect.Type, path: str, *, status: bool) -> Iterator[str]:
    """Where a schema says something else than a type. Of a status, choices are not compared: it has none in the schema,
    so that an operator that is newer than the CRD can say what it has to."""
    if isinstance(info, inspect.UnionType):
        types = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        if len(types) == 2:
            yield from quantity_differences(node, types, path)
            return
        (info,) = types
    expected = shape(info, status=status)
    found = {key: node.get(key) for key in expected}
    if found != expected:
        yield f"{path}: the CRD has {found}, the type {expected}"
    match info:
        case inspect.StructType(fields=fields):
            named = {field.encode_name: field for field in fields}
            if node.get("properties", {}).keys() != named.keys():
                yield f"{path}: only one has {sorted(node.get('properties', {}).keys() ^ named.keys())}"
                return
            for name, field in named.items():
                inner = node["properties"][name]
                yield from differences(inner, field.type, f"{path}.{name}", status=status)
                if not status and inner.get("default") != default(field):
                    yield f"{path}.{name}: the CRD's default is {inner.get('default')}, the type's {default(field)}"
        case inspect.VarTupleType(item_type=item):
            yield from differences(node["items"], item, f"{path}[]", status=status)
        case _:
            pass


def shape(info: inspect.Type, *, status: bool) -> dict[str, Any]:
    match info:
        case inspect.StructType(fields=fields):
            return {"type": "object", "required": [f.encode_name for f in fields if f.required] or None}
        case inspect.VarTupleType(max_length=most):
            return {"type": "array", "maxItems": most}
        case inspect.DictType():
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case inspect.IntType(ge=least, le=most) if least is None or least == -(2**63):
            return {"type": "integer", "format": "int64", "minimum": None, "maximum": None}
        case inspect.IntType(ge=least, le=most):
            return {"type": "integer", "format": "int32", "minimum": least, "maximum": most}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType() | inspect.EnumType() if status:
            return {"type": "string", "enum": None}
        case inspect.StrType(pattern=pattern, min_length=least, max_length=most):
            return {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}
        case _:
            return {"type": "string"}


def quantity_differences(node: dict[str, Any], types: list[inspect.Type], path: str) -> Iterator[str]:
    (text,) = [one for one in types if isinstance(one, inspect.StrType)]
    wanted = {"x-kubernetes-int-or-string": True, "minimum": 0, "pattern": text.pattern, "maxLength": text.max_length}
    if {key: node.get(key) for key in wanted} != wanted:
        yield f"{path}: expected {wanted}, found {node}"


def default(field: inspect.Field) -> Any:
    """As the CRD says it: of a part, that there is one, if any of its fields has a default."""
    if isinstance(field.default, msgspec.Struct):
        written = without_nulls(msgspec.to_builtins(field.default))
        return {} if any(value not in ({}, []) for value in written.values()) else None
    return None if field.default in (msgspec.NODEFAULT, None, ()) else field.default


@pytest.mark.parametrize(("kind", "what"), TYPES)
def test_schema_and_type_are_the_same(kind: str, what: str) -> None:
    node = schema(kind)["properties"][what]
    found = list(differences(node, inspect.type_info(TYPES[kind, what]), what, status=what == "status"))
    assert found == []


@pytest.mark.parametrize(("kind", "what"), [pair for pair in TYPES if pair[1] == "spec"])
def test_choices_are_the_same(kind: str, what: str) -> None:
    def choices(info: inspect.Type, path: str) -> Iterator[tuple[str, frozenset[Any]]]:
        for one in info.types if isinstance(info, inspect.UnionType) else (info,):
            if isinstance(one, inspect.LiteralType):
                yield path, frozenset(one.values)
            elif isinstance(one, inspect.StructType):
                for field in one.fields:
                    yield from choices(field.type, f"{path}.{field.encode_name}")

    in_crd = {path: frozenset(node["enum"]) for path, node in parts(schema(kind)["properties"][what]) if "enum" in node}
    assert in_crd == dict(choices(inspect.type_info(TYPES[kind, what]), ""))


@pytest.mark.parametrize("kind", FILES)
def test_every_field_is_explained(kind: str) -> None:
    """In sentences: `kubectl explain` is where people learn."""
    for path, node in parts(schema(kind)):
        text = node.get("description", "")
        assert path == ".metadata" or (len(text) > 3 and text.endswith(".") and text == " ".join(text.split())), path


@pytest.mark.parametrize("kind", FILES)
def test_the_crd_is_whole(kind: str) -> None:
    crd = yaml.safe_load((CRDS / FILES[kind]).read_text())
    names = crd["spec"]["names"]
    assert (
        crd["metadata"]["name"]
        == f"{names['plural']}.penstock.dev"
        == f"{FILES[kind].removesuffix('.yaml')}.penstock.dev"
    )
    assert names["kind"] == kind and names["shortNames"] and names["categories"] == ["penstock"]
    assert version(kind)["subresources"]["status"] == {}
    rules = schema(kind)["x-kubernetes-validations"]
    assert rules[0]["rule"] == f"self.metadata.name.matches('{NAME_PATTERN}')"


@pytest.mark.parametrize("kind", FILES)
def test_columns_and_scale_show_what_exists(kind: str) -> None:
    known = {path for path, _ in parts(schema(kind))}
    shown = [column["jsonPath"] for column in version(kind)["additionalPrinterColumns"]]
    shown += version(kind)["subresources"].get("scale", {}).values()
    for path in shown:
        plain = path.replace('[?(@.type=="Ready")]', "[]")
        assert plain in known or plain.startswith(".metadata."), path


def test_the_operator_brings_them_along() -> None:
    said = CliRunner().invoke(commands, ["crds"])
    assert said.exit_code == 0
    assert list(yaml.safe_load_all(said.output)) == [
        yaml.safe_load((CRDS / name).read_text()) for name in FILES.values()
    ]
    assert definitions() == {name: (CRDS / name).read_text() for name in FILES.values()}, "run `make crds`"


def test_all_rules_say_what_is_wrong() -> None:
    for kind in FILES:
        for path, node in parts(schema(kind)):
            for rule in node.get("x-kubernetes-validations", ()):
                assert rule["rule"] and rule["message"] and len(rule["message"]) < 200, (kind, path)
