"""How far a JobManager in standby is: what its journal says at the start, what it is told, what came of it. Pure.

`penstock.local.standby` feeds it and carries out what it says; REST shows it. Whoever upgrades a job starts a
JobManager for each revision; all of them share the job's journal, which says whose the job is.
"""

from typing import Literal, final

import msgspec
from msgspec.structs import replace

from penstock.checkpoint.journal_state import JournalState

State = Literal["LOADING", "FAILED", "WAITING", "STARTING", "STARTED", "ENDED"]
Word = Literal["go-on", "ended", "wait"]
Verdict = Literal["begin", "known", "not-loaded", "cannot", "started"]


def word_of(journal: JournalState, revision: str) -> Word:
    """What a JobManager of a revision is to do that finds this journal when it comes up."""
    if journal.started is None or journal.started_by != revision:
        return "wait"
    if journal.finished is not None:
        return "ended"
    # One that was stopped and has not finished goes on too: it commits what its sinks prepared, and ends.
    return "go-on" if journal.owner == revision else "wait"


@final
class Standing(msgspec.Struct, frozen=True):
    """One moment. Every change gives the next one."""

    revision: str
    state: State = "LOADING"
    start_id: str | None = None
    """Of the start that it was told last."""
    error: str | None = None
    ended: str | None = None
    """The job's final state."""
    has_script: bool = False

    def delayed(self, why: str) -> "Standing":
        """What is under way does not get on, and is tried again."""
        return replace(self, error=why)

    def not_loaded(self, why: str) -> "Standing":
        """The script gives no job: there is nothing to start."""
        return replace(self, state="FAILED", error=why)

    def loaded(self, journal: JournalState, *, deposed: bool = False) -> "Standing":
        """The script is there, and the journal has been read.

        `deposed`: it was, in this place. If its own revision drives the job, that is another JobManager by now.
        """
        told = journal.started.start_id if journal.started is not None else ""
        word = word_of(journal, self.revision)
        match "wait" if deposed and word == "go-on" else word:
            case "wait":
                return replace(self, state="WAITING", error=None, has_script=True)
            case "ended":
                return replace(
                    self, state="ENDED", start_id=told or None, error=None, ended=journal.finished, has_script=True
                )
            case "go-on":
                return replace(self, state="STARTING", start_id=told or None, error=None, has_script=True)

    def verdict(self, start_id: str) -> Verdict:
        """What is to be done about a word to start."""
        if self.start_id == start_id and self.state != "LOADING":
            return "known"
        match self.state:
            case "LOADING":
                return "not-loaded"
            case "FAILED" if not self.has_script:
                return "cannot"
            case "STARTING" | "STARTED":
                return "started"
            case "WAITING" | "FAILED" | "ENDED":
                return "begin"

    def told(self, start_id: str) -> "Standing":
        """It begins by this start."""
        return replace(self, state="STARTING", start_id=start_id, error=None, ended=None)

    def began(self) -> "Standing":
        """The journal says so."""
        return replace(self, state="STARTED", error=None)

    def refused(self, why: str) -> "Standing":
        """It could not begin; another start may be told."""
        return replace(self, state="FAILED", error=why)

    def over(self, final_state: str) -> "Standing":
        """The job has come to its end."""
        return replace(self, state="ENDED", ended=final_state)
