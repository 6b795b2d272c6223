"""Whether a job can start from a checkpoint or savepoint, as one report: for `penstock check` and for JobManagers in
standby. Reads only, but for the probe of the store. Blocking.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from penstock.base.errors import DamagedData, IncompatibleState, PenstockError, StoreRefused, StoreUnavailable
from penstock.base.ids import JobId, OperatorUid
from penstock.checkpoint.comparison import Asked, Finding, Program, compare
from penstock.checkpoint.journal_state import FromCheckpoint, FromEmpty, FromSavepoint, JournalState
from penstock.checkpoint.layout import checkpoint_folder
from penstock.checkpoint.opened import FileFault, OpenedState, fields_of, open_state
from penstock.common.configuration import Configuration
from penstock.common.settings import StateSettings
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.reign import probe_store, targets
from penstock.storage.objects import ObjectStore

_NEWER_MAX: Final = 5
"""So often a checkpoint may be deleted, and be followed by a newer one, while it is being looked at."""

Outcome = Literal["compatible", "incompatible", "error"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found."""

    outcome: Outcome
    error: str | None = None
    """Why it could not be found out."""
    retriable: bool = False
    """Whether asking again may help."""
    job: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    """What it was compared with."""
    findings: tuple[Finding, ...] = ()
    """Refusals first."""

    @property
    def refusals(self) -> int:
        return sum(finding.severity == "refusal" for finding in self.findings)

    def fields(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "outcome": self.outcome,
            "error": self.error,
            "retriable": self.retriable,
            "job": self.job,
            "state": self.state,
            "refusals": self.refusals,
            "findings": [asdict(finding) for finding in self.findings],
        }


def program_of(graph: JobGraph, configuration: Configuration, asked: Mapping[OperatorUid, Asked]) -> Program:
    """The program as it is compared; `configuration` is the job's."""
    return Program(operators=targets(graph), asked=asked, backend=StateSettings.of(configuration).backend)


def described(graph: JobGraph, script: Path, program: Program) -> dict[str, Any]:
    """The job, as reports have it."""
    return {"name": graph.name, "script": str(script), "fingerprint": graph.fingerprint, "backend": program.backend}


def compared(
    opened: OpenedState,
    program: Program,
    faults: Iterable[FileFault],
    *,
    job: dict[str, Any],
    allow_unclaimed: bool,
) -> Report:
    """The program against a state, with what is wrong with its files."""
    findings = [*compare(opened.metadata, program, allow_unclaimed=allow_unclaimed), *map(_file_finding, faults)]
    findings.sort(key=lambda finding: finding.severity != "refusal")
    return judged(findings, job=job, state=fields_of(opened))


def judged(findings: Iterable[Finding], *, job: dict[str, Any] | None, state: dict[str, Any] | None) -> Report:
    """The report of these findings."""
    findings = tuple(findings)
    refused = any(finding.severity == "refusal" for finding in findings)
    return Report(outcome="incompatible" if refused else "compatible", job=job, state=state, findings=findings)


def unreadable(error: DamagedData | IncompatibleState) -> Finding:
    """The state cannot be looked at, nor be restored."""
    return Finding(severity="refusal", kind="damaged-file", message=str(error))


def not_found_out(error: PenstockError) -> Report:
    """It could not be found out."""
    return Report(outcome="error", error=str(error), retriable=isinstance(error, StoreUnavailable))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The look before a start: whether the store takes checkpoints, and the program what it would start from."""

    job: JobId
    store: ObjectStore
    open_root: Callable[[str], ObjectStore]
    read_journal: Callable[[], JournalState]
    program: Program
    description: dict[str, Any]
    """The job, as the report has it."""

    def report(self, against: str | None, *, allow_unclaimed: bool) -> Report:
        """Against the state at an address; None: against the newest in the journal, or nothing if there is none."""
        try:
            probe_store(self.store)
        except StoreRefused as error:
            return judged(
                [Finding(severity="refusal", kind="store", message=str(error))], job=self.description, state=None
            )
        except PenstockError as error:
            return not_found_out(error)
        try:
            return self._newest(allow_unclaimed) if against is None else self._against(against, allow_unclaimed)
        except PenstockError as error:
            return not_found_out(error)

    def _newest(self, allow_unclaimed: bool) -> Report:
        report, address = judged([], job=self.description, state=None), self._newest_address()
        for _ in range(_NEWER_MAX):
            if address is None:
                break
            report, looked_at = self._against(address, allow_unclaimed), address
            # What is refused may have been deleted under our eyes, because there is a newer one.
            if report.outcome == "compatible" or (address := self._newest_address()) == looked_at:
                break
        return report

    def _newest_address(self) -> str | None:
        return newest_address(self.store, self.job, self.read_journal())

    def _against(self, address: str, allow_unclaimed: bool) -> Report:
        try:
            opened = open_state(address, self.open_root)
        except (DamagedData, IncompatibleState) as error:
            return judged([unreadable(error)], job=self.description, state=None)
        return compared(opened, self.program, opened.faults(), job=self.description, allow_unclaimed=allow_unclaimed)


def newest_address(store: ObjectStore, job: JobId, state: JournalState) -> str | None:
    """Where what the job would be recovered from lies; None: it would begin without state."""
    candidates = state.candidates()
    match candidates[0].origin if candidates else FromEmpty():
        case FromEmpty():
            return None
        case FromSavepoint(path):
            return path
        case FromCheckpoint(id):
            return f"{store.uri.rstrip('/')}/{checkpoint_folder(job, id)}"


def _file_finding(fault: FileFault) -> Finding:
    return Finding(severity="refusal", kind=fault.kind, message=fault.reason, old=fault.path)
