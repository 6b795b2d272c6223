"""The steps of random programs: each adds operators to the text and says what comes out of them.

Each is a function of the generator. What depends on the order of records is only added where that is determined.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from penstock.records.batch import MIN_TIMESTAMP
from penstock.testing.program_functions import END, FOLDS, MODULUS, Triple, joined, ruled
from penstock.testing.program_generator import RECORDS_MAX, Generator, Step, type_of
from penstock.testing.program_streams import Order, Stamped, Stream, by_key, dealt, united

_MAPS: Final[tuple[tuple[str, Callable[[Triple], Triple]], ...]] = (
    ("lambda r: (r[0], (r[1] * 3 + 1) % MODULUS, r[2])", lambda r: (r[0], (r[1] * 3 + 1) % MODULUS, r[2])),
    ("Shift(11)", lambda r: (r[0], (r[1] + 11) % MODULUS, r[2])),
    ("lambda r: (r[0], len(r[2]), r[2])", lambda r: (r[0], len(r[2]), r[2])),
)
_FILTERS: Final[tuple[tuple[str, Callable[[Triple], bool]], ...]] = (
    ("lambda r: r[1] % 2", lambda r: bool(r[1] % 2)),
    ("lambda r: r[0] != 3", lambda r: r[0] != 3),
    ("lambda r: True", lambda r: True),
    ("lambda r: False", lambda r: False),
)
_FLAT_MAPS: Final[tuple[tuple[str, Callable[[Triple], Iterable[Triple]]], ...]] = (
    ("twice", lambda r: [r, (r[0], (r[1] * 2) % MODULUS, r[2] + "'")]),
    ("never", lambda r: [] if r[1] % 7 else [r]),
    ("Repeat()", lambda r: [r] * (r[1] % 4)),
    ("lambda r: [r] if r[0] else []", lambda r: [r] if r[0] else []),
)


def map_(g: Generator) -> None:
    code, call = g.rng.choice(_MAPS)
    g.apply(g.deal(g.pick()), f"map({code}", lambda r: [call(r)])


def map_key(g: Generator) -> None:
    """Gives records other keys, so that those of a key come from several subtasks."""
    arrival = g.deal(g.pick())
    order = arrival.stream.order if arrival.stream.order is Order.TOTAL else Order.NONE
    g.apply(arrival, "map(lambda r: (r[1] % 6, r[1], r[2])", lambda r: [(r[1] % 6, r[1], r[2])], order=order)


def filter_(g: Generator) -> None:
    code, keep = g.rng.choice(_FILTERS)
    arrival = g.deal(g.pick())
    stream = arrival.stream
    records = tuple(record for record in stream.records if keep(record[0]))
    code = f"{arrival.code}.filter({code}).set_parallelism({stream.parallelism})"
    g.add(code, replace(stream, records=records))


def flat_map(g: Generator) -> None:
    code, call = g.rng.choice(_FLAT_MAPS)
    g.apply(g.deal(g.pick()), f"flat_map({code}", call)


def rows(g: Generator) -> None:
    """On the way, records are rows, in part of fields that may be None."""
    arrival = g.deal(g.pick())
    parallelism = arrival.stream.parallelism
    code = f"{arrival.code}.map(lambda r: Row(r[0], None if r[1] % 3 else r[1], [r[2]], {{r[2]: r[1]}}), ROW)"
    row = dealt(
        replace(arrival.stream, name=f"r{len(g.lines)}"), g.rng.choice(("", "rebalance", "shuffle")), parallelism
    )
    g.lines.append(f"{row.code.partition('.')[0]} = {code}.set_parallelism({parallelism})")
    back = "(r[0], next(iter(r[3].values())) if r[1] is None else r[1], r[2][0])"
    g.apply(row, f"map(lambda r: {back}", lambda triple: [triple])


def mutate(g: Generator) -> None:
    """One list goes to two operators that change it in place."""
    if g.object_reuse:
        return
    arrival = g.deal(g.pick())
    stream = arrival.stream
    name = f"l{len(g.lines)}"
    g.lines.append(f"{name} = {arrival.code}.map(list).set_parallelism({stream.parallelism})")
    stream = replace(stream, name=name)
    for by in (3, 5):
        few = len(stream.records) < RECORDS_MAX // 4 and not g.settings.rescalable
        dealing = g.rng.choice(("", "rebalance", "broadcast")) if few else ""
        branch = dealt(stream, dealing, g.parallelism())
        code = f"{branch.code}.map(Mutate({by})).set_parallelism({branch.stream.parallelism})"
        shifted = tuple(((k, (n + by) % MODULUS, s), at) for (k, n, s), at in branch.stream.records)
        typed = g.rng.random() < 0.5
        code += f".map(tuple{type_of(typed)}).set_parallelism({branch.stream.parallelism})"
        g.add(code, replace(branch.stream, records=shifted, typed=typed, disorder=None))


def stamped(g: Generator) -> None:
    arrival = g.deal(g.pick())
    records = tuple(((k, at % MODULUS, s), at) for (k, _, s), at in arrival.stream.records)
    stream = replace(arrival.stream, records=records, typed=False, disorder=None)
    g.add(f"{arrival.code}.process(Stamped()).set_parallelism({stream.parallelism})", stream)


def fork(g: Generator) -> None:
    """A side output, which may stay unread."""
    arrival, typed = g.deal(g.pick()), g.rng.random() < 0.5
    stream = replace(arrival.stream, typed=typed)
    tag = "SIDE" if g.rng.random() < 0.5 else "UNTYPED_SIDE"
    main = tuple(record for record in stream.records if record[0][1] % 3)
    side = tuple(record for record in stream.records if record[0][1] % 3 == 0)
    code = f"{arrival.code}.process(Fork({tag}){type_of(typed)}).set_parallelism({stream.parallelism})"
    source = g.add(code, replace(stream, records=main))
    if g.rng.random() < 0.8:
        g.name(f"{source.name}.get_side_output({tag})", replace(stream, records=side, typed=tag == "SIDE"))


def union(g: Generator) -> None:
    """Two or three streams, perhaps one twice, become one."""
    chosen = [g.pick() for _ in range(g.rng.randint(2, 3))]
    chosen = [stream for stream in chosen if stream.typed == chosen[0].typed]
    if sum(len(stream.records) for stream in chosen) > RECORDS_MAX or len(chosen) == 1:
        return
    for stream in chosen:
        g.unread.pop(stream.name, None)
    parallelism = g.parallelism()
    dealing = g.rng.choice(("", "rebalance", "shuffle", "global_", "rescale"))
    arrived = [dealt(stream, dealing, parallelism).stream for stream in chosen]
    rest = ", ".join(stream.name for stream in chosen[1:])
    code = f"{chosen[0].name}.union({rest})" + (f".{dealing}()" if dealing else "")
    g.add(f"{code}.filter(lambda r: True).set_parallelism({parallelism})", united(arrived))


def assign(g: Generator) -> None:
    """Event time from the numbers, with watermarks that no record is late for."""
    arrival = g.deal(g.pick())
    stream = arrival.stream
    if g.rng.random() < 0.1:
        strategy = "no_watermarks()"
    elif stream.disorder == 0:
        strategy = "for_monotonous_timestamps()"
    else:
        bound = 1_000_000 if stream.disorder is None else stream.disorder
        strategy = f"for_bounded_out_of_orderness(Duration.of_millis({bound}))"
    strategy = f"WatermarkStrategy.{strategy}.with_timestamp_assigner(lambda r, at: r[1])"
    records = tuple((triple, triple[1]) for triple, _ in stream.records)
    code = f"{arrival.code}.assign_timestamps_and_watermarks({strategy}).set_parallelism({stream.parallelism})"
    g.add(code, replace(stream, records=records))


def tumbling(g: Generator) -> None:
    """Spans of event time, for records that have one or else are given one first."""
    stream = g.pick()
    if not stream.is_timely or any(at == MIN_TIMESTAMP for _, at in stream.records):
        assign(g)
        stream = g.streams[-1]
    size, parallelism = g.rng.choice((7, 100, 1000)), g.parallelism()
    code, keyed, _ = g.key(stream, parallelism)
    records: list[Stamped] = []
    for key, mine in by_key(keyed.records).items():
        sums: dict[int, int] = {}
        for triple, at in mine:
            end = (at // size + 1) * size - 1
            sums[end] = sums.get(end, 0) + triple[1]
        records += [((key, sums[end] % MODULUS, f"until {end}"), end) for end in sorted(sums)]
    _keyed_result(g, f"{code}.process(Tumbling({size})", keyed, records)


def running(g: Generator) -> None:
    """State of every kind, a result for each record, where the order of a key's records is known."""
    stream = g.pick()
    if stream.order is Order.NONE:
        at_end(g)
        return
    fold = g.rng.choice(list(FOLDS))
    code, keyed, kind = g.key(stream, g.parallelism())
    states: dict[int, Any] = {}
    records = []
    for (key, number, text), at in keyed.records:
        states[key], out = FOLDS[fold](states.get(key), number)
        records.append(((key, out, text), at))
    order = min(keyed.order, Order.PER_KEY) if g.batch else keyed.order
    call = f"{code}.process(Running({fold!r}, Key({kind!r}), {g.rng.random() < 0.7})"
    _keyed_result(g, call, keyed, records, order)


