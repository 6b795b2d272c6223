"""Whether a revision in standby could start: an ordered list of checks, each with its finding or nothing. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from penstock_operator.decide.acts import CheckState
from penstock_operator.decide.complaints import REASONS, cannot_run
from penstock_operator.decide.facts import (
    Deployed,
    JobAnswer,
    Processes,
    StandbyState,
    Trouble,
    Unknown,
)
from penstock_operator.decide.origins import elsewhere, initial_path
from penstock_operator.decide.policies import TROUBLE_S
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import OperationKind

_RECHECK_S: Final = 3.0


@final
@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why it could not start now."""

    reason: str
    sentence: str
    hopeless: bool = False
    """It will not go away by waiting."""
    no_room: bool = False
    incompatible: bool = False
    broken: bool = False
    """Something is wrong with it already, whatever may yet become of it."""


@final
@dataclass(frozen=True, slots=True)
class Standby:
    """What is judged."""

    children: Deployed | None
    answer: JobAnswer | Unknown
    spec: FlinkJobSpec


def obstacle(p: Pass, standby: Standby) -> Obstacle | None:
    """The first one; None: it may be told to start."""
    return next((found for check in _CHECKS if (found := check(p, standby)) is not None), None)


def _script_loads(p: Pass, standby: Standby) -> Obstacle | None:
    answer = standby.answer
    if isinstance(answer, JobAnswer) and answer.state is StandbyState.FAILED:
        return Obstacle(
            "ScriptFailed", f"the script of {p.operation.revision} cannot be run: {answer.error}", hopeless=True
        )
    return None


def _job_manager_is_up(p: Pass, standby: Standby) -> Obstacle | None:
    if standby.children is None or isinstance(standby.answer, Unknown):
        # In the same words whether it is still to be deployed or was: a status that says so is written once.
        found = None if standby.children is None else _trouble(p, "JobManager", standby.children.jobmanager)
        return found or Obstacle("JobManagerSilent", f"the JobManager of {p.operation.revision} does not answer yet")
    if standby.answer.state is StandbyState.LOADING:
        return Obstacle("ScriptLoads", f"the JobManager of {p.operation.revision} loads the script")
    return None


def _state_fits(p: Pass, standby: Standby) -> Obstacle | None:
    operation = p.operation
    stateless = operation.upgrade_mode == "stateless" and operation.kind is not OperationKind.ROLLBACK
    if not standby.spec.upgrade.require_preflight or stateless or isinstance(standby.answer, Unknown):
        return None
    preflight = standby.answer.preflight
    if preflight.compatible is False:
        sentence = "; ".join(preflight.findings) or "the state does not fit the job"
        return Obstacle("Incompatible", sentence, hopeless=True, incompatible=True)
    against = _foreign_state(p, standby.spec)
    if preflight.compatible is None or (against is not None and preflight.against != against):
        if against is None and _nothing_to_fit(p):
            return None
        if p.in_step_s() > _RECHECK_S:
            p.act(CheckState(operation.revision, against))
        return Obstacle("PreflightRuns", f"it is not known yet whether the state fits {operation.revision}")
    return None


def _slots_suffice(p: Pass, standby: Standby) -> Obstacle | None:
    answer = standby.answer
    if isinstance(answer, Unknown) or answer.slots_registered >= answer.slots_required:
        return None
    sentence = f"{answer.slots_registered} of {answer.slots_required} slots of {p.operation.revision} are registered"
    found = None if standby.children is None else _trouble(p, "TaskManagers", standby.children.taskmanagers)
    return found or Obstacle("SlotsMissing", sentence)


_CHECKS: Final[tuple[Callable[[Pass, Standby], Obstacle | None], ...]] = (
    _script_loads,
    _job_manager_is_up,
    _state_fits,
    _slots_suffice,
)


def _trouble(p: Pass, what: str, processes: Processes) -> Obstacle | None:
    if processes.trouble is None:
        return None
    sentence = cannot_run(what, p.operation.revision, processes)
    no_room = processes.trouble is Trouble.NO_ROOM
    hopeless = not no_room and p.in_step_s() > TROUBLE_S
    return Obstacle(REASONS[processes.trouble], sentence, hopeless, no_room, broken=not no_room)


def _foreign_state(p: Pass, spec: FlinkJobSpec) -> str | None:
    """What it starts from, where that is not in its journal."""
    if p.operation.origin is not None:
        return p.operation.origin.path
    initial = initial_path(p.operation, spec)
    if initial is None and not elsewhere(p, spec):
        return None
    store = p.store()
    if isinstance(store, Unknown):
        return None
    return store.newest_path if elsewhere(p, spec) else None if store.recoverable else initial


def _nothing_to_fit(p: Pass) -> bool:
    store = p.store()
    return not isinstance(store, Unknown) and not store.recoverable
