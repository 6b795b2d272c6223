"""What the oracle of random programs knows about a stream: its records, and what may be said of their order.

Pure. `penstock.testing.random_programs` chooses steps; here is what each way of dealing records does to order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, final

from penstock.records.batch import MIN_TIMESTAMP
from penstock.testing.program_functions import Triple

Stamped = tuple[Triple, int]
"""A record and its timestamp."""


class Order(IntEnum):
    """How much of the order of a stream's records is determined."""

    NONE = 0
    PER_KEY = 1
    """That of records with one key, which are all in one subtask."""
    TOTAL = 2
    """All of it: they are all in one subtask."""


@final
@dataclass(frozen=True)
class Stream:
    """The output of an operator, in an order that is as good as any that `order` allows."""

    name: str
    records: tuple[Stamped, ...]
    parallelism: int
    order: Order
    typed: bool
    disorder: int | None = None
    """By how much a number may be smaller than one before it in the same subtask; None: by anything."""

    @property
    def triples(self) -> list[Triple]:
        return [triple for triple, _ in self.records]

    @property
    def is_timely(self) -> bool:
        """Whether timestamps leave room for timers behind them."""
        return all(timestamp < 2**62 for _, timestamp in self.records)


@final
@dataclass(frozen=True)
class Arrival:
    """A stream as the subtasks of its consumer see it, and the expression that deals it so."""

    code: str
    stream: Stream


ONE_CHANNEL: Final = "forward"
DEALINGS: Final = ("", "rebalance", "rescale", "shuffle", "broadcast", "global_", "forward", "partition_custom")


def dealt(stream: Stream, dealing: str, parallelism: int) -> Arrival:
    """Deal a stream to an operator; `dealing` is the method's name, "" for none, "hash" for keys."""
    code, records, order = stream.name, stream.records, stream.order
    single = stream.parallelism == 1
    if dealing == "partition_custom":
        code += ".partition_custom(lambda key, count: key * 7 % count, lambda r: r[0])"
    elif dealing not in ("", "hash"):
        code += f".{dealing}()"
    if dealing == "" and stream.parallelism == parallelism:
        dealing = ONE_CHANNEL
    if dealing == ONE_CHANNEL:
        return Arrival(code, replace(stream, parallelism=parallelism))
    if dealing == "broadcast":
        records = tuple(record for record in records for _ in range(parallelism))
        order = order if parallelism == 1 else Order.NONE
    elif dealing in ("hash", "partition_custom"):
        order = min(order, Order.TOTAL if parallelism == 1 else Order.PER_KEY)
    elif dealing != "global_" and parallelism > 1:
        order = Order.NONE
    disorder = stream.disorder if single else None
    return Arrival(code, replace(stream, records=records, parallelism=parallelism, order=order, disorder=disorder))


def united(streams: list[Stream]) -> Stream:
    """All records of several streams, in the subtasks of an operator of the first's parallelism."""
    records = tuple(record for stream in streams for record in stream.records)
    return replace(streams[0], records=records, order=Order.NONE, disorder=None)


def sorted_by_time(stream: Stream) -> Stream:
    """As a keyed operator sees it in batch mode."""
    records = tuple(sorted(stream.records, key=lambda record: record[1]))
    return replace(stream, records=records, order=min(stream.order, Order.PER_KEY))


def by_key(records: Iterable[Stamped]) -> dict[int, list[Stamped]]:
    """Records by key, each key's in their order."""
    keys: dict[int, list[Stamped]] = defaultdict(list)
    for record in records:
        keys[record[0][0]].append(record)
    return keys


def unstamped(triples: Iterable[Triple]) -> tuple[Stamped, ...]:
    """Records without event time."""
    return tuple((triple, MIN_TIMESTAMP) for triple in triples)


def difference(expected: Stream, found: list[Triple], *, ordered: bool) -> str | None:
    """How what was found differs from the stream; None: not more than its order allows, if that is to be looked at."""
    wanted, had = Counter(expected.triples), Counter(found)
    if wanted != had:
        missing, extra = wanted - had, had - wanted
        return (
            f"{expected.name}: {missing.total()} of {wanted.total()} records are missing: {_some(missing)}; "
            f"{extra.total()} are too many: {_some(extra)}"
        )
    if not ordered or expected.order is Order.NONE:
        return None
    keys, mine_by_key = by_key(expected.records), by_key(unstamped(found))
    for key, records in keys.items():
        right, mine = [triple for triple, _ in records], [triple for triple, _ in mine_by_key[key]]
        if right != mine:
            at = next(i for i, (one, other) in enumerate(zip(right, mine, strict=True)) if one != other)
            return f"{expected.name}: of key {key}, record {at} is {mine[at]}, expected {right[at]}"
    return None


def _some(counts: Counter[Triple]) -> str:
    shown = [f"{triple}" if count == 1 else f"{triple} x{count}" for triple, count in counts.most_common(5)]
    return ", ".join(shown) or "none"
