"""Key groups: every key has one, every group one owner, in every process the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.records.key_groups import (
    KeyGroupRange,
    KeyGroups,
    default_max_parallelism,
    key_group,
    range_for,
    ranges_for,
    subtask_for_group,
)

parallelisms = st.integers(1, 300).flatmap(lambda p: st.tuples(st.just(p), st.integers(p, 2_000)))


@given(parallelisms)
def test_every_group_belongs_to_exactly_one_subtask(case: tuple[int, int]) -> None:
    parallelism, max_parallelism = case
    ranges = ranges_for(max_parallelism, parallelism)
    assert [group for owned in ranges for group in owned.groups()] == list(range(max_parallelism))
    for index, owned in enumerate(ranges):
        assert all(subtask_for_group(max_parallelism, parallelism, group) == index for group in owned.groups())
        assert len(owned) >= 1


def test_ranges_are_flinks() -> None:
    assert ranges_for(128, 3) == (KeyGroupRange(0, 42), KeyGroupRange(43, 85), KeyGroupRange(86, 127))
    assert range_for(10, 4, 1) == KeyGroupRange(3, 4)


@pytest.mark.parametrize(
    ("parallelism", "expected"), [(1, 128), (85, 128), (86, 256), (170, 256), (171, 256), (172, 512), (30_000, 32_768)]
)
def test_the_default_max_parallelism_is_flinks(parallelism: int, expected: int) -> None:
    assert default_max_parallelism(parallelism) == expected


@pytest.mark.parametrize(("max_parallelism", "parallelism"), [(0, 1), (32_769, 1), (4, 5), (4, 0)])
def test_impossible_parallelisms_are_refused(max_parallelism: int, parallelism: int) -> None:
    with pytest.raises(ConfigurationError, match="is not between"):
        range_for(max_parallelism, parallelism, 0)


@given(st.lists(st.text(max_size=5)), st.integers(1, 32_768))
def test_a_batch_gets_the_groups_of_its_keys_even_when_the_memo_overflows(keys: list[str], maximum: int) -> None:
    groups = KeyGroups(maximum, capacity=3)
    for _ in range(3):
        assert groups.groups(keys) == [key_group(key, maximum) for key in keys]


def test_the_hash_is_part_of_the_checkpoint_format() -> None:
    keys = ["a", "b", 1, 2, ("a", 1), None, 1.5, b"x"]
    assert [key_group(key, 32_768) for key in keys] == [3741, 5699, 25209, 4152, 17550, 4566, 15380, 20270]


def test_keys_spread_evenly() -> None:
    counts = [0] * 128
    for group in KeyGroups(128).groups([f"user-{n}" for n in range(12_800)]):
        counts[group] += 1
    assert min(counts) > 60
    assert max(counts) < 150


def test_ranges_intersect() -> None:
    assert KeyGroupRange(0, 10).intersection(KeyGroupRange(5, 20)) == KeyGroupRange(5, 10)
    assert len(KeyGroupRange(0, 4).intersection(KeyGroupRange(6, 9))) == 0
    assert 5 in KeyGroupRange(5, 5)
    assert 6 not in KeyGroupRange(5, 5)
