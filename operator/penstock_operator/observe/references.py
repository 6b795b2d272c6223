"""Whether what a spec refers to is there: Secrets and ConfigMaps with their keys."""

from penstock_operator.clients.resources import CONFIG_MAPS, SECRETS
from penstock_operator.decide.facts import Unknown
from penstock_operator.errors import OperatorError
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.validation import FieldError, check_config_map, check_secret
from penstock_operator.observe.readings import Readings


async def missing(readings: Readings, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...] | Unknown:
    """All that is not there."""
    try:
        return (
            *await _credentials(readings, namespace, spec),
            *await _pull_secrets(readings, namespace, spec),
            *await _script(readings, namespace, spec),
        )
    except OperatorError as error:
        return Unknown(str(error))


async def _credentials(readings: Readings, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...]:
    reference = spec.checkpoints.credentials_secret_ref
    if reference is None:
        return ()
    return check_secret(spec, await readings.of(SECRETS, namespace, reference.name))


async def _pull_secrets(readings: Readings, namespace: str, spec: FlinkJobSpec) -> list[FieldError]:
    return [
        FieldError(
            f"spec.imagePullSecrets[{index}].name",
            f"{reference.name}, which does not exist",
            f"the name of a Secret in namespace {namespace}",
        )
        for index, reference in enumerate(spec.image_pull_secrets)
        if await readings.of(SECRETS, namespace, reference.name) is None
    ]


async def _script(readings: Readings, namespace: str, spec: FlinkJobSpec) -> tuple[FieldError, ...]:
    reference = None if spec.job.source is None else spec.job.source.config_map_ref
    if reference is None:
        return ()
    return check_config_map(spec, await readings.of(CONFIG_MAPS, namespace, reference.name))
