"""Two slots with a shuffle between them over one slot.

What two cores of this machine give at this moment is said beside it: two jobs at once that share nothing, over one.
"""

import statistics

from tests.benchmarks.measurement import Contender, Measured, penstock, run_rounds

RECORDS = 5_000_000


def measure() -> list[Measured]:
    one, two = penstock(name="one slot"), penstock("--parallelism", "2", name="two slots")
    both = twice(one)
    found = run_rounds((two, one, both), records=RECORDS, rounds=4)
    costs = {each.name: statistics.median(spent[each.name] for spent in found) for each in (two, one)}
    note = ", ".join(f"{name} {cost * 1e9:.0f} ns" for name, cost in costs.items())
    apart = statistics.median(2 * spent[one.name] / spent[both.name] for spent in found)
    ratio = statistics.median(spent[one.name] / spent[two.name] for spent in found)
    return [Measured("two_slots", ratio, 1.5, "x one slot", "more", f"{note}; two jobs at once {apart:.2f} x one")]


def twice(job: Contender) -> Contender:
    """Two of them at once, which share nothing."""
    return Contender("two jobs", ("sh", "-ec", '"$@" & other=$!; "$@"; wait $other', "sh", *job.command))
