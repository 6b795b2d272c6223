"""One pass as it grows: what was seen, read by name, and the decision so far.

Every procedure gets it, reads facts from it, and adds to its status, acts and events. A fact that nobody asked for yet
ends the pass with the question for it; the pass is then made again with the answer. Lives as long as one call of
`decide`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar, final

import msgspec

from penstock_operator.decide.acts import Act, Decision, Event, KeepRevision
from penstock_operator.decide.facts import (
    Checkpoint,
    Deployed,
    JobAnswer,
    Observed,
    Revision,
    StoreFacts,
    TriggerAnswer,
    TriggerState,
    Unknown,
    Verified,
)
from penstock_operator.decide.naming import fresh_id
from penstock_operator.decide.questions import (
    Answer,
    Question,
    References,
    Retained,
    Store,
    Trigger,
    TriggerKind,
    Verification,
)
from penstock_operator.decide.times import elapsed_s, written
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import Operation, OperationKind, Status, Step

Answered = TypeVar("Answered")
STEADY_S: Final = 60.0
"""Until the next look at a job that nothing is done about."""


@final
class Ask(Exception):
    """Raised while deciding: this must be looked at first."""

    def __init__(self, *questions: Question) -> None:
        super().__init__(questions)
        self.questions = frozenset(questions)


@final
class Pass:
    """See above."""

    def __init__(self, seen: Observed, deployed: tuple[Deployed, ...]) -> None:
        self.seen: Final = seen
        self.job: Final = seen.job
        self.now_ms: Final = seen.now_ms
        self.now: Final = written(seen.now_ms)
        self.status: Status = seen.job.status
        self.kept: Final = {revision.name: revision for revision in seen.revisions}
        self.deployed: Final = {children.revision: children for children in deployed}
        self._acts: list[Act] = []
        self._events: list[Event] = []
        self._look_again_s = STEADY_S
        self.complaint: tuple[str, str] | None = None
        """What is wrong, as a reason and a sentence: becomes the Degraded condition and the error."""
        self.waits_for = ""
        """What the operation under way waits for, in a sentence."""

    @property
    def operation(self) -> Operation:
        """The one under way; only for procedures that are part of one."""
        assert self.status.operation is not None, "no operation is under way"
        return self.status.operation

    @property
    def wish(self) -> FlinkJobSpec | None:
        """What is asked for, where that is valid and was not given up before."""
        if self.job.errors or self.job.generation == self.status.refused_generation:
            return None
        return self.job.spec

    @property
    def policy(self) -> FlinkJobSpec | None:
        """The spec to read time-outs and policies from: the newest valid one, or else that which runs."""
        if self.job.spec is not None and not self.job.errors:
            return self.job.spec
        active = self.revision(self.status.active_revision)
        return None if active is None else active.spec

    @property
    def edited(self) -> bool:
        """Whether the spec has changed since it was last taken up."""
        return self.job.generation != self.status.observed_generation

    def revision(self, name: str) -> Revision | None:
        return self.kept.get(name)

    def answer(self, revision: str) -> JobAnswer | Unknown:
        return _asked(self.seen.answers, revision, Answer(revision))

    def trigger(self, revision: str, trigger_id: str, kind: TriggerKind) -> TriggerAnswer | Unknown:
        """One whose id was made up in this very pass is not asked about: nobody can have heard of it."""
        operation, pending = self.job.status.operation, self.job.status.pending
        known = {snapshot.trigger_id for snapshot in pending} | (
            {operation.trigger_id} if operation is not None else set()
        )
        if trigger_id not in known:
            return TriggerAnswer(TriggerState.UNKNOWN)
        return _asked(self.seen.triggers, trigger_id, Trigger(revision, trigger_id, kind))

    def verified(self, directory: str) -> Verified | Unknown:
        return _asked(self.seen.verified, directory, Verification(directory))

    def store(self) -> StoreFacts | Unknown:
        if self.seen.store is None:
            raise Ask(Store())
        return self.seen.store

    def retained(self) -> tuple[Checkpoint, ...] | Unknown:
        if self.seen.retained is None:
            raise Ask(Retained())
        return self.seen.retained

    def missing(self) -> tuple[FieldError, ...] | Unknown:
        if self.seen.missing is None:
            raise Ask(References())
        return self.seen.missing

    def act(self, *acts: Act) -> None:
        """Each once, in the order of the first mention."""
        self._acts += [act for act in acts if act not in self._acts]

    def keep(self, revision: str, generation: int, spec: FlinkJobSpec) -> None:
        """A version of the spec; what follows in this pass finds it kept."""
        self.act(KeepRevision(revision, generation, spec))
        self.kept[revision] = Revision(revision, generation, spec)

    def say(self, type: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self._events.append(Event(type, reason, message))

    def put(self, **fields: Any) -> None:
        """Into the status."""
        self.status = msgspec.structs.replace(self.status, **fields)

    def begin(self, kind: OperationKind, step: Step, **fields: Any) -> None:
        """An operation."""
        self.put(operation=Operation(kind, step, started_at=self.now, step_started_at=self.now, **fields))

    def go_to(self, step: Step, **fields: Any) -> None:
        """The operation's next step, or its present one from the beginning."""
        self.amend(step=step, step_started_at=self.now, **fields)

    def amend(self, **fields: Any) -> None:
        """The operation, without beginning a step."""
        self.put(operation=msgspec.structs.replace(self.operation, **fields))

    def end(self, **fields: Any) -> None:
        """The operation."""
        self.put(operation=None, **fields)

    def in_step_s(self) -> float:
        return elapsed_s(self.operation.step_started_at, self.now_ms)

    def fresh_id(self, purpose: str) -> str:
        return fresh_id(self.seen.random_id, purpose)

    def complain(self, reason: str, sentence: str) -> None:
        """The first complaint of a pass counts."""
        if self.complaint is None:
            self.complaint = (reason, sentence)

    def wait(self, what_for: str, seconds: float = 1.0) -> None:
        self.waits_for = self.waits_for or what_for
        self.look_again(seconds)

    def look_again(self, seconds: float) -> None:
        """The soonest counts."""
        self._look_again_s = min(self._look_again_s, seconds)

    def decision(self) -> Decision:
        return Decision(self.status, tuple(self._acts), tuple(self._events), self._look_again_s)


def _asked(answers: Mapping[str, Answered] | None, key: str, question: Question) -> Answered:
    if answers is None or key not in answers:
        raise Ask(question)
    return answers[key]
