"""Which channel each record of a batch goes to: one small pure class per kind of exchange.

`make_partitioner` gives the one an edge needs; `writer.RecordWriter` calls `split` once per batch. The batches it
gives have lists of their own, except where the batch goes as it is to a single channel. Records keep their order
within a channel.

Hot path. Measured (CPython 3.11, 1,000 strings with keys, 10k distinct keys, two channels), ns per record:
hash 60 (of which the look-up of the subtask 30; 90 over eight channels; 45 to 52 by `texts`), rebalance 4, shuffle 113,
broadcast 14, custom 129.
"""

import operator
from collections.abc import Callable, Sequence
from itertools import count
from operator import itemgetter
from random import Random
from typing import Any, Protocol, final

from penstock.base.errors import JobDefinitionError, UserFunctionError
from penstock.base.tracebacks import said
from penstock.exchange.texts import CodedTexts, TextDealer, TextDictionary
from penstock.graph.job_graph import Exchange
from penstock.operators.failures import Failure, shortened
from penstock.records.batch import Batch
from penstock.records.copiers import copy_values
from penstock.records.key_groups import KeyDealer

Pieces = list[tuple[int, Batch | CodedTexts]]
"""(index of the channel, what goes there), without empty batches, by ascending index."""

CustomPartition = tuple[Callable[[Any, int], int], Callable[[Any], Any]]
"""The user's `partition(key, number of partitions)` and key selector."""


class Partitioner(Protocol):
    """Deals the records of one producer subtask to the channels of one edge."""

    def split(self, batch: Batch) -> Pieces:
        """Every record of `batch`, with the channel it goes to."""


def make_partitioner(
    exchange: Exchange,
    channels: int,
    *,
    producer: str,
    subtask: int,
    max_parallelism: int,
    rng: Random,
    custom: CustomPartition | None,
    dictionaries: Sequence[TextDictionary | None] = (),
) -> Partitioner:
    """The partitioner of one edge.

    Args:
        exchange: how the edge deals.
        channels: how many channels leave this subtask over the edge.
        producer: which operator and subtask, for errors of the user's functions.
        subtask: the producer's index; dealing in turn begins there, so that producers do not all begin with channel 0.
        max_parallelism: the consumer's number of key groups.
        rng: where SHUFFLE takes its chance from.
        custom: the user's functions, for CUSTOM.
        dictionaries: of each channel, for HASH; none of them where no channel leaves the worker.
    """
    match exchange:
        case Exchange.CUSTOM:
            assert custom is not None, "a custom exchange has its partitioner"
            return Custom(channels, *custom, producer)  # Called also for one channel: it is the user's code.
        case _ if channels == 1:
            return ToFirst()
        case Exchange.FORWARD | Exchange.GLOBAL:
            return ToFirst()
        case Exchange.HASH:
            return Hash(channels, max_parallelism, dictionaries)
        case Exchange.REBALANCE | Exchange.RESCALE:
            return RoundRobin(channels, subtask % channels)
        case Exchange.SHUFFLE:
            return Shuffle(channels, rng)
        case Exchange.BROADCAST:
            return Broadcast(channels)


@final
class ToFirst:
    """All records to the first channel, the batch as it is."""

    __slots__ = ()

    def split(self, batch: Batch) -> Pieces:
        return [(0, batch)] if batch.values else []


@final
class Hash:
    """Each record to the subtask that owns its key's group."""

    __slots__ = ("_dealer", "_texts")

    def __init__(self, channels: int, max_parallelism: int, dictionaries: Sequence[TextDictionary | None] = ()) -> None:
        self._dealer = KeyDealer(max_parallelism, channels)
        self._texts: TextDealer | None = TextDealer(max_parallelism, dictionaries or [None] * channels)

    def split(self, batch: Batch) -> Pieces:
        keys, buckets = batch.keys, self._dealer.buckets
        assert keys is not None, "a hash exchange deals keyed batches"
        pieces: Pieces
        if keys is batch.values and batch.timestamps is None:
            # All keys of an operator are of one type.
            if self._texts is not None and keys and type(keys[0]) is str:
                return self._split_texts(self._texts, keys)
            self._dealer.deal(keys, keys)
            dealt = [(channel, bucket.copy()) for channel, bucket in enumerate(buckets) if bucket]
            pieces = [(channel, Batch(values, None, values)) for channel, values in dealt]
        else:
            self._dealer.deal(keys, count())
            pieces = [(channel, _pick(batch, bucket)) for channel, bucket in enumerate(buckets) if bucket]
        for bucket in buckets:
            bucket.clear()
        return pieces

    def _split_texts(self, dealer: TextDealer, texts: list[Any]) -> Pieces:
        pieces = dealer.split(texts)
        if dealer.is_full:
            self._texts = None
        return pieces


