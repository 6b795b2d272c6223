"""What the operator's clients make of a real JobManager and of what it leaves in the store."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.base.ids import JobId
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.revisions import Revision
from penstock_operator.clients.flink_rest import FlinkRest, open_session
from penstock_operator.clients.store import Place, StoreClient
from penstock_operator.decide.acts import CheckState, RetainCheckpoints, StartJob, TriggerCheckpoint, TriggerSavepoint
from penstock_operator.decide.facts import JobAnswer, StandbyState, StoreFacts, TriggerAnswer, TriggerState, Unknown
from penstock_operator.errors import OperatorError, Rejected
from penstock_operator.model.status import Origin

DEADLINE_S = 30.0


async def until(look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    found: Any = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not holds(found := await look()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never came; the last was {found}") from None
    return found


def waits(answer: Any) -> bool:
    return (
        isinstance(answer, JobAnswer)
        and answer.state is StandbyState.WAITING
        and answer.slots_registered >= answer.slots_required
        and answer.preflight.compatible is not None
    )


async def test_a_job_is_upgraded_with_nothing_but_the_operators_clients(tmp_path: Path) -> None:
    counted: list[tuple[str, str, str]] = []
    store = StoreClient()
    with ClusterByHand(tmp_path) as cluster:
        place = Place(cluster.id, str(cluster.checkpoints))
        old, new = Revision(cluster, "rev-1"), Revision(cluster, "rev-2")
        async with open_session() as session:
            rest = FlinkRest(session, count=lambda *said: counted.append(said))
            first, second = f"http://{old.rest.address}", f"http://{new.rest.address}"
            assert isinstance(await rest.answer(first), Unknown)
            assert await store.facts(place) == StoreFacts(exists=False, recoverable=False)
            olds = old.up()
            seen = await until(lambda: rest.answer(first), waits)
            assert (seen.job_state, seen.preflight.compatible, seen.parallelism) == ("", True, None)

            start = StartJob("rev-1", "start-1", Origin(kind="empty"), False, "NO_CLAIM")
            await rest.start(first, start)
            await rest.start(first, start)
            with pytest.raises(Rejected, match="has been started already, by startId start-1") as refused:
                await rest.start(first, StartJob("rev-1", "other", Origin(kind="empty"), False, "NO_CLAIM"))
            assert refused.value.status == 409
            seen = await until(lambda: rest.answer(first), lambda a: isinstance(a, JobAnswer) and a.completed >= 2)
            assert (seen.state, seen.start_id, seen.job_state) == (StandbyState.STARTED, "start-1", "RUNNING")
            assert (seen.restarts, seen.parallelism, seen.failure) == (0, 2, "")
            assert seen.checkpoint_id >= 2 and seen.checkpoint_path.endswith(f"chk-{seen.checkpoint_id}")
            assert seen.checkpoint_bytes > 0 and seen.checkpoint_time_ms > 0

            await two_and_the_pinned_one_are_retained(rest, store, place, first)
            running = await until(lambda: store.facts(place), lambda f: f.newest_id is not None)
            assert (running.ruling_revision, running.started_from) == ("rev-1", "empty")
            assert running.completed_in_reign >= 2 and running.recoverable and not running.damaged
            assert running.ended is None and running.stopped_path is None and running.max_parallelism is not None

            asked = TriggerCheckpoint("rev-1", secrets.token_hex(16))
            assert await rest.trigger(first, cluster.id, "checkpoint", asked.trigger_id) == TriggerAnswer(
                TriggerState.UNKNOWN
            )
            await rest.checkpoint(first, cluster.id, asked)
            taken = await over(rest, first, cluster.id, "checkpoint", asked.trigger_id)
            assert taken.state is TriggerState.COMPLETED and "/chk-" in taken.path
            await plain_savepoint(rest, store, place, first, tmp_path)

            new.up()
            seen = await until(lambda: rest.answer(second), waits)
            assert seen.preflight.against is not None and "/chk-" in seen.preflight.against
            directory = f"{tmp_path}/savepoints/upgrade-1"
            nothing = await store.verified(place, directory)
            assert (nothing.path, nothing.sound) == ("", False)
            stop = TriggerSavepoint("rev-1", secrets.token_hex(16), directory, True)
            await rest.savepoint(first, cluster.id, stop)
            await rest.savepoint(first, cluster.id, stop)
            stopped = await over(rest, first, cluster.id, "savepoint", stop.trigger_id)
            assert stopped.state is TriggerState.COMPLETED
            await until(lambda: rest.answer(first), lambda a: a.stopped_with == stopped.path)
            verified = await store.verified(place, directory)
            assert (verified.path, verified.sound, verified.finding) == (stopped.path, True, "")
            facts = await store.facts(place)
            assert (facts.stopped_path, facts.newest_path, facts.ended) == (stopped.path, stopped.path, "FINISHED")
            assert facts.recoverable
            await rest.check_state(second, CheckState("rev-2", stopped.path))
            seen = await until(lambda: rest.answer(second), lambda a: waits(a) and a.preflight.against == stopped.path)
            assert seen.preflight.compatible

            origin = Origin(kind="savepoint", path=stopped.path)
            await rest.start(second, StartJob("rev-2", "start-2", origin, False, "NO_CLAIM"))
            await until(lambda: rest.answer(second), lambda a: isinstance(a, JobAnswer) and a.completed >= 1)
            facts = await until(lambda: store.facts(place), lambda f: f.completed_in_reign >= 1)
            assert (facts.ruling_revision, facts.started_from) == ("rev-2", stopped.path)
            assert facts.stopped_path is None and facts.ended is None
            seen = await until(lambda: rest.answer(first), lambda a: a.state is StandbyState.ENDED)
            assert seen.job_state == "FINISHED"
            with pytest.raises(Rejected, match="the job does not run"):
                await rest.retain(first, RetainCheckpoints("rev-1", 2, ()))
            async with session.patch(f"{second}/v1/jobs/{cluster.id}?mode=cancel") as canceled:
                assert canceled.status == 202
            await until(lambda: rest.answer(second), lambda a: getattr(a, "job_state", "") == "CANCELED")
            await until(lambda: store.facts(place), lambda f: f.ended == "CANCELED")
            assert len(olds) == 2
    store.close()
    assert {status for _, _, status in counted} >= {"200", "202", "409", "404", "none"}


async def over(rest: FlinkRest, address: str, job: JobId, kind: Any, trigger_id: str) -> Any:
    return await until(
        lambda: rest.trigger(address, job, kind, trigger_id),
        lambda a: isinstance(a, TriggerAnswer) and a.state in (TriggerState.COMPLETED, TriggerState.FAILED),
    )


async def two_and_the_pinned_one_are_retained(rest: FlinkRest, store: StoreClient, place: Place, address: str) -> None:
    kept = await until(lambda: store.retained(place), lambda kept: len(kept) >= 1)
    pinned = kept[-1].path
    await rest.retain(address, RetainCheckpoints("rev-1", 2, (f"{pinned}/_metadata",)))
    seen = await until(lambda: rest.answer(address), lambda a: isinstance(a, JobAnswer) and a.retained_max == 2)
    assert seen.pinned == (f"{pinned}/_metadata",)
    later = seen.completed + 3
    await until(lambda: rest.answer(address), lambda a: isinstance(a, JobAnswer) and a.completed >= later)
    await until(lambda: store.retained(place), lambda kept: len(kept) == 3 and kept[-1].path == pinned)
    await rest.dispose(address, pinned)
    with pytest.raises(OperatorError, match="gopher"):
        await rest.retain(address, RetainCheckpoints("rev-1", 1, ("gopher://nowhere/chk-1",)))
    await rest.retain(address, RetainCheckpoints("rev-1", 2, None))
    assert pinned in [known.path for known in await until(lambda: store.retained(place), bool)]
    await rest.retain(address, RetainCheckpoints("rev-1", 2, ()))
    await until(lambda: store.retained(place), lambda kept: len(kept) == 2 and kept[-1].path != pinned)


async def plain_savepoint(rest: FlinkRest, store: StoreClient, place: Place, address: str, folder: Path) -> None:
    """One that the job goes on after, and one that cannot be written."""
    directory = f"{folder}/savepoints/manual"
    act = TriggerSavepoint("rev-1", secrets.token_hex(16), directory, False, "canonical")
    await rest.savepoint(address, place.job, act)
    done = await over(rest, address, JobId(place.job), "savepoint", act.trigger_id)
    assert done.state is TriggerState.COMPLETED
    found = await store.verified(place, directory)
    assert (found.path, found.sound) == (done.path, True) and found.size > 0
    listed = await store.savepoints(place, f"{folder}/savepoints")
    assert not isinstance(listed, Unknown) and [kept.path for kept in listed] == [Path(done.path).as_uri()]
    act = TriggerSavepoint("rev-1", secrets.token_hex(16), "gopher://nowhere", False)
    with pytest.raises(OperatorError, match="gopher"):
        await rest.savepoint(address, place.job, act)
