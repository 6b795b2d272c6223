"""What the fields of a FlinkJob say together, and what types cannot say: an ordered list of small checks. Pure."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock_operator.errors import InvalidValue
from penstock_operator.model import resources as resources_
from penstock_operator.model.changes import DURATIONS, leaves
from penstock_operator.model.configuration import flattened, is_secret, twice
from penstock_operator.model.cron import read_cron
from penstock_operator.model.field_errors import FieldError, shown
from penstock_operator.model.forbidden import instead_of
from penstock_operator.model.pod_templates import template_errors
from penstock_operator.model.spec import FlinkJobSpec, Resources
from penstock_operator.model.values import read_bytes, read_duration_ms, read_millicores, read_quantity, read_uri

_PERIOD_MS_MIN: Final = 10_000
Errors = Iterator[FieldError]


def one_program(spec: FlinkJobSpec) -> Errors:
    job = spec.job
    yield from _exactly_one("spec.job", script=job.script, module=job.module, source=job.source)
    if job.source is not None:
        source = job.source
        yield from _exactly_one(
            "spec.job.source", inline=source.inline, configMapRef=source.config_map_ref, s3=source.s3
        )


def _exactly_one(field: str, **choices: Any) -> Errors:
    found = [name for name, value in choices.items() if value is not None]
    if len(found) != 1:
        yield FieldError(field, " and ".join(found) or "none of them", f"exactly one of {', '.join(choices)}")


def texts_that_processes_take(spec: FlinkJobSpec) -> Errors:
    texts = {"spec.job.script": spec.job.script, "spec.job.module": spec.job.module, "spec.image": spec.image}
    texts |= {f"spec.job.args[{at}]": text for at, text in enumerate(spec.job.args)}
    for field, text in texts.items():
        if text is not None and ("\0" in text or any("\ud800" <= char <= "\udfff" for char in text)):
            yield FieldError(
                field, shown(text.encode("utf-8", "backslashreplace").decode()), "text that a process takes"
            )


def parallelism(spec: FlinkJobSpec) -> Errors:
    job, workers = spec.job, spec.task_manager
    if job.max_parallelism is not None and job.parallelism > job.max_parallelism:
        yield FieldError("spec.job.parallelism", str(job.parallelism), f"at most maxParallelism, {job.max_parallelism}")
    if workers.replicas is not None and workers.replicas * workers.slots < job.parallelism:
        slots = f"{workers.replicas} with {workers.slots} slot{'s' if workers.slots > 1 else ''} each"
        needed = -(-job.parallelism // workers.slots)
        allowed = f"at least {needed} for parallelism {job.parallelism}, or nothing, which means as many as that takes"
        yield FieldError("spec.taskManager.replicas", slots, allowed)


def places(spec: FlinkJobSpec) -> Errors:
    checkpoints = spec.checkpoints
    for field, text in (
        ("checkpoints.dir", checkpoints.dir),
        ("checkpoints.savepointDir", checkpoints.savepoint_dir),
        ("job.initialSavepointPath", spec.job.initial_savepoint_path),
        *((f"checkpoints.retention.pin[{at}]", text) for at, text in enumerate(checkpoints.retention.pin)),
    ):
        if text is not None:
            yield from _read(f"spec.{field}", text, read_uri)
    if checkpoints.dir is not None:
        return
    if spec.job.upgrade_mode != "stateless":
        allowed = f"where checkpoints go, for upgradeMode {spec.job.upgrade_mode}; or upgradeMode stateless"
        yield FieldError("spec.checkpoints.dir", "nothing", allowed)
        return
    for field, wanted in (
        ("checkpointNonce", spec.checkpoint_nonce),
        ("savepointNonce", spec.savepoint_nonce),
        ("snapshots.periodic", spec.snapshots.periodic),
    ):
        if wanted is not None:
            yield FieldError("spec.checkpoints.dir", "nothing", f"where checkpoints go, as {field} asks for state")


def durations(spec: FlinkJobSpec) -> Errors:
    found = leaves(spec)
    for path in sorted(DURATIONS & found.keys()):
        yield from _read(f"spec.{path}", found[path], read_duration_ms)


def schedule(spec: FlinkJobSpec) -> Errors:
    periodic = spec.snapshots.periodic
    if periodic is None:
        return
    yield from _exactly_one("spec.snapshots.periodic", interval=periodic.interval, cron=periodic.cron)
    if periodic.cron is not None:
        yield from _read("spec.snapshots.periodic.cron", periodic.cron, read_cron)
    if periodic.interval is not None:
        try:
            short = read_duration_ms(periodic.interval) < _PERIOD_MS_MIN
        except InvalidValue:
            return
        if short:
            yield FieldError("spec.snapshots.periodic.interval", periodic.interval, "at least 10 s")


def resources(spec: FlinkJobSpec) -> Errors:
    for who, asked in (("jobManager", spec.job_manager.resources), ("taskManager", spec.task_manager.resources)):
        yield from _resource_errors(f"spec.{who}.resources", asked)


def _resource_errors(field: str, asked: Resources) -> Errors:
    requests, limits = leaves(asked.requests), leaves(asked.limits)
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for what, amount in amounts.items():
            yield from _amount_errors(f"{field}.{kind}.{what}", what, amount)
    for what in requests.keys() & limits.keys():
        read = read_millicores if what == "cpu" else read_bytes
        try:
            if read(requests[what]) > read(limits[what]):
                allowed = f"at most the limit, {limits[what]}"
                yield FieldError(f"{field}.requests.{what}", str(requests[what]), allowed)
        except InvalidValue:
            continue


def _amount_errors(field: str, what: str, amount: int | str) -> Errors:
    try:
        exact = read_quantity(amount)
    except InvalidValue as error:
        yield FieldError(field, shown(amount), str(error))
        return
    if exact <= 0:
        yield FieldError(field, str(amount), "more than zero")
    elif what == "memory" and exact < resources_.BYTES_MIN:
        hint = f" (m means thousandths; did you mean {str(amount)[:-1]}Mi?)" if str(amount).endswith("m") else ""
        yield FieldError(field, str(amount), f"at least {resources_.BYTES_MIN >> 20}Mi{hint}")


def configuration(spec: FlinkJobSpec) -> Errors:
    for key in twice(spec.flink_configuration):
        yield FieldError(f"spec.flinkConfiguration.{key}", "it twice", "it once, either nested or in one piece")
    for key, text in flattened(spec.flink_configuration).items():
        field = f"spec.flinkConfiguration.{key}"
        instead = instead_of(key)
        if instead is not None:
            yield FieldError(field, "a value" if is_secret(key) else shown(text), f"only what is {instead}")
        if not key or any(not char.isprintable() or char.isspace() for char in key):
            yield FieldError(field, shown(key), "a key without spaces")


def pod_templates(spec: FlinkJobSpec) -> Errors:
    yield from template_errors(spec.job_manager.pod_template, "spec.jobManager.podTemplate")
    yield from template_errors(spec.task_manager.pod_template, "spec.taskManager.podTemplate")


def _read(field: str, text: str, read: Callable[[str], object]) -> Errors:
    try:
        read(text)
    except InvalidValue as error:
        yield FieldError(field, shown(text), str(error))


JOB_CHECKS: Final[tuple[Callable[[FlinkJobSpec], Errors], ...]] = (
    one_program,
    texts_that_processes_take,
    parallelism,
    places,
    durations,
    schedule,
    resources,
    configuration,
    pod_templates,
)
