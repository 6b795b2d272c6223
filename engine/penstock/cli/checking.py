"""The work of `penstock check`: script and state are loaded, compared, and told as JSON or in lines."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState, JobDefinitionError, PenstockError
from penstock.checkpoint.comparison import Finding, Program, compare
from penstock.checkpoint.opened import FileFault, OpenedState
from penstock.cli.state.looking import Place, fields_of
from penstock.cli.texts import size
from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.common.settings import StateSettings
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.reign import targets
from penstock.local.script_child import ScriptRefused, job_and_state_of_script
from penstock.storage import S3Settings

_OPEN_TIMEOUT_S: Final = 20.0


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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it."""

    outcome: Literal["compatible", "incompatible", "error"]
    error: str | None = None
    retriable: bool = False
    job: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def refusals(self) -> int:
        return sum(finding.severity == "refusal" for finding in self.findings)

    def to_json(self) -> str:
        fields = {
            "outcome": self.outcome,
            "error": self.error,
            "retriable": self.retriable,
            "job": self.job,
            "state": self.state,
            "refusals": self.refusals,
            "findings": [asdict(finding) for finding in self.findings],
        }
        return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode()


def answer_of(order: CheckOrder) -> Answer:
    """Load both and compare. Raises when one of them cannot be had at all."""
    opened, unreadable = _state(order)
    if opened is None:
        assert unreadable is not None
        return Answer(outcome="incompatible", findings=(unreadable,))
    given = Configuration(order.cluster)
    if order.parallelism is not None:
        given.set(jobs.PARALLELISM, order.parallelism)
    given.add_all(order.flags)
    try:
        graph, settings, asked = job_and_state_of_script(
            order.script,
            order.arguments,
            given,
            rehearse_s=_OPEN_TIMEOUT_S if order.rehearse else None,
            output=2,
        )
    except ScriptRefused as error:
        # Traceback and all: the user's program is wrong, and this is where it shows.
        raise JobDefinitionError(error.report.rstrip() or str(error)) from error
    settings = Configuration(settings).add_all(order.flags)
    backend = StateSettings.of(settings).backend
    program = Program(operators=targets(graph), asked=asked, backend=backend)
    findings = [
        *compare(opened.metadata, program, allow_unclaimed=order.allow_unclaimed),
        *(_file_finding(fault) for fault in _faults(opened, order.read_all)),
    ]
    findings.sort(key=lambda finding: finding.severity != "refusal")
    return Answer(
        outcome="incompatible" if any(f.severity == "refusal" for f in findings) else "compatible",
        job=_job(graph, order.script, backend),
        state=fields_of(opened),
        findings=tuple(findings),
    )


def refused_by_error(error: PenstockError, *, retriable: bool) -> Answer:
    """It could not be found out."""
    return Answer(outcome="error", error=str(error), retriable=retriable)


def lines_of(answer: Answer) -> Iterator[str]:
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


def _state(order: CheckOrder) -> tuple[OpenedState | None, Finding | None]:
    s3 = S3Settings.from_configuration(Configuration(order.cluster).add_all(order.flags))
    try:
        return Place(s3).open(order.address), None
    except (DamagedData, IncompatibleState) as error:
        return None, Finding(severity="refusal", kind="damaged-file", message=str(error))


def _faults(opened: OpenedState, read_all: bool) -> Iterator[FileFault]:
    faults = opened.faults()
    yield from faults
    if read_all:
        known = {fault.path for fault in faults}
        yield from (fault for fault in opened.read_faults(known))


def _file_finding(fault: FileFault) -> Finding:
    return Finding(severity="refusal", kind=fault.kind, message=fault.reason, old=fault.path)


def _job(graph: JobGraph, script: Path, backend: str) -> dict[str, Any]:
    return {"name": graph.name, "script": str(script), "fingerprint": graph.fingerprint, "backend": backend}
