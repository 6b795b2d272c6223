"""`penstock savepoint`, `stop`, `checkpoint`: snapshots that people ask a running job for."""

import secrets
from typing import Any, Final, Literal

import click

from penstock.base.errors import ConfigurationError
from penstock.checkpoint.opened import absolute
from penstock.cli.asking import (
    address_option,
    answering,
    complete_job,
    is_job_id,
    job_argument,
    job_meant,
    json_option,
    print_json,
)
from penstock.cli.ending import say
from penstock.cli.texts import size
from penstock.cli.waiting import Waiting, snapshot_progress, wait
from penstock.rest.client import RestClient, RestRefused

_type_option: Final = click.option(
    "-type",
    "--type",
    "format_type",
    type=click.Choice(["canonical", "native"], case_sensitive=False),
    default="canonical",
    help="canonical: open tables, for any backend; native: as the backend has it, fast.  [default: canonical]",
)
_trigger_option: Final = click.option(
    "--trigger-id",
    "trigger",
    metavar="HEX",
    help="32 hexadecimal digits; asked again under the same id, the same operation answers.",
)
_detached_option: Final = click.option(
    "-detached", "--detached", is_flag=True, help="Begin it, print its trigger id, and return."
)


@click.command()
@address_option
@_type_option
@_detached_option
@_trigger_option
@click.option("-d", "--dispose", "dispose", metavar="PATH", help="Delete the savepoint at PATH instead.")
@json_option
@click.argument("arguments", nargs=-1, metavar="[JOB] [DIR]", shell_complete=complete_job)
def savepoint(
    address: str,
    format_type: str,
    detached: bool,
    trigger: str | None,
    dispose: str | None,
    as_json: bool,
    arguments: tuple[str, ...],
) -> None:
    """Write a savepoint of a running job, or delete one.

    \b
      penstock savepoint
      penstock savepoint 0123456789abcdef0123456789abcdef s3://bucket/savepoints --type native
      penstock savepoint --dispose s3://bucket/savepoints/savepoint-012345-6789abcdef01

    Without JOB: the only job of the JobManager. Without DIR: execution.checkpointing.savepoint-dir of the job. The job
    goes on meanwhile. The last line on standard output names the savepoint; start from it with
    `penstock run -s PATH JOB.py`.

    A savepoint is deleted by the JobManager, which looks whether the folder holds one first.

    \b
    JSON: {"job", "trigger-id", "status": "COMPLETED", "location"}; with --detached "IN_PROGRESS" and no location;
    with --dispose {"disposed"}; {"error"} if it failed. Exit code: 0, or 1 if it failed.
    """
    with answering(as_json):
        client = RestClient(address)
        if dispose is not None:
            _dispose(client, dispose, arguments, as_json)
            return
        job, directory = _job_and_directory(client, arguments)
        trigger = _trigger(trigger)
        _say(as_json, f"Triggering savepoint for job {job}.")
        trigger = client.savepoint(job, trigger=trigger, directory=_folder(directory), format_type=format_type.upper())
        if detached:
            _detached(job, trigger, as_json, f"savepoint --trigger-id {trigger} {job}")
            return
        _say(as_json, "Waiting for response...")
        location = _location(client, job, trigger, f"savepoint of job {job}")
        _completed(job, trigger, location, as_json)
        _say(as_json, "You can resume your program from this savepoint with the run command.")


@click.command()
@address_option
@click.option("-d", "--drain", is_flag=True, help="Send MAX_WATERMARK first: windows fire and timers run out.")
@click.option("-p", "--savepointPath", "--savepoint-path", "directory", metavar="DIR", help="Where the savepoint goes.")
@_type_option
@_detached_option
@_trigger_option
@json_option
@job_argument
def stop(
    address: str,
    drain: bool,
    directory: str | None,
    format_type: str,
    detached: bool,
    trigger: str | None,
    as_json: bool,
    job: str | None,
) -> None:
    """Stop a job with a savepoint: nothing is emitted after it, and sinks commit what it covers.

    \b
      penstock stop
      penstock stop -p s3://bucket/savepoints 0123456789abcdef0123456789abcdef

    Without JOB: the only job of the JobManager. If the savepoint fails the job goes on; drained, it cannot: --drain is
    for jobs that are not to be continued.

    \b
    JSON: {"job", "trigger-id", "status": "COMPLETED", "location"}; with --detached "IN_PROGRESS" and no location;
    {"error"} if it failed. Exit code: 0, or 1 if it failed.
    """
    with answering(as_json):
        client = RestClient(address)
        job = job_meant(client, job)
        kind = format_type.upper()
        _say(as_json, f'{"Draining" if drain else "Suspending"} job "{job}" with a {kind} savepoint.')
        trigger = client.stop(
            job, trigger=_trigger(trigger), directory=_folder(directory), format_type=format_type.upper(), drain=drain
        )
        if detached:
            _detached(job, trigger, as_json, f"stop --trigger-id {trigger} {job}")
            return
        _say(as_json, "Waiting for response...")
        _completed(job, trigger, _location(client, job, trigger, f"stop of job {job}"), as_json)