def at_end(g: Generator) -> None:
    """State of every kind, one result for each key."""
    fold = g.rng.choice(list(FOLDS))
    code, keyed, kind = g.key(g.pick(), g.parallelism())
    records = []
    for key, mine in by_key(keyed.records).items():
        state, out = None, 0
        for triple, _ in mine:
            state, out = FOLDS[fold](state, triple[1])
        records.append(((key, out, "end"), END))
    _keyed_result(g, f"{code}.process(AtEnd({fold!r}, Key({kind!r}), {g.rng.random() < 0.7})", keyed, records)


_AGGREGATIONS: Final[dict[str, Callable[[Triple, Triple], Triple]]] = {
    "sum(1)": lambda a, b: (a[0], a[1] + b[1], a[2]),
    "min(1)": lambda a, b: (a[0], min(a[1], b[1]), a[2]),
    "max(1)": lambda a, b: (a[0], max(a[1], b[1]), a[2]),
    "min_by(1)": lambda a, b: b if b[1] < a[1] else a,
    "max_by(1)": lambda a, b: b if b[1] > a[1] else a,
    "reduce(Largest())": lambda a, b: (a[0], max(a[1], b[1]), a[2]),
    "reduce(lambda a, b: (a[0], a[1] + b[1], a[2]))": lambda a, b: (a[0], a[1] + b[1], a[2]),
}


