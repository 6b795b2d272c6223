"""A user's podTemplate laid over ours, as Kubernetes' strategic merge does it. Pure.

Maps are merged key by key, lists by what names their elements; everything else is as the user has it.
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "tolerations": ("key", "effect", "operator"),
    "resourceClaims": ("name",),
}
"""Lists whose elements are told apart by these fields; other lists are replaced as a whole."""
_WHOLE: Final = frozenset(("env", "volumes", "tolerations"))
"""Lists whose elements are one choice of many: half of ours and half of theirs would be two."""
_DEFAULTS: Final = {"protocol": "TCP", "operator": "Equal"}


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Json:
    """What is null in theirs is taken out."""
    found = dict(ours)
    for name, value in theirs.items():
        mine = found.get(name)
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(mine, Mapping):
            found[name] = merged(mine, value)
        elif name in _KEYS and isinstance(value, list | tuple) and isinstance(mine, list | tuple):
            found[name] = _merged_list(name, list(mine), list(value))
        else:
            found[name] = value
    return found


def _merged_list(name: str, ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Ours first, in our order, each with what they say of it; then theirs."""
    found = {_key(name, item): item for item in ours}
    for item in theirs:
        key = _key(name, item)
        mine = found.get(key)
        both = isinstance(mine, Mapping) and isinstance(item, Mapping) and name not in _WHOLE
        found[key] = merged(mine or {}, item) if both else item
    return list(found.values())


def _key(name: str, item: Any) -> Any:
    if not isinstance(item, Mapping):
        return repr(item)
    return tuple(repr(item.get(field, _DEFAULTS.get(field))) for field in _KEYS[name])
