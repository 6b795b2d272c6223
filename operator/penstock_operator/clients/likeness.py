"""Whether an object is as it was applied: everything that the manifest says is there, whatever others have added. Pure.

Compared value by value and not by who owns which field, so that it can be told from the cache. Amounts are equal when
they mean the same, since the API server writes `1024Mi` as `1Gi`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

Json = dict[str, Any]

DIGEST: Final = "penstock.dev/manifest-digest"
"""Annotation: of what was applied, so that what another version of the operator applied is told from a change."""
VERSION: Final = "penstock.dev/operator-version"
KEYS: Final = ("name", "containerPort", "port", "mountPath", "key", "topologyKey", "uid")
"""By the first of these that all elements have, lists of objects are compared; others by position."""

_AMOUNT: Final = re.compile(r"^([+-]?\d+(?:\.\d+)?)([numkKMGTPE]i?)?$")
_SCALES: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def sealed(manifest: Json, version: str) -> Json:
    """With its digest on it, and which version of the operator made it."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), DIGEST: digest(manifest), VERSION: version}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def digest(manifest: Json) -> str:
    """The number of replicas is no part of it: it changes while a revision lives."""
    spec = manifest.get("spec")
    if isinstance(spec, Mapping) and "replicas" in spec:
        manifest = {**manifest, "spec": {key: value for key, value in spec.items() if key != "replicas"}}
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_on(live: Json) -> str | None:
    found = (live["metadata"].get("annotations") or {}).get(DIGEST)
    return found if isinstance(found, str) else None


def rendered_by(live: Json) -> str | None:
    """The version of the operator that made it."""
    found = (live["metadata"].get("annotations") or {}).get(VERSION)
    return found if isinstance(found, str) else None


def covers(live: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is in `live`. The API server leaves out what is empty, false or zero by default."""
    if live is None:
        return not wanted
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(live, list) and _covers_list(live, wanted)
    return bool(live == wanted) or _same_amount(live, wanted)


def _covers_list(live: list[Any], wanted: list[Any] | tuple[Any, ...]) -> bool:
    key = next((k for k in KEYS if wanted and all(isinstance(w, Mapping) and k in w for w in wanted)), None)
    if key is None:
        return len(live) == len(wanted) and all(map(covers, live, wanted))
    by_key = {item.get(key): item for item in live if isinstance(item, Mapping)}
    return all(item[key] in by_key and covers(by_key[item[key]], item) for item in wanted)


def _same_amount(live: Any, wanted: Any) -> bool:
    one, other = _amount(live), _amount(wanted)
    return one is not None and one == other


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    matched = _AMOUNT.match(str(value))
    if matched is None or (matched[2] or "") not in _SCALES:
        return None
    return Decimal(matched[1]) * _SCALES[matched[2] or ""]