def aggregate(g: Generator) -> None:
    """reduce and its kin: running, or in batch mode one result for each key."""
    stream = g.pick()
    if stream.order is Order.NONE and not g.batch:
        at_end(g)
        return
    if stream.order is Order.NONE:
        stream = g.apply(dealt(stream, "", stream.parallelism), "map(lambda r: (r[0], r[1], '')",
                         lambda r: [(r[0], r[1], "")])  # fmt: skip
    name, combine = g.rng.choice(list(_AGGREGATIONS.items()))
    code, keyed, _ = g.key(stream, g.parallelism())
    results: dict[int, Stamped] = {}
    records = []
    for triple, at in keyed.records:
        key = triple[0]
        results[key] = (combine(results[key][0], triple) if key in results else triple, at)
        records.append(results[key])
    if g.batch:
        records = list(results.values())
    order = min(keyed.order, Order.PER_KEY) if g.batch else keyed.order
    parallelism = keyed.parallelism
    # Sums grow: bring the numbers back at once.
    stream = replace(keyed, order=order, records=tuple(((k, n % MODULUS, s), at) for (k, n, s), at in records))
    code = f"{code}.{name}.set_parallelism({parallelism}).map(lambda r: (r[0], r[1] % MODULUS, r[2]))"
    g.add(f"{code}.set_parallelism({parallelism})", replace(stream, typed=False, disorder=None))


_CONNECTED: Final[tuple[tuple[str, Callable[[Triple, int], list[Triple]], Callable[[Triple], list[Triple]]], ...]] = (
    ("map(BothMapped()", lambda r, at: [(r[0], (r[1] + 1) % MODULUS, r[2])], lambda r: [] if r[1] % 2 else [r]),
    ("flat_map(BothFlatMapped()", lambda r, at: [r, r], lambda r: [r] if r[1] % 2 else []),
    ("process(BothProcessed()", lambda r, at: [(r[0], at % MODULUS, r[2])], lambda r: [r] if r[1] % 3 else []),
)


