"""What is said in several procedures when they cannot go on. Pure."""

from penstock_operator.decide.facts import Unknown
from penstock_operator.decide.working import Pass
from penstock_operator.model.validation import sentence_of

_LOOK_AGAIN_S = 5.0


def no_store(p: Pass, store: Unknown) -> None:
    """What the job has in its store has to be known first. Where what leads there is missing, that is what is said."""
    missing = p.missing()
    if missing and not isinstance(missing, Unknown):
        p.complain("ReferencesMissing", sentence_of(missing))
    else:
        p.complain("StoreUnavailable", f"what the job has in its store cannot be read: {store.reason}")
    p.wait("the store", _LOOK_AGAIN_S)
