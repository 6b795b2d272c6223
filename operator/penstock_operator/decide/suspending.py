"""The end of a suspension: nothing runs, and the state waits in the store. Pure."""

from penstock_operator.decide.stopping import stop
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import LifecycleState


def suspend(p: Pass) -> bool:
    """The step in which the processes go; what comes before is as in an upgrade."""
    if not stop(p):
        return False
    p.say("Normal", "Suspended", "nothing runs any more; the state is kept")
    p.end(lifecycle_state=LifecycleState.SUSPENDED)
    p.look_again(1.0)
    return True