def buffer(g: Generator) -> None:
    """An operator of the user's own with operator state: records wait in it."""
    arrival = g.deal(g.pick())
    stream, union_state = arrival.stream, g.rng.random() < 0.5
    code = f"{arrival.code}.transform('buffer', {type_of(stream.typed)[2:] or None}, Buffer({union_state}))"
    g.add(f"{code}.set_parallelism({stream.parallelism})", stream)


def connect(g: Generator) -> None:
    """Two streams without keys, or one with itself."""
    one, two = g.deal(g.pick()), g.pick()
    parallelism = one.stream.parallelism
    g.unread.pop(two.name, None)
    other = dealt(two, "", parallelism)
    name, first, second = g.rng.choice(_CONNECTED)
    records = [(out, at) for triple, at in one.stream.records for out in first(triple, at)]
    records += [(out, at) for triple, at in other.stream.records for out in second(triple)]
    typed = g.rng.random() < 0.5
    code = f"{one.code}.connect({other.code}).{name}{type_of(typed)}).set_parallelism({parallelism})"
    g.add(code, Stream("", tuple(records), parallelism, Order.NONE, typed))


def join(g: Generator) -> None:
    """Two streams with keys, or one with itself."""
    parallelism, one, two = g.parallelism(), g.pick(), g.pick()
    g.unread.pop(two.name, None)
    _, keyed, kind = g.key(one, parallelism)
    totals: dict[int, int] = {}
    numbers: dict[int, list[int]] = {}
    for (key, number, _), _ in one.records:
        totals[key] = totals.get(key, 0) + number
        numbers.setdefault(key, [])
    for (key, number, _), _ in two.records:
        numbers.setdefault(key, []).append(number)
    records = [((key, joined(totals.get(key, 0), mine), "joined"), END) for key, mine in numbers.items()]
    selector = f"Key({kind!r})"
    if g.rng.random() < 0.5:
        code = f"{one.name}.key_by({selector}).connect({two.name}.key_by({selector}))"
    else:
        code = f"{one.name}.connect({two.name}).key_by({selector}, {selector})"
    _keyed_result(g, f"{code}.process(Joined()", keyed, records)


def broadcast(g: Generator) -> None:
    """A stream beside a broadcast one."""
    one, rules = g.deal(g.pick()), g.pick()
    parallelism = one.stream.parallelism
    if len(rules.records) * parallelism > RECORDS_MAX or (g.settings.rescalable and parallelism > 1):
        g.unread.setdefault(one.stream.name, next(s for s in g.streams if s.name == one.stream.name))
        return
    g.unread.pop(rules.name, None)
    copies = [((k, n, "rule"), at) for (k, n, _), at in rules.records for _ in range(parallelism)]
    typed = g.rng.random() < 0.5
    code = f"{one.code}.connect({rules.name}.broadcast(RULES)).process(Ruled(){type_of(typed)})"
    stream = Stream("", (*one.stream.records, *copies), parallelism, Order.NONE, typed)
    g.add(f"{code}.set_parallelism({parallelism})", stream)


def keyed_broadcast(g: Generator) -> None:
    stream, rules = g.pick(), g.pick()
    code, keyed, _ = g.key(stream, g.parallelism())
    g.unread.pop(rules.name, None)
    numbers = {triple[1] for triple in rules.triples}
    records = []
    for key, mine in by_key(keyed.records).items():
        total = sum(triple[1] for triple, _ in mine)
        records.append(((key, ruled(total, numbers), "ruled"), END))
    _keyed_result(g, f"{code}.connect({rules.name}.broadcast(RULES)).process(KeyedRuled()", keyed, records)


def _keyed_result(g: Generator, code: str, keyed: Stream, records: list[Stamped], order: Order = Order.PER_KEY) -> None:
    typed = g.rng.random() < 0.6
    stream = replace(keyed, records=tuple(records), order=order, typed=typed, disorder=None)
    g.add(f"{code}{type_of(typed)}).set_parallelism({keyed.parallelism})", stream)


STEPS: Final[tuple[Step, ...]] = (
    map_, map_key, rows, filter_, flat_map, mutate, stamped, fork, union, assign, tumbling, tumbling, running, running,
    at_end, aggregate, aggregate, buffer, buffer, connect, join, broadcast, keyed_broadcast,
)  # fmt: skip
