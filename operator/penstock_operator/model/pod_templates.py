"""What we must know of a user's podTemplate: its containers, what it mounts, and what it may not say. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from penstock_operator.model.field_errors import FieldError, shown

MAIN_CONTAINER: Final = "penstock-main-container"
RESERVED: Final = "penstock"
"""Names of ours begin so: of volumes, of other containers, and labels with our domain."""
_LISTS: Final = ("containers", "initContainers", "volumes")


def named(template: Mapping[str, Any] | None, what: str) -> list[Mapping[str, Any]]:
    """`containers`, `volumes` and the like, as far as they have the right shape."""
    spec = (template or {}).get("spec")
    items = spec.get(what) if isinstance(spec, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []


def main_container(template: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return next((item for item in named(template, "containers") if item.get("name") == MAIN_CONTAINER), {})


def mounted_paths(template: Mapping[str, Any] | None) -> frozenset[str]:
    """Where the main container has volumes of the user's."""
    mounts = main_container(template).get("volumeMounts")
    paths = [mount.get("mountPath") for mount in mounts or () if isinstance(mount, Mapping)]
    return frozenset(path for path in paths if isinstance(path, str) and path.startswith("/"))


def template_errors(template: Mapping[str, Any] | None, path: str) -> Iterator[FieldError]:
    """What we know to be wrong; the rest is for the API server to say."""
    if template is None:
        return
    for name in template:
        if name not in ("metadata", "spec"):
            yield FieldError(f"{path}.{name}", shown(template[name]), "no such field, only metadata, spec")
    for name in ("metadata", "spec"):
        if not isinstance(template.get(name, {}), Mapping):
            yield FieldError(f"{path}.{name}", shown(template[name]), "a map")
            return
    spec = template.get("spec", {})
    for what in _LISTS:
        yield from _list_errors(spec.get(what, []), f"{path}.spec.{what}", what)
    yield from _label_errors(template.get("metadata", {}).get("labels", {}), f"{path}.metadata.labels")
    for what, why in (("command", "the image's own commands"), ("args", "what spec.job.args says")):
        found = main_container(template).get(what)
        if found is not None:
            yield FieldError(
                f"{path}.spec.containers[{MAIN_CONTAINER}].{what}", shown(found), f"nothing here; it is {why}"
            )
    if spec.get("restartPolicy", "Always") != "Always":
        yield FieldError(f"{path}.spec.restartPolicy", shown(spec["restartPolicy"]), "Always")


def _list_errors(items: Any, path: str, what: str) -> Iterator[FieldError]:
    if not isinstance(items, list | tuple):
        yield FieldError(path, shown(items), "a list")
        return
    seen: set[str] = set()
    for at, item in enumerate(items):
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not name:
            yield FieldError(f"{path}[{at}].name", shown(name if isinstance(item, Mapping) else item), "a name")
            continue
        if name in seen:
            yield FieldError(f"{path}[{at}].name", f"{name} for the second time", "a name that is not there yet")
        seen.add(name)
        if name.startswith(RESERVED) and not (what == "containers" and name == MAIN_CONTAINER):
            yield FieldError(f"{path}[{at}].name", name, f"a name that does not begin with {RESERVED}")


def _label_errors(labels: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(labels, Mapping):
        yield FieldError(path, shown(labels), "a map")
        return
    for name in labels:
        if name.startswith("penstock.dev/"):
            yield FieldError(
                f"{path}.{name}", shown(labels[name]), "nothing here; labels of penstock.dev are the operator's"
            )
