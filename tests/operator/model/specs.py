"""FlinkJob specs for tests: the smallest one, and any."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from penstock_operator.model.spec import FlinkJobSpec, from_json
from penstock_operator.model.values import DURATION_PATTERN, QUANTITY_PATTERN, URI_PATTERN

SMALLEST: dict[str, Any] = {
    "image": "example/job:1",
    "job": {"script": "/opt/job.py"},
    "checkpoints": {"dir": "s3://bucket/checkpoints", "savepointDir": "s3://bucket/savepoints"},
}


def changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The same with another value at a path; None takes it out."""
    name, _, rest = path.partition(".")
    if not rest:
        return {
            **{key: item for key, item in manifest.items() if key != name},
            **({} if value is None else {name: value}),
        }
    return {**manifest, name: changed(manifest.get(name, {}), rest, value)}


def spec(**paths: Any) -> FlinkJobSpec:
    """SMALLEST with other values: `spec(job__parallelism=2)`."""
    manifest = SMALLEST
    for path, value in paths.items():
        manifest = changed(manifest, path.replace("__", "."), value)
    return from_json(manifest, FlinkJobSpec)


_names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_durations = st.builds("{}{}".format, st.integers(1, 99), st.sampled_from(["s", " min", "h", " d"]))
_uris = st.builds("s3://bucket/{}".format, _names)
_json = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-1, 1), _names),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_names, inner, max_size=2)),
    max_leaves=4,
)
_BY_PATTERN = {
    DURATION_PATTERN: _durations,
    QUANTITY_PATTERN: st.sampled_from(["500m", "1.5", "512Mi", "2Gi"]),
    URI_PATTERN: _uris,
}
_BY_NAME = {
    "s3": _uris,
    "endpoint": st.just("https://s3.example.com"),
    "cron": st.sampled_from(["0 3 * * *", "*/5 * * * *"]),
}


def parts(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Manifests of any part, right in their shape, with any of the fields left out that may be."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    required, optional = {}, {}
    for field in info.fields:
        values = _BY_NAME[field.encode_name] if field.encode_name in _BY_NAME else _of(field.type)
        (required if field.required else optional)[field.encode_name] = values
    return st.fixed_dictionaries(required, optional=optional)


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.UnionType(types=types):
            return st.one_of([_of(one) for one in types if not isinstance(one, inspect.NoneType)])
        case inspect.StructType(cls=cls):
            return parts(cls)
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of(item), max_size=2)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=ge, le=le):
            return st.integers(max(ge or 0, -3), min(le or 5, 5))
        case inspect.DictType():
            return st.dictionaries(_names, _json, max_size=3)
        case inspect.StrType(pattern=pattern):
            return _BY_PATTERN.get(pattern or "", _names)
        case _:
            raise AssertionError(info)


def specs() -> st.SearchStrategy[FlinkJobSpec]:
    """Any spec of the right shape; what its fields say together may be nonsense."""
    return parts(FlinkJobSpec).map(lambda manifest: from_json(manifest, FlinkJobSpec))