@click.command()
@address_option
@click.option(
    "-type",
    "--type",
    "checkpoint_type",
    type=click.Choice(["full", "incremental", "configured"], case_sensitive=False),
    default="configured",
    help="full: refers to no earlier file.  [default: as the job is configured]",
)
@click.option("-full", "--full", is_flag=True, help="The same as --type full.")
@_trigger_option
@json_option
@job_argument
def checkpoint(
    address: str, checkpoint_type: str, full: bool, trigger: str | None, as_json: bool, job: str | None
) -> None:
    """Take a checkpoint of a running job now.

    \b
      penstock checkpoint
      penstock checkpoint --type full 0123456789abcdef0123456789abcdef

    Without JOB: the only job of the JobManager. It counts as a periodic one does: it is retained, and deleted, the same
    way. To keep state, take a savepoint.

    \b
    JSON: {"job", "trigger-id", "status": "COMPLETED", "checkpoint", "location", "bytes"}; {"error"} if it failed.
    Exit code: 0, or 1 if it failed.
    """
    with answering(as_json):
        client = RestClient(address)
        job = job_meant(client, job)
        kind = "FULL" if full else checkpoint_type.upper()
        _say(as_json, f"Triggering checkpoint for job {job}.")
        trigger = client.checkpoint(job, trigger=_trigger(trigger), checkpoint_type=kind)
        _say(as_json, "Waiting for response...")
        found = _wait(client, "checkpoint", job, trigger, f"checkpoint of job {job}")
        number = int(found.get("checkpointId", -1))
        details = _details(client, job, number)
        location, written = details.get("external_path") or None, details.get("checkpointed_size")
        if as_json:
            answer = {"job": job, "trigger-id": trigger, "status": "COMPLETED", "checkpoint": number}
            print_json(answer | {"location": location, "bytes": written})
            return
        wrote = "" if written is None else f", {size(written)} written"
        click.echo(f"Checkpoint({kind}) {number} for job {job} completed{wrote}.")
        if location is not None:
            click.echo(f"Path: {location}")


def cancel_with_savepoint(client: RestClient, job: str, directory: str | None, as_json: bool) -> None:
    """`penstock cancel -s`: the job is cancelled once the savepoint is there."""
    where = directory or "the default folder"
    _say(as_json, f"Cancelling job {job} with savepoint to {where}.")
    trigger = client.savepoint(
        job, trigger=_trigger(None), directory=_folder(directory), format_type="CANONICAL", cancel=True
    )
    location = _location(client, job, trigger, f"savepoint of job {job}")
    if as_json:
        _completed(job, trigger, location, as_json)
    else:
        click.echo(f"Cancelled job {job}. Savepoint stored in {location}.")


def _dispose(client: RestClient, path: str, arguments: tuple[str, ...], as_json: bool) -> None:
    if arguments:
        raise ConfigurationError(f"--dispose takes the savepoint's path and nothing else; found {' '.join(arguments)}")
    path = absolute(path)
    _say(as_json, f"Disposing savepoint '{path}'.")
    trigger = client.dispose(path)
    _say(as_json, "Waiting for response...")
    wait(Waiting(ask=lambda: client.disposal_status(trigger), what=f"disposal of savepoint '{path}'", trigger=trigger))
    if as_json:
        print_json({"disposed": path})
    else:
        click.echo(f"Savepoint '{path}' disposed.")


def _job_and_directory(client: RestClient, arguments: tuple[str, ...]) -> tuple[str, str | None]:
    """JOB and DIR; either may be absent, and one argument that is no job id is DIR."""
    if len(arguments) > 2:
        raise ConfigurationError(f"expected at most JOB and DIR, found {len(arguments)} arguments")
    if len(arguments) == 1 and not is_job_id(arguments[0]):
        return job_meant(client, None), arguments[0]
    job = job_meant(client, arguments[0] if arguments else None)
    return job, arguments[1] if len(arguments) == 2 else None


def _location(client: RestClient, job: str, trigger: str, what: str) -> str:
    return str(_wait(client, "savepoint", job, trigger, what).get("location", ""))


def _wait(
    client: RestClient, kind: Literal["savepoint", "checkpoint"], job: str, trigger: str, what: str
) -> dict[str, Any]:
    ask = client.savepoint_status if kind == "savepoint" else client.checkpoint_status
    progress = snapshot_progress(client, job, savepoint=kind == "savepoint")
    return wait(Waiting(ask=lambda: ask(job, trigger), what=what, trigger=trigger, progress=progress))


def _details(client: RestClient, job: str, checkpoint: int) -> dict[str, Any]:
    try:
        return client.checkpoint_details(job, checkpoint)
    except RestRefused:
        return {}  # Subsumed and forgotten already.


def _completed(job: str, trigger: str, location: str, as_json: bool) -> None:
    if as_json:
        print_json({"job": job, "trigger-id": trigger, "status": "COMPLETED", "location": location})
    else:
        click.echo(f"Savepoint completed. Path: {location}")


def _detached(job: str, trigger: str, as_json: bool, command: str) -> None:
    if as_json:
        print_json({"job": job, "trigger-id": trigger, "status": "IN_PROGRESS"})
    else:
        click.echo(f"Savepoint triggered, trigger id: {trigger}")
        say(f"Wait for it with: penstock {command}")


def _trigger(given: str | None) -> str:
    if given is None:
        return secrets.token_hex(16)
    if not is_job_id(given):
        raise ConfigurationError(f"--trigger-id {given}: expected 32 hexadecimal digits")
    return given.lower()


def _folder(directory: str | None) -> str | None:
    """The JobManager's working folder is another one."""
    return None if directory is None else absolute(directory)


def _say(as_json: bool, sentence: str) -> None:
    if not as_json:
        say(sentence)
