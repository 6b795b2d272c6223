"""`penstock list`, `info`, `cancel`, `version`: what else is asked of a running JobManager over REST."""

import sys
from typing import Any

import click

from penstock.cli.asking import (
    SCHEDULED,
    TERMINATED,
    address_option,
    answering,
    is_job_id,
    job_argument,
    job_meant,
    json_option,
    print_json,
)
from penstock.cli.ending import one_sentence, say
from penstock.cli.savepoints import cancel_with_savepoint
from penstock.cli.texts import flinks_time
from penstock.rest.client import RestClient

_WIDTH = 62


@click.command("list")
@address_option
@click.option("-r", "--running", is_flag=True, help="Jobs that run or restart.")
@click.option("-s", "--scheduled", is_flag=True, help="Jobs that have not begun to run.")
@click.option("-a", "--all", "every", is_flag=True, help="Both, and jobs that have ended.")
@json_option
def list_jobs(address: str, running: bool, scheduled: bool, every: bool, as_json: bool) -> None:
    """List the jobs of a JobManager: when each started, its id, its name, its state. Without flags: -r and -s.

    \b
      penstock list
      penstock list -a -m jobs.example.com:8081

    JSON: a list of {"id", "name", "state", "start-time", "end-time", "duration", "tasks"}; times in ms, -1: not yet.
    """
    with answering(as_json):
        jobs = sorted(RestClient(address).jobs(), key=lambda job: (job["start-time"], job["jid"]))
        groups = _groups(jobs, running=running, scheduled=scheduled, every=every)
        if as_json:
            print_json([_summary(job) for _, group in groups for job in group])
            return
        for title, group in groups:
            if group:
                click.echo(f" {title} Jobs ".center(_WIDTH, "-"))
                for job in group:
                    click.echo(f"{flinks_time(job['start-time'])} : {job['jid']} : {job['name']} ({job['state']})")
                click.echo("-" * _WIDTH)
            elif title != "Terminated":
                click.echo(f"No {title.partition('/')[0].lower()} jobs.")


@click.command()
@address_option
@json_option
@job_argument
def info(address: str, as_json: bool, job: str | None) -> None:
    """Show how a job is: its tasks, its checkpoints, its last failure. Without JOB: all that there are.

    \b
      penstock info -m localhost:8081

    JSON: a list of {"job", "checkpoints", "exceptions"}, each as Flink's REST has it.
    """
    with answering(as_json):
        client = RestClient(address)
        jobs = [job] if job is not None else [found["jid"] for found in client.jobs()]
        found = [(client.job(jid), client.checkpoints(jid), client.exceptions(jid)) for jid in jobs]
        if as_json:
            print_json([{"job": d, "checkpoints": c, "exceptions": e} for d, c, e in found])
            return
        for details, checkpoints, failures in found:
            for line in [*_job_lines(details), *_checkpoint_lines(checkpoints)]:
                click.echo(line)
            if failures:
                sentence = failures[0]["stacktrace"].partition("\n")[0]
                click.echo(f"last failure {flinks_time(failures[0]['timestamp'])}: {sentence}")


@click.command()
@address_option
@click.option(
    "-s",
    "--withSavepoint",
    "--with-savepoint",
    "directory",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Write a savepoint first, into DIR or where the job's configuration says.",
)
@json_option
@job_argument
def cancel(address: str, directory: str | None, as_json: bool, job: str | None) -> None:
    """Cancel a job. State that checkpoints keep after a cancellation stays (see
    execution.checkpointing.externalized-checkpoint-retention).

    \b
      penstock cancel 0123456789abcdef0123456789abcdef
      penstock cancel -s s3://bucket/savepoints 0123456789abcdef0123456789abcdef

    Without JOB: the only job of the JobManager. A job that is cancelled with a savepoint may still emit after it;
    `penstock stop` is the clean way.

    JSON: {"job", "status": "CANCELLING"} or, with -s, {"job", "trigger-id", "status", "location"}.
    """
    with answering(as_json):
        if directory is not None and job is None and is_job_id(directory):
            directory, job = "", directory  # `cancel -s JOB`, as the flink command takes it.
        client = RestClient(address)
        job = job_meant(client, job)
        if directory is not None:
            cancel_with_savepoint(client, job, directory or None, as_json)
            return
        client.cancel(job)
        if as_json:
            print_json({"job": job, "status": "CANCELLING"})
        else:
            say(f"Cancelled job {job}.")


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Say which Penstock this is.

    \b
      penstock version
    """
    with one_sentence():
        from penstock.rest.cluster_answers import revision
        from penstock.version import __version__ as contract

        python = sys.version.partition(" ")[0]
        if as_json:
            print_json({"version": revision(), "rest-contract": contract, "python": python})
        else:
            click.echo(f"{revision()} (REST as of Flink {contract}), Python {python}")


def _groups(
    jobs: list[dict[str, Any]], *, running: bool, scheduled: bool, every: bool
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Under the titles that the `flink` command gives them."""
    neither = not (running or scheduled or every)
    found = []
    if running or every or neither:
        under_way = [job for job in jobs if job["state"] not in SCHEDULED | TERMINATED]
        found.append(("Running/Restarting", under_way))
    if scheduled or every or neither:
        found.append(("Scheduled", [job for job in jobs if job["state"] in SCHEDULED]))
    if every:
        found.append(("Terminated", [job for job in jobs if job["state"] in TERMINATED]))
    return found


def _summary(job: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "state", "start-time", "end-time", "duration", "tasks")
    return {"id": job["jid"]} | {name: job[name] for name in names if name in job}


def _job_lines(details: dict[str, Any]) -> list[str]:
    lines = [f"{details['name']} ({details['jid']}) {details['state']} for {details['duration'] / 1000:.0f} s"]
    for vertex in details["vertices"]:
        tasks = ", ".join(f"{count} {state.lower()}" for state, count in vertex["tasks"].items() if count)
        metrics = vertex["metrics"]
        lines.append(f"  {vertex['name']}: {tasks}; {metrics['read-records']} in, {metrics['write-records']} out")
    return lines


def _checkpoint_lines(checkpoints: dict[str, Any]) -> list[str]:
    counts, latest = checkpoints["counts"], checkpoints["latest"]
    lines = [f"checkpoints: {counts['completed']} completed, {counts['failed']} failed, {counts['restored']} restored"]
    if latest["completed"] is not None:
        newest = latest["completed"]
        lines.append(
            f"  newest: {newest['id']}, {newest['state_size']} bytes in {newest['end_to_end_duration']} ms, "
            f"{newest['external_path'] or 'in memory'}"
        )
    if latest["failed"] is not None:
        lines.append(f"  last failed: {latest['failed']['id']}, {latest['failed']['failure_message']}")
    return lines
