"""Who holds the Lease: by what was read and by our own clock alone."""

from typing import Any

import pytest

from penstock_operator.handlers.election import (
    DEADLINE_S,
    LEASE_S,
    Claim,
    Deposed,
    Sighting,
    Wait,
    first_lease,
    given_up,
    judge,
)

NOW = "2026-01-01T00:00:00.000000Z"


def lease(holder: str, version: str = "1", **spec: Any) -> dict[str, Any]:
    held = {"holderIdentity": holder, "leaseDurationSeconds": LEASE_S, "leaseTransitions": 4, **spec}
    return {"metadata": {"name": "l", "resourceVersion": version}, "spec": held}


def judged(
    of: dict[str, Any], *, led: bool = False, last: Sighting | None = None, now_s: float = 0
) -> Claim | Wait | Deposed:
    return judge(of, identity="me", led=led, last=last, now_s=now_s, stamp=NOW)


def test_what_nobody_holds_is_claimed_under_the_version_that_was_read() -> None:
    verdict = judged(lease("", version="7"))
    assert isinstance(verdict, Claim)
    assert verdict.lease["metadata"]["resourceVersion"] == "7"
    assert verdict.lease["spec"]["holderIdentity"] == "me"
    assert verdict.lease["spec"]["leaseTransitions"] == 5


def test_anothers_lease_is_waited_out_by_our_own_clock() -> None:
    first = judged(lease("other", renewTime="1970-01-01T00:00:00Z"), now_s=100)
    assert first == Wait(Sighting("1", 100))
    assert judged(lease("other"), last=Sighting("1", 100), now_s=100 + LEASE_S - 0.1) == first
    assert isinstance(judged(lease("other"), last=Sighting("1", 100), now_s=100 + LEASE_S), Claim)


def test_a_sign_of_life_begins_the_wait_again() -> None:
    assert judged(lease("other", version="2"), last=Sighting("1", 100), now_s=200) == Wait(Sighting("2", 200))


def test_the_holder_says_for_how_long() -> None:
    given = lease("other", leaseDurationSeconds=1)
    assert isinstance(judged(given, last=Sighting("1", 0), now_s=1), Claim)


def test_our_own_is_renewed_and_keeps_what_others_wrote_into_it() -> None:
    verdict = judged(lease("me", acquireTime="then"), led=True)
    assert isinstance(verdict, Claim)
    assert verdict.lease["spec"]["acquireTime"] == "then"
    assert verdict.lease["spec"]["leaseTransitions"] == 4
    assert verdict.lease["spec"]["renewTime"] == NOW


@pytest.mark.parametrize("holder", ["other", ""])
def test_who_has_led_and_does_not_any_more_never_claims_again(holder: str) -> None:
    assert judged(lease(holder), led=True, last=Sighting("1", 0), now_s=1_000) == Deposed(holder)


def test_a_leader_ends_before_anyone_else_may_begin() -> None:
    assert DEADLINE_S < LEASE_S


def test_only_our_own_is_given_up() -> None:
    rest = given_up(lease("me"), identity="me")
    assert rest is not None
    assert rest["spec"]["holderIdentity"] == ""
    assert given_up(lease("other"), identity="me") is None


def test_the_first_lease_is_a_whole_object() -> None:
    first = first_lease("ns", "l", identity="me", stamp=NOW)
    assert first["metadata"] == {"namespace": "ns", "name": "l"}
    assert first["spec"]["holderIdentity"] == "me"
