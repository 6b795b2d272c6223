"""What a spec says about how things are to be done, as numbers. Pure."""

from typing import Final

from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.values import duration_s

SAVEPOINT_ATTEMPTS_MAX: Final = 5
SAVEPOINT_BACKOFF_S: Final = (0.0, 5.0, 10.0, 20.0, 40.0)
"""From the begin of an attempt to that of the next: an object store that is down for a minute is outlasted."""
UNFIT_S: Final = 30.0
"""So long a job may be restarting or silent before it is taken as one that no savepoint can be had of."""
TROUBLE_S: Final = 20.0
"""So long a process may be in trouble before nothing is hoped from it any more: some of it passes."""
ENDING_S: Final = 5.0
"""Between two looks at a steady job whose sources end: people wait for its end."""
CRASHES_MAX: Final = 3
"""Restarts without a completed checkpoint in between, after which a new version counts as failing."""


def ready_s(spec: FlinkJobSpec | None) -> float:
    return 300.0 if spec is None else duration_s(spec.upgrade.readiness_timeout)


def deletion_s(spec: FlinkJobSpec | None) -> float:
    return 300.0 if spec is None else duration_s(spec.deletion_timeout)


def snapshot_s(spec: FlinkJobSpec | None) -> float:
    return 600.0 if spec is None else duration_s(spec.snapshots.timeout)


def state_age_max_s(spec: FlinkJobSpec) -> float | None:
    return None if spec.upgrade.max_state_age is None else duration_s(spec.upgrade.max_state_age)
