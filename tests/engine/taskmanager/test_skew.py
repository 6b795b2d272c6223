"""Skew by key group is seen from small samples, and nothing is claimed that chance could have made."""

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Types
from penstock.records.key_groups import key_group
from penstock.state.descriptors import ValueStateDescriptor
from penstock.taskmanager.skew import SkewGauge, skew
from penstock.testing.states import OneSubtask

BACKENDS = pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])


@given(st.dictionaries(st.integers(0, 127), st.integers(1, 1000), min_size=1))
def test_skew_is_the_greatest_over_the_mean_of_all_groups(counts: dict[int, int]) -> None:
    found, group = skew(Counter(counts), 128, exact=True)
    assert found == pytest.approx(max(counts.values()) / (sum(counts.values()) / 128))
    assert counts[group] == max(counts.values())
    assert found >= 1


def test_too_small_a_sample_says_nothing() -> None:
    assert skew(Counter({3: 10}), 128, exact=False) == (0.0, -1)
    assert skew(Counter(), 128, exact=True) == (0.0, -1)


@BACKENDS
def test_a_hot_key_shows_in_records_and_not_in_keys(kind: Literal["hashmap", "rocksdb"], tmp_path: Path) -> None:
    subtask = OneSubtask(kind, tmp_path)
    counts = subtask.backend.state(ValueStateDescriptor("count", Types.LONG()))
    gauge = SkewGauge(subtask.backend, 128)
    for batch in range(20):
        keys = [f"key-{number}" for number in range(batch * 50, batch * 50 + 50)] + ["hot"] * 150
        subtask.backend.prepare(keys)
        for key in keys:
            subtask.backend.current.key = key
            counts.update(1)
        gauge.look()
    for _ in range(4):
        gauge.look()
    assert gauge.records[0] > 50
    assert gauge.records[1] == key_group("hot", 128)
    assert 1 <= gauge.keys[0] < 5
    assert subtask.backend.size_keys() >= 1000


@BACKENDS
def test_keys_of_one_group_show(kind: Literal["hashmap", "rocksdb"], tmp_path: Path) -> None:
    subtask = OneSubtask(kind, tmp_path)
    counts = subtask.backend.state(ValueStateDescriptor("count", Types.LONG()))
    crowd = [key for number in range(20_000) if key_group(key := f"key-{number}", 128) == 5]
    for key in crowd:
        subtask.on(key)
        counts.update(1)
    gauge = SkewGauge(subtask.backend, 128)
    gauge.look()
    assert gauge.keys == (128.0, 5)
