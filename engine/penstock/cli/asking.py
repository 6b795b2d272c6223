"""What the commands have in common that ask a JobManager: its address, which job is meant, errors as JSON."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from penstock.base.errors import PenstockError
from penstock.cli import ending
from penstock.cli.ending import one_sentence
from penstock.rest.client import RestClient, RestRefused

SCHEDULED: Final = frozenset(("INITIALIZING", "CREATED"))
TERMINATED: Final = frozenset(("FINISHED", "CANCELED", "FAILED"))
_JOB_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_COMPLETION_TIMEOUT_S: Final = 0.5

address_option: Final = click.option(
    "-m",
    "--jobmanager",
    "address",
    default="localhost:8081",
    metavar="HOST:PORT",
    show_default=True,
    help="Where the JobManager's REST answers.",
)
json_option: Final = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


def complete_job(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: ids of jobs that have not ended, if a JobManager answers at once."""
    address = context.params.get("address") or "localhost:8081"
    try:
        jobs = RestClient(address, _COMPLETION_TIMEOUT_S).jobs()
    except PenstockError:
        return []
    return [
        CompletionItem(job["jid"], help=f"{job['name']} ({job['state']})")
        for job in jobs
        if job["jid"].startswith(incomplete) and job["state"] not in TERMINATED
    ]


job_argument: Final = click.argument("job", required=False, shell_complete=complete_job)


@contextmanager
def answering(as_json: bool, code: int = ending.FAILED) -> Iterator[None]:
    """As `one_sentence`; and with --json the error stands on standard output too, as `{"error": ...}`."""
    with one_sentence(code):
        try:
            yield
        except PenstockError as error:
            if as_json:
                print_json({"error": str(error)})
            raise


def print_json(value: Any) -> None:
    """For programs."""
    click.echo(json.dumps(value, indent=1))


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None


def job_meant(client: RestClient, job: str | None) -> str:
    """The job of the command line; without one, the only one that has not ended."""
    if job is not None:
        if not is_job_id(job):
            raise RestRefused(400, f"{job!r} is not a job id: expected 32 hexadecimal digits, as `penstock list` shows")
        return job.lower()
    jobs = client.jobs()
    living = [found for found in jobs if found["state"] not in TERMINATED]
    if len(living) == 1:
        return str(living[0]["jid"])
    if living:
        named = ", ".join(f"{found['jid']} ({found['name']})" for found in living)
        raise RestRefused(400, f"several jobs run at {client.address}; say which: {named}")
    ended = "; ".join(f"job {found['name']} ({found['jid']}) is {found['state']}" for found in jobs)
    raise RestRefused(404, f"no job runs at {client.address}{': ' + ended if ended else ''}")
