"""Every record goes to exactly one right channel (or to all), with its own timestamp and key, in order."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import JobDefinitionError, UserFunctionError
from penstock.exchange.partitioners import (
    Broadcast,
    Custom,
    Hash,
    Partitioner,
    RoundRobin,
    Shuffle,
    ToFirst,
    make_partitioner,
)
from penstock.exchange.wiring import consumers_of
from penstock.graph.job_graph import Exchange
from penstock.records.batch import Batch
from penstock.records.key_groups import key_group, range_for

CHANNELS = st.integers(2, 9)
FROM = "operator 'Map' (subtask 1 of 2)"
FROM_ = r"partitioner after operator 'Map' \(subtask 1 of 2\) "
SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def batches(sizes: list[int], shape: int) -> list[Batch]:
    """Batches of distinct strings; with timestamps and keys, by `shape`."""
    made: list[Batch] = []
    first = 0
    for size in sizes:
        numbers = range(first, first + size)
        made.append(
            Batch(
                [f"value {number}" for number in numbers],
                [number * 10 for number in numbers] if shape & 1 else None,
                [f"key {number}" for number in numbers],
            )
        )
        first += size
    return made


def dealt(partitioner: Partitioner, given_batches: list[Batch], channels: int) -> list[list[tuple[Any, Any, Any]]]:
    """What each channel got, record by record."""
    rows: list[list[tuple[Any, Any, Any]]] = [[] for _ in range(channels)]
    for batch in given_batches:
        pieces = partitioner.split(batch)
        assert [index for index, _ in pieces] == sorted({index for index, _ in pieces})
        for index, piece in pieces:
            assert piece.values
            assert (piece.timestamps is None) == (batch.timestamps is None)
            rows[index] += rows_of(piece)
    return rows


def rows_of(batch: Batch) -> list[tuple[Any, Any, Any]]:
    nothing = [None] * len(batch)
    return list(zip(batch.values, batch.timestamps or nothing, batch.keys or nothing, strict=True))


PARTITIONERS: list[Callable[[int], Partitioner]] = [
    lambda channels: Hash(channels, 128),
    lambda channels: RoundRobin(channels, 1),
    lambda channels: Shuffle(channels, Random(1)),
    lambda channels: Custom(channels, lambda key, n: hash(key) % n, lambda value: value, FROM),
    lambda channels: ToFirst(),
]


@pytest.mark.parametrize("make", PARTITIONERS)
@given(channels=CHANNELS, sizes=SIZES, shape=st.integers(0, 1))
def test_nothing_is_lost_doubled_torn_or_reordered(
    make: Callable[[int], Partitioner], channels: int, sizes: list[int], shape: int
) -> None:
    given_batches = batches(sizes, shape)
    everything = [row for batch in given_batches for row in rows_of(batch)]
    rows = dealt(make(channels), given_batches, channels)
    position = {row: index for index, row in enumerate(everything)}
    for got in rows:
        assert [position[row] for row in got] == sorted(position[row] for row in got)
    assert sorted(row for got in rows for row in got) == sorted(everything)


@given(CHANNELS, SIZES)
def test_hash_deals_each_key_to_the_subtask_that_owns_its_key_group(channels: int, sizes: list[int]) -> None:
    rows = dealt(Hash(channels, 128), batches(sizes, 1), channels)
    for index, got in enumerate(rows):
        owned = range_for(128, channels, index)
        assert all(key_group(key, 128) in owned for _, _, key in got)


@given(CHANNELS, SIZES, st.integers(0, 8))
def test_round_robin_is_balanced_to_one_record_even_for_small_batches(
    channels: int, sizes: list[int], first: int
) -> None:
    rows = dealt(RoundRobin(channels, first % channels), batches(sizes, 0), channels)
    counts = [len(got) for got in rows]
    assert max(counts) - min(counts) <= 1
    if sum(counts):
        assert counts[first % channels] == max(counts)


def test_shuffle_reaches_every_channel_about_as_often() -> None:
    rows = dealt(Shuffle(4, Random(7)), batches([4000], 0), 4)
    assert all(850 < len(got) < 1150 for got in rows)


@given(CHANNELS, SIZES)
def test_broadcast_deals_everything_to_every_channel(channels: int, sizes: list[int]) -> None:
    given_batches = batches(sizes, 1)
    everything = [row for batch in given_batches for row in rows_of(batch)]
    assert dealt(Broadcast(channels), given_batches, channels) == [everything] * channels


def test_consumers_of_a_broadcast_do_not_share_mutable_objects() -> None:
    (_, first), (_, second) = Broadcast(2).split(Batch([{"n": 1}]))
    first.values[0]["n"] = 2
    first.values.append("more")
    assert second.values == [{"n": 1}]


def test_a_custom_partitioner_gets_the_key_and_the_number_of_partitions() -> None:
    asked: list[tuple[int, int]] = []

    def partition(key: int, partitions: int) -> int:
        asked.append((key, partitions))
        return key % partitions

    rows = dealt(Custom(3, partition, lambda value: value["id"], FROM), [Batch([{"id": 4}, {"id": 2}])], 3)
    assert asked == [(4, 3), (2, 3)]
    assert [[value for value, _, _ in got] for got in rows] == [[], [{"id": 4}], [{"id": 2}]]


def test_a_custom_partition_may_be_told_by_a_bool() -> None:
    rows = dealt(Custom(2, lambda key, n: key > 1, lambda value: value, FROM), [Batch([1, 2, 3])], 2)
    assert [[value for value, _, _ in got] for got in rows] == [[1], [2, 3]]


def test_a_custom_partitioner_that_fails_is_told_with_the_record() -> None:
    custom = Custom(2, lambda key, n: 6 // key, lambda value: value % 3, FROM)
    with pytest.raises(UserFunctionError, match=f"{FROM_}failed in record 3: ZeroDivisionError: integer division"):
        custom.split(Batch([7, 3, 7]))


@pytest.mark.parametrize("target", [-1, 3, None, "1", 1.0])
def test_a_custom_partition_that_does_not_exist_is_named_with_its_key(target: Any) -> None:
    custom = Custom(3, lambda key, n: target, lambda value: value, FROM)
    with pytest.raises(
        JobDefinitionError,
        match=f"{FROM_}sent a record with the key 'k' to partition {target!r}: expected an int from 0 to 2",
    ):
        custom.split(Batch(["k"]))


@pytest.mark.parametrize("exchange", [e for e in Exchange if e is not Exchange.CUSTOM])
def test_every_exchange_to_a_single_channel_passes_batches_on_as_they_are(exchange: Exchange) -> None:
    partitioner = make_partitioner(
        exchange, 1, producer=FROM, subtask=3, max_parallelism=128, rng=Random(1), custom=None
    )
    batch = Batch(["a"], None, ["k"])
    ((index, piece),) = partitioner.split(batch)
    assert index == 0
    assert piece is batch


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        (Exchange.HASH, Hash),
        (Exchange.REBALANCE, RoundRobin),
        (Exchange.RESCALE, RoundRobin),
        (Exchange.SHUFFLE, Shuffle),
        (Exchange.BROADCAST, Broadcast),
        (Exchange.GLOBAL, ToFirst),
        (Exchange.FORWARD, ToFirst),
        (Exchange.CUSTOM, Custom),
    ],
)
def test_each_exchange_has_its_partitioner(exchange: Exchange, kind: type) -> None:
    custom = (lambda key, n: 0, lambda value: value)
    made = make_partitioner(exchange, 4, producer=FROM, subtask=0, max_parallelism=128, rng=Random(1), custom=custom)
    assert type(made) is kind


@given(st.integers(1, 12), st.integers(1, 12))
def test_pointwise_wiring_gives_each_consumer_its_producers_as_flink_does(producers: int, consumers: int) -> None:
    wired = [
        (producer, consumer)
        for producer in range(producers)
        for consumer in consumers_of(Exchange.RESCALE, producer, producers, consumers)
    ]
    if producers <= consumers:
        expected = [(consumer * producers // consumers, consumer) for consumer in range(consumers)]
    else:
        expected = [
            (producer, consumer)
            for consumer in range(consumers)
            for producer in range(consumer * producers // consumers, (consumer + 1) * producers // consumers)
        ]
    assert wired == expected


def test_all_to_all_wiring_connects_everyone() -> None:
    assert list(consumers_of(Exchange.HASH, 1, 3, 4)) == [0, 1, 2, 3]
