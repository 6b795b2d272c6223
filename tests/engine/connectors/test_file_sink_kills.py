"""Whenever a writer or committer dies, and whatever dead ones still do: every record is visible once, nothing else is
left."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base import steps
from penstock.connectors.buckets import BucketAssigner, RollingPolicy
from penstock.connectors.encoders import LineEncoder
from penstock.connectors.file_sink import FileSink
from penstock.testing.sink_kills import KillableJob, KillSwitch, Round

ROUNDS = st.lists(
    st.builds(
        Round,
        records=st.integers(0, 5),
        kill_after_steps=st.none() | st.integers(0, 5),
        confirmed=st.booleans(),
        stale_records=st.integers(0, 3),
    ),
    max_size=10,
)
POLICIES = [
    RollingPolicy.on_checkpoint_rolling_policy(),
    RollingPolicy.default_rolling_policy(),
    RollingPolicy.default_rolling_policy(part_size=7),
]


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> KillSwitch:
    switch = KillSwitch()
    monkeypatch.setattr(steps, "_hook", switch.reached)
    return switch


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS, policy=st.sampled_from(POLICIES))
def test_every_record_is_visible_once_whenever_attempts_die(
    rounds: list[Round], policy: RollingPolicy, switch: KillSwitch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("out")
    sink = FileSink.for_row_format(str(folder), LineEncoder(str)).with_rolling_policy(policy)
    job = KillableJob(sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build(), switch, int)
    job.run(rounds)
    assert sorted(visible_numbers(folder)) == list(range(job.final_count))
    if not any(each.stale_records for each in rounds):
        # What a stale attempt begins after it has been replaced stays until the subtask is next restored.
        assert not list(folder.glob(".*.inprogress.*"))


def visible_numbers(folder: Path) -> list[int]:
    return [int(line) for file in folder.iterdir() if file.name[0] != "." for line in file.read_text().splitlines()]
