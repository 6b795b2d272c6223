"""How the operator itself is to behave, from the command line and the environment; read once at its start.

`PENSTOCK_OPERATOR_METRICS_PORT=9249` says the same as `--metrics-port 9249`, which has the last word. All that is
wrong is told at once.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, final

import msgspec
from msgspec import Meta

from penstock_operator.errors import InvalidValue

PREFIX: Final = "PENSTOCK_OPERATOR_"
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
_IDENTITY: Final = {"identity": "POD_NAME", "lease_namespace": "POD_NAMESPACE"}
"""What Kubernetes can tell by itself."""


@final
class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    namespaces: tuple[Name, ...] = ()
    """Whose FlinkJobs are looked after; none: all, which takes a ClusterRole."""
    lease_name: Name = "penstock-operator"
    """Of the Lease by which one of several replicas leads."""
    lease_namespace: Name = "default"
    identity: str = ""
    """Under which the Lease is held; empty: a name of its own."""
    health_port: Port = 8080
    metrics_port: Port = 9249
    """0: any that is free."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    steady_interval_s: Seconds = 60.0
    """Between two looks at a job that is stable, at most."""
    resync_interval_s: Seconds = 120.0
    """Between two comparisons of what was watched with what is there."""

    @classmethod
    def load(cls, environment: Mapping[str, str], given: Mapping[str, Any]) -> "Settings":
        """`given`: what the command line says, by field; None counts as not given. InvalidValue names every fault."""
        faults = _unknown(environment, cls.__struct_fields__)
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(cls):
            name = f"{PREFIX}{field.name.upper()}"
            said = given.get(field.name)
            if said is None:
                said = environment.get(name, environment.get(_IDENTITY.get(field.name, "")))
            if said is None:
                continue
            try:
                values[field.name] = msgspec.convert(_split(field.name, said), field.type, strict=False)
            except msgspec.ValidationError as error:
                faults.append(f"{name}: {error}; found {said!r}")
        if faults:
            raise InvalidValue("; ".join(faults))
        return cls(**values)


def _split(field: str, value: Any) -> Any:
    if field != "namespaces" or not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _unknown(environment: Mapping[str, str], fields: tuple[str, ...]) -> list[str]:
    known = {f"{PREFIX}{field.upper()}" for field in fields}
    return [f"{name} is no setting" for name in sorted(environment) if name.startswith(PREFIX) and name not in known]
