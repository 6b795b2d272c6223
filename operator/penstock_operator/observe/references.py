"""Whether what a spec refers to is there: Secrets and ConfigMaps with their keys. One call for each."""

from collections.abc import Mapping
from typing import Any

from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import CONFIG_MAPS, SECRETS, Resource
from penstock_operator.decide.facts import Unknown
from penstock_operator.errors import Missing, OperatorError
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.validation import FieldError, check_config_map, check_secret


async def missing(kube: Kube, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...] | Unknown:
    """All that is not there."""
    try:
        return (
            *await _credentials(kube, namespace, spec),
            *await _pull_secrets(kube, namespace, spec),
            *await _script(kube, namespace, spec),
        )
    except OperatorError as error:
        return Unknown(str(error))


async def held(kube: Kube, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
    """What a Secret or ConfigMap holds; None where there is none."""
    try:
        body = await kube.get(resource, namespace, name)
    except Missing:
        return None
    return body.get("data") or {}


async def _credentials(kube: Kube, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...]:
    reference = spec.checkpoints.credentials_secret_ref
    if reference is None:
        return ()
    return check_secret(spec, await held(kube, SECRETS, namespace, reference.name))


async def _pull_secrets(kube: Kube, namespace: str, spec: FlinkJobSpec) -> list[FieldError]:
    return [
        FieldError(
            f"spec.imagePullSecrets[{index}].name",
            f"{reference.name}, which does not exist",
            f"the name of a Secret in namespace {namespace}",
        )
        for index, reference in enumerate(spec.image_pull_secrets)
        if await held(kube, SECRETS, namespace, reference.name) is None
    ]


async def _script(kube: Kube, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...]:
    reference = None if spec.job.source is None else spec.job.source.config_map_ref
    if reference is None:
        return ()
    return check_config_map(spec, await held(kube, CONFIG_MAPS, namespace, reference.name))
