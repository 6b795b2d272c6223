"""What is said in several procedures when they cannot go on. Pure."""

from typing import Final

from penstock_operator.decide.facts import Processes, Trouble, Unknown
from penstock_operator.decide.working import Pass
from penstock_operator.model.validation import sentence_of

_LOOK_AGAIN_S = 5.0
REASONS: Final = {
    Trouble.IMAGE: "ImageUnusable",
    Trouble.NO_ROOM: "NoRoom",
    Trouble.CONFIG: "ConfigurationMissing",
    Trouble.CRASHES: "ProcessCrashes",
}


def cannot_run(what: str, revision: str, processes: Processes) -> str:
    """Processes in trouble."""
    return f"the {what} of {revision} cannot run: {processes.message or processes.trouble}"


def no_store(p: Pass, store: Unknown) -> None:
    """What the job has in its store has to be known first. Where what leads there is missing, that is what is said."""
    missing = p.missing()
    if missing and not isinstance(missing, Unknown):
        p.complain("ReferencesMissing", sentence_of(missing))
    else:
        p.complain("StoreUnavailable", f"what the job has in its store cannot be read: {store.reason}")
    p.wait("the store", _LOOK_AGAIN_S)
