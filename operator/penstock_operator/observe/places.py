"""Where a job's state lies, and with what credentials: from its spec and the Secret that it names.

A Secret is read again after a minute: one that was changed is in effect soon, and looks at the store in a row cost one
call.
"""

import base64
import os
import time
from pathlib import Path
from typing import Any, Final, final

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.resources import SECRETS
from penstock_operator.clients.s3 import S3Access
from penstock_operator.clients.store import Place
from penstock_operator.decide.facts import JobObject
from penstock_operator.decide.naming import job_id
from penstock_operator.decide.whereabouts import spec_of_state
from penstock_operator.errors import Missing, Rejected
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.observe.readings import Readings
from penstock_operator.observe.revisions import revisions

KNOWN_S: Final = 60.0
_FILE: Final = "file:"


@final
class Places:
    """Of all jobs."""

    def __init__(self, readings: Readings, cache: Cache) -> None:
        self._readings = readings
        self._cache = cache
        self._secrets: dict[Owner, tuple[float, dict[str, str]]] = {}

    async def of(self, job: JobObject) -> Place | None:
        """None where state lies in the JobManager's memory and nothing outlives it. Missing where there is no spec or
        Secret that says it, Rejected where it cannot be reached from here."""
        spec = spec_of_state(job, revisions(self._cache, Owner(job.namespace, job.name), job.uid))
        if spec is None:
            raise Missing("no version of the spec says where the state lies")
        directory = spec.checkpoints.dir
        if directory is None:
            return None
        if directory.startswith(_FILE) and not is_mounted(directory):
            raise Rejected(
                f"{directory} cannot be seen by the operator: mount that volume into it too (extraVolumes and "
                "extraVolumeMounts of its chart), or use s3"
            )
        reference = spec.checkpoints.credentials_secret_ref
        secret = {} if reference is None else await self._secret(Owner(job.namespace, reference.name))
        return Place(job_id(job), directory, access(spec, secret))

    async def _secret(self, at: Owner) -> dict[str, str]:
        read_s, values = self._secrets.get(at, (0.0, {}))
        if values and time.monotonic() - read_s < KNOWN_S:
            return values
        data = await self._readings.of(SECRETS, at.namespace, at.name)
        if data is None:
            raise Missing(
                f"Secret {at.namespace}/{at.name} does not exist (spec.checkpoints.credentialsSecretRef.name)"
            )
        values = {key: decoded(value) for key, value in data.items()}
        self._secrets[at] = (time.monotonic(), values)
        return values


def access(spec: FlinkJobSpec, secret: dict[str, str]) -> S3Access:
    return S3Access(
        endpoint=spec.checkpoints.endpoint,
        access_key=secret.get("AWS_ACCESS_KEY_ID"),
        secret_key=secret.get("AWS_SECRET_ACCESS_KEY"),
        session_token=secret.get("AWS_SESSION_TOKEN"),
        region=secret.get("AWS_REGION"),
    )


def is_mounted(uri: str) -> bool:
    """Whether a volume of ours holds this folder: one of the container's own would only look empty."""
    path = Path("/" + uri.removeprefix(_FILE).lstrip("/"))
    return any(os.path.ismount(above) for above in (path, *path.parents) if above != Path("/"))


def decoded(value: Any) -> str:
    return base64.b64decode(str(value)).decode(errors="replace")