@final
class RoundRobin:
    """One record to each channel in turn, going on where the last batch ended."""

    __slots__ = ("_channels", "_next")

    def __init__(self, channels: int, first: int) -> None:
        self._channels = channels
        self._next = first

    def split(self, batch: Batch) -> Pieces:
        channels, next_channel = self._channels, self._next
        records = len(batch.values)
        self._next = (next_channel + records) % channels
        pieces: Pieces = []
        for channel in range(channels):
            first = (channel - next_channel) % channels
            if first < records:
                pieces.append((channel, batch.each(itemgetter(slice(first, None, channels)))))
        return pieces


@final
class Shuffle:
    """Each record to a channel by chance."""

    __slots__ = ("_channels", "_choices", "_range")

    def __init__(self, channels: int, rng: Random) -> None:
        self._channels = channels
        self._range = range(channels)
        self._choices = rng.choices

    def split(self, batch: Batch) -> Pieces:
        return _deal(batch, self._choices(self._range, k=len(batch.values)), self._channels)


@final
class Broadcast:
    """All records to every channel, each with objects of its own: a consumer in this worker may change them."""

    __slots__ = ("_channels",)

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def split(self, batch: Batch) -> Pieces:
        if not batch.values:
            return []
        others = [(channel, _copy(batch)) for channel in range(1, self._channels)]
        return [(0, batch), *others]


@final
class Custom:
    """Each record to the channel that the user's partitioner names."""

    __slots__ = ("_channels", "_key_of", "_partition", "_producer")

    def __init__(
        self, channels: int, partition: Callable[[Any, int], int], key_of: Callable[[Any], Any], producer: str
    ) -> None:
        self._channels = channels
        self._partition = partition
        self._key_of = key_of
        self._producer = producer

    def split(self, batch: Batch) -> Pieces:
        channels, partition, key_of = self._channels, self._partition, self._key_of
        records = iter(batch.values)
        try:
            targets = [partition(key_of(value), channels) for value in records]
        except Failure as error:
            value = batch.values[len(batch.values) - operator.length_hint(records) - 1]
            raise UserFunctionError(
                f"the custom partitioner after {self._producer} failed in record {shortened(value)}: {said(error)}"
            ) from error
        for at, target in enumerate(targets):
            if type(target) is not int or not 0 <= target < channels:
                targets[at] = self._checked(batch.values[at], target)
        return _deal(batch, targets, channels)

    def _checked(self, value: Any, target: Any) -> int:
        """What is not an int may be as good as one: a bool, or a number of numpy's."""
        try:
            number = operator.index(target)
        except TypeError:
            number = -1
        if not 0 <= number < self._channels:
            raise JobDefinitionError(
                f"the custom partitioner after {self._producer} sent a record with the key {self._key_of(value)!r} to "
                f"partition {target!r}: expected an int from 0 to {self._channels - 1}"
            )
        return number


def _deal(batch: Batch, targets: Sequence[int], channels: int) -> Pieces:
    indices: list[list[int]] = [[] for _ in range(channels)]
    appends = [bucket.append for bucket in indices]
    for index, target in enumerate(targets):
        appends[target](index)
    return [(channel, _pick(batch, bucket)) for channel, bucket in enumerate(indices) if bucket]


def _pick(batch: Batch, indices: Sequence[int]) -> Batch:
    """As `Batch.select`, in a third of the time."""
    if len(indices) == 1:
        return batch.select(indices)
    pick = itemgetter(*indices)
    return batch.each(lambda column: list(pick(column)))


def _copy(batch: Batch) -> Batch:
    timestamps, keys = batch.timestamps, batch.keys
    return Batch(
        copy_values(batch.values),
        None if timestamps is None else timestamps.copy(),
        None if keys is None else keys.copy(),
    )
