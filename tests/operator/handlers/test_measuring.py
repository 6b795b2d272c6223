"""What is told of upgrades: how long nothing ran, and how long a restore took."""

from typing import Any

import msgspec
import pytest

from penstock_operator.decide.acts import Event
from penstock_operator.decide.facts import JobObject
from penstock_operator.handlers.measuring import Measured
from penstock_operator.model.status import JobStatus, Operation, OperationKind, Origin, Status, Step
from penstock_operator.telemetry.metrics import Metrics


class Nowhere:
    """A world that takes everything and does nothing."""

    def __getattr__(self, name: str) -> Any:
        async def nothing(*_: Any, **__: Any) -> None:
            return None

        return nothing


class Told:
    def __init__(self) -> None:
        self.now_s = 1_767_225_600.0  # 2026-01-01T00:00:00Z
        self.metrics = Metrics(now=lambda: self.now_s)
        self.world = Measured(Nowhere(), self.metrics, lambda: self.now_s)
        self.status = Status()

    async def state(self, state: str, at_s: float) -> None:
        self.now_s = 1_767_225_600.0 + at_s
        status = msgspec.structs.replace(self.status, job_status=JobStatus("j", state))
        await self.world.write_status(job(self.status), status)
        self.status = status

    async def step(self, step: Step | None, at_s: float, **more: Any) -> None:
        self.now_s = 1_767_225_600.0 + at_s
        operation = None
        if step is not None:
            stamp = f"2026-01-01T00:00:{int(at_s):02}Z"
            operation = Operation(
                OperationKind.UPGRADE, step, "2026-01-01T00:00:00Z", stamp, from_revision="r1", **more
            )
        status = msgspec.structs.replace(self.status, operation=operation)
        await self.world.write_status(job(self.status), status)
        self.status = status

    def value(self, name: str) -> float:
        lines = [line for line in self.metrics.text().decode().splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


def job(status: Status) -> JobObject:
    return JobObject("ns", "j", "u", 1, "1", "", None, (), status)


async def test_downtime_is_from_the_order_to_stop_until_the_new_version_runs() -> None:
    told = Told()
    origin = Origin("savepoint", "s3://bucket/s")
    await told.step(Step.PREPARING, 0)
    await told.step(Step.SAVEPOINTING, 10)
    await told.step(Step.VERIFYING, 12)
    await told.step(Step.STARTING, 13, origin=origin)
    await told.step(Step.SETTLING, 15, origin=origin)
    await told.step(Step.SETTLING, 20, origin=origin)
    await told.step(None, 30)
    assert told.value("penstock_operator_upgrade_downtime_seconds_sum") == pytest.approx(5)
    assert told.value("penstock_operator_upgrade_downtime_seconds_count") == 1
    assert told.value("penstock_operator_restore_duration_seconds_sum") == pytest.approx(2)


async def test_an_upgrade_that_was_given_up_has_no_downtime() -> None:
    told = Told()
    await told.step(Step.PREPARING, 0)
    await told.step(Step.SAVEPOINTING, 10)
    await told.step(None, 12)
    await told.step(Step.PREPARING, 50)
    await told.step(Step.SAVEPOINTING, 51)
    await told.step(Step.SETTLING, 53)
    assert told.value("penstock_operator_upgrade_downtime_seconds_sum") == pytest.approx(2)


async def test_a_job_that_lost_a_process_was_restored_when_it_runs_again() -> None:
    told = Told()
    for state, at_s in (("RUNNING", 0), ("RECONCILING", 10), ("RESTARTING", 12), ("RUNNING", 13), ("RUNNING", 14)):
        await told.state(state, at_s)
    assert told.value("penstock_operator_restore_duration_seconds_sum") == pytest.approx(3)
    assert told.value("penstock_operator_restore_duration_seconds_count") == 1


async def test_what_an_operation_does_to_a_job_is_no_loss_and_an_edited_time_no_mistake() -> None:
    told = Told()
    await told.state("RUNNING", 0)
    await told.state("RECONCILING", 1)
    await told.step(Step.STARTING, 2, origin=Origin("newest"))
    operation = msgspec.structs.replace(told.status.operation, step_started_at="yesterday")
    told.status = msgspec.structs.replace(told.status, operation=operation)
    await told.step(Step.SETTLING, 4, origin=Origin("newest"))
    await told.state("RUNNING", 5)
    assert told.value("penstock_operator_restore_duration_seconds_count") == 0


async def test_warnings_are_counted_by_reason() -> None:
    told = Told()
    await told.world.tell(job(Status()), Event("Warning", "PreflightFailed", "because"))
    await told.world.tell(job(Status()), Event("Normal", "Upgraded", "fine"))
    assert told.value('penstock_operator_failures_total{namespace="ns",reason="PreflightFailed"}') == 1
    assert "Upgraded" not in told.metrics.text().decode()
