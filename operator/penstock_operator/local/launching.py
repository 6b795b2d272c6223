"""How the processes of a revision are started on this machine: their command lines, settings, secrets and folders."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

from penstock_operator.clients.objects import Address
from penstock_operator.clients.s3 import Bucketed, S3Access
from penstock_operator.errors import OperatorError
from penstock_operator.local.deployments import Plan, RevisionKey
from penstock_operator.local.manifest import FOLDER
from penstock_operator.local.objects import ObjectKey, Objects, write_whole
from penstock_operator.local.places import Places
from penstock_operator.local.processes import Command
from penstock_operator.model.spec import FlinkJobSpec, from_json
from penstock_operator.model.validation import check_config_map, sentence_of
from penstock_operator.render.engine import (
    CONFIG_FILE,
    Place,
    config_yaml,
    configuration,
    job_manager_argv,
    source_name,
    source_text,
    task_manager_argv,
)

_ENGINE: Final = (sys.executable, "-m", "penstock.cli.start")
_HOST: Final = "127.0.0.1"
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")


@final
class ProcessLauncher:
    """See `penstock_operator.local.deployments.Launcher`."""

    def __init__(self, places: Places, objects: Objects) -> None:
        self._places = places
        self._objects = objects

    async def jobmanager(self, key: RevisionKey, plan: Plan) -> Command:
        spec = from_json(plan.spec, FlinkJobSpec)
        place = self._place(key, plan, "jobmanager")
        await self._bring_source(key, spec)
        argv = job_manager_argv(spec, plan.job_id, key.revision, place)
        return self._command(key, spec, place, argv, "jobmanager")

    async def taskmanager(self, key: RevisionKey, plan: Plan, index: int) -> Command:
        spec = from_json(plan.spec, FlinkJobSpec)
        name = f"taskmanager-{index}"
        place = self._place(key, plan, name)
        return self._command(key, spec, place, task_manager_argv(spec, place), name)

    def _place(self, key: RevisionKey, plan: Plan, name: str) -> Place:
        folder = self._places.of(key)
        return Place(
            program=_ENGINE,
            configuration=str(folder / f"{name}.conf"),
            sources=str(folder / "sources"),
            scratch=str(folder / "scratch"),
            secret_file=str(self._places.secret),
            bind_host=_HOST,
            job_manager_host=_HOST,
            task_manager_host=_HOST,
            rpc_port=plan.rpc_port,
            rest_port=plan.rest_port,
            metrics_port=0,
        )

    def _command(self, key: RevisionKey, spec: FlinkJobSpec, place: Place, argv: tuple[str, ...], name: str) -> Command:
        logs = self._places.logs(key)
        texts = configuration(spec, place) | {"env.log.dir": str(logs / name)}
        # Nobody else may read it: there may be secrets in it.
        write_whole(Path(place.configuration) / CONFIG_FILE, config_yaml(texts).encode())
        Path(place.scratch).mkdir(parents=True, exist_ok=True)
        environment = credentials(self._objects, key.namespace, spec) or {}
        return Command(argv, environment, self._folder(key), logs / f"{name}.log")

    async def _bring_source(self, key: RevisionKey, spec: FlinkJobSpec) -> None:
        """The script where it comes with the spec. What stands there later is for the next revision."""
        if spec.job.script is None:
            file = self._places.of(key) / "sources" / source_name(spec)
            if not file.exists():
                write_whole(file, await self._source(key, spec))

    async def _source(self, key: RevisionKey, spec: FlinkJobSpec) -> bytes:
        source = spec.job.source
        if source is not None and source.s3 is not None:
            folder, name = Address.of(source.s3).split()
            access = access_of(self._objects, key.namespace, spec)
            return await asyncio.to_thread(Bucketed(folder.bucket, folder.path, access).read, name)
        data = source_map(self._objects, key.namespace, spec)
        errors = check_config_map(spec, data)
        if errors:
            raise OperatorError(sentence_of(errors))
        text = source_text(spec, data)
        assert text is not None, "a script that does not lie here comes with the spec"
        return text.encode()

    def _folder(self, key: RevisionKey) -> Path:
        """Where the manifest lies."""
        stored = self._objects.get(ObjectKey("FlinkJob", key.namespace, key.job))
        folder = Path("/" if stored is None else stored.metadata.annotations.get(FOLDER, "/"))
        return folder if folder.is_dir() else self._places.root


def credentials(objects: Objects, namespace: str, spec: FlinkJobSpec) -> dict[str, str] | None:
    """From the Secret of the manifests, or this process's environment; None where neither has them."""
    reference = spec.checkpoints.credentials_secret_ref
    stored = None if reference is None else objects.get(ObjectKey("Secret", namespace, reference.name))
    given: Mapping[str, str] = os.environ if stored is None else stored.spec
    found = {name: str(given[name]) for name in _CREDENTIALS if given.get(name)}
    return found or (None if stored is None else {})


def access_of(objects: Objects, namespace: str, spec: FlinkJobSpec) -> S3Access:
    """How the job's bucket is reached."""
    found = credentials(objects, namespace, spec) or {}
    return S3Access(
        endpoint=spec.checkpoints.endpoint,
        access_key=found.get("AWS_ACCESS_KEY_ID"),
        secret_key=found.get("AWS_SECRET_ACCESS_KEY"),
        session_token=found.get("AWS_SESSION_TOKEN"),
        region=found.get("AWS_REGION"),
    )


def source_map(objects: Objects, namespace: str, spec: FlinkJobSpec) -> dict[str, str] | None:
    """The data of the ConfigMap that holds the script; None where there is none."""
    reference = None if spec.job.source is None else spec.job.source.config_map_ref
    stored = None if reference is None else objects.get(ObjectKey("ConfigMap", namespace, reference.name))
    return None if stored is None else {name: str(value) for name, value in stored.spec.items()}
