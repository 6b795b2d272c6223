"""Which key group a key falls into, and which subtask owns which key groups.

The exchange routes by it, the state backends store by it, rescaling redistributes by it. The group follows from
the canonical encoding (`penstock.records.keys`) alone, never from `hash()`, so that it is the same in every
process, for ever: the hash function below is part of the checkpoint format.

Measured (CPython 3.11, 10k distinct string keys): 20-35 ns per record on hits, 0.35 us on a miss.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, final

from xxhash import xxh3_64_intdigest

from penstock.base.errors import ConfigurationError
from penstock.records.keys import encode_key, encode_keys

UPPER_BOUND: Final = 1 << 15
"""The largest max parallelism."""
_LOWER_BOUND: Final = 1 << 7
_MEMO_KEYS: Final = 200_000
"""After so many keys a memo begins anew."""
_EXHAUST: Final = deque[Any](maxlen=0).extend
"""Goes through an iterator and keeps nothing."""
_ANSWER = TypeVar("_ANSWER")


@dataclass(frozen=True, slots=True)
class KeyGroupRange:
    """The key groups from `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, group: object) -> bool:
        return isinstance(group, int) and self.first <= group <= self.last

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)

    def groups(self) -> range:
        return range(self.first, self.last + 1)

    def intersection(self, other: "KeyGroupRange") -> "KeyGroupRange":
        """What both have; of length 0 if nothing."""
        first = max(self.first, other.first)
        return KeyGroupRange(first, max(first - 1, min(self.last, other.last)))

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


def range_for(max_parallelism: int, parallelism: int, index: int) -> KeyGroupRange:
    """The key groups that subtask `index` of `parallelism` owns."""
    check_parallelism(max_parallelism, parallelism)
    assert 0 <= index < parallelism, f"subtask {index} of {parallelism}"
    first = -(-index * max_parallelism // parallelism)
    last = -(-(index + 1) * max_parallelism // parallelism) - 1
    return KeyGroupRange(first, last)


def ranges_for(max_parallelism: int, parallelism: int) -> tuple[KeyGroupRange, ...]:
    """The ranges of all subtasks; together they hold every key group exactly once."""
    return tuple(range_for(max_parallelism, parallelism, index) for index in range(parallelism))


def subtask_for_group(max_parallelism: int, parallelism: int, group: int) -> int:
    """The subtask whose range holds `group`."""
    return group * parallelism // max_parallelism


def default_max_parallelism(parallelism: int) -> int:
    """The next power of two above one and a half times the parallelism, between 128 and 32768."""
    wanted = parallelism + parallelism // 2
    return min(max(1 << max(wanted - 1, 0).bit_length(), _LOWER_BOUND), UPPER_BOUND)


def check_parallelism(max_parallelism: int, parallelism: int) -> None:
    """Refuse what cannot be: more subtasks than key groups, or more key groups than there may be."""
    if not 1 <= max_parallelism <= UPPER_BOUND:
        raise ConfigurationError(f"max parallelism {max_parallelism} is not between 1 and {UPPER_BOUND}")
    if not 1 <= parallelism <= max_parallelism:
        raise ConfigurationError(
            f"parallelism {parallelism} is not between 1 and the max parallelism {max_parallelism}"
        )


def key_group(key: Any, max_parallelism: int) -> int:
    """The key group of one key; batches go through `KeyGroups`."""
    return xxh3_64_intdigest(encode_key(key)) % max_parallelism


def key_groups_of(keys: Sequence[Any], max_parallelism: int) -> list[int]:
    """The key groups of many keys that are not likely to come again: no memo."""
    return [digest % max_parallelism for digest in map(xxh3_64_intdigest, encode_keys(keys))]


class _Memo(dict[Any, _ANSWER], Generic[_ANSWER]):
    """Key -> answer for the keys seen lately."""

    __slots__ = ("answers",)

    def __init__(self, answers: Sequence[_ANSWER]) -> None:
        self.answers = answers

    def __missing__(self, key: Any) -> _ANSWER:
        answer = self[key] = self.answers[key_group(key, len(self.answers))]
        return answer


class _KeyLookup(Generic[_ANSWER]):
    """What follows from the key group of each of a batch of keys, with a bounded memo.

    The memo goes by equality, where 1, True and 1.0 are one: keys must have passed the operator's `KeyChecker`,
    which lets only one key type through. Mutable keys (rows) are encoded each time.
    """

    __slots__ = ("_capacity", "_memo")

    def __init__(self, answers: Sequence[_ANSWER], capacity: int) -> None:
        """`answers`: one for each key group."""
        self._capacity = capacity
        self._memo = _Memo(answers)

    def _of(self, keys: Sequence[Any]) -> Iterator[_ANSWER]:
        """The answers in order, to be asked for before others are."""
        if len(self._memo) > self._capacity:
            self._memo.clear()
        return map(self._memo.__getitem__, keys)


@final
class KeyGroups(_KeyLookup[int]):
    """The key groups of batches of keys."""

    __slots__ = ("max_parallelism",)

    def __init__(self, max_parallelism: int, capacity: int = _MEMO_KEYS) -> None:
        super().__init__(range(max_parallelism), capacity)
        self.max_parallelism = max_parallelism

    def groups(self, keys: Sequence[Any]) -> list[int]:
        """The key group of each key, in order."""
        return list(self._of(keys))


@final
class KeyDealer(_KeyLookup[list[Any]]):
    """Deals what has keys to the subtasks that own them."""

    __slots__ = ("buckets",)

    def __init__(self, max_parallelism: int, parallelism: int, capacity: int = _MEMO_KEYS) -> None:
        self.buckets: Final[tuple[list[Any], ...]] = tuple([] for _ in range(parallelism))
        """What was dealt to each subtask, in order; whoever takes it clears them."""
        # The memo gives the bucket itself, so that nothing else is decided per record.
        groups = range(max_parallelism)
        super().__init__([self.buckets[subtask_for_group(max_parallelism, parallelism, g)] for g in groups], capacity)

    def deal(self, keys: Sequence[Any], things: Iterable[Any]) -> None:
        """Each of `things` to the bucket of the subtask that owns the key at its place."""
        _EXHAUST(map(list.append, self._of(keys), things))
