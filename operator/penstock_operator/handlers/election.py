"""Whether a Lease is ours, could become ours, or is another's: without clock, network or process.

The elector feeds in what it read and carries out what comes back. Others' clocks are never believed: a Lease is over
when we ourselves have seen it unchanged for as long as it lasts.
"""

from dataclasses import dataclass
from typing import Any, Final, final

LEASE_S: Final = 15
"""For so long others wait after the last sign of life."""
DEADLINE_S: Final = 10.0
"""So long after the beginning of our last good renewal we end, which is before anyone else may begin."""
RETRY_S: Final = 2.0
CALL_TIMEOUT_S: Final = 3.0

Json = dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Sighting:
    """A version of the Lease, and when we first saw it, by our clock."""

    version: str
    at_s: float


@final
@dataclass(frozen=True, slots=True)
class Claim:
    """Write this; it carries the version that was read, so that of two who try one succeeds."""

    lease: Json


@final
@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else leads, or may."""

    sighting: Sighting


@final
@dataclass(frozen=True, slots=True)
class Deposed:
    """We led, and somebody else does now."""

    by: str


def first_lease(namespace: str, name: str, *, identity: str, stamp: str) -> Json:
    """Where there is none."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {**_held(identity, stamp), "acquireTime": stamp, "leaseTransitions": 0},
    }


def judge(
    lease: Json, *, identity: str, led: bool, last: Sighting | None, now_s: float, stamp: str
) -> Claim | Wait | Deposed:
    """What to do about a Lease as it was read. `led`: we have held it in this life of the process."""
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return Claim({**lease, "spec": {**spec, **_held(identity, stamp)}})
    if led:
        return Deposed(holder)
    version = lease["metadata"]["resourceVersion"]
    sighting = last if last is not None and last.version == version else Sighting(version, now_s)
    if holder and now_s - sighting.at_s < int(spec.get("leaseDurationSeconds") or LEASE_S):
        return Wait(sighting)
    taken = {"acquireTime": stamp, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
    return Claim({**lease, "spec": {**spec, **_held(identity, stamp), **taken}})


def given_up(lease: Json, *, identity: str) -> Json | None:
    """The Lease for whoever comes next, who then need not wait; None if it is not ours to give."""
    spec = lease.get("spec") or {}
    if spec.get("holderIdentity") != identity:
        return None
    return {**lease, "spec": {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}}


def _held(identity: str, stamp: str) -> Json:
    return {"holderIdentity": identity, "leaseDurationSeconds": LEASE_S, "renewTime": stamp}
