"""The work of `penstock check`: script and state are loaded, compared, and told as JSON or in lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState, JobDefinitionError
from penstock.checkpoint.opened import FileFault, OpenedState
from penstock.cli.state.looking import Place
from penstock.cli.texts import size
from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.jobmanager.preflight import Report, compared, described, judged, program_of, unreadable
from penstock.local.script_child import ScriptChild, ScriptRefused
from penstock.storage import Opening, S3Settings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """What `penstock check` was told."""

    script: Path
    arguments: tuple[str, ...]
    address: str
    cluster: Configuration
    flags: Configuration
    parallelism: int | None
    allow_unclaimed: bool
    read_all: bool
    rehearse: bool


def answer_of(order: CheckOrder) -> Report:
    """Load both and compare. Raises when one of them cannot be had at all."""
    try:
        opened = _state(order)
    except (DamagedData, IncompatibleState) as error:
        return judged([unreadable(error)], job=None, state=None)
    given = Configuration(order.cluster)
    if order.parallelism is not None:
        given.set(jobs.PARALLELISM, order.parallelism)
    given.add_all(order.flags)
    try:
        with ScriptChild(order.script, order.arguments, given, rehearse=order.rehearse, output=2) as child:
            graph, settings = child.job()
            asked = child.asked()
    except ScriptRefused as error:
        # Traceback and all: the user's program is wrong, and this is where it shows.
        raise JobDefinitionError(error.report.rstrip() or str(error)) from error
    settings = Configuration(settings).add_all(order.flags)
    program = program_of(graph, settings, asked)
    return compared(
        opened,
        program,
        _faults(opened, order.read_all),
        job=described(graph, order.script, program),
        allow_unclaimed=order.allow_unclaimed,
    )


def json_of(answer: Report) -> str:
    """For programs."""
    return msgspec.json.format(msgspec.json.encode(answer.fields()), indent=1).decode()


def lines_of(answer: Report) -> Iterator[str]:
    """For people."""
    if answer.state is not None and answer.job is not None:
        state, job = answer.state, answer.job
        of = f"job {state['job-name'] or state['job']}, {state['triggered']}, {size(state['bytes'])}"
        yield f"{state['kind']} {state['path']}: {of}"
        yield f"program {job['script']}: job {job['name']}, backend {job['backend']}"
    for finding in answer.findings:
        word = "REFUSED" if finding.severity == "refusal" else "note"
        yield f"  {word:7}  {finding.message}"
    yield "compatible" if answer.outcome == "compatible" else f"incompatible: {answer.refusals} refused"


def _state(order: CheckOrder) -> OpenedState:
    s3 = S3Settings.from_configuration(Configuration(order.cluster).add_all(order.flags))
    return Place(Opening(s3)).open(order.address)


def _faults(opened: OpenedState, read_all: bool) -> Iterator[FileFault]:
    faults = opened.faults()
    yield from faults
    if read_all:
        known = {fault.path for fault in faults}
        yield from (fault for fault in opened.read_faults(known))
