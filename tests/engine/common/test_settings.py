"""Settings: what a configuration comes to, where that takes more than a look at one key."""

import pytest

from penstock.base.errors import ConfigurationError
from penstock.common import Configuration
from penstock.common.settings import (
    CheckpointSettings,
    HeartbeatSettings,
    NetworkSettings,
    RestartSettings,
    StateSettings,
)

GB = 1 << 30


def given(**keys: object) -> Configuration:
    return Configuration.from_dict({key.replace("_", "."): value for key, value in keys.items()})


@pytest.mark.parametrize(
    ("keys", "storage"),
    [
        ({}, "jobmanager"),
        ({"state.checkpoints.dir": "/c"}, "filesystem"),
        ({"state.checkpoints.dir": "/c", "state.checkpoint-storage": "jobmanager"}, "jobmanager"),
        ({"state.checkpoints.dir": "/c", "state.backend": "jobmanager"}, "jobmanager"),
        ({"state.checkpoints.dir": "/c", "state.backend": "MemoryStateBackend"}, "jobmanager"),
        ({"state.checkpoints.dir": "/c", "state.backend": "filesystem"}, "filesystem"),
        ({"state.checkpoints.dir": "/c", "state.backend": "rocksdb"}, "filesystem"),
        ({"state.backend": "jobmanager", "execution.checkpointing.storage": "jobmanager"}, "jobmanager"),
    ],
)
def test_the_storage_is_named_or_follows_from_backend_and_folder(keys: dict[str, str], storage: str) -> None:
    assert CheckpointSettings.of(Configuration.from_dict(keys)).storage == storage


@pytest.mark.parametrize("keys", [{"state.checkpoint-storage": "filesystem"}, {"state.backend": "filesystem"}])
def test_files_without_a_folder_are_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"execution\.checkpointing\.dir does not say where"):
        CheckpointSettings.of(Configuration.from_dict(keys))


def test_exactly_once_needs_checkpoints() -> None:
    assert not CheckpointSettings.of(Configuration()).exactly_once
    assert CheckpointSettings.of(given(execution_checkpointing_interval="1 s")).exactly_once


def test_the_restart_strategy_follows_from_checkpointing_where_none_is_named() -> None:
    assert RestartSettings.of(Configuration()).strategy == "none"
    checkpointing = RestartSettings.of(given(execution_checkpointing_interval="1 s"))
    assert (checkpointing.strategy, checkpointing.delay_s, checkpointing.delay_max_s) == ("exponential-delay", 1, 60)
    fixed = RestartSettings.of(
        Configuration.from_dict({"restart-strategy": "fixeddelay", "restart-strategy.fixed-delay.attempts": 3})
    )
    assert (fixed.strategy, fixed.attempts, fixed.delay_s) == ("fixed-delay", 3, 1)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        ({"state.backend.rocksdb.memory.fixed-per-slot": "100 mb"}, 100 << 20),
        ({"state.backend.rocksdb.memory.fixed-per-tm": "100 mb", "taskmanager.numberOfTaskSlots": 2}, 50 << 20),
        ({"taskmanager.memory.managed.size": "1 gb", "taskmanager.numberOfTaskSlots": 4}, GB // 4),
        ({"taskmanager.memory.process.size": "2 gb", "taskmanager.memory.managed.fraction": 0.5}, GB),
        ({"state.backend.rocksdb.memory.managed": "false"}, (8 + 2 * 64) << 20),
    ],
)
def test_a_slots_rocksdb_gets_its_share_of_memory(keys: dict[str, object], size: int) -> None:
    assert StateSettings.of(Configuration.from_dict(keys)).rocksdb_bytes_per_slot == size


@pytest.mark.parametrize(
    ("keys", "timeout_s"),
    [
        ({}, 0.1),
        ({"execution.buffer-timeout": "0 ms"}, 0.0),
        ({"execution.buffer-timeout": "-1"}, None),
        ({"execution.buffer-timeout.enabled": "false"}, None),
    ],
)
def test_the_buffer_timeout_may_be_off(keys: dict[str, str], timeout_s: float | None) -> None:
    assert NetworkSettings.of(Configuration.from_dict(keys)).buffer_timeout_s == timeout_s


def test_heartbeats_must_come_faster_than_they_time_out() -> None:
    with pytest.raises(ConfigurationError, match=r"heartbeat\.timeout \(PT1S\) must be longer"):
        HeartbeatSettings.of(Configuration.from_dict({"heartbeat.timeout": "1 s"}))
