"""The elector with an API server: leading, giving up, and never writing without leading."""

from typing import Any

import pytest

from penstock_operator.clients.resources import LEASES
from penstock_operator.handlers.election import DEADLINE_S, LEASE_S
from penstock_operator.handlers.elector import Elector, boot_clock


class Ended(Exception):
    """Instead of the end of the process."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def end(why: str) -> None:
    raise Ended(why)


def elector(api_server: Any, clock: Clock, identity: str) -> Elector:
    return Elector(api_server.client(), namespace="ns", name="l", identity=identity, clock=clock, end=end)


async def test_of_two_one_leads_and_the_other_only_when_the_lease_is_over(api_server: Any) -> None:
    clock = Clock()
    one, two = elector(api_server, clock, "one"), elector(api_server, clock, "two")
    assert await one._attempt()
    assert not await two._attempt()
    clock.now_s += LEASE_S
    assert await two._attempt()
    with pytest.raises(Ended, match="two holds the lease"):
        await one._attempt()


async def test_the_fence_falls_when_renewals_fail_before_anyone_else_can_lead(api_server: Any, stalled: Any) -> None:
    clock = Clock()
    one = elector(api_server, clock, "one")
    with pytest.raises(Ended):
        one.fence()
    assert await one._attempt()
    clock.now_s += DEADLINE_S - 0.1
    one.fence()
    clock.now_s += 0.1
    with pytest.raises(Ended):
        one.fence()


async def test_a_renewal_counts_from_its_beginning(api_server: Any) -> None:
    clock = Clock()

    async def slowly(_: Any) -> None:
        clock.now_s += 1

    api_server.behave = slowly
    one = elector(api_server, clock, "one")
    assert await one._attempt()
    clock.now_s += DEADLINE_S - 2
    assert not one.leads


async def test_a_lease_that_was_given_up_is_taken_at_once(api_server: Any) -> None:
    one, two = elector(api_server, Clock(), "one"), elector(api_server, Clock(), "two")
    await one.lead()
    assert one.leads
    await one.release()
    assert api_server.objects[LEASES.path("ns", "l")]["spec"]["holderIdentity"] == ""
    assert await two._attempt()


def test_the_clock_of_the_fence_runs_on_while_the_process_is_stopped() -> None:
    assert boot_clock() <= boot_clock()
